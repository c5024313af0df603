// Products of bfloat16 in Intel's tile registers (AMX), and what the two kernels that use them share.
//
// A tile holds 16 rows of 64 bytes. One instruction adds the product of A (16 rows of 16 words) and B (16 words of 16 columns) to
// C (16 x 16 floats), a word being two bfloat16 neighbours of the dimension that is summed over, as in vectors.h. Rows and
// channels are filled up with zeros to whole tiles.

#pragma once

#include <cstdint>

#include "vectors.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define SPARSE3D_AMX

constexpr int TILE = 16;               // rows, words and columns of a tile
constexpr int TILE_SIZE = TILE * TILE;  // words
constexpr int TILE_CHANNELS = 2 * TILE;

// Whether this process may use the tile registers: the CPU has them, the system granted them, nobody switched them off.
bool multiplies_by_amx();

// As sparse3d_convolve's and sparse3d_weight_gradient's arguments, and what they do, with `rounded`.
struct RoundedConvolution {
    const float *x, *weight, *bias;
    const int32_t* table;
    float* out;
    int64_t n_in, n_out;
    int slots, c_in, c_out;
    bool transposed, reversed;
    int threads;
};
void convolve_by_amx(const RoundedConvolution& p);

struct RoundedWeightGradient {
    const float *x, *g;
    const int32_t* table;
    float* grad;
    int64_t n_in, n_out;
    int slots, c_in, c_out;
    int threads;
};
void weight_gradient_by_amx(const RoundedWeightGradient& p);

// Where the operands of a block of rows come from.
enum class Source {
    TABLE,       // slot by slot, the rows that the table has
    ROWS,        // row o at o
    NEIGHBOURS,  // few channels and many slots: all slots of a row side by side, SLOT_CHANNELS each, zeros where the table has
                 // none: times what is infinite in the other operand they are no number
};
constexpr int SLOT_CHANNELS = 4, SLOT_WORDS = SLOT_CHANNELS / 2;

static inline Source source_of(const int32_t* table, int slots, int c_in) {
    if (!table) return Source::ROWS;
    return c_in <= SLOT_CHANNELS && slots >= 8 ? Source::NEIGHBOURS : Source::TABLE;
}

// A row of at most SLOT_CHANNELS channels, in SLOT_WORDS words.
static inline void round_neighbour(const float* from, int channels, float* to) {
    alignas(64) float whole[TILE] = {}, words[TILE];
    std::copy_n(from, channels, whole);
    pair_columns(whole, TILE, words);
    std::memcpy(to, words, SLOT_WORDS * sizeof(float));
}

// A row's neighbour in SLOT_WORDS words; row n_in of `inputs` holds zeros, and is that of -1 without a branch.
static inline void copy_neighbour(const float* inputs, int64_t n_in, int32_t row, float* to) {
    std::memcpy(to, inputs + std::min<int64_t>(static_cast<uint32_t>(row), n_in) * SLOT_WORDS, SLOT_WORDS * sizeof(float));
}

// GCC does not know that tile instructions read memory: what was written before must be in memory here.
static inline void written() { asm volatile("" ::: "memory"); }

// A thread's tile registers while this lives, all eight of full size.
class TileRegisters {
public:
    TileRegisters() {
        struct alignas(64) {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } configuration;
        asm volatile("" ::"r"(&configuration) : "memory");
        _tile_loadconfig(&configuration);
    }
    TileRegisters(const TileRegisters&) = delete;
    TileRegisters& operator=(const TileRegisters&) = delete;
    ~TileRegisters() { _tile_release(); }
};

// An operand of `steps` tiles along the dimension that is summed over: where the first tile is, and, in floats, how far apart its rows
// and the tiles are.
struct Operand {
    const float* first;
    int64_t row, step;
};

// C[i][j] += A[i] B[j], for two or one of each, where C is at c + i * TILE * stride + j * TILE. With `fresh` C is overwritten.
template <bool TWO_A, bool TWO_B>
inline void multiply_tiles(Operand a0, Operand a1, Operand b0, Operand b1, int64_t steps, float* c, int64_t stride, bool fresh) {
    const int64_t bytes = stride * 4;
    float* below = c + TILE * stride;
    if (fresh) {
        _tile_zero(0);
        if constexpr (TWO_B) _tile_zero(1);
        if constexpr (TWO_A) _tile_zero(2);
        if constexpr (TWO_A && TWO_B) _tile_zero(3);
    } else {
        _tile_loadd(0, c, bytes);
        if constexpr (TWO_B) _tile_loadd(1, c + TILE, bytes);
        if constexpr (TWO_A) _tile_loadd(2, below, bytes);
        if constexpr (TWO_A && TWO_B) _tile_loadd(3, below + TILE, bytes);
    }
    for (int64_t k = 0; k < steps; k++) {
        _tile_loadd(4, a0.first + k * a0.step, a0.row * 4);
        _tile_loadd(6, b0.first + k * b0.step, b0.row * 4);
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (TWO_B) {
            _tile_loadd(7, b1.first + k * b1.step, b1.row * 4);
            _tile_dpbf16ps(1, 4, 7);
        }
        if constexpr (TWO_A) {
            _tile_loadd(5, a1.first + k * a1.step, a1.row * 4);
            _tile_dpbf16ps(2, 5, 6);
            if constexpr (TWO_B) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, bytes);
    if constexpr (TWO_B) _tile_stored(1, c + TILE, bytes);
    if constexpr (TWO_A) _tile_stored(2, below, bytes);
    if constexpr (TWO_A && TWO_B) _tile_stored(3, below + TILE, bytes);
}

inline void multiply_tiles(
    bool two_a, bool two_b, Operand a0, Operand a1, Operand b0, Operand b1, int64_t steps, float* c, int64_t stride, bool fresh) {
    if (two_a && two_b)
        multiply_tiles<true, true>(a0, a1, b0, b1, steps, c, stride, fresh);
    else if (two_a)
        multiply_tiles<true, false>(a0, a1, b0, b1, steps, c, stride, fresh);
    else if (two_b)
        multiply_tiles<false, true>(a0, a1, b0, b1, steps, c, stride, fresh);
    else
        multiply_tiles<false, false>(a0, a1, b0, b1, steps, c, stride, fresh);
}

#endif
