// What becomes of a convolution's sums while they are still in the caches, where no gradient is wanted: normalisation by statistics that
// are known, the addition of a residual and ReLU, by the arithmetic of batch_norm.cpp.

#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

struct Normalisation {
    const float *mean, *variance, *weight, *bias;  // [channels]; the last two may be null
    double eps;
    const float* residual;  // [rows, channels], or null
    bool relu;
};

class Epilogue {
    std::vector<float> centre, scale, offset;
    const float* residual;
    bool relu;

    template <bool RELU, bool RESIDUAL>
    void finish(const float* sums, const float* other, int first, int count, float* to) const {
        const float *from = centre.data() + first, *by = scale.data() + first, *plus = offset.data() + first;
#pragma omp simd
        for (int c = 0; c < count; c++) {
            float value = (sums[c] - from[c]) * by[c] + plus[c];
            if (RESIDUAL) value += other[c];
            to[c] = RELU && 0.0f > value ? 0.0f : value;  // NaN stays
        }
    }

public:
    Epilogue(const Normalisation& norm, int channels)
        : centre(channels), scale(channels), offset(channels), residual(norm.residual), relu(norm.relu) {
        for (int c = 0; c < channels; c++) {
            centre[c] = norm.mean[c];
            scale[c] = static_cast<float>(1 / std::sqrt(norm.variance[c] + norm.eps) * (norm.weight ? norm.weight[c] : 1.0f));
            offset[c] = norm.bias ? norm.bias[c] : 0.0f;
        }
    }

    // to[0 .. count) = the values of channels [first, first + count) of a row; the residual may lie there.
    void finish(const float* sums, int64_t row, int first, int count, float* to) const {
        const float* other = residual ? residual + row * static_cast<int64_t>(centre.size()) + first : nullptr;
        if (relu && other)
            finish<true, true>(sums, other, first, count, to);
        else if (relu)
            finish<true, false>(sums, other, first, count, to);
        else if (other)
            finish<false, true>(sums, other, first, count, to);
        else
            finish<false, false>(sums, other, first, count, to);
    }
};
