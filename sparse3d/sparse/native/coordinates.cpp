// The voxels of a coarser tensor stride, sorted, without sorting: a bit for every cell of the bounding box, read in the cells' order.

#include <cstdint>
#include <memory>
#include <new>

namespace {

constexpr int AXES = 4;  // batch index, x, y, z

inline int64_t floor_divided(int64_t a, int64_t b) { return a / b - (a % b < 0); }

}  // namespace

// coarse [at most count, 4] = the distinct rows of floor(coords / stride) * stride, in lexicographic order, and their packed keys of `bits` a
// coordinate. coords [count, 4]; stride (of the batch index: 1), low (the smallest floors, in strides) and extent: 4 each. Returns how many
// there are, or -1 where there is no memory.
extern "C" int64_t sparse3d_floors(
    const int32_t* coords, const int64_t* stride, const int64_t* low, const int64_t* extent, int32_t* coarse, int64_t* keys, int64_t count,
    int bits) {
    const int64_t words = (extent[0] * extent[1] * extent[2] * extent[3] + 63) / 64;
    const std::unique_ptr<uint64_t[]> occupied(new (std::nothrow) uint64_t[words]());
    if (!occupied) return -1;
    for (int64_t i = 0; i < count; i++) {
        int64_t cell = 0;
        for (int axis = 0; axis < AXES; axis++)
            cell = cell * extent[axis] + floor_divided(coords[i * AXES + axis], stride[axis]) - low[axis];
        occupied[cell / 64] |= uint64_t{1} << (cell % 64);
    }
    const int64_t half = int64_t{1} << (bits - 1);
    int64_t found = 0;
    for (int64_t word = 0; word < words; word++)
        for (uint64_t left = occupied[word]; left; left &= left - 1, found++) {
            int64_t cell = word * 64 + __builtin_ctzll(left);
            int32_t* voxel = coarse + found * AXES;
            for (int axis = AXES - 1; axis >= 0; axis--) {
                voxel[axis] = static_cast<int32_t>((cell % extent[axis] + low[axis]) * stride[axis]);
                cell /= extent[axis];
            }
            int64_t key = voxel[0];
            for (int axis = 1; axis < AXES; axis++) key = (key << bits) + voxel[axis] + half;
            keys[found] = key;
        }
    return found;
}
