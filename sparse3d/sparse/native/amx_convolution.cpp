// The convolution of convolution.cpp with operands rounded to bfloat16, by tile registers.
//
// As there, one thread owns a stretch of output rows and goes through the slots in order. The inputs of 32 rows that a slot has are
// gathered once for all output channels; their products come in squares of 32 rows x 32 channels that are added to the outputs.
// Without a table rows are rounded where they are gathered; with few input channels all slots are gathered and summed at once.
// How rows are cut depends on the shapes alone: the bits do not depend on the number of threads.

#include "amx.h"

#if defined(SPARSE3D_AMX)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace {

constexpr int BLOCK = 2 * TILE;  // rows and channels that are multiplied at once

bool granted() {
    constexpr unsigned AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24;
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // of arch_prctl, and the name of the registers' state
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

const bool allowed = granted();
std::atomic<bool> wanted{true};

// What the arguments come to in tiles.
struct Shape {
    const RoundedConvolution& p;
    Source source;
    int slots;           // that are gone through one after the other
    int steps, columns;  // tiles of words and of output channels
    int64_t words;       // of a gathered row
    int64_t stretch;     // output rows that a thread does at once
    bool whole;          // output channels are whole tiles: sums are made in place

    explicit Shape(const RoundedConvolution& given)
        : p(given), source(source_of(p.table, p.slots, p.c_in)), slots(source == Source::TABLE ? p.slots : 1),
          steps(static_cast<int>(divided(source == Source::NEIGHBOURS ? p.slots * SLOT_CHANNELS : p.c_in, TILE_CHANNELS))),
          columns(static_cast<int>(divided(p.c_out, TILE))), words(static_cast<int64_t>(steps) * TILE), stretch(0),
          whole(p.c_out % TILE == 0) {
        const int64_t by_cache = std::clamp<int64_t>(131072 / p.c_out / BLOCK * BLOCK, 8 * BLOCK, 32 * BLOCK);
        stretch = std::clamp<int64_t>(divided(divided(p.n_out, 8), BLOCK) * BLOCK, 8 * BLOCK, by_cache);
    }

    int64_t weight_size() const { return static_cast<int64_t>(steps) * TILE_SIZE; }  // of one slot and column

    // Of an input row that is rounded before it is gathered.
    int64_t input_words() const { return source == Source::TABLE ? words : source == Source::NEIGHBOURS ? SLOT_WORDS : 0; }

    const float* weights_of(int slot) const {
        return p.weight + static_cast<int64_t>(p.reversed ? p.slots - 1 - slot : slot) * p.c_in * p.c_out;
    }
};

void round_row(const float* from, int channels, float* to, int64_t words) {
    pair_columns(from, channels, to);
    const int64_t filled = (channels + 1) / 2;
    std::fill_n(to + filled, words - filled, 0.0f);
}

// The weights of one slot for output channels [TILE column, TILE column + TILE) as B tiles.
void pack_weights(const Shape& s, int slot, int column, float* to) {
    const RoundedConvolution& p = s.p;
    const float* w = s.weights_of(slot);
    const int first = column * TILE, filled = std::min(TILE, p.c_out - first);
    if (!p.transposed) {
        for (int64_t word = 0; word < s.words; word++, to += TILE) {
            const int64_t c = 2 * word;
            if (filled < TILE || c >= p.c_in) std::fill_n(to, TILE, 0.0f);
            const float* line = w + c * p.c_out + first;
            if (c < p.c_in) pair_rows(line, c + 1 < p.c_in ? line + p.c_out : nullptr, filled, to);
        }
        return;
    }
    alignas(64) float square[TILE_SIZE];
    for (int step = 0; step < s.steps; step++, to += TILE_SIZE) {
        const int c = step * TILE_CHANNELS, channels = std::min(TILE_CHANNELS, p.c_in - c);
        for (int j = 0; j < filled; j++)
            round_row(w + static_cast<int64_t>(first + j) * p.c_in + c, channels, square + j * TILE, TILE);
        std::fill_n(square + filled * TILE, (TILE - filled) * TILE, 0.0f);
        transpose_square(square, TILE, to, TILE);
    }
}

// The same of all slots, as Source::NEIGHBOURS has its rows.
void pack_all_slots(const Shape& s, int column, float* to) {
    const RoundedConvolution& p = s.p;
    const int first = column * TILE, filled = std::min(TILE, p.c_out - first);
    for (int word = 0; word < s.words; word++, to += TILE) {
        const int slot = word / SLOT_WORDS, c = word % SLOT_WORDS * 2;
        alignas(64) float lines[2][TILE] = {};
        for (int i = 0; i < 2 && slot < p.slots && c + i < p.c_in; i++)
            for (int j = 0; j < filled; j++)
                lines[i][j] = s.weights_of(slot)[p.transposed ? (first + j) * p.c_in + c + i : (c + i) * p.c_out + first + j];
        pair_rows(lines[0], lines[1], TILE, to);
    }
}

// What a thread needs: the rows that a slot has, their inputs as A tiles, products, and the outputs where they cannot be summed in place.
struct Worker {
    const Shape& s;
    std::vector<int32_t> in, to;
    Buffer gathered, products, sums;

    explicit Worker(const Shape& shape)
        : s(shape), in(s.stretch + WIDTH), to(s.stretch + WIDTH), gathered(BLOCK * s.words), products(BLOCK * BLOCK),
          sums(s.whole ? 0 : s.stretch * s.columns * TILE) {
        std::fill_n(gathered.data(), BLOCK * s.words, 0.0f);
    }

    // The operands of up to BLOCK rows: tile after tile, the second tile of rows behind the first.
    void gather(const float* inputs, const int32_t* rows, int count) {
        const RoundedConvolution& p = s.p;
        if (s.source == Source::NEIGHBOURS) {
            for (int slot = 0; slot < p.slots; slot++) {
                const int32_t* row = p.table + slot * p.n_out + rows[0];
                float* place = gathered.data() + slot * SLOT_WORDS / TILE * 2 * TILE_SIZE + slot * SLOT_WORDS % TILE;
                __builtin_prefetch(row + BLOCK), __builtin_prefetch(row + 2 * BLOCK - 1);  // every slot is another page
                for (int r = 0; r < count; r++) copy_neighbour(inputs, p.n_in, row[r], place + r * TILE);
            }
        }
        for (int r = 0; r < count && s.source != Source::NEIGHBOURS; r++)
            for (int step = 0; step < s.steps; step++) {
                float* place = gathered.data() + step * 2 * TILE_SIZE + r * TILE;
                const int c = step * TILE_CHANNELS;
                if (s.source == Source::TABLE)
                    store(place, load(inputs + rows[r] * s.words + step * TILE));
                else
                    round_row(p.x + static_cast<int64_t>(rows[r]) * p.c_in + c, std::min(TILE_CHANNELS, p.c_in - c), place, TILE);
            }
        written();
    }

    // target[to[r]] += products[r], for `width` channels.
    void add(const int32_t* places, int count, int width, float* target, int64_t stride) const {
        for (int r = 0; r < count; r++)
            for (int c = 0; c < width; c += TILE) {
                float* sum = target + places[r] * stride + c;
                store(sum, load(sum) + load(products.data() + r * BLOCK + c));
            }
    }

    // target[to[r]] += x[in[r]] @ weights, for up to BLOCK rows and output columns [begin, end).
    void multiply(
        const float* inputs, const int32_t* rows, const int32_t* places, int count, const float* weights, int begin, int end,
        float* target, int64_t stride) {
        const Operand a{gathered.data(), TILE, 2 * TILE_SIZE}, below{gathered.data() + TILE_SIZE, TILE, 2 * TILE_SIZE};
        gather(inputs, rows, count);
        const bool in_place = count == BLOCK && places[count - 1] - places[0] == count - 1;
        for (int column = begin; column < end; column += 2) {
            const bool two = column + 1 < end;
            const float* w = weights + column * s.weight_size();
            const Operand b{w, TILE, TILE_SIZE}, beside{w + s.weight_size(), TILE, TILE_SIZE};
            float* sum = target + (column - begin) * TILE;
            if (in_place) {
                multiply_tiles(true, two, a, below, b, beside, s.steps, sum + places[0] * stride, stride, false);
                continue;
            }
            multiply_tiles(count > TILE, two, a, below, b, beside, s.steps, products.data(), BLOCK, true);
            add(places, count, two ? BLOCK : TILE, sum, stride);
        }
    }
};

// Output rows [from, until) and columns [begin, end).
void convolve_stretch(
    Worker& worker, const float* inputs, const float* weights, int64_t from, int64_t until, int begin, int end) {
    const Shape& s = worker.s;
    const RoundedConvolution& p = s.p;
    const int first = begin * TILE, channels = std::min(end * TILE, p.c_out) - first;
    const int64_t stride = s.whole ? p.c_out : static_cast<int64_t>(end - begin) * TILE;
    float* target = s.whole ? p.out + from * p.c_out + first : worker.sums.data();
    for (int64_t r = 0; r < until - from; r++) {
        std::fill_n(target + r * stride, (end - begin) * TILE, 0.0f);
        if (p.bias) std::copy_n(p.bias + first, channels, target + r * stride);
    }
    written();
    for (int slot = 0; slot < s.slots; slot++) {
        const int32_t* row = s.source == Source::TABLE ? p.table + slot * p.n_out : nullptr;
        const int count = list_present(row, from, static_cast<int>(until - from), worker.in.data(), worker.to.data());
        const float* of_slot = weights + slot * s.columns * s.weight_size();
        for (int r = 0; r < count; r += BLOCK)
            worker.multiply(
                inputs, worker.in.data() + r, worker.to.data() + r, std::min(BLOCK, count - r), of_slot, begin, end, target, stride);
    }
    if (s.whole) return;
    for (int64_t r = 0; r < until - from; r++) std::copy_n(target + r * stride, channels, p.out + (from + r) * p.c_out + first);
}

}  // namespace

