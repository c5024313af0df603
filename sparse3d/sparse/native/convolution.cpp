// Sparse convolution on the CPU, single precision.
//
// A kernel map is a table [slots, n_out] of input rows, -1 where a neighbour is missing:
//     out[o] = bias + sum over slots k with table[k][o] >= 0 of x[table[k][o]] @ weight[k]
//
// The output is cut into tiles of rows; one thread owns a tile and goes through the slots in order. For every slot it lists the
// rows that are there and multiplies them in register blocks of ROWS x VECTORS straight from the scattered inputs: nothing is
// gathered into memory. Every output row is summed in one fixed order, so the bits do not depend on the number of threads.

#include "amx.h"
#include "few_channels.h"
#include "tiles.h"

namespace {

constexpr int64_t FAR_BYTES = 1 << 20;

// The weights of one slot for some output channels, a row of them for every input channel; and those that come next, to be asked for
// meanwhile (or the same), in rows of the same stride.
struct Panel {
    const float* weights;
    int64_t stride;
    const float* next;
};

// sums[to[r]] += x[in[r]] @ panel, for ROWS rows.
template <class Product, int ROWS, int VECTORS>
inline __attribute__((always_inline)) void multiply_block(
    const float* x, int64_t words, const int32_t* in, Panel panel, float* target, int64_t stride, const int32_t* to) {
    const float* rows[ROWS];
    for (int r = 0; r < ROWS; r++) rows[r] = x + in[r] * words;
    Vector sums[ROWS][VECTORS] = {};
    const float *line = panel.weights, *ahead = panel.next;
#pragma GCC unroll 4
    for (int64_t c = 0; c < words; c++, line += panel.stride, ahead += panel.stride) {
        if constexpr (2 * VECTORS > MAX_VECTORS) __builtin_prefetch(ahead, 0, 2);
        Vector weights[VECTORS];
        for (int v = 0; v < VECTORS; v++) weights[v] = load(line + v * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++) sums[r][v] = Product::multiply_add(sums[r][v], rows[r][c], weights[v]);
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) {
            float* p = target + to[r] * stride + v * WIDTH;
            store(p, load(p) + sums[r][v]);
        }
}

// The last rows of a tile, fewer than a block: the same code for each smaller number.
template <class Product, int ROWS, int VECTORS>
void multiply_rest(
    int rows, const float* x, int64_t words, const int32_t* in, Panel panel, float* target, int64_t stride, const int32_t* to) {
    if constexpr (ROWS > 0) {
        if (rows == ROWS)
            multiply_block<Product, ROWS, VECTORS>(x, words, in, panel, target, stride, to);
        else
            multiply_rest<Product, ROWS - 1, VECTORS>(rows, x, words, in, panel, target, stride, to);
    }
}

// Asks for rows of x: a block's arrive while the one before it is multiplied.
inline void fetch(const float* x, int64_t words, const int32_t* in, int count) {
    constexpr int LINE = 16;
    for (int r = 0; r < count; r++)
        for (int64_t c = 0; c < words; c += LINE) __builtin_prefetch(x + in[r] * words + c);
}

template <class Product, int VECTORS>
__attribute__((noinline)) void multiply_panel(
    Rows rows, const float* x, bool far, int64_t words, Panel panel, float* target, int64_t stride) {
    constexpr int ROWS = ROWS_FOR[VECTORS];
    const float* const next = panel.next;
    int r = 0;
    for (; r + ROWS <= rows.count; r += ROWS) {
        // Each of the first blocks asks for one vector of every row.
        panel.next = r < VECTORS * ROWS ? next + r / ROWS * WIDTH : panel.weights;
        if (far) fetch(x, words, rows.in + r + ROWS, std::min(ROWS, rows.count - r - ROWS));
        multiply_block<Product, ROWS, VECTORS>(x, words, rows.in + r, panel, target, stride, rows.to + r);
    }
    panel.next = panel.weights;
    multiply_rest<Product, ROWS - 1, VECTORS>(rows.count - r, x, words, rows.in + r, panel, target, stride, rows.to + r);
}

template <class Product>
void multiply(int vectors, Rows rows, const Problem& p, Panel panel, float* target, int64_t stride) {
    switch (vectors) {
        case 1: return multiply_panel<Product, 1>(rows, p.x, p.far, p.words, panel, target, stride);
        case 2: return multiply_panel<Product, 2>(rows, p.x, p.far, p.words, panel, target, stride);
#if defined(SPARSE3D_MANY_REGISTERS)
        case 3: return multiply_panel<Product, 3>(rows, p.x, p.far, p.words, panel, target, stride);
        case 4: return multiply_panel<Product, 4>(rows, p.x, p.far, p.words, panel, target, stride);
#endif
    }
}

// ---------------------------------------------------------------- many rows, and few

// Many rows: weights, unless they lie ready, are packed once for all of them, and a thread does all channels of a tile, whose outputs stay in the second-level
// cache while the slots go by.
template <class Product>
void convolve_by_tiles(const Problem& p) {
    const std::vector<int> starts = panel_starts(p);
    const int count = static_cast<int>(p.widths.size()), columns = starts[count];
    const int64_t words = p.words;
    const bool ready = p.weights_lie_ready();
    const Buffer packed(ready ? 0 : words * columns * p.slots);
    const auto panel_of = [&](int slot, int i) {
        return ready ? p.weights_of(slot) + starts[i] : packed.data() + words * (columns * slot + starts[i]);
    };
    const int64_t by_cache = std::clamp<int64_t>(49152 / p.c_out, 128, 1024);
    const int64_t tile = std::clamp<int64_t>(divided(p.n_out, 4 * p.threads), 128, by_cache), tiles = divided(p.n_out, tile);
#pragma omp parallel num_threads(p.threads)
    {
        Scratch scratch(tile, p.c_out == columns && !p.epilogue ? 0 : columns);
        if (!ready) pack_all(p, starts, packed.data());
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < tiles; t++) {
            const Tile target(p, t * tile, std::min(p.n_out, (t + 1) * tile), 0, columns, scratch);
            for (int slot = 0; slot < p.slots; slot++) {
                const Rows rows = scratch.rows_of(p, slot, target.begin, target.end);
                for (int i = 0; rows.count && i < count; i++) {
                    const float* next = i + 1 < count ? panel_of(slot, i + 1) : panel_of((slot + 1) % p.slots, 0);
                    multiply<Product>(p.widths[i], rows, p, {panel_of(slot, i), ready ? p.c_out : starts[i + 1] - starts[i], next}, target.sums + starts[i], target.stride);
                }
            }
            target.finish();
        }
    }
}

