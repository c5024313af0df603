// Sparse convolution on the CPU, single precision.
//
// A kernel map is a table [slots, n_out] of input rows, -1 where a neighbour is missing:
//     out[o] = sum over slots k with table[k][o] >= 0 of x[table[k][o]] @ weight[k]
//
// Forward: the output is cut into tiles of rows; one thread owns a tile and goes through the slots in order. For every slot it
// lists the rows that are there and multiplies them in register blocks of ROWS x VECTORS straight from the scattered inputs: nothing
// is gathered into memory. Every output row is summed in one fixed order, so the bits do not depend on the number of threads.
//
// Gradient of the weights: a thread owns a block of (slot, input channels) and sums over all pairs in order; again one fixed order.
//
// The vector width is that of the instruction set this file is compiled for.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <omp.h>

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif

// Registers decide the block: 32 with AVX-512 (and on ARM), 16 otherwise. A block holds ROWS x VECTORS sums, VECTORS weights and one input.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int MAX_VECTORS = 4;
constexpr int ROWS_FOR[MAX_VECTORS + 1] = {0, 12, 12, 8, 6};
#else
constexpr int MAX_VECTORS = 2;
constexpr int ROWS_FOR[MAX_VECTORS + 1] = {0, 12, 6};
#endif

typedef float Vector __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

static inline Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
static inline void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }

static inline void add_part(float* p, Vector v, int count) {
    float parts[WIDTH];
    std::memcpy(parts, &v, sizeof parts);
    for (int i = 0; i < count; i++) p[i] += parts[i];
}

// Output channels as panels of up to MAX_VECTORS vectors, as equal as can be; the last vector of the last panel may be partly filled.
static std::vector<int> panels(int channels) {
    int vectors = (channels + WIDTH - 1) / WIDTH;
    int count = (vectors + MAX_VECTORS - 1) / MAX_VECTORS;
    std::vector<int> widths;
    for (int i = 0; i < count; i++) widths.push_back(vectors / count + (i < vectors % count ? 1 : 0));
    return widths;
}

static inline int64_t packed_floats(int c_in, int c_out) {
    return static_cast<int64_t>(c_in) * ((c_out + WIDTH - 1) / WIDTH) * WIDTH;
}

// ---------------------------------------------------------------- forward

// out[r] += in[r] @ panel, for ROWS rows; `tail` is the number of channels in the last vector, 0 = it is full.
template <int ROWS, int VECTORS>
static inline __attribute__((always_inline)) void multiply_block(
    const float* const* in, float* const* out, const float* panel, int c_in, int tail) {
    Vector sums[ROWS][VECTORS] = {};
    for (int c = 0; c < c_in; c++) {
        Vector weights[VECTORS];
        for (int v = 0; v < VECTORS; v++) weights[v] = load(panel + (static_cast<int64_t>(c) * VECTORS + v) * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++) sums[r][v] += in[r][c] * weights[v];
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) {
            float* p = out[r] + v * WIDTH;
            if (tail && v == VECTORS - 1)
                add_part(p, sums[r][v], tail);
            else
                store(p, load(p) + sums[r][v]);
        }
}

// The last rows of a tile, fewer than a block: the same code for each smaller number.
template <int ROWS, int VECTORS>
static void multiply_rest(int rows, const float* const* in, float* const* out, const float* panel, int c_in, int tail) {
    if constexpr (ROWS > 0) {
        if (rows == ROWS)
            multiply_block<ROWS, VECTORS>(in, out, panel, c_in, tail);
        else
            multiply_rest<ROWS - 1, VECTORS>(rows, in, out, panel, c_in, tail);
    }
}

template <int VECTORS>
static __attribute__((noinline)) void multiply_panel(
    int rows, const float* const* in, float* const* out, const float* panel, int c_in, int tail) {
    constexpr int ROWS = ROWS_FOR[VECTORS];
    int r = 0;
    for (; r + ROWS <= rows; r += ROWS) multiply_block<ROWS, VECTORS>(in + r, out + r, panel, c_in, tail);
    multiply_rest<ROWS - 1, VECTORS>(rows - r, in + r, out + r, panel, c_in, tail);
}

static void multiply(int vectors, int rows, const float* const* in, float* const* out, const float* panel, int c_in, int tail) {
    switch (vectors) {
        case 1: return multiply_panel<1>(rows, in, out, panel, c_in, tail);
        case 2: return multiply_panel<2>(rows, in, out, panel, c_in, tail);
#if defined(__AVX512F__) || defined(__aarch64__)
        case 3: return multiply_panel<3>(rows, in, out, panel, c_in, tail);
        case 4: return multiply_panel<4>(rows, in, out, panel, c_in, tail);
#endif
    }
}

