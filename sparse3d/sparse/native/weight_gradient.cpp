// Gradient of a sparse convolution's weights: grad[k] = sum over o with table[k][o] >= 0 of x[table[k][o]]^T g[o].
//
// Many rows are cut into segments with sums of their own, which are added in order at the end. A thread takes a segment and goes
// through it in chunks whose rows stay in its cache while all slots go by. Few rows are one segment; a thread then takes a block of one
// slot's input channels. How the work is cut depends on the shapes alone: the bits do not depend on the number of threads.

#include "amx.h"
#include "vectors.h"

namespace {

constexpr int PAIRS = 128;    // rows whose values stay in the first-level cache
constexpr int CHANNELS = 96;  // input channels of a block, at most; more of them read g less often, fewer are shared out better
constexpr int EVENLY = 24;    // is a multiple of every ROWS_FOR

struct Problem {
    const float *x, *g;    // [n_in, c_in], [n_out, c_out]
    const int32_t* table;  // [slots, n_out], or null: row o at o
    int64_t n_out;
    int slots, c_in, c_out, stride;  // stride: c_out in whole vectors
    std::vector<int> widths;
};

// grad[r][:] += sum over pairs of x[pair][r] * g[pair][:], for ROWS input channels; rows of g and grad are whole vectors.
template <class Product, int ROWS, int VECTORS>
inline __attribute__((always_inline)) void outer_block(
    int pairs, const float* const* x, int offset, const float* const* g, int first, float* grad, int64_t stride) {
    Vector sums[ROWS][VECTORS] = {};
    for (int p = 0; p < pairs; p++) {
        const float *inputs = x[p] + offset, *grads = g[p] + first;
        Vector values[VECTORS];
        for (int v = 0; v < VECTORS; v++) values[v] = load(grads + v * WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++) sums[r][v] = Product::multiply_add(sums[r][v], inputs[r], values[v]);
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) {
            float* p = grad + r * stride + v * WIDTH;
            store(p, load(p) + sums[r][v]);
        }
}

template <class Product, int ROWS, int VECTORS>
void outer_rest(
    int rows, int pairs, const float* const* x, int offset, const float* const* g, int first, float* grad, int64_t stride) {
    if constexpr (ROWS > 0) {
        if (rows == ROWS)
            outer_block<Product, ROWS, VECTORS>(pairs, x, offset, g, first, grad, stride);
        else
            outer_rest<Product, ROWS - 1, VECTORS>(rows, pairs, x, offset, g, first, grad, stride);
    }
}

template <class Product, int VECTORS>
__attribute__((noinline)) void outer_panel(
    int channels, int pairs, const float* const* x, const float* const* g, int first, float* grad, int64_t stride) {
    constexpr int ROWS = ROWS_FOR[VECTORS];
    int c = 0;
    for (; c + ROWS <= channels; c += ROWS)
        outer_block<Product, ROWS, VECTORS>(pairs, x, c, g, first, grad + c * stride, stride);
    outer_rest<Product, ROWS - 1, VECTORS>(channels - c, pairs, x, c, g, first, grad + c * stride, stride);
}

template <class Product>
void outer(
    int vectors, int channels, int pairs, const float* const* x, const float* const* g, int first, float* grad, int64_t stride) {
    switch (vectors) {
        case 1: return outer_panel<Product, 1>(channels, pairs, x, g, first, grad, stride);
        case 2: return outer_panel<Product, 2>(channels, pairs, x, g, first, grad, stride);
#if defined(SPARSE3D_MANY_REGISTERS)
        case 3: return outer_panel<Product, 3>(channels, pairs, x, g, first, grad, stride);
        case 4: return outer_panel<Product, 4>(channels, pairs, x, g, first, grad, stride);
#endif
    }
}

// What a thread needs for the pairs of one slot in one chunk.
template <class Product>
struct Worker {
    const Problem& p;
    std::vector<int32_t> rows, places;
    std::vector<const float*> inputs, grads;
    int64_t last;  // first of the last rows of g, from which whole vectors would reach behind the array ...
    Buffer whole;  // ... and these rows as whole vectors
    Buffer words;  // bfloat16 only: rows of x and g as words of two pairs

