// Kernel maps by look-up in a table over the bounding box.
//
// Most cells of a room are empty. The table stays from call to call and is all zeros between them, so that a call touches only the
// cells around voxels; fresh pages of the system are zeros too. It is not among the memory that memory.cpp counts: at most 64 MB, of
// which pages that had a voxel are there.

#include <sys/mman.h>

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

// A table of zeros; one a thread that calls, so that calls need no lock.
class Cells {
    void* memory = MAP_FAILED;
    size_t bytes = 0;

public:
    ~Cells() { release(); }

    void release() {
        if (memory != MAP_FAILED) munmap(memory, bytes);
        memory = MAP_FAILED, bytes = 0;
    }

    // Null where the system has no room.
    int32_t* of(int64_t count) {
        const size_t wanted = static_cast<size_t>(count) * sizeof(int32_t);
        if (wanted > bytes) {
            release();
            memory = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (memory == MAP_FAILED) return nullptr;
            bytes = wanted;
        }
        return static_cast<int32_t*>(memory);
    }
};

// Rows of a tile: the cells around them stay in the caches while all slots go by.
constexpr int64_t TILE = 512;
// Look-ups, about half a millisecond of them: beside data workers a second thread may have to wait that long for its core.
constexpr int64_t WORTH_THREADS = 1 << 19;

}  // namespace

// rows [slots, n_target] = the row of `source` [n_source, 4] at every voxel of `target` [n_target, 4] and `steps` [slots] cells
// further, -1 = none. box: low, scale and place, four each; every cell asked for is one of `n_cells`. Returns 0 where there is no memory.
extern "C" int sparse3d_neighbours(
    const int32_t* source, const int32_t* target, const int64_t* box, const int64_t* steps, int32_t* rows, int64_t n_source,
    int64_t n_target, int64_t n_cells, int slots, int threads) {
    static thread_local Cells table;
    int32_t* const cells = table.of(n_cells);
    if (!cells) return 0;
    const Box where{box, box + 4, box + 8};
#pragma omp parallel num_threads(threads) if (slots * n_target >= WORTH_THREADS)
    {
#pragma omp for schedule(static)
        for (int64_t r = 0; r < n_source; r++) cells[where.cell(source + 4 * r)] = static_cast<int32_t>(r) + 1;
        int64_t starts[TILE];
#pragma omp for schedule(dynamic, 1)
        for (int64_t tile = 0; tile < divided(n_target, TILE); tile++) {
            const int64_t begin = tile * TILE, count = std::min(TILE, n_target - begin);
            for (int64_t r = 0; r < count; r++) starts[r] = where.cell(target + 4 * (begin + r));
            for (int slot = 0; slot < slots; slot++) {
                int32_t* out = rows + slot * n_target + begin;
                const int64_t step = steps[slot];
                for (int64_t r = 0; r < count; r++) out[r] = cells[starts[r] + step] - 1;
            }
        }
#pragma omp for schedule(static)
        for (int64_t r = 0; r < n_source; r++) cells[where.cell(source + 4 * r)] = 0;
    }
    if (!keeps_memory()) table.release();
    return 1;
}
