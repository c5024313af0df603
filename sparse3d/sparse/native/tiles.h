// What the ways to convolve have in common: the problem, its weights as panels, and tiles of output rows.

#pragma once

#include "epilogue.h"
#include "vectors.h"

namespace {

struct Problem {
    const float* x;       // [n_in, words]
    const float* weight;  // [slots, words, c_out], or [slots, c_out, words] when `transposed`
    const int32_t* table; // [slots, n_out], or null: row o at o
    float* out;           // [n_out, c_out] in rows of out_stride
    int64_t n_out;
    int slots, words, c_out;
    bool transposed, reversed;
    int threads;
    std::vector<int> widths;     // of the panels
    std::vector<float> initial;  // the bias, or zeros, in whole vectors
    bool far;                    // whether the inputs lie beyond the second-level cache
    int64_t out_stride;          // floats from row to row of `out`
    const Epilogue* epilogue = nullptr;

    const float* weights_of(int slot) const {
        return weight + static_cast<int64_t>(reversed ? slots - 1 - slot : slot) * words * c_out;
    }

    // Whether products read the weights where they lie: their rows are whole vectors.
    bool weights_lie_ready() const { return !transposed && c_out % WIDTH == 0; }
};

// The rows of one slot in one tile.
struct Rows {
    const int32_t *in, *to;
    int count;
};

// ---------------------------------------------------------------- weights as panels

// The weights of one slot for output channels [first, first + columns) as rows of `columns`, zero behind the last channel.
void pack(const Problem& p, int slot, int first, int columns, float* panel) {
    const float* w = p.weights_of(slot);
    const int filled = std::min(columns, p.c_out - first);
    if (!p.transposed) {
        for (int64_t c = 0; c < p.words; c++) {
            std::copy_n(w + c * p.c_out + first, filled, panel + c * columns);
            std::fill_n(panel + c * columns + filled, columns - filled, 0.0f);
        }
        return;
    }
    for (int j = 0; j < columns; j += WIDTH)
        for (int c = 0; c < p.words; c += WIDTH) {
            const float* from = w + static_cast<int64_t>(first + j) * p.words + c;
            float* to = panel + static_cast<int64_t>(c) * columns + j;
            if (j + WIDTH <= filled && c + WIDTH <= p.words) {
                transpose_square(from, p.words, to, columns);
                continue;
            }
            for (int a = 0; a < std::min(WIDTH, p.words - c); a++)
                for (int b = 0; b < WIDTH; b++) to[a * columns + b] = j + b < filled ? from[b * p.words + a] : 0.0f;
        }
}

// ---------------------------------------------------------------- tiles

// Scratch of a thread, for tiles of up to `rows` rows and `columns` channels.
struct Scratch {
    std::vector<int32_t> in, to;
    Buffer sums;
    Scratch(int64_t rows, int64_t columns) : in(rows + WIDTH), to(rows + WIDTH), sums(rows * columns) {}

    Rows rows_of(const Problem& p, int slot, int64_t begin, int64_t end) {
        const int32_t* row = p.table ? p.table + slot * p.n_out : nullptr;
        return {in.data(), to.data(), list_present(row, begin, static_cast<int>(end - begin), in.data(), to.data())};
    }
};

// Rows [begin, end) and channels [first, first + columns) of the output while they are summed: in place, or, where they are no whole
// vectors or not the output yet, in scratch.
struct Tile {
    const Problem& p;
    int64_t begin, end, stride;
    int first, columns;
    float* sums;

    Tile(const Problem& problem, int64_t from, int64_t to, int at, int width, const Scratch& scratch)
        : p(problem), begin(from), end(to), first(at), columns(width) {
        const bool in_place = lies_in_place();
        sums = in_place ? p.out + begin * p.out_stride + first : scratch.sums.data();
        stride = in_place ? p.out_stride : columns;
        for (int64_t r = 0; r < end - begin; r++) std::copy_n(p.initial.data() + first, columns, sums + r * stride);
    }

    bool lies_in_place() const { return !p.epilogue && first + columns <= p.c_out; }

    void finish() const {
        if (lies_in_place()) return;
        const int count = std::min(columns, p.c_out - first);
        for (int64_t r = 0; r < end - begin; r++) {
            float* to = p.out + (begin + r) * p.out_stride + first;
            if (p.epilogue)
                p.epilogue->finish(sums + r * stride, begin + r, first, count, to);
            else
                std::copy_n(sums + r * stride, count, to);
        }
    }
};

// Where each panel starts, in channels, and where the last one ends.
std::vector<int> panel_starts(const Problem& p) {
    std::vector<int> starts(1, 0);
    for (const int width : p.widths) starts.push_back(starts.back() + width * WIDTH);
    return starts;
}

// All weights as panels: those of a slot one behind the other. Called by every thread of a team.
void pack_all(const Problem& p, const std::vector<int>& starts, float* packed) {
    const int count = static_cast<int>(p.widths.size());
    const int64_t words = p.words;
#pragma omp for schedule(dynamic, 1)
    for (int unit = 0; unit < p.slots * count; unit++) {
        const int slot = unit / count, i = unit % count;
        pack(p, slot, starts[i], starts[i + 1] - starts[i], packed + words * (static_cast<int64_t>(slot) * starts[count] + starts[i]));
    }
}

}  // namespace
