// Arithmetic on vectors beyond sums and products: choosing by masks, exponentials; and products of small dense blocks.

#pragma once

#include "vectors.h"

namespace {

typedef uint32_t Words __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

inline Vector all(float value) { return value - Vector{}; }
inline Words all(uint32_t value) { return value - Words{}; }
inline Words bits(Vector v) { return (Words)v; }
inline Vector chosen(Words mask, Vector yes, Vector no) { return (Vector)((mask & bits(yes)) | (~mask & bits(no))); }

inline float sum(Vector v) {
    float total = 0;
    for (int i = 0; i < WIDTH; i++) total += v[i];
    return total;
}

inline float largest(Vector v) {
    float most = v[0];
    for (int i = 1; i < WIDTH; i++) most = std::max(most, v[i]);
    return most;
}

// exp(x) for x <= 0 to 2e-7; 0 where the result were no normal number, NaN of NaN. By 2^n exp(r), |r| <= ln(2) / 2, exp(r) by its series
// with coefficients fitted to that range.
inline Vector exponential(Vector x) {
    const Vector to_integer = all(12582912.0f);  // 1.5 * 2^23: the sum's last bits are the rounded number
    const Vector shifted = x * all(1.44269504f) + to_integer, n = shifted - to_integer;
    const Vector r = (x - n * all(0.693359375f)) + n * all(2.12194440e-4f);
    Vector y = all(1.9875691500e-4f) * r + all(1.3981999507e-3f);
    y = y * r + all(8.3334519073e-3f);
    y = y * r + all(4.1665795894e-2f);
    y = y * r + all(1.6666665459e-1f);
    y = y * r + all(5.0000001201e-1f);
    y = y * (r * r) + r + all(1.0f);
    const Vector power = (Vector)(bits(y) + (bits(shifted) << 23));
    return (Vector)(bits(power) & ~(Words)(x < all(-87.0f)));
}

// to[r][:] (+)= sum over i < steps of a[r * a_row + i * a_step] * b[i * b_step + :], for rows of COUNT vectors.
template <int COUNT>
__attribute__((noinline)) void multiply_panel(
    bool add, int rows, int steps, const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step, float* to,
    int64_t to_row) {
    constexpr int HEIGHT = ROWS_FOR[COUNT];
    for (int r = 0; r < rows; r += HEIGHT, a += HEIGHT * a_row, to += HEIGHT * to_row) {
        Vector sums[HEIGHT][COUNT] = {};
        const float *column = a, *line = b;
        for (int i = 0; i < steps; i++, column += a_step, line += b_step) {
            Vector values[COUNT];
            for (int v = 0; v < COUNT; v++) values[v] = load(line + v * WIDTH);
#pragma GCC unroll 16
            for (int h = 0; h < HEIGHT; h++)
                for (int v = 0; v < COUNT; v++) sums[h][v] += column[h * a_row] * values[v];
        }
        for (int h = 0; h < HEIGHT; h++)
            for (int v = 0; v < COUNT; v++) {
                float* p = to + h * to_row + v * WIDTH;
                store(p, add ? load(p) + sums[h][v] : sums[h][v]);
            }
    }
}

// The same for rows of panels(...) vectors; `rows` is a multiple of every ROWS_FOR.
void multiply(
    const std::vector<int>& widths, bool add, int rows, int steps, const float* a, int64_t a_row, int64_t a_step, const float* b,
    int64_t b_step, float* to, int64_t to_row) {
    for (int width : widths) {
        switch (width) {
            case 1: multiply_panel<1>(add, rows, steps, a, a_row, a_step, b, b_step, to, to_row); break;
            case 2: multiply_panel<2>(add, rows, steps, a, a_row, a_step, b, b_step, to, to_row); break;
#if defined(SPARSE3D_MANY_REGISTERS)
            case 3: multiply_panel<3>(add, rows, steps, a, a_row, a_step, b, b_step, to, to_row); break;
            case 4: multiply_panel<4>(add, rows, steps, a, a_row, a_step, b, b_step, to, to_row); break;
#endif
        }
        b += width * WIDTH;
        to += width * WIDTH;
    }
}

}  // namespace
