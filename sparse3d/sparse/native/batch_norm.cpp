// Batch normalisation of rows [rows, channels] on the CPU, single precision, with the addition of a residual and ReLU in one pass.
//
// Everything here is bound by memory: each function goes once through its arrays, in their order (several rows at a time would save
// loads of coefficients and sums, but defeats the processor's prefetching: down to half the speed).
//
// Sums: single precision over BLOCK rows, double beyond. The matrix is cut into chunks whose size depends on the number of channels
// alone, and the sums of the chunks are combined in order: the bits do not depend on the number of threads.
//
// A mean is kept in double and used as centre (a float) and remainder: x - centre is nearly exact however far the values lie from zero.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

constexpr int64_t CHUNK_FLOATS = 32768;  // 128 KB
constexpr int LEAST_WIDTH = 64;
constexpr int BLOCK = 32;
constexpr int SHIFT_ROWS = 8;
constexpr int64_t STREAM_FLOATS = int64_t{1} << 23;  // 32 MB: more than the cache would keep until the next layer reads it
constexpr int LINE = 16;                             // floats of a cache line

// The matrix read as rows of `width` floats: several rows of few channels count as one, so that vectors are full.
struct Layout {
    int64_t total;
    int channels, width;
    int64_t chunk, chunks;

    Layout(int64_t rows, int channels) : total(rows * channels), channels(channels) {
        width = channels * std::max(1, LEAST_WIDTH / channels);
        chunk = std::max<int64_t>(1, CHUNK_FLOATS / width) * width;
        chunks = (total + chunk - 1) / chunk;
    }

    int64_t begin(int64_t index) const { return index * chunk; }
    int64_t end(int64_t index) const { return std::min(total, (index + 1) * chunk); }

    double row_count(int64_t index) const { return static_cast<double>((end(index) - begin(index)) / channels); }

    std::vector<float> repeated(const std::vector<double>& values) const {
        std::vector<float> wide(width);
        for (int i = 0; i < width; i++) wide[i] = static_cast<float>(values[i % channels]);
        return wide;
    }
};

// Copies past the caches, which spares reading the lines that are about to be overwritten: a quarter less traffic.
inline void stream(float* to, const float* from, int width) {
#if defined(__AVX512F__)
    for (int i = 0; i < width; i += 16) _mm512_stream_ps(to + i, _mm512_load_ps(from + i));
#elif defined(__AVX__)
    for (int i = 0; i < width; i += 8) _mm256_stream_ps(to + i, _mm256_load_ps(from + i));
#elif defined(__SSE2__)
    for (int i = 0; i < width; i += 4) _mm_stream_ps(to + i, _mm_load_ps(from + i));
#else
    std::copy(from, from + width, to);
#endif
}

inline bool streams(const Layout& layout, const float* to) {
    return layout.total >= STREAM_FLOATS && layout.width % LINE == 0 && reinterpret_cast<uintptr_t>(to) % (4 * LINE) == 0;
}

// body(at, width, out) for every row of the matrix `to`, by several threads: it writes the row to out. The very last may be shorter than
// the width.
template <class Body>
void each_row(const Layout& layout, int threads, float* to, const Body& body) {
    const int width = layout.width;
    const bool past_caches = streams(layout, to);
#pragma omp parallel num_threads(threads) if (layout.chunks > 1)
    {
        std::vector<float> space(past_caches ? width + LINE : 0);
        const uintptr_t misplaced = reinterpret_cast<uintptr_t>(space.data()) / 4 % LINE;
        float* line = space.data() + (misplaced ? LINE - misplaced : 0);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < layout.chunks; i++)
            for (int64_t at = layout.begin(i), end = layout.end(i); at < end; at += width) {
                if (past_caches && at + width <= end) {
                    body(at, width, line);
                    stream(to + at, line, width);
                } else {
                    body(at, static_cast<int>(std::min<int64_t>(width, end - at)), to + at);
                }
            }
#if defined(__SSE2__)
        _mm_sfence();
#endif
    }
}

