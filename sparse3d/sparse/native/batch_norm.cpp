// Batch normalisation of rows [rows, channels] on the CPU, single precision, with the addition of a residual and ReLU in one pass.
//
// Everything here is bound by memory, so each function reads and writes every array once. The matrix is cut into chunks whose size
// depends on the number of channels alone; the sums of a chunk are double and are combined in the order of the chunks: the bits do not
// depend on the number of threads.
//
// A mean is kept in double and used as centre (a float) and remainder: x - centre is nearly exact however far the values lie from zero.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t CHUNK_FLOATS = 32768;  // 128 KB
constexpr int LEAST_WIDTH = 64;
constexpr int ROWS = 4;  // rows taken together: sums and coefficients are then loaded once for four rows

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

    // Calls body(at, rows taken together as a constant, width) for every group of rows of a chunk, in order.
    template <class Body>
    void groups(int64_t index, Body body) const {
        int64_t at = index * chunk;
        const int64_t end = std::min(total, at + chunk);
        for (; at + ROWS * width <= end; at += ROWS * width) body.template operator()<ROWS>(at, width);
        for (; at < end; at += width) body.template operator()<1>(at, static_cast<int>(std::min<int64_t>(width, end - at)));
    }

    std::vector<float> repeated(const std::vector<double>& values) const {
        std::vector<float> wide(width);
        for (int i = 0; i < width; i++) wide[i] = static_cast<float>(values[i % channels]);
        return wide;
    }
};

// totals [2, channels] = both sums of all chunks; add(chunk, sums [2, width]) adds one chunk's.
template <class Add>
void sum_chunks(const Layout& layout, int threads, double* totals, Add add) {
    const int64_t size = 2 * static_cast<int64_t>(layout.width);
    std::vector<double> parts(layout.chunks * size);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < layout.chunks; i++) add(i, parts.data() + i * size);
    std::fill(totals, totals + 2 * layout.channels, 0.0);
    for (int64_t i = 0; i < layout.chunks; i++)
        for (int which = 0; which < 2; which++)
            for (int first = 0; first < layout.width; first += layout.channels) {
                const double* part = parts.data() + i * size + which * layout.width + first;
                for (int c = 0; c < layout.channels; c++) totals[which * layout.channels + c] += part[c];
            }
}

struct AddMoments {
    const float* x;
    const double* shift;
    double* sums;

    template <int COUNT>
    void operator()(int64_t at, int width) const {
        const float* values = x + at;
        const double* from = shift;
        double *sum = sums, *squares = sums + stride;
        const int64_t row = stride;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            double s = 0, q = 0;
#pragma GCC unroll 4
            for (int r = 0; r < COUNT; r++) {
                const double d = static_cast<double>(values[r * row + c]) - from[c];
                s += d;
                q += d * d;
            }
            sum[c] += s;
            squares[c] += q;
        }
    }

    int stride;
};

// y = (x - centre) * scale + offset, the same for forward and for the mask that backward computes anew.
struct Coefficients {
    std::vector<double> remainder;  // of the means, [channels]
    std::vector<float> centre, scale, offset;

