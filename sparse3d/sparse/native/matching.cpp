// The matching loss of unit embeddings, queries [count, channels] against keys [key_count, channels], with its gradients, in single
// precision: what losses/consistency.py says in torch, without a matrix of queries by keys that is read and written a dozen times.
//
// Queries go in blocks of ROWS. A block's logits stay in a thread's cache while it goes through them three times, panel by panel of
// KEYS keys: products and the highest logit; exponentials and their sums; the gradient by the logits, and from it the queries'. That
// gradient is the one matrix that goes to memory, for the keys' gradient after all blocks are done.
//
// How the work is cut and the order of every sum depend on the shapes alone: the bits do not depend on the number of threads.

#include <cmath>
#include <cstring>
#include <limits>

#include "vector_math.h"

namespace {

constexpr int ROWS = 24;    // queries of a block: a multiple of every ROWS_FOR
constexpr int KEYS = 48;    // keys of a panel: a multiple of every ROWS_FOR and of WIDTH; 64 channels of them fill half a first-level cache
constexpr int STEPS = 48;   // queries whose share of the keys' gradient is summed in registers: they and a panel lie in that cache
constexpr int FLUSH = 16;   // panels summed in single precision before they go to double
constexpr int TILE = ROWS * KEYS;
constexpr int VECTORS = KEYS / WIDTH;
constexpr int SUMS = 6;     // of the answers and of the near keys: exponentials, and with the place's row and column
constexpr float INF = std::numeric_limits<float>::infinity();

// Sizes, all padded: queries to whole blocks, keys to whole panels, channels to whole vectors.
struct Shape {
    int64_t blocks, key_panels, queries;
    int channels, stride;

    Shape(int64_t count, int64_t key_count, int channels)
        : blocks(divided(count, ROWS)), key_panels(divided(key_count, KEYS)), queries(blocks * ROWS), channels(channels),
          stride(static_cast<int>(divided(channels, WIDTH)) * WIDTH) {}
};

// Where everything lies in the caller's memory.
struct Arrays {
    float *queries, *keys;  // [queries, stride], [key_panels, KEYS, stride]
    float *columns;         // the keys again, [key_panels, channels, KEYS]
    float *places;          // [key_panels, 5, KEYS]: row and column in the image, x, y, z
    float *gradient;        // by the logits: [key_panels, queries, KEYS]; null without gradients
    float *own;             // a thread's: logits [key_panels, ROWS, KEYS], scaled queries and their gradient [ROWS, stride]
    int64_t own_floats, total;

    Arrays(const Shape& s, bool gradients, int threads, float* memory) {
        total = 0;
        const auto take = [&](int64_t floats) {
            float* at = memory ? memory + total : nullptr;
            total += divided(floats, 16) * 16;
            return at;
        };
        queries = take(s.queries * s.stride);
        keys = take(s.key_panels * KEYS * s.stride);
        columns = take(s.key_panels * KEYS * s.channels);
        places = take(s.key_panels * 5 * KEYS);
        gradient = take(gradients ? s.key_panels * s.queries * KEYS : 0);
        own_floats = divided(s.key_panels * TILE + 2 * ROWS * s.stride + std::max(ROWS, KEYS) * s.stride, 16) * 16;
        own = take(own_floats * threads);
    }
};

void copy_padded(const float* from, int64_t rows, int64_t padded_rows, int channels, int stride, float* to) {
    for (int64_t r = 0; r < padded_rows; r++, to += stride) {
        const int present = r < rows ? channels : 0;
        if (present) std::copy_n(from + r * channels, channels, to);
        std::fill(to + present, to + stride, 0.0f);
    }
}

struct Problem {
    const float *queries, *keys;
    double scale;
    const int64_t* true_key;
    const float *true_place, *key_place, *key_xyz;  // [count, 2], [key_count, 2], [key_count, 3] or null
    float near_squared;
    double coordinate_weight;
    int64_t count, key_count;
};

void arrange_panel(const Problem& p, const Shape& s, const Arrays& a, int64_t panel) {
    const int64_t first = panel * KEYS, present = std::min<int64_t>(KEYS, p.key_count - first);
    float *rows = a.keys + first * s.stride, *columns = a.columns + first * s.channels, *places = a.places + panel * 5 * KEYS;
    copy_padded(p.keys + first * s.channels, present, KEYS, s.channels, s.stride, rows);
    for (int c = 0; c < s.channels; c++)
        for (int k = 0; k < KEYS; k++) columns[c * KEYS + k] = rows[static_cast<int64_t>(k) * s.stride + c];
    for (int k = 0; k < KEYS; k++) {
        const bool there = k < present;
        for (int i = 0; i < 2; i++) places[i * KEYS + k] = there ? p.key_place[(first + k) * 2 + i] : 0.0f;
        for (int i = 0; i < 3; i++)  // what is not there is near nothing
            places[(2 + i) * KEYS + k] = there ? (p.key_xyz ? p.key_xyz[(first + k) * 3 + i] : 0.0f) : INF;
    }
}

// One query's values that the gradient by its logits is made of: places' row and column, and one; for answers and for near keys.
struct Weights {
    float answers[3], near[3];
};

class Block {
    const Problem& p;
    const Shape& s;
    const Arrays& a;
    const std::vector<int>&key_widths, &channel_widths;
    const int64_t first;
    float *logits, *scaled, *grad_queries;
    Vector top[ROWS], near_top[ROWS];
    float highest_answer[ROWS], highest_near[ROWS], highest[ROWS], true_logit[ROWS];
    double sums[ROWS][SUMS] = {};
    Weights weights[ROWS] = {};