// Few rows and many weights: a thread does one panel of channels and, unless it lies ready, packs it as it goes, so that every weight is
// read once.
template <class Product>
void convolve_by_panels(const Problem& p) {
    const std::vector<int> starts = panel_starts(p);
    const int count = static_cast<int>(p.widths.size());
    const int64_t wanted = std::min<int64_t>(divided(2 * p.threads, count), divided(p.n_out, 64));  // work for every thread
    const int64_t tile = divided(p.n_out, std::max(divided(p.n_out, 1024), wanted)), tiles = divided(p.n_out, tile);
    const bool ready = p.weights_lie_ready();
#pragma omp parallel num_threads(p.threads)
    {
        Scratch scratch(tile, MAX_VECTORS * WIDTH);
        const Buffer packed(ready ? 0 : static_cast<int64_t>(p.words) * MAX_VECTORS * WIDTH);
#pragma omp for schedule(dynamic, 1)
        for (int64_t unit = 0; unit < tiles * count; unit++) {
            const int i = static_cast<int>(unit % count), columns = starts[i + 1] - starts[i];
            const int64_t begin = unit / count * tile;
            const Tile target(p, begin, std::min(p.n_out, begin + tile), starts[i], columns, scratch);
            for (int slot = 0; slot < p.slots; slot++) {
                const Rows rows = scratch.rows_of(p, slot, target.begin, target.end);
                if (!rows.count) continue;
                if (!ready) pack(p, slot, starts[i], columns, packed.data());
                const float* weights = ready ? p.weights_of(slot) + starts[i] : packed.data();
                const float* next = ready && slot + 1 < p.slots ? p.weights_of(slot + 1) + starts[i] : weights;
                multiply<Product>(p.widths[i], rows, p, {weights, ready ? p.c_out : columns, next}, target.sums, target.stride);
            }
            target.finish();
        }
    }
}

template <class Product>
void convolve(const Problem& p) {
    if (p.words <= FEW_WORDS && p.slots >= 8)
        convolve_by_rows<Product>(p);
    else if (p.n_out <= (p.widths.size() >= 4 ? 2048 : 768))
        convolve_by_panels<Product>(p);
    else
        convolve_by_tiles<Product>(p);
}