    Coefficients(const Layout& layout, const double* stats, const float* weight, const float* bias) {
        const int channels = layout.channels;
        const double *mean = stats, *inverse_std = stats + channels;
        std::vector<double> centres(channels), scales(channels), offsets(channels);
        remainder.resize(channels);
        for (int c = 0; c < channels; c++) {
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
struct Normalize {
    const float *x, *residual;
    float* y;
    const Coefficients& with;
    int stride;

    template <int COUNT>
    void operator()(int64_t at, int width) const {
        const float *in = x + at, *other = RESIDUAL ? residual + at : nullptr;
        const float *centre = with.centre.data(), *scale = with.scale.data(), *offset = with.offset.data();
        float* out = y + at;
        const int64_t row = stride;
#pragma omp simd
        for (int c = 0; c < width; c++) {
#pragma GCC unroll 4
            for (int r = 0; r < COUNT; r++) {
                float value = (in[r * row + c] - centre[c]) * scale[c] + offset[c];
                if (RESIDUAL) value += other[r * row + c];
                out[r * row + c] = RELU && 0.0f > value ? 0.0f : value;  // NaN stays
            }
        }
    }
};

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

template <Mask MASK, bool WRITE>
struct AddGradients {
    const float *grad_y, *x, *y;
    float* grad_masked;
    const Coefficients& with;
    double* sums;
    int stride;

    template <int COUNT>
    void operator()(int64_t at, int width) const {
        const float *grads = grad_y + at, *in = x + at, *out = MASK == Mask::OUTPUT ? y + at : nullptr;
        float* kept = WRITE ? grad_masked + at : nullptr;
        const float *centre = with.centre.data(), *scale = with.scale.data(), *offset = with.offset.data();
        double *sum = sums, *products = sums + stride;
        const int64_t row = stride;
#pragma omp simd
        for (int c = 0; c < width; c++) {
            float s = 0, p = 0;
#pragma GCC unroll 4
            for (int r = 0; r < COUNT; r++) {
                const float d = in[r * row + c] - centre[c];
                const float g = masked<MASK>(grads[r * row + c], d, scale[c], offset[c], MASK == Mask::OUTPUT ? out[r * row + c] : 0.0f);
                if (WRITE) kept[r * row + c] = g;
                s += g;
                p += g * d;
            }
            sum[c] += s;
            products[c] += p;
        }
    }
};

// grad_x = scale * g + slope * (x - centre) + level; without the batch's statistics (evaluation) only the first term.
template <Mask MASK, bool BATCH>
struct PropagateGradient {
    const float *grad_y, *x, *y;
    float* grad_x;
    const Coefficients& with;
    const float *slopes, *levels;
    int stride;

    template <int COUNT>
    void operator()(int64_t at, int width) const {
        constexpr bool CENTRED = BATCH || MASK == Mask::COMPUTED;
        const float *grads = grad_y + at, *in = CENTRED ? x + at : nullptr, *out = MASK == Mask::OUTPUT ? y + at : nullptr;
        float* to = grad_x + at;
        const float *centre = with.centre.data(), *scale = with.scale.data(), *offset = with.offset.data();
        const float *slope = slopes, *level = levels;
        const int64_t row = stride;
#pragma omp simd
        for (int c = 0; c < width; c++) {
#pragma GCC unroll 4
            for (int r = 0; r < COUNT; r++) {
                const float d = CENTRED ? in[r * row + c] - centre[c] : 0.0f;
                const float g = masked<MASK>(grads[r * row + c], d, scale[c], offset[c], MASK == Mask::OUTPUT ? out[r * row + c] : 0.0f);
                to[r * row + c] = BATCH ? scale[c] * g + (slope[c] * d + level[c]) : scale[c] * g;
            }
        }
    }
};

template <class Body>
void each_chunk(const Layout& layout, int threads, Body body) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < layout.chunks; i++) layout.groups(i, body);
}

template <Mask MASK>
void add_gradients(
    const Layout& layout, int threads, const float* grad_y, const float* x, const float* y, float* grad_masked,
    const Coefficients& with, double* totals) {
    sum_chunks(layout, threads, totals, [&](int64_t i, double* sums) {
        if (grad_masked)
            layout.groups(i, AddGradients<MASK, true>{grad_y, x, y, grad_masked, with, sums, layout.width});
        else
            layout.groups(i, AddGradients<MASK, false>{grad_y, x, y, nullptr, with, sums, layout.width});
    });
}

template <Mask MASK>
void propagate(
    const Layout& layout, int threads, const float* grad_y, const float* x, const float* y, float* grad_x, const Coefficients& with,
    const std::vector<float>& slope, const std::vector<float>& level) {
    if (slope.empty())
        each_chunk(layout, threads, PropagateGradient<MASK, false>{grad_y, x, y, grad_x, with, nullptr, nullptr, layout.width});
    else
        each_chunk(
            layout, threads, PropagateGradient<MASK, true>{grad_y, x, y, grad_x, with, slope.data(), level.data(), layout.width});
}

Mask mask_of(int relu, const float* y) { return !relu ? Mask::NONE : y ? Mask::OUTPUT : Mask::COMPUTED; }

}  // namespace