    int64_t truth(int r) const { return first + r < p.count ? p.true_key[first + r] : -1; }
    float* tile(int64_t panel) const { return logits + panel * TILE; }

    // A logit's last bit tells from here on whether its key is near; the rounding of the product is a few times that.
    void mark_near(int64_t panel) {
        const float* places = a.places + panel * 5 * KEYS;
        Words index;
        for (int i = 0; i < WIDTH; i++) index[i] = i;
        for (int r = 0; r < ROWS; r++) {
            const int64_t key = truth(r), own = key - panel * KEYS;
            const Words is_true = all(static_cast<uint32_t>(own >= 0 && own < KEYS ? own : KEYS));
            Vector centre[3] = {};
            if (p.key_xyz && key >= 0)
                for (int i = 0; i < 3; i++) centre[i] = all(p.key_xyz[key * 3 + i]);
            for (int v = 0; v < VECTORS; v++) {
                float* at = tile(panel) + r * KEYS + v * WIDTH;
                // By differences: |a|^2 + |b|^2 - 2ab would lose centimetres far from the origin.
                const Vector x = load(places + 2 * KEYS + v * WIDTH) - centre[0], y = load(places + 3 * KEYS + v * WIDTH) - centre[1],
                             z = load(places + 4 * KEYS + v * WIDTH) - centre[2];
                const Words close = (Words)(x * x + y * y + z * z < all(p.near_squared));
                const Words near = close & ~(Words)(index + all(static_cast<uint32_t>(v * WIDTH)) == is_true);
                const Vector marked = (Vector)((bits(load(at)) & all(~1u)) | (near & all(1u)));
                const Vector answer = chosen(near, all(-INF), marked), other = chosen(near, marked, all(-INF));
                top[r] = chosen((Words)(answer > top[r]), answer, top[r]);
                near_top[r] = chosen((Words)(other > near_top[r]), other, near_top[r]);
                store(at, marked);
            }
        }
    }

    void find_logits() {
        for (int r = 0; r < ROWS; r++) top[r] = near_top[r] = all(-INF);
        for (int64_t panel = 0; panel < s.key_panels; panel++) {
            multiply(
                key_widths, false, ROWS, s.channels, scaled, s.stride, 1, a.columns + panel * KEYS * s.channels, KEYS, tile(panel), KEYS);
            if (const int64_t present = p.key_count - panel * KEYS; present < KEYS)
                for (int r = 0; r < ROWS; r++) std::fill(tile(panel) + r * KEYS + present, tile(panel) + (r + 1) * KEYS, -INF);
            mark_near(panel);
        }
        for (int r = 0; r < ROWS; r++) {
            const int64_t key = std::max<int64_t>(truth(r), 0);
            true_logit[r] = tile(key / KEYS)[r * KEYS + key % KEYS];
            highest_answer[r] = largest(top[r]);
            highest_near[r] = largest(near_top[r]);
            highest[r] = std::max(highest_answer[r], highest_near[r]);
        }
    }

    // Whether the true key is the most similar one, of equal ones the first, or a near key is.
    bool right(int r) const {
        // Without its mark, which makes it larger than an equal answer.
        uint32_t near;
        std::memcpy(&near, &highest_near[r], sizeof near);
        near &= ~1u;
        float unmarked;
        std::memcpy(&unmarked, &near, sizeof unmarked);
        if (unmarked > highest_answer[r]) return true;
        if (!(true_logit[r] == highest_answer[r])) return false;
        const int64_t key = truth(r);
        for (int64_t panel = 0; panel * KEYS < key; panel++) {
            const float* row = tile(panel) + r * KEYS;
            int equal = 0;
            for (int k = 0, end = static_cast<int>(std::min<int64_t>(KEYS, key - panel * KEYS)); k < end; k++)
                equal += row[k] == highest_answer[r];
            if (equal) return false;
        }
        return true;
    }

