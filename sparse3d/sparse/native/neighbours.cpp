// Kernel maps by look-up in a table over the bounding box.

#include "vectors.h"

namespace {

// Cell of a voxel (batch index, x, y, z): the sum of (coordinate - low) / scale * place over the four.
struct Box {
    const int64_t *low, *scale, *place;

    int64_t cell(const int32_t* voxel) const {
        int64_t at = 0;
        for (int i = 0; i < 4; i++) at += (voxel[i] - low[i]) / scale[i] * place[i];
        return at;
    }
};

// Rows of a tile: the cells around them stay in the caches while all slots go by.
constexpr int64_t TILE = 512;

}  // namespace

// rows [slots, n_target] = the row of `source` [n_source, 4] at every voxel of `target` [n_target, 4] and `steps` [slots] cells
// further, -1 = none. box: low, scale and place, four each; every cell asked for must lie in `cells` [n_cells], which is scratch.
extern "C" void sparse3d_neighbours(
    const int32_t* source, const int32_t* target, const int64_t* box, const int64_t* steps, int32_t* cells, int32_t* rows,
    int64_t n_source, int64_t n_target, int64_t n_cells, int slots, int threads) {
    const Box where{box, box + 4, box + 8};
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < n_cells; i++) cells[i] = -1;
#pragma omp for schedule(static)
        for (int64_t r = 0; r < n_source; r++) cells[where.cell(source + 4 * r)] = static_cast<int32_t>(r);
        int64_t starts[TILE];
#pragma omp for schedule(dynamic, 1)
        for (int64_t tile = 0; tile < divided(n_target, TILE); tile++) {
            const int64_t begin = tile * TILE, count = std::min(TILE, n_target - begin);
            for (int64_t r = 0; r < count; r++) starts[r] = where.cell(target + 4 * (begin + r));
            for (int slot = 0; slot < slots; slot++) {
                int32_t* out = rows + slot * n_target + begin;
                const int32_t* moved = cells + steps[slot];
                for (int64_t r = 0; r < count; r++) out[r] = moved[starts[r]];
            }
        }
    }
}