// weight [slots, c_in, c_out], or [slots, c_out, c_in] when `transposed`, into panels; slots in reverse order when `reversed`.
static void pack(
    const float* weight, float* packed, int slots, int c_in, int c_out, bool transposed, bool reversed,
    const std::vector<int>& widths, int threads) {
    const int64_t size = packed_floats(c_in, c_out);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int k = 0; k < slots; k++) {
        const float* w = weight + static_cast<int64_t>(reversed ? slots - 1 - k : k) * c_in * c_out;
        float* panel = packed + k * size;
        int first = 0;
        for (int vectors : widths) {
            const int columns = vectors * WIDTH;
            for (int c = 0; c < c_in; c++)
                for (int j = 0; j < columns; j++) {
                    const int n = first + j;
                    const int64_t at = transposed ? static_cast<int64_t>(n) * c_in + c : static_cast<int64_t>(c) * c_out + n;
                    panel[static_cast<int64_t>(c) * columns + j] = n < c_out ? w[at] : 0.0f;
                }
            panel += static_cast<int64_t>(c_in) * columns;
            first += columns;
        }
    }
}

// Rows of a tile: small enough that its outputs stay in the second-level cache while the slots go by.
static int64_t tile_rows(int64_t n_out, int c_out, int threads) {
    const int64_t by_cache = std::clamp<int64_t>(49152 / std::max(c_out, 1), 128, 1024);
    const int64_t by_threads = (n_out + 4 * threads - 1) / (4 * threads);
    return std::max<int64_t>(32, std::min(by_cache, by_threads));
}

extern "C" int sparse3d_vector_width() { return WIDTH; }

// out [n_out, c_out] is overwritten. x [n_in, c_in]; table [slots, n_out] with entries in [-1, n_in).
extern "C" void sparse3d_convolve(
    const float* x, const float* weight, const int32_t* table, float* out, int64_t n_out, int slots, int c_in, int c_out,
    int transposed, int reversed, int threads) {
    const std::vector<int> widths = panels(c_out);
    const int64_t packed_size = packed_floats(c_in, c_out);
    std::vector<float> packed(static_cast<size_t>(packed_size) * slots);
    pack(weight, packed.data(), slots, c_in, c_out, transposed, reversed, widths, threads);
    const int64_t tile = tile_rows(n_out, c_out, threads), tiles = (n_out + tile - 1) / tile;
    const int tail = c_out % WIDTH;
#pragma omp parallel num_threads(threads)
    {
        std::vector<const float*> in(tile + 1);  // one more: the list below writes before it knows
        std::vector<float*> to(tile + 1), shifted(tile + 1);
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t begin = t * tile, end = std::min(n_out, begin + tile);
            std::memset(out + begin * c_out, 0, sizeof(float) * (end - begin) * c_out);
            for (int k = 0; k < slots; k++) {
                const int32_t* rows = table + static_cast<int64_t>(k) * n_out;
                int present = 0;
                for (int64_t o = begin; o < end; o++) {
                    const int64_t row = rows[o];
                    in[present] = x + (row >= 0 ? row : 0) * c_in;
                    to[present] = out + o * c_out;
                    present += row >= 0;
                }
                const float* panel = packed.data() + k * packed_size;
                int first = 0;
                for (size_t p = 0; present && p < widths.size(); p++) {
                    float* const* targets = to.data();
                    if (first) {
                        for (int i = 0; i < present; i++) shifted[i] = to[i] + first;
                        targets = shifted.data();
                    }
                    multiply(widths[p], present, in.data(), targets, panel, c_in, p + 1 == widths.size() ? tail : 0);
                    panel += static_cast<int64_t>(c_in) * widths[p] * WIDTH;
                    first += widths[p] * WIDTH;
                }
            }
        }
    }
}

// ---------------------------------------------------------------- gradient of the weights

// grad[r][:] += sum over pairs of x[pair][r] * g[pair][:], for ROWS input channels; rows of g and grad are whole vectors.
template <int ROWS, int VECTORS>
static inline __attribute__((always_inline)) void outer_block(
    int pairs, const float* const* x, int offset, const float* const* g, int first, float* grad, int64_t stride) {
    Vector sums[ROWS][VECTORS] = {};
    for (int p = 0; p < pairs; p++) {
        const float *inputs = x[p] + offset, *grads = g[p] + first;
        Vector values[VECTORS];
        for (int v = 0; v < VECTORS; v++) values[v] = load(grads + v * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++) sums[r][v] += inputs[r] * values[v];
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) {
            float* p = grad + r * stride + v * WIDTH;
            store(p, load(p) + sums[r][v]);
        }
}