    // Logits become exponentials over the highest answer's, of near keys over the highest of all; a near key's is negative.
    void exponentiate() {
        Vector parts[ROWS][SUMS];
        for (int64_t panel = 0; panel < s.key_panels; panel++) {
            const float* places = a.places + panel * 5 * KEYS;
            if (panel % FLUSH == 0) std::fill(&parts[0][0], &parts[0][0] + ROWS * SUMS, Vector{});
            for (int r = 0; r < ROWS; r++) {
                Vector own[SUMS];
                for (int i = 0; i < SUMS; i++) own[i] = parts[r][i];
                for (int v = 0; v < VECTORS; v++) {
                    float* at = tile(panel) + r * KEYS + v * WIDTH;
                    const Vector marked = load(at), row = load(places + v * WIDTH), column = load(places + KEYS + v * WIDTH);
                    const Words near = -(bits(marked) & all(1u));
                    const Vector value = exponential(marked - chosen(near, all(highest[r]), all(highest_answer[r])));
                    const Vector answer = (Vector)(bits(value) & ~near), other = (Vector)(bits(value) & near);
                    own[0] += answer;
                    own[1] += answer * row;
                    own[2] += answer * column;
                    own[3] += other;
                    own[4] += other * row;
                    own[5] += other * column;
                    store(at, (Vector)(bits(value) ^ (near << 31)));
                }
                for (int i = 0; i < SUMS; i++) parts[r][i] = own[i];
            }
            if (panel % FLUSH == FLUSH - 1 || panel == s.key_panels - 1)
                for (int r = 0; r < ROWS; r++)
                    for (int i = 0; i < SUMS; i++) sums[r][i] += sum(parts[r][i]);
        }
    }

    // A query's loss from its sums, and the weights of its gradient.
    double finish(int r) {
        const double total = sums[r][0], lowered = std::exp(static_cast<double>(highest_answer[r]) - highest[r]);
        const double everything = total * lowered + sums[r][3], half = 0.5 * HUBER;
        double loss = std::log(total) + highest_answer[r] - true_logit[r], offset = 0;
        Weights& w = weights[r];
        for (int i = 0; i < 2; i++) {
            const double expected = (sums[r][1 + i] * lowered + sums[r][4 + i]) / everything;
            const double error = expected - p.true_place[(first + r) * 2 + i], size = std::abs(error);
            loss += p.coordinate_weight / 2 * (size < HUBER ? size * size / (2 * HUBER) : size - half);
            const double slope = std::min(std::max(error / HUBER, -1.0), 1.0) * p.coordinate_weight / static_cast<double>(2 * p.count);
            offset += slope * expected;
            w.answers[i] = static_cast<float>(slope * lowered / everything);
            w.near[i] = static_cast<float>(slope / everything);
        }
        w.answers[2] = static_cast<float>(1 / (total * static_cast<double>(p.count)) - offset * lowered / everything);
        w.near[2] = static_cast<float>(-offset / everything);
        return loss;
    }

    // Exponentials become the gradient by the logits, in its place in memory.
    void differentiate(int64_t panel, float* to) {
        const float* places = a.places + panel * 5 * KEYS;
        for (int r = 0; r < ROWS; r++) {
            const Weights& w = weights[r];
            for (int v = 0; v < VECTORS; v++) {
                const Vector signed_value = load(tile(panel) + r * KEYS + v * WIDTH);
                const Words near = -(bits(signed_value) >> 31);
                const Vector value = (Vector)(bits(signed_value) & all(0x7fffffffu));
                const Vector weight = chosen(near, all(w.near[0]), all(w.answers[0])) * load(places + v * WIDTH) +
                                      chosen(near, all(w.near[1]), all(w.answers[1])) * load(places + KEYS + v * WIDTH) +
                                      chosen(near, all(w.near[2]), all(w.answers[2]));
                store(to + r * KEYS + v * WIDTH, value * weight);
            }
            const int64_t own = truth(r) - panel * KEYS;
            if (own >= 0 && own < KEYS) to[r * KEYS + own] -= 1 / static_cast<float>(p.count);
        }
    }

public:
    static constexpr double HUBER = 0.1;  // where the loss of a coordinate becomes linear

    Block(
        const Problem& p, const Shape& s, const Arrays& a, const std::vector<int>& key_widths, const std::vector<int>& channel_widths,
        int64_t block, float* own)
        : p(p), s(s), a(a), key_widths(key_widths), channel_widths(channel_widths), first(block * ROWS), logits(own),
          scaled(own + s.key_panels * TILE), grad_queries(scaled + ROWS * s.stride) {
        const float* from = a.queries + first * s.stride;
        for (int64_t i = 0; i < static_cast<int64_t>(ROWS) * s.stride; i++) scaled[i] = from[i] * static_cast<float>(p.scale);
    }