#if defined(__AVX512BF16__)
// The same with operands rounded to bfloat16, two input channels a word.
void convolve_rounded(Problem p, int64_t n_in) {
    const int c_in = p.words;
    p.words = (c_in + 1) / 2;
    const Buffer inputs(n_in * p.words), weights(static_cast<int64_t>(p.slots) * p.words * p.c_out);
    const int64_t lines = static_cast<int64_t>(p.slots) * (p.transposed ? p.c_out : p.words);
#pragma omp parallel num_threads(p.threads)
    {
#pragma omp for schedule(static) nowait
        for (int64_t r = 0; r < n_in; r++) pair_columns(p.x + r * c_in, c_in, inputs.data() + r * p.words);
#pragma omp for schedule(static)
        for (int64_t line = 0; line < lines; line++) {
            if (p.transposed) {
                pair_columns(p.weight + line * c_in, c_in, weights.data() + line * p.words);
                continue;
            }
            const int64_t slot = line / p.words, c = line % p.words * 2;
            const float* first = p.weight + (slot * c_in + c) * p.c_out;
            pair_rows(first, c + 1 < c_in ? first + p.c_out : nullptr, p.c_out, weights.data() + line * p.c_out);
        }
    }
    p.x = inputs.data();
    p.weight = weights.data();
    convolve<Pairs>(p);
}
#endif

Problem problem(
    const float* x, const float* weight, const float* bias, const int32_t* table, float* out, int64_t n_in, int64_t n_out, int slots,
    int c_in, int c_out, bool transposed, bool reversed, int threads) {
    std::vector<float> initial(static_cast<size_t>(divided(c_out, WIDTH)) * WIDTH, 0.0f);
    if (bias) std::copy_n(bias, c_out, initial.data());
    const bool far = n_in * c_in * static_cast<int64_t>(sizeof(float)) > FAR_BYTES;
    return {x, weight, table, out, n_out, slots, c_in, c_out, transposed, reversed, threads, panels(c_out), initial, far, c_out};
}

}  // namespace

extern "C" int sparse3d_vector_width() { return WIDTH; }

// Whether products of bfloat16 are compiled in.
extern "C" int sparse3d_multiplies_bfloat16() {
#if defined(__AVX512BF16__)
    return 1;
#else
    return 0;
#endif
}

// out [n_out, c_out] is overwritten. x [n_in, c_in]; table [slots, n_out] with entries in [-1, n_in), or null for row o at o with one
// slot; bias [c_out] or null; weight [slots, c_in, c_out], or [slots, c_out, c_in] when `transposed`; slot k of the table takes
// weight[slots - 1 - k] when `reversed`; operands are rounded to bfloat16 when `rounded`, if that is compiled in.
extern "C" void sparse3d_convolve(
    const float* x, const float* weight, const float* bias, const int32_t* table, float* out, int64_t n_in, int64_t n_out, int slots,
    int c_in, int c_out, int transposed, int reversed, int rounded, int threads) {
#if defined(SPARSE3D_AMX)
    if (rounded && multiplies_by_amx())
        return convolve_by_amx({x, weight, bias, table, out, n_in, n_out, slots, c_in, c_out, transposed != 0, reversed != 0, threads});
#endif
    const Problem p = problem(x, weight, bias, table, out, n_in, n_out, slots, c_in, c_out, transposed != 0, reversed != 0, threads);
#if defined(__AVX512BF16__)
    if (rounded) return convolve_rounded(p, n_in);
#endif
    (void)rounded;
    convolve<Single>(p);
}

// out = relu((convolution - mean) / sqrt(variance + eps) * norm_weight + norm_bias + residual), ReLU if asked for: [n_out, c_out] in rows of
// `out_stride` floats. residual [n_out, c_out] or null; it may be `out`. The norm's arrays are [c_out], its weight and bias may be null;
// the others as above.
extern "C" void sparse3d_convolve_norm(
    const float* x, const float* weight, const float* bias, const int32_t* table, const float* residual, const float* mean,
    const float* variance, const float* norm_weight, const float* norm_bias, float* out, double eps, int64_t n_in, int64_t n_out,
    int64_t out_stride, int slots, int c_in, int c_out, int relu, int threads) {
    const Epilogue epilogue({mean, variance, norm_weight, norm_bias, eps, residual, relu != 0}, c_out);
    Problem p = problem(x, weight, bias, table, out, n_in, n_out, slots, c_in, c_out, false, false, threads);
    p.epilogue = &epilogue;
    p.out_stride = out_stride;
    convolve<Single>(p);
}