bool multiplies_by_amx() { return allowed && wanted; }

void convolve_by_amx(const RoundedConvolution& p) {
    const Shape s(p);
    const int64_t stretches = divided(p.n_out, s.stretch);
    const int parts = static_cast<int>(std::clamp<int64_t>(divided(4 * p.threads, stretches), 1, divided(s.columns, 4)));
    const int part = static_cast<int>(divided(divided(s.columns, parts), 2)) * 2;
    const int64_t words = s.input_words();
    const Buffer inputs((p.n_in + 1) * words), weights(s.slots * s.columns * s.weight_size());
    std::fill_n(inputs.data() + p.n_in * words, words, 0.0f);
#pragma omp parallel num_threads(p.threads)
    {
#pragma omp for schedule(static) nowait
        for (int64_t r = 0; r < (words ? p.n_in : 0); r++) {
            if (s.source == Source::TABLE)
                round_row(p.x + r * p.c_in, p.c_in, inputs.data() + r * words, words);
            else
                round_neighbour(p.x + r * p.c_in, p.c_in, inputs.data() + r * words);
        }
#pragma omp for schedule(dynamic, 1)
        for (int unit = 0; unit < s.slots * s.columns; unit++) {
            float* to = weights.data() + unit * s.weight_size();
            if (s.source == Source::NEIGHBOURS)
                pack_all_slots(s, unit, to);
            else
                pack_weights(s, unit / s.columns, unit % s.columns, to);
        }
        const TileRegisters registers;
        Worker worker(s);
#pragma omp for schedule(dynamic, 1)
        for (int64_t unit = 0; unit < stretches * parts; unit++) {
            const int64_t from = unit / parts * s.stretch;
            const int begin = static_cast<int>(unit % parts) * part, end = std::min(s.columns, begin + part);
            if (begin < end)
                convolve_stretch(worker, inputs.data(), weights.data(), from, std::min(p.n_out, from + s.stretch), begin, end);
        }
    }
}

// Whether products of bfloat16 go through tile registers from now on: where they are granted, and unless `on` is 0.
extern "C" int sparse3d_use_amx(int on) {
    wanted = on != 0;
    return multiplies_by_amx();
}

#else

extern "C" int sparse3d_use_amx(int) { return 0; }

#endif