// Two sums per channel of every chunk: [chunks, 2, channels]. start(i) comes before chunk i; body(i, at, width, first, second) adds a row
// of it to first and second.
template <class Start, class Body>
std::vector<double> chunk_sums(const Layout& layout, int threads, const Start& start, const Body& body) {
    const int channels = layout.channels, width = layout.width;
    std::vector<double> parts(layout.chunks * 2 * channels);
#pragma omp parallel num_threads(threads) if (layout.chunks > 1)
    {
        std::vector<float> sums(2 * width);
        float *first = sums.data(), *second = first + width;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < layout.chunks; i++) {
            double *to_first = parts.data() + i * 2 * channels, *to_second = to_first + channels;
            const int64_t end = layout.end(i);
            start(i);
            for (int64_t at = layout.begin(i); at < end;) {
                std::fill(sums.begin(), sums.end(), 0.0f);
                const int64_t stop = std::min(end, at + BLOCK * width);
                for (; at < stop; at += width) body(i, at, static_cast<int>(std::min<int64_t>(width, stop - at)), first, second);
                for (int j = 0; j < width; j += channels)
#pragma omp simd
                    for (int c = 0; c < channels; c++) {
                        to_first[c] += first[j + c];
                        to_second[c] += second[j + c];
                    }
            }
        }
    }
    return parts;
}

// A value near a chunk's own, [width]: the mean of its first rows, which are a few so that one far row moves it little.
void set_shift(const Layout& layout, int64_t index, const float* x, float* shift) {
    const int channels = layout.channels;
    const int64_t rows = std::min<int64_t>(SHIFT_ROWS, (layout.end(index) - layout.begin(index)) / channels);
    const float* from = x + layout.begin(index);
    std::fill(shift, shift + channels, 0.0f);
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int c = 0; c < channels; c++) shift[c] += from[r * channels + c] / rows;
    for (int j = channels; j < layout.width; j++) shift[j] = shift[j - channels];
}

// y = (x - centre) * scale + offset, the same for forward and for the mask that backward computes anew.
struct Coefficients {
    std::vector<double> inverse_std, remainder;  // the latter of the means; both [channels]
    std::vector<float> centre, scale, offset;

    Coefficients(const Layout& layout, const double* moments, double eps, const float* weight, const float* bias) {
        const int channels = layout.channels;
        const double *mean = moments, *variance = moments + channels;
        std::vector<double> centres(channels), scales(channels), offsets(channels);
        inverse_std.resize(channels);
        remainder.resize(channels);
        for (int c = 0; c < channels; c++) {
            inverse_std[c] = 1 / std::sqrt(variance[c] + eps);
            centres[c] = static_cast<float>(mean[c]);
            remainder[c] = mean[c] - centres[c];
            scales[c] = inverse_std[c] * (weight ? weight[c] : 1.0f);
            offsets[c] = (bias ? bias[c] : 0.0f) - remainder[c] * scales[c];
        }
        centre = layout.repeated(centres);
        scale = layout.repeated(scales);
        offset = layout.repeated(offsets);
    }
};

template <bool RELU, bool RESIDUAL>
void normalize(const Layout& layout, int threads, const float* x, const float* residual, float* y, const Coefficients& with) {
    const float *centre = with.centre.data(), *scale = with.scale.data(), *offset = with.offset.data();
    each_row(layout, threads, y, [=](int64_t at, int width, float* out) {
        const float *in = x + at, *other = RESIDUAL ? residual + at : nullptr;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            float value = (in[c] - centre[c]) * scale[c] + offset[c];
            if (RESIDUAL) value += other[c];
            out[c] = RELU && 0.0f > value ? 0.0f : value;  // NaN stays
        }
    });
}

// How ReLU's mask is had in backward: y <= 0 stops the gradient, as in torch (NaN lets it pass).
enum class Mask { NONE, COMPUTED, OUTPUT };

// By bits, not by a branch: the compiler would put the load of the gradient behind the branch, and leave the loop scalar.
inline float unless(bool stopped, float grad) {
    uint32_t bits;
    std::memcpy(&bits, &grad, sizeof bits);
    bits &= static_cast<uint32_t>(stopped) - 1u;
    std::memcpy(&grad, &bits, sizeof bits);
    return grad;
}

template <Mask MASK>
inline float masked(float grad, float centred, float scale, float offset, float y) {
    if (MASK == Mask::COMPUTED) return unless(centred * scale + offset <= 0.0f, grad);
    if (MASK == Mask::OUTPUT) return unless(y <= 0.0f, grad);
    return grad;
}

