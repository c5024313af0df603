// Sparse convolution on the CPU, single precision.
//
// A kernel map is a table [slots, n_out] of input rows, -1 where a neighbour is missing:
//     out[o] = bias + sum over slots k with table[k][o] >= 0 of x[table[k][o]] @ weight[k]
//
// The output is cut into tiles of rows; one thread owns a tile and goes through the slots in order. For every slot it lists the
// rows that are there and multiplies them in register blocks of ROWS x VECTORS straight from the scattered inputs: nothing is
// gathered into memory. Every output row is summed in one fixed order, so the bits do not depend on the number of threads.

#include "vectors.h"

namespace {

struct Problem {
    const float* x;       // [n_in, words]
    const float* weight;  // [slots, words, c_out], or [slots, c_out, words] when `transposed`
    const float* bias;    // [c_out] or null
    const int32_t* table; // [slots, n_out], or null: row o at o
    float* out;           // [n_out, c_out]
    int64_t n_out;
    int slots, words, c_out;
    bool transposed, reversed;
    int threads;
    std::vector<int> widths;  // of the panels
    int tail;                 // channels in the last vector, 0 = it is full
};

// The rows of one slot in one tile.
struct Rows {
    const int32_t *in, *to;
    int count;
};

// out[to[r]] += x[in[r]] @ panel, for ROWS rows.
template <class Product, int ROWS, int VECTORS>
inline __attribute__((always_inline)) void multiply_block(
    const float* x, int64_t words, const int32_t* in, float* out, int64_t c_out, const int32_t* to, const float* panel, int tail) {
    const float* rows[ROWS];
    for (int r = 0; r < ROWS; r++) rows[r] = x + in[r] * words;
    Vector sums[ROWS][VECTORS] = {};
    for (int64_t c = 0; c < words; c++) {
        Vector weights[VECTORS];
        for (int v = 0; v < VECTORS; v++) weights[v] = load(panel + (c * VECTORS + v) * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++) sums[r][v] = Product::multiply_add(sums[r][v], rows[r][c], weights[v]);
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) {
            float* p = out + to[r] * c_out + v * WIDTH;
            if (tail && v == VECTORS - 1)
                add_part(p, sums[r][v], tail);
            else
                store(p, load(p) + sums[r][v]);
        }
}

// The last rows of a tile, fewer than a block: the same code for each smaller number.
template <class Product, int ROWS, int VECTORS>
void multiply_rest(
    int rows, const float* x, int64_t words, const int32_t* in, float* out, int64_t c_out, const int32_t* to, const float* panel,
    int tail) {
    if constexpr (ROWS > 0) {
        if (rows == ROWS)
            multiply_block<Product, ROWS, VECTORS>(x, words, in, out, c_out, to, panel, tail);
        else
            multiply_rest<Product, ROWS - 1, VECTORS>(rows, x, words, in, out, c_out, to, panel, tail);
    }
}

template <class Product, int VECTORS>
__attribute__((noinline)) void multiply_panel(
    Rows rows, const float* x, int64_t words, float* out, int64_t c_out, const float* panel, int tail) {
    constexpr int ROWS = ROWS_FOR[VECTORS];
    int r = 0;
    for (; r + ROWS <= rows.count; r += ROWS)
        multiply_block<Product, ROWS, VECTORS>(x, words, rows.in + r, out, c_out, rows.to + r, panel, tail);
    multiply_rest<Product, ROWS - 1, VECTORS>(rows.count - r, x, words, rows.in + r, out, c_out, rows.to + r, panel, tail);
}

template <class Product>
void multiply(int vectors, Rows rows, const float* x, int64_t words, float* out, int64_t c_out, const float* panel, int tail) {
    switch (vectors) {
        case 1: return multiply_panel<Product, 1>(rows, x, words, out, c_out, panel, tail);
        case 2: return multiply_panel<Product, 2>(rows, x, words, out, c_out, panel, tail);
#if defined(SPARSE3D_MANY_REGISTERS)
        case 3: return multiply_panel<Product, 3>(rows, x, words, out, c_out, panel, tail);
        case 4: return multiply_panel<Product, 4>(rows, x, words, out, c_out, panel, tail);
#endif
    }
}

// ---------------------------------------------------------------- weights as panels

// a0 b0 a1 b1 .. of the lower or of the upper halves of two vectors.
template <int HALF>
inline Vector interleave(Vector a, Vector b) {
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
inline void transpose_square(const float* from, int64_t stride, float* to, int64_t columns) {
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

// The weights of one slot for output channels [first, first + columns) as rows of `columns`, zero behind the last channel.
void pack(const Problem& p, int slot, int first, int columns, float* panel) {
    const float* w = p.weight + static_cast<int64_t>(p.reversed ? p.slots - 1 - slot : slot) * p.words * p.c_out;
    const int filled = std::min(columns, p.c_out - first);
    if (!p.transposed) {
        for (int64_t c = 0; c < p.words; c++) {
            std::copy_n(w + c * p.c_out + first, filled, panel + c * columns);
            std::fill_n(panel + c * columns + filled, columns - filled, 0.0f);
        }
        return;
    }
    for (int j = 0; j < columns; j += WIDTH)
        for (int c = 0; c < p.words; c += WIDTH) {
            const float* from = w + static_cast<int64_t>(first + j) * p.words + c;
            float* to = panel + static_cast<int64_t>(c) * columns + j;
            if (j + WIDTH <= filled && c + WIDTH <= p.words) {
                transpose_square(from, p.words, to, columns);
                continue;
            }
            for (int a = 0; a < std::min(WIDTH, p.words - c); a++)
                for (int b = 0; b < WIDTH; b++) to[a * columns + b] = j + b < filled ? from[b * p.words + a] : 0.0f;
        }
}

// ---------------------------------------------------------------- tiles

// Rows of a tile: few enough that their outputs stay in the second-level cache while the slots go by.
int64_t tile_rows(int64_t n_out, int channels, int threads) {
    const int64_t by_cache = std::clamp<int64_t>(49152 / channels, 128, 1024);
    return std::max<int64_t>(32, std::min(by_cache, divided(n_out, 4 * threads)));
}

void start_rows(const Problem& p, int64_t begin, int64_t end, int first, int columns) {
    for (int64_t o = begin; o < end; o++) {
        float* row = p.out + o * p.c_out + first;
        if (p.bias)
            std::copy_n(p.bias + first, columns, row);
        else
            std::fill_n(row, columns, 0.0f);
    }
}

// Scratch of a thread.
struct Lists {
    std::vector<int32_t> in, to;
    explicit Lists(int64_t rows) : in(rows + WIDTH), to(rows + WIDTH) {}
    Rows of(const Problem& p, int slot, int64_t begin, int64_t end) {
        const int32_t* row = p.table ? p.table + slot * p.n_out : nullptr;
        return {in.data(), to.data(), list_present(row, begin, static_cast<int>(end - begin), in.data(), to.data())};
    }
};

// Many rows: weights are packed once for all of them, and a thread does all channels of its tile.
template <class Product>
void convolve_by_tiles(const Problem& p) {
    const int count = static_cast<int>(p.widths.size());
    std::vector<int> firsts(count + 1, 0);
    for (int i = 0; i < count; i++) firsts[i + 1] = firsts[i] + p.widths[i] * WIDTH;
    const int64_t size = static_cast<int64_t>(p.words) * firsts[count];
    const Buffer packed(size * p.slots);
    const int64_t tile = tile_rows(p.n_out, p.c_out, p.threads), tiles = divided(p.n_out, tile);
#pragma omp parallel num_threads(p.threads)
    {
        Lists lists(tile);
#pragma omp for schedule(dynamic, 1)
        for (int unit = 0; unit < p.slots * count; unit++) {
            const int slot = unit / count, i = unit % count;
            pack(p, slot, firsts[i], p.widths[i] * WIDTH, packed.data() + slot * size + static_cast<int64_t>(p.words) * firsts[i]);
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t begin = t * tile, end = std::min(p.n_out, begin + tile);
            start_rows(p, begin, end, 0, p.c_out);
            for (int slot = 0; slot < p.slots; slot++) {
                const Rows rows = lists.of(p, slot, begin, end);
                for (int i = 0; rows.count && i < count; i++)
                    multiply<Product>(
                        p.widths[i], rows, p.x, p.words, p.out + begin * p.c_out + firsts[i], p.c_out,
                        packed.data() + slot * size + static_cast<int64_t>(p.words) * firsts[i], i + 1 == count ? p.tail : 0);
            }
        }
    }
}

// Few rows and many weights: a thread does one panel of channels and packs it as it goes, so that every weight is read once.
template <class Product>
void convolve_by_panels(const Problem& p) {
    const int count = static_cast<int>(p.widths.size());
    const int64_t tile = std::min<int64_t>(p.n_out, 1024), tiles = divided(p.n_out, tile);
#pragma omp parallel num_threads(p.threads)
    {
        Lists lists(tile);
        const Buffer panel(static_cast<int64_t>(p.words) * MAX_VECTORS * WIDTH);
#pragma omp for schedule(dynamic, 1)
        for (int64_t unit = 0; unit < tiles * count; unit++) {
            const int i = static_cast<int>(unit % count);
            const int first = std::accumulate(p.widths.begin(), p.widths.begin() + i, 0) * WIDTH, columns = p.widths[i] * WIDTH;
            const int64_t begin = unit / count * tile, end = std::min(p.n_out, begin + tile);
            start_rows(p, begin, end, first, std::min(columns, p.c_out - first));
            for (int slot = 0; slot < p.slots; slot++) {
                const Rows rows = lists.of(p, slot, begin, end);
                if (!rows.count) continue;
                pack(p, slot, first, columns, panel.data());
                multiply<Product>(
                    p.widths[i], rows, p.x, p.words, p.out + begin * p.c_out + first, p.c_out, panel.data(),
                    i + 1 == count ? p.tail : 0);
            }
        }
    }
}

template <class Product>
void convolve(const Problem& p) {
    if (p.n_out <= 2048 && p.widths.size() >= 2 * static_cast<size_t>(p.threads))
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
    const Problem p{x,     weight, bias, table,           out,           n_out,   slots,
                    c_in, c_out,  transposed != 0, reversed != 0, threads, panels(c_out), c_out % WIDTH};
#if defined(__AVX512BF16__)
    if (rounded) return convolve_rounded(p, n_in);
#endif
    (void)rounded, (void)n_in;
    convolve<Single>(p);
}
