// Convolution of few input channels by many slots, a network's first one: a row has fewer products than it costs to add them to its
// outputs slot by slot, so all neighbours of a row are listed first.

#pragma once

#include "tiles.h"

namespace {

constexpr int FEW_WORDS = 4, FEW_ROWS = 256;
constexpr int FEW_WEIGHTS = 5120;  // of the slots that go by at once: they stay in the first-level cache for all rows of a tile

constexpr int SLOTS_AHEAD = 2;     // whose part of the table is asked for: of every slot a tile reads a few lines, far apart

struct Neighbour {
    int32_t slot, row;
};

// target[:] += sum over neighbours of x[row] @ panel[slot]: the sums of a row stay in registers while the slots go by. Every input
// channel has sums of its own, as one chain of additions would wait for itself.
template <class Product, int WORDS, int VECTORS>
void add_neighbours(const Neighbour* list, int count, const float* x, const float* panel, int64_t size, float* target) {
    Vector sums[WORDS][VECTORS] = {};
    for (int i = 0; i < count; i++) {
        const float *row = x + static_cast<int64_t>(list[i].row) * WORDS, *weights = panel + list[i].slot * size;
        for (int c = 0; c < WORDS; c++)
            for (int v = 0; v < VECTORS; v++)
                sums[c][v] = Product::multiply_add(sums[c][v], row[c], load(weights + (c * VECTORS + v) * WIDTH));
    }
    for (int v = 0; v < VECTORS; v++) {
        Vector sum = load(target + v * WIDTH);
        for (int c = 0; c < WORDS; c++) sum += sums[c][v];
        store(target + v * WIDTH, sum);
    }
}

template <class Product, int WORDS>
auto adder(int vectors) {
    switch (vectors) {
#if defined(SPARSE3D_MANY_REGISTERS)
        case 4: return add_neighbours<Product, WORDS, 4>;
        case 3: return add_neighbours<Product, WORDS, 3>;
#endif
        case 2: return add_neighbours<Product, WORDS, 2>;
        default: return add_neighbours<Product, WORDS, 1>;
    }
}

template <class Product>
auto adder(int words, int vectors) {
    switch (words) {
        case 1: return adder<Product, 1>(vectors);
        case 2: return adder<Product, 2>(vectors);
        case 3: return adder<Product, 3>(vectors);
        default: return adder<Product, 4>(vectors);
    }
}

// The neighbours of a tile's rows in slots [slot, end): those of row r from (end - slot) * r on, counts[r] of them.
void list_neighbours(const Problem& p, int slot, int end, const Tile& tile, Scratch& scratch, Neighbour* neighbours, int* counts) {
    const int some = end - slot;
    std::fill_n(counts, FEW_ROWS, 0);
    for (; slot < end; slot++) {
        if (p.table && slot + SLOTS_AHEAD < p.slots)
            for (int64_t r = tile.begin; r < tile.end; r += 16) __builtin_prefetch(p.table + (slot + SLOTS_AHEAD) * p.n_out + r);
        const Rows rows = scratch.rows_of(p, slot, tile.begin, tile.end);
        for (int r = 0; r < rows.count; r++) {
            const int32_t at = rows.to[r];
            neighbours[at * some + counts[at]++] = {slot, rows.in[r]};
        }
    }
}

template <class Product>
void convolve_by_rows(const Problem& p) {
    const std::vector<int> starts = panel_starts(p);
    const int count = static_cast<int>(p.widths.size()), columns = starts[count];
    const int64_t words = p.words, tiles = divided(p.n_out, FEW_ROWS);
    const int some = std::clamp<int>(static_cast<int>(FEW_WEIGHTS / (words * columns)), 1, p.slots);
    const Buffer packed(words * columns * p.slots);
#pragma omp parallel num_threads(p.threads)
    {
        Scratch scratch(FEW_ROWS, columns);
        std::vector<Neighbour> neighbours(static_cast<size_t>(FEW_ROWS) * some);
        int counts[FEW_ROWS];
        pack_all(p, starts, packed.data());
#pragma omp for schedule(dynamic, 4)
        for (int64_t t = 0; t < tiles; t++) {
            const Tile target(p, t * FEW_ROWS, std::min(p.n_out, (t + 1) * FEW_ROWS), 0, columns, scratch);
            for (int slot = 0; slot < p.slots; slot += some) {
                const int end = std::min(p.slots, slot + some);
                list_neighbours(p, slot, end, target, scratch, neighbours.data(), counts);
                for (int i = 0; i < count; i++) {
                    const auto add = adder<Product>(p.words, p.widths[i]);
                    for (int r = 0; r < target.end - target.begin; r++)
                        add(neighbours.data() + r * (end - slot), counts[r], p.x, packed.data() + words * starts[i], words * columns,
                            target.sums + r * target.stride + starts[i]);
                }
            }
            target.finish();
        }
    }
}

}  // namespace
