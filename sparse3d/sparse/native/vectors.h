// Vectors of the instruction set this is compiled for, and what both kernels share.
//
// A word is 32 bits of operands: one float, or, for bfloat16 products, two neighbours of the dimension that is summed over.
// The kernels move words; only `multiply_add` of the product type knows what is inside.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <numeric>
#include <vector>

#include <omp.h>

#include "memory.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif

// Registers decide the block: 32 with AVX-512 (and on ARM), 16 otherwise. A block holds ROWS x VECTORS sums, VECTORS weights and one input.
#if defined(__AVX512F__) || defined(__aarch64__)
#define SPARSE3D_MANY_REGISTERS
constexpr int MAX_VECTORS = 4;
constexpr int ROWS_FOR[MAX_VECTORS + 1] = {0, 12, 12, 8, 6};
#else
constexpr int MAX_VECTORS = 2;
constexpr int ROWS_FOR[MAX_VECTORS + 1] = {0, 12, 6};
#endif

typedef float Vector __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

static inline Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
static inline void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }

struct Single {
    static constexpr int PER_WORD = 1;
    static inline Vector multiply_add(Vector sum, float word, Vector weights) { return sum + word * weights; }
};

#if defined(__AVX512BF16__)
struct Pairs {
    static constexpr int PER_WORD = 2;
    static inline Vector multiply_add(Vector sum, float word, Vector weights) {
        return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(word), (__m512bh)weights);
    }
};

// to[i] = the word of first[i] and second[i], rounded to bfloat16; `second` null stands for zeros.
static inline void pair_rows(const float* first, const float* second, int count, float* to) {
    alignas(64) static const uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                   8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i index = _mm512_load_si512(order);
    const auto words = [index](__m512 low, __m512 high) {
        return (__m512)_mm512_permutexvar_epi16(index, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    };
    int i = 0;
    for (; i + 16 <= count; i += 16)
        _mm512_storeu_ps(to + i, words(_mm512_loadu_ps(first + i), second ? _mm512_loadu_ps(second + i) : _mm512_setzero_ps()));
    if (i == count) return;
    const __mmask16 rest = static_cast<__mmask16>((1u << (count - i)) - 1);  // slow on some CPUs: for the last ones only
    const __m512 high = second ? _mm512_maskz_loadu_ps(rest, second + i) : _mm512_setzero_ps();
    _mm512_mask_storeu_ps(to + i, rest, words(_mm512_maskz_loadu_ps(rest, first + i), high));
}

// One row as words of neighbours: to[i] = from[2 i], from[2 i + 1]; zero behind the last.
static inline void pair_columns(const float* from, int count, float* to) {
    int i = 0;
    for (; i + 16 <= count; i += 16) _mm256_storeu_ps(to + i / 2, (__m256)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i)));
    if (i == count) return;
    const __m512 last = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << (count - i)) - 1), from + i);
    const __mmask8 words = static_cast<__mmask8>((1u << ((count - i + 1) / 2)) - 1);
    _mm256_mask_storeu_ps(to + i / 2, words, (__m256)_mm512_cvtneps_pbh(last));
}
#endif

// a0 b0 a1 b1 .. of the lower or of the upper halves of two vectors.
template <int HALF>
static inline Vector interleave(Vector a, Vector b) {
    typedef int32_t Index __attribute__((vector_size(WIDTH * 4)));
    Index index;
    for (int i = 0; i < WIDTH; i++) index[i] = HALF * WIDTH / 2 + i / 2 + (i % 2 ? WIDTH : 0);
#if defined(__clang__)
    Vector mixed;
    for (int i = 0; i < WIDTH; i++) mixed[i] = index[i] < WIDTH ? a[index[i]] : b[index[i] - WIDTH];
    return mixed;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

// to[c * columns + j] = from[j * stride + c] for a square of WIDTH.
static inline void transpose_square(const float* from, int64_t stride, float* to, int64_t columns) {
    Vector rows[WIDTH], mixed[WIDTH];
    for (int j = 0; j < WIDTH; j++) rows[j] = load(from + j * stride);
#pragma GCC unroll 4
    for (int step = 1; step < WIDTH; step *= 2) {
        for (int i = 0; i < WIDTH / 2; i++) {
            mixed[2 * i] = interleave<0>(rows[i], rows[i + WIDTH / 2]);
            mixed[2 * i + 1] = interleave<1>(rows[i], rows[i + WIDTH / 2]);
        }
        std::copy(mixed, mixed + WIDTH, rows);
    }
    for (int c = 0; c < WIDTH; c++) store(to + c * columns, rows[c]);
}

// An array without values, as the kernels write every element that they read; at a cache line, so that no vector lies in two.
// Large ones lie in kept memory.
class Buffer {
    static constexpr std::align_val_t LINE{64};
    static constexpr size_t LARGE = 1 << 20;
    size_t bytes;
    void* kept;
    float* memory;

public:
    explicit Buffer(int64_t floats)
        : bytes(static_cast<size_t>(std::max<int64_t>(floats, 1)) * sizeof(float)), kept(bytes < LARGE ? nullptr : take_kept(bytes)),
          memory(static_cast<float*>(kept ? kept : ::operator new(bytes, LINE))) {}
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (kept)
            give_kept(kept, bytes);
        else
            ::operator delete(memory, LINE);
    }
    float* data() const { return memory; }
};

static inline int64_t divided(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Output channels as panels of up to MAX_VECTORS vectors, as equal as can be; the last vector of the last panel may be partly filled.
static inline std::vector<int> panels(int channels) {
    const int vectors = static_cast<int>(divided(channels, WIDTH)), count = static_cast<int>(divided(vectors, MAX_VECTORS));
    std::vector<int> widths;
    for (int i = 0; i < count; i++) widths.push_back(vectors / count + (i < vectors % count ? 1 : 0));
    return widths;
}

// Entries [begin, begin + count) of a slot's row of the table that are there: their input rows, and where they stand counted from
// `begin`. `slot` null stands for row o at o. Both lists need room for WIDTH more than `count`. Returns how many there are.
static inline int list_present(const int32_t* slot, int64_t begin, int count, int32_t* rows, int32_t* places) {
    if (!slot) {
        std::iota(rows, rows + count, static_cast<int32_t>(begin));
        std::iota(places, places + count, 0);
        return count;
    }
    slot += begin;
    int present = 0;
#if defined(__AVX512F__)
    __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int i = 0; i < count; i += 16, place = _mm512_add_epi32(place, _mm512_set1_epi32(16))) {
        const __mmask16 inside = count - i >= 16 ? 0xffff : static_cast<__mmask16>((1u << (count - i)) - 1);
        const __m512i row = _mm512_maskz_loadu_epi32(inside, slot + i);
        const __mmask16 there = _mm512_mask_cmpge_epi32_mask(inside, row, _mm512_setzero_si512());
        _mm512_storeu_si512(rows + present, _mm512_maskz_compress_epi32(there, row));
        _mm512_storeu_si512(places + present, _mm512_maskz_compress_epi32(there, place));
        present += __builtin_popcount(there);
    }
#else
    for (int i = 0; i < count; i++) {
        rows[present] = slot[i];
        places[present] = i;
        present += slot[i] >= 0;
    }
#endif
    return present;
}