    // losses[0], rights[0] are the first query of the block.
    void evaluate(double* losses, double* rights) {
        find_logits();
        const int rows = static_cast<int>(std::min<int64_t>(ROWS, p.count - first));
        for (int r = 0; r < rows; r++) rights[r] = right(r);
        exponentiate();
        for (int r = 0; r < rows; r++) losses[r] = finish(r);
    }

    // Of the sum over queries; grad_scales[0] is the first query's of the block.
    void gradients(float* to_queries, double* grad_scales) {
        std::fill_n(grad_queries, static_cast<int64_t>(ROWS) * s.stride, 0.0f);
        for (int64_t panel = 0; panel < s.key_panels; panel++) {
            float* gradient = a.gradient + (panel * s.queries + first) * KEYS;
            differentiate(panel, gradient);
            multiply(
                channel_widths, true, ROWS, KEYS, gradient, KEYS, 1, a.keys + panel * KEYS * s.stride, s.stride, grad_queries, s.stride);
        }
        for (int r = 0; r < std::min<int64_t>(ROWS, p.count - first); r++) {
            const float *query = a.queries + (first + r) * s.stride, *grad = grad_queries + r * s.stride;
            double product = 0;
            for (int c = 0; c < s.channels; c++) {
                product += static_cast<double>(query[c]) * grad[c];
                to_queries[(first + r) * s.channels + c] = grad[c] * static_cast<float>(p.scale);
            }
            grad_scales[r] = product;
        }
    }
};

// Gradient of a panel's keys, from the logits' gradients of all queries.
void key_gradients(
    const Problem& p, const Shape& s, const Arrays& a, const std::vector<int>& channel_widths, int64_t panel, float* own, float* to_keys) {
    std::fill_n(own, static_cast<int64_t>(KEYS) * s.stride, 0.0f);
    for (int64_t q = 0; q < s.queries; q += STEPS)
        multiply(
            channel_widths, true, KEYS, static_cast<int>(std::min<int64_t>(STEPS, s.queries - q)),
            a.gradient + (panel * s.queries + q) * KEYS, 1, KEYS, a.queries + q * s.stride, s.stride, own, s.stride);
    const int64_t first = panel * KEYS;
    for (int64_t k = 0; k < std::min<int64_t>(KEYS, p.key_count - first); k++)
        for (int c = 0; c < s.channels; c++) to_keys[(first + k) * s.channels + c] = own[k * s.stride + c] * static_cast<float>(p.scale);
}

}  // namespace

// Floats of memory that sparse3d_match needs.
extern "C" int64_t sparse3d_match_floats(int64_t count, int64_t key_count, int channels, int gradients, int threads) {
    return Arrays(Shape(count, key_count, channels), gradients, threads, nullptr).total;
}

// results: the mean loss, the share of right answers, the gradient by the scale. per_query: [3, count], for the sums of these. key_xyz null:
// no key is near but the true one. grad_queries null: without gradients. Counts and channels are at least 1.
extern "C" void sparse3d_match(
    const float* queries, const float* keys, double scale, const int64_t* true_key, const float* true_place, const float* key_place,
    const float* key_xyz, double near, double coordinate_weight, float* memory, double* per_query, double* results, float* grad_queries,
    float* grad_keys, int64_t count, int64_t key_count, int channels, int threads) {
    const float distance = static_cast<float>(near);
    const Problem p{queries, keys, scale, true_key, true_place, key_place, key_xyz, key_xyz ? distance * distance : -1.0f,
                    coordinate_weight, count, key_count};
    const Shape s(count, key_count, channels);
    const Arrays a(s, grad_queries != nullptr, threads, memory);
    const std::vector<int> key_widths = panels(KEYS), channel_widths = panels(s.stride);
    copy_padded(queries, count, s.queries, channels, s.stride, a.queries);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        float* own = a.own + a.own_floats * omp_get_thread_num();
#pragma omp for schedule(static)
        for (int64_t panel = 0; panel < s.key_panels; panel++) arrange_panel(p, s, a, panel);
#pragma omp for schedule(dynamic)
        for (int64_t block = 0; block < s.blocks; block++) {
            Block work(p, s, a, key_widths, channel_widths, block, own);
            work.evaluate(per_query + block * ROWS, per_query + count + block * ROWS);
            if (grad_queries) work.gradients(grad_queries, per_query + 2 * count + block * ROWS);
        }
        if (grad_queries) {
#pragma omp for schedule(dynamic, 4)
            for (int64_t panel = 0; panel < s.key_panels; panel++)
                key_gradients(p, s, a, channel_widths, panel, own, grad_keys);
        }
    }
    for (int i = 0; i < (grad_queries ? 3 : 2); i++) {
        results[i] = 0;
        for (int64_t q = 0; q < count; q++) results[i] += per_query[i * count + q];
        if (i < 2) results[i] /= static_cast<double>(count);
    }
}