template <int ROWS, int VECTORS>
static void outer_rest(
    int rows, int pairs, const float* const* x, int offset, const float* const* g, int first, float* grad, int64_t stride) {
    if constexpr (ROWS > 0) {
        if (rows == ROWS)
            outer_block<ROWS, VECTORS>(pairs, x, offset, g, first, grad, stride);
        else
            outer_rest<ROWS - 1, VECTORS>(rows, pairs, x, offset, g, first, grad, stride);
    }
}

template <int VECTORS>
static __attribute__((noinline)) void outer_panel(
    int channels, int pairs, const float* const* x, const float* const* g, int first, float* grad, int64_t stride) {
    constexpr int ROWS = ROWS_FOR[VECTORS];
    int c = 0;
    for (; c + ROWS <= channels; c += ROWS)
        outer_block<ROWS, VECTORS>(pairs, x, c, g, first, grad + c * stride, stride);
    outer_rest<ROWS - 1, VECTORS>(channels - c, pairs, x, c, g, first, grad + c * stride, stride);
}

static void outer(
    int vectors, int channels, int pairs, const float* const* x, const float* const* g, int first, float* grad, int64_t stride) {
    switch (vectors) {
        case 1: return outer_panel<1>(channels, pairs, x, g, first, grad, stride);
        case 2: return outer_panel<2>(channels, pairs, x, g, first, grad, stride);
#if defined(__AVX512F__) || defined(__aarch64__)
        case 3: return outer_panel<3>(channels, pairs, x, g, first, grad, stride);
        case 4: return outer_panel<4>(channels, pairs, x, g, first, grad, stride);
#endif
    }
}

// Rows of `columns` floats as rows of `stride`, zero at the end.
static std::vector<float> padded_rows(const float* from, int64_t rows, int columns, int stride) {
    std::vector<float> to(static_cast<size_t>(rows) * stride, 0.0f);
    for (int64_t r = 0; r < rows; r++) std::memcpy(&to[r * stride], from + r * columns, sizeof(float) * columns);
    return to;
}

// grad [slots, c_in, c_out] is overwritten: grad[k] = sum over o of x[table[k][o]]^T g[o].
extern "C" void sparse3d_weight_gradient(
    const float* x, const float* g, const int32_t* table, float* grad, int64_t n_out, int slots, int c_in, int c_out,
    int threads) {
    constexpr int CHANNELS = 48, PAIRS = 192;  // of a unit of work; of a piece whose rows stay in the caches
    const std::vector<int> widths = panels(c_out);
    const int blocks = (c_in + CHANNELS - 1) / CHANNELS, stride = (c_out + WIDTH - 1) / WIDTH * WIDTH;
    std::vector<float> padded;
    if (stride != c_out) {
        padded = padded_rows(g, n_out, c_out, stride);
        g = padded.data();
    }
#pragma omp parallel num_threads(threads)
    {
        std::vector<const float*> inputs(PAIRS), grads(PAIRS);
        std::vector<float> sums(static_cast<size_t>(CHANNELS) * stride);
#pragma omp for schedule(dynamic, 1)
        for (int unit = 0; unit < slots * blocks; unit++) {
            const int k = unit / blocks, offset = unit % blocks * CHANNELS, channels = std::min(CHANNELS, c_in - offset);
            const int32_t* rows = table + static_cast<int64_t>(k) * n_out;
            std::fill(sums.begin(), sums.end(), 0.0f);
            for (int64_t o = 0; o < n_out;) {
                int pairs = 0;
                for (; o < n_out && pairs < PAIRS; o++) {
                    if (rows[o] < 0) continue;
                    inputs[pairs] = x + static_cast<int64_t>(rows[o]) * c_in + offset;
                    grads[pairs++] = g + o * stride;
                }
                int first = 0;
                for (size_t p = 0; pairs && p < widths.size(); p++) {
                    outer(widths[p], channels, pairs, inputs.data(), grads.data(), first, sums.data() + first, stride);
                    first += widths[p] * WIDTH;
                }
            }
            float* target = grad + (static_cast<int64_t>(k) * c_in + offset) * c_out;
            for (int c = 0; c < channels; c++)
                std::memcpy(target + static_cast<int64_t>(c) * c_out, &sums[static_cast<size_t>(c) * stride], sizeof(float) * c_out);
        }
    }
}