    Worker(const Problem& problem, int64_t chunk)
        : p(problem), rows(chunk + WIDTH), places(chunk + WIDTH), inputs(PAIRS), grads(PAIRS),
          last(std::max<int64_t>(0, problem.n_out - divided(problem.stride, problem.c_out))),
          whole((problem.n_out - last) * problem.stride),
          words(Product::PER_WORD == 1 ? 0 : static_cast<int64_t>(PAIRS / 2) * (words_of_x(problem) + problem.stride)) {
        std::fill_n(whole.data(), (problem.n_out - last) * problem.stride, 0.0f);
        if (Product::PER_WORD == 2) std::fill_n(words.data(), PAIRS / 2 * (words_of_x(problem) + problem.stride), 0.0f);
        for (int64_t o = last; o < p.n_out; o++) std::copy_n(p.g + o * p.c_out, p.c_out, whole.data() + (o - last) * p.stride);
    }

    // Adds the pairs of rows [begin, end) of a slot for input channels [offset, offset + channels) to grad.
    void add(int slot, int64_t begin, int64_t end, int offset, int channels, float* grad) {
        const int32_t* row = p.table ? p.table + slot * p.n_out : nullptr;
        const int present = list_present(row, begin, static_cast<int>(end - begin), rows.data(), places.data());
        for (int done = 0; done < present; done += PAIRS) {
            int pairs = std::min(PAIRS, present - done);
            for (int i = 0; i < pairs; i++) {
                const int64_t o = begin + places[done + i];
                inputs[i] = p.x + static_cast<int64_t>(rows[done + i]) * p.c_in + offset;
                // A row that is no whole number of vectors is read into the next one; those sums are thrown away.
                grads[i] = o < last ? p.g + o * p.c_out : whole.data() + (o - last) * p.stride;
            }
            if constexpr (Product::PER_WORD == 2) pairs = round(pairs, channels);
            int first = 0;
            for (int width : p.widths) {
                outer<Product>(width, channels, pairs, inputs.data(), grads.data(), first, grad + first, p.stride);
                first += width * WIDTH;
            }
        }
    }

    static int words_of_x(const Problem& p) { return static_cast<int>(divided(p.c_in, WIDTH)) * WIDTH; }