// Per chunk the sums of g and of g * (x - centre), g being grad_y behind the mask; g is written to grad_masked if WRITE.
template <Mask MASK, bool WRITE>
std::vector<double> gradient_sums(
    const Layout& layout, int threads, const float* grad_y, const float* x, const float* y, float* grad_masked, const Coefficients& with) {
    const float *centre = with.centre.data(), *scale = with.scale.data(), *offset = with.offset.data();
    return chunk_sums(layout, threads, [](int64_t) {}, [=](int64_t, int64_t at, int width, float* sum, float* products) {
        const float *grads = grad_y + at, *in = x + at, *out = MASK == Mask::OUTPUT ? y + at : nullptr;
        float* kept = WRITE ? grad_masked + at : nullptr;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            const float centred = in[c] - centre[c];
            const float g = masked<MASK>(grads[c], centred, scale[c], offset[c], MASK == Mask::OUTPUT ? out[c] : 0.0f);
            if (WRITE) kept[c] = g;
            sum[c] += g;
            products[c] += g * centred;
        }
    });
}

template <Mask MASK>
std::vector<double> gradient_sums(
    const Layout& layout, int threads, const float* grad_y, const float* x, const float* y, float* grad_masked, const Coefficients& with) {
    return grad_masked ? gradient_sums<MASK, true>(layout, threads, grad_y, x, y, grad_masked, with)
                       : gradient_sums<MASK, false>(layout, threads, grad_y, x, y, grad_masked, with);
}

// grad_x = scale * g + slope * (x - centre) + level; without the batch's statistics (evaluation) only the first term.
template <Mask MASK, bool BATCH>
void propagate(
    const Layout& layout, int threads, const float* grad_y, const float* x, const float* y, float* grad_x, const Coefficients& with,
    const float* slope, const float* level) {
    constexpr bool CENTRED = BATCH || MASK == Mask::COMPUTED;
    const float *centre = with.centre.data(), *scale = with.scale.data(), *offset = with.offset.data();
    each_row(layout, threads, grad_x, [=](int64_t at, int width, float* to) {
        const float *grads = grad_y + at, *in = CENTRED ? x + at : nullptr, *out = MASK == Mask::OUTPUT ? y + at : nullptr;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            const float centred = CENTRED ? in[c] - centre[c] : 0.0f;
            const float g = masked<MASK>(grads[c], centred, scale[c], offset[c], MASK == Mask::OUTPUT ? out[c] : 0.0f);
            to[c] = BATCH ? scale[c] * g + (slope[c] * centred + level[c]) : scale[c] * g;
        }
    });
}

template <Mask MASK>
void propagate(
    const Layout& layout, int threads, const float* grad_y, const float* x, const float* y, float* grad_x, const Coefficients& with,
    const std::vector<float>& slope, const std::vector<float>& level) {
    if (slope.empty())
        propagate<MASK, false>(layout, threads, grad_y, x, y, grad_x, with, nullptr, nullptr);
    else
        propagate<MASK, true>(layout, threads, grad_y, x, y, grad_x, with, slope.data(), level.data());
}

Mask mask_of(int relu, const float* y) { return !relu ? Mask::NONE : y ? Mask::OUTPUT : Mask::COMPUTED; }

}  // namespace

// moments [2, channels]: mean and biased variance of x, rows > 0. A chunk's values are taken relative to its first ones, so
// single precision is enough inside it.
extern "C" void sparse3d_column_moments(const float* x, double* moments, int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const int width = layout.width;
    std::vector<float> shifts(layout.chunks * width);
    float* all_shifts = shifts.data();
    const auto start = [=, &layout](int64_t i) { set_shift(layout, i, x, all_shifts + i * width); };
    const auto add = [=](int64_t i, int64_t at, int columns, float* sum, float* squares) {
        const float *in = x + at, *shift = all_shifts + i * width;
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            const float d = in[c] - shift[c];
            sum[c] += d;
            squares[c] += d * d;
        }
    };
    const std::vector<double> parts = chunk_sums(layout, threads, start, add);
    double *mean = moments, *variance = moments + channels;
    std::fill(moments, moments + 2 * channels, 0.0);
    for (int64_t i = 0; i < layout.chunks; i++) {
        const double count = layout.row_count(i);
        const double* sum = parts.data() + i * 2 * channels;
        const float* shift = all_shifts + i * width;
#pragma omp simd
        for (int c = 0; c < channels; c++) mean[c] += sum[c] + count * shift[c];
    }
    for (int c = 0; c < channels; c++) mean[c] /= rows;
    // The squares around the chunk's own mean, and of that from the mean of all.
    for (int64_t i = 0; i < layout.chunks; i++) {
        const double count = layout.row_count(i);
        const double *sum = parts.data() + i * 2 * channels, *squares = sum + channels;
        const float* shift = all_shifts + i * width;
#pragma omp simd
        for (int c = 0; c < channels; c++) {
            const double own = sum[c] / count, off = own + shift[c] - mean[c];
            variance[c] += squares[c] - own * sum[c] + count * off * off;
        }
    }
    for (int c = 0; c < channels; c++) variance[c] = variance[c] < 0 ? 0.0 : variance[c] / rows;
}