// moments [2, channels]: mean and biased variance of x, rows > 0. Values are taken relative to the first row, so a constant channel has
// the variance 0 exactly.
extern "C" void sparse3d_column_moments(const float* x, double* moments, int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    std::vector<double> shift(layout.width);
    for (int i = 0; i < layout.width; i++) shift[i] = x[i % channels];
    sum_chunks(layout, threads, moments, [&](int64_t i, double* sums) {
        layout.groups(i, AddMoments{x, shift.data(), sums, layout.width});
    });
    for (int c = 0; c < channels; c++) {
        const double mean = moments[c] / rows;
        const double variance = moments[channels + c] / rows - mean * mean;
        moments[c] = mean + shift[c];
        moments[channels + c] = variance < 0 ? 0.0 : variance;
    }
}

// y [rows, channels] = (x - mean) * inverse_std * weight + bias (+ residual), then ReLU if asked for; y may be x. stats [2, channels] are
// mean and inverse_std; residual, weight and bias may be null.
extern "C" void sparse3d_batch_norm(
    const float* x, const float* residual, float* y, const double* stats, const float* weight, const float* bias, int relu,
    int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const Coefficients with(layout, stats, weight, bias);
    const int stride = layout.width;
    if (relu && residual)
        each_chunk(layout, threads, Normalize<true, true>{x, residual, y, with, stride});
    else if (relu)
        each_chunk(layout, threads, Normalize<true, false>{x, nullptr, y, with, stride});
    else if (residual)
        each_chunk(layout, threads, Normalize<false, true>{x, residual, y, with, stride});
    else
        each_chunk(layout, threads, Normalize<false, false>{x, nullptr, y, with, stride});
}

// sums [2, channels]: of g and of g * (x - mean) * inverse_std, where g is grad_y behind ReLU's mask. The mask comes from y if it is given
// (with a residual it must be), else from x. g is written to grad_masked unless that is null.
extern "C" void sparse3d_batch_norm_gradient_sums(
    const float* grad_y, const float* x, const float* y, float* grad_masked, const double* stats, const float* weight,
    const float* bias, double* sums, int relu, int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const Coefficients with(layout, stats, weight, bias);
    switch (mask_of(relu, y)) {
        case Mask::NONE: add_gradients<Mask::NONE>(layout, threads, grad_y, x, y, grad_masked, with, sums); break;
        case Mask::COMPUTED: add_gradients<Mask::COMPUTED>(layout, threads, grad_y, x, y, grad_masked, with, sums); break;
        case Mask::OUTPUT: add_gradients<Mask::OUTPUT>(layout, threads, grad_y, x, y, grad_masked, with, sums); break;
    }
    for (int c = 0; c < channels; c++) sums[channels + c] = stats[channels + c] * (sums[channels + c] - with.remainder[c] * sums[c]);
}

// grad_x = weight * inverse_std * (g - sums[0] / count - (x - mean) * inverse_std * sums[1] / count): `count` rows are behind the sums,
// those of other processes included. Null sums: the statistics were constants.
extern "C" void sparse3d_batch_norm_gradient(
    const float* grad_y, const float* x, const float* y, float* grad_x, const double* stats, const float* weight, const float* bias,
    const double* sums, double count, int relu, int64_t rows, int channels, int threads) {
    const Layout layout(rows, channels);
    const Coefficients with(layout, stats, weight, bias);
    std::vector<float> slope, level;
    if (sums) {
        std::vector<double> slopes(channels), levels(channels);
        for (int c = 0; c < channels; c++) {
            const double inverse_std = stats[channels + c], scale = inverse_std * (weight ? weight[c] : 1.0f);
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