    // Puts words of two rows each in place of the rows; returns how many.
    int round(int pairs, int channels) {
        const int count = (pairs + 1) / 2;
#if defined(__AVX512BF16__)
        float *x = words.data(), *g = x + static_cast<size_t>(PAIRS / 2) * words_of_x(p);
        for (int i = 0; i < count; i++, x += words_of_x(p), g += p.stride) {
            const bool both = 2 * i + 1 < pairs;
            pair_rows(inputs[2 * i], both ? inputs[2 * i + 1] : nullptr, channels, x);
            pair_rows(grads[2 * i], both ? grads[2 * i + 1] : nullptr, p.c_out, g);
            inputs[i] = x;
            grads[i] = g;
        }
#else
        (void)channels;
#endif
        return count;
    }
};

// Segments of rows: a number that 2, 3 and 4 threads share evenly, as long as there are rows for them and not too many sums: 24 MB,
// or 64 MB where the alternative is to go through all rows once a slot.
int segments_for(const Problem& p) {
    const int64_t size = static_cast<int64_t>(p.slots) * p.c_in * p.stride;
    if (p.n_out >= 24 * 1536 && 24 * size <= int64_t{6} << 20) return 24;
    return p.n_out >= 12 * 1536 && 12 * size <= int64_t{16} << 20 ? 12 : 1;
}

// Segment by segment, all slots and channels of a chunk while its rows are in the cache.
template <class Product>
void add_segment(const Problem& p, Worker<Product>& worker, int64_t begin, int64_t end, int64_t chunk, float* sums) {
    const int64_t size = static_cast<int64_t>(p.c_in) * p.stride;
    std::fill_n(sums, size * p.slots, 0.0f);
    for (int64_t from = begin; from < end; from += chunk)
        for (int slot = 0; slot < p.slots; slot++)
            worker.add(slot, from, std::min(end, from + chunk), 0, p.c_in, sums + slot * size);
}

template <class Product>
void weight_gradient(const Problem& p, float* grad, int threads) {
    const int64_t size = static_cast<int64_t>(p.slots) * p.c_in * p.stride, lines = static_cast<int64_t>(p.slots) * p.c_in;
    const int segments = segments_for(p), blocks = static_cast<int>(divided(p.c_in, CHANNELS));
    const int block = static_cast<int>(divided(divided(p.c_in, blocks), EVENLY)) * EVENLY;
    const bool direct = segments == 1 && p.stride == p.c_out;
    const Buffer buffer(direct ? 0 : size * segments);
    float* sums = direct ? grad : buffer.data();
    const int64_t chunk = segments == 1 ? std::min<int64_t>(p.n_out, 4096) : std::clamp<int64_t>(131072 / (p.c_in + p.c_out), 256, 4096);
#pragma omp parallel num_threads(threads)
    {
        Worker<Product> worker(p, chunk);
        if (segments > 1) {
#pragma omp for schedule(dynamic, 1)
            for (int s = 0; s < segments; s++)
                add_segment<Product>(p, worker, p.n_out * s / segments, p.n_out * (s + 1) / segments, chunk, sums + s * size);
        } else {
#pragma omp for schedule(dynamic, 1)
            for (int unit = 0; unit < p.slots * blocks; unit++) {
                const int slot = unit / blocks, offset = unit % blocks * block, channels = std::min(block, p.c_in - offset);
                float* target = sums + (static_cast<int64_t>(slot) * p.c_in + offset) * p.stride;
                std::fill_n(target, static_cast<int64_t>(channels) * p.stride, 0.0f);
                for (int64_t from = 0; from < p.n_out; from += chunk)
                    worker.add(slot, from, std::min(p.n_out, from + chunk), offset, channels, target);
            }
        }
        if (!direct) {
#pragma omp for schedule(static)
            for (int64_t line = 0; line < lines; line++) {
                float* target = grad + line * p.c_out;
                std::copy_n(sums + line * p.stride, p.c_out, target);
                for (int s = 1; s < segments; s++) {
                    const float* more = sums + s * size + line * p.stride;
                    for (int c = 0; c < p.c_out; c++) target[c] += more[c];
                }
            }
        }
    }
}

}  // namespace

// grad [slots, c_in, c_out] is overwritten. x [n_in, c_in], g [n_out, c_out], n_out > 0; table and `rounded` as of sparse3d_convolve.
extern "C" void sparse3d_weight_gradient(
    const float* x, const float* g, const int32_t* table, float* grad, int64_t n_in, int64_t n_out, int slots, int c_in, int c_out,
    int rounded, int threads) {
#if defined(SPARSE3D_AMX)
    if (rounded && multiplies_by_amx()) return weight_gradient_by_amx({x, g, table, grad, n_in, n_out, slots, c_in, c_out, threads});
#endif
    const int stride = static_cast<int>(divided(c_out, WIDTH)) * WIDTH;
    const Problem p{x, g, table, n_out, slots, c_in, c_out, stride, panels(c_out)};
#if defined(__AVX512BF16__)
    if (rounded) return weight_gradient<Pairs>(p, grad, threads);
#endif
    (void)rounded, (void)n_in;
    weight_gradient<Single>(p, grad, threads);
}

// sums [columns] = sum over rows of g [rows, columns]: chunks of 1,024 rows in order, whatever the number of threads.
extern "C" void sparse3d_column_sum(const float* g, float* sums, int64_t rows, int columns, int threads) {
    constexpr int64_t CHUNK = 1024;
    const int64_t chunks = divided(rows, CHUNK);
    const Buffer parts(chunks * columns);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < chunks; i++) {
        float* part = parts.data() + i * columns;
        std::fill_n(part, columns, 0.0f);
        for (int64_t r = i * CHUNK; r < std::min(rows, (i + 1) * CHUNK); r++)
            for (int c = 0; c < columns; c++) part[c] += g[r * columns + c];
    }
    for (int c = 0; c < columns; c++) {
        double sum = 0;
        for (int64_t i = 0; i < chunks; i++) sum += parts.data()[i * columns + c];
        sums[c] = static_cast<float>(sum);
    }
}