// y [rows, channels] = (x - mean) * inverse_std * weight + bias (+ residual), then ReLU if asked for; y may be x. moments [2, channels] are
// mean and variance, inverse_std = 1 / sqrt(variance + eps); residual, weight and bias may be null.
extern "C" void sparse3d_batch_norm(
    const float* x, const float* residual, float* y, const double* moments, const float* weight, const float* bias, double eps, int relu,
    int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const Coefficients with(layout, moments, eps, weight, bias);
    if (relu && residual)
        normalize<true, true>(layout, threads, x, residual, y, with);
    else if (relu)
        normalize<true, false>(layout, threads, x, residual, y, with);
    else if (residual)
        normalize<false, true>(layout, threads, x, residual, y, with);
    else
        normalize<false, false>(layout, threads, x, residual, y, with);
}

// sums [2, channels]: of g and of g * (x - mean) * inverse_std, where g is grad_y behind ReLU's mask. The mask comes from y if it is given
// (with a residual it must be), else from x. g is written to grad_masked unless that is null.
extern "C" void sparse3d_batch_norm_gradient_sums(
    const float* grad_y, const float* x, const float* y, float* grad_masked, const double* moments, const float* weight,
    const float* bias, double* sums, double eps, int relu, int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const Coefficients with(layout, moments, eps, weight, bias);
    std::vector<double> parts;
    switch (mask_of(relu, y)) {
        case Mask::NONE: parts = gradient_sums<Mask::NONE>(layout, threads, grad_y, x, y, grad_masked, with); break;
        case Mask::COMPUTED: parts = gradient_sums<Mask::COMPUTED>(layout, threads, grad_y, x, y, grad_masked, with); break;
        case Mask::OUTPUT: parts = gradient_sums<Mask::OUTPUT>(layout, threads, grad_y, x, y, grad_masked, with); break;
    }
    std::fill(sums, sums + 2 * channels, 0.0);
    for (int64_t i = 0; i < layout.chunks; i++)
        for (int j = 0; j < 2 * channels; j++) sums[j] += parts[i * 2 * channels + j];
    for (int c = 0; c < channels; c++) sums[channels + c] = with.inverse_std[c] * (sums[channels + c] - with.remainder[c] * sums[c]);
}

// grad_x = weight * inverse_std * (g - sums[0] / count - (x - mean) * inverse_std * sums[1] / count): `count` rows are behind the sums,
// those of other processes included. Null sums: the statistics were constants.
extern "C" void sparse3d_batch_norm_gradient(
    const float* grad_y, const float* x, const float* y, float* grad_x, const double* moments, const float* weight, const float* bias,
    const double* sums, double count, double eps, int relu, int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const Coefficients with(layout, moments, eps, weight, bias);
    std::vector<float> slope, level;
    if (sums) {
        std::vector<double> slopes(channels), levels(channels);
        for (int c = 0; c < channels; c++) {
            const double inverse_std = with.inverse_std[c], scale = inverse_std * (weight ? weight[c] : 1.0f);
            slopes[c] = -scale * inverse_std * sums[channels + c] / count;
            levels[c] = -scale * sums[c] / count - slopes[c] * with.remainder[c];
        }
        slope = layout.repeated(slopes);
        level = layout.repeated(levels);
    }
    switch (mask_of(relu, y)) {
        case Mask::NONE: propagate<Mask::NONE>(layout, threads, grad_y, x, y, grad_x, with, slope, level); break;
        case Mask::COMPUTED: propagate<Mask::COMPUTED>(layout, threads, grad_y, x, y, grad_x, with, slope, level); break;
        case Mask::OUTPUT: propagate<Mask::OUTPUT>(layout, threads, grad_y, x, y, grad_x, with, slope, level); break;
    }
}

// Moves running statistics towards moments of `count` rows by `momentum`; the variance as the unbiased one.
extern "C" void sparse3d_update_running(
    const double* moments, float* running_mean, float* running_var, double count, double momentum, int channels) {
    for (int c = 0; c < channels; c++) {
        const double variance = moments[channels + c] * (count / (count - 1));
        running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * moments[c]);
        running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * variance);
    }
}
