// The gradient of weight_gradient.cpp with operands rounded to bfloat16, by tile registers.
//
// Cut into segments or slots as there. Rows are rounded once, ahead where several slots read them. The pairs of a slot in a chunk, PAIRS at a time, become A tiles
// [channel of x][words of two pairs] and B tiles [words of two pairs][channel of g], and their products are added to the gradient.

#include "amx.h"

#if defined(SPARSE3D_AMX)

namespace {

constexpr int PAIRS = 256;
constexpr int STEPS = PAIRS / TILE_CHANNELS;
constexpr int CHANNELS = 128;  // input channels of a block, at most

// What the arguments come to in tiles.
struct Shape {
    const RoundedWeightGradient& p;
    Source source;
    int slots, channels;       // slots that are gone through one after the other, and input channels of each
    int lines, columns;        // tiles of input and of output channels
    int64_t x_words, g_words;  // of a rounded row
    int64_t stride, size;      // of a line of the sums, and of those of a slot

    explicit Shape(const RoundedWeightGradient& given)
        : p(given), source(source_of(p.table, p.slots, p.c_in)), slots(source == Source::TABLE ? p.slots : 1),
          channels(source == Source::NEIGHBOURS ? p.slots * SLOT_CHANNELS : p.c_in), lines(static_cast<int>(divided(channels, TILE))),
          columns(static_cast<int>(divided(p.c_out, TILE))), x_words(divided(channels, TILE_CHANNELS) * TILE),
          g_words(divided(p.c_out, TILE_CHANNELS) * TILE), stride(static_cast<int64_t>(columns) * TILE), size(lines * TILE * stride) {}

    // Of a row of x that is rounded ahead.
    int64_t input_words() const { return source == Source::TABLE ? x_words : source == Source::NEIGHBOURS ? SLOT_WORDS : 0; }

    // Where the sums of a line of the gradient [slots c_in, c_out] begin.
    int64_t line_at(int64_t line) const {
        const int64_t slot = line / p.c_in, c = line % p.c_in;
        return source == Source::NEIGHBOURS ? (slot * SLOT_CHANNELS + c) * stride : slot * size + c * stride;
    }
};

// A row in the order in which pair_tiles of two of them gives words in order: of 32 channels 0-3, 16-19, 4-7, 20-23 and so on.
void round_row(const float* from, int channels, float* to, int64_t words) {
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    for (int64_t i = 0; i < words; i += TILE, from += TILE_CHANNELS, channels -= TILE_CHANNELS) {
        __m512 low, high;
        if (channels >= TILE_CHANNELS) {
            low = _mm512_loadu_ps(from), high = _mm512_loadu_ps(from + TILE);
        } else {
            const uint32_t there = (1u << channels) - 1;
            low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(there), from);
            high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(there >> TILE), from + TILE);
        }
        const __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        _mm512_storeu_si512(to + i, _mm512_maskz_permutexvar_epi64(0xff, order, rounded));  // without a mask GCC 12 warns
    }
}

// The 16 words of channels [0, 16) and of [16, 32) of two rounded rows.
inline void pair_tiles(const float* first, const float* second, Vector& low, Vector& high) {
    const __m512i a = _mm512_loadu_si512(first), b = _mm512_loadu_si512(second);
    low = (Vector)_mm512_unpacklo_epi16(a, b);
    high = (Vector)_mm512_unpackhi_epi16(a, b);
}

// What a thread needs for the pairs of one slot in one chunk.
struct Worker {
    const Shape& s;
    const float *x, *g;  // rounded rows
    std::vector<int32_t> rows, places;
    std::vector<const float*> inputs, grads;
    std::vector<float> nothing;  // a row of zeros
    Buffer rounded;              // rows of x and g that are not rounded ahead
    Buffer a, b;                 // tiles: [channels / 16][STEPS]

    Worker(const Shape& shape, const float* inputs_, const float* grads_, int64_t chunk)
        : s(shape), x(inputs_), g(grads_), rows(chunk + WIDTH), places(chunk + WIDTH), inputs(PAIRS), grads(PAIRS),
          nothing(std::max(s.x_words, s.g_words), 0.0f),
          rounded(s.source == Source::TABLE ? 0 : PAIRS * (s.x_words + TILE + s.g_words)),
          a(2 * s.x_words / TILE * STEPS * TILE_SIZE), b(2 * s.g_words / TILE * STEPS * TILE_SIZE) {}

    // Adds the pairs of rows [begin, end) of a slot for `lines` tiles of input channels from tile `first` on, an even one, to sums.
    void add(int slot, int64_t begin, int64_t end, int first, int lines, float* sums) {
        const int32_t* row = s.source == Source::TABLE ? s.p.table + slot * s.p.n_out : nullptr;
        const int present = list_present(row, begin, static_cast<int>(end - begin), rows.data(), places.data());
        for (int done = 0; done < present; done += PAIRS) {
            const int pairs = std::min(PAIRS, present - done), steps = static_cast<int>(divided(pairs, TILE_CHANNELS));
            if (s.source == Source::TABLE)
                find(pairs, rows.data() + done, places.data() + done, begin, first);
            else
                round(pairs, rows[done], first, lines);
            std::fill(inputs.begin() + pairs, inputs.begin() + steps * TILE_CHANNELS, nothing.data());
            std::fill(grads.begin() + pairs, grads.begin() + steps * TILE_CHANNELS, nothing.data());
            for (int step = 0; step < steps; step++) {
                put_inputs(step, lines);
                put_grads(step);
            }
            written();
            multiply(steps, lines, sums);
        }
    }

    void find(int pairs, const int32_t* in, const int32_t* out, int64_t begin, int first) {
        for (int i = 0; i < pairs; i++) {
            inputs[i] = x + in[i] * s.x_words + first * TILE / 2;
            grads[i] = g + (begin + out[i]) * s.g_words;
        }
    }

    // Rows [begin, begin + pairs) of x, as far as those tiles go, and of g.
    void round(int pairs, int64_t begin, int first, int lines) {
        const RoundedWeightGradient& p = s.p;
        const int from = first * TILE, channels = std::min(lines * TILE, s.channels - from);
        const int64_t apart = s.x_words + TILE;  // no power of two, for which the first-level cache has few places
        float *to = rounded.data(), *grad = to + PAIRS * apart;
        for (int i = 0; i < pairs; i++) {
            inputs[i] = to + i * apart;
            grads[i] = grad + i * s.g_words;
            round_row(p.g + (begin + i) * p.c_out, p.c_out, grad + i * s.g_words, s.g_words);
            if (s.source == Source::ROWS)
                round_row(p.x + (begin + i) * p.c_in + from, channels, to + i * apart, divided(channels, TILE_CHANNELS) * TILE);
        }
        if (s.source != Source::NEIGHBOURS) return;
        // Eight slots are 32 channels: in round_row's order. Behind the last slot there may be anything, as nobody reads its sums.
        constexpr int order[] = {0, 2, 4, 6, 1, 3, 5, 7};
        const int slot = from / SLOT_CHANNELS;
        for (int k = 0; k < channels / SLOT_CHANNELS; k++) {
            const int32_t* row = p.table + (slot + k) * p.n_out + begin;
            float* place = to + k / 8 * TILE + order[k % 8] * SLOT_WORDS;
            __builtin_prefetch(row + PAIRS);
            for (int i = 0; i < pairs; i++) copy_neighbour(x, p.n_in, row[i], place + i * apart);
        }
    }

    // A tiles of the 32 pairs of a step.
    void put_inputs(int step, int lines) {
        alignas(64) float words[2][TILE_SIZE];
        for (int line = 0; line < lines; line += 2) {
            for (int i = 0; i < TILE; i++) {
                Vector low, high;
                const float* const* pair = inputs.data() + step * TILE_CHANNELS + 2 * i;
                pair_tiles(pair[0] + line * TILE / 2, pair[1] + line * TILE / 2, low, high);
                store(words[0] + i * TILE, low);
                store(words[1] + i * TILE, high);
            }
            for (int half = 0; half < 2; half++)
                transpose_square(words[half], TILE, a.data() + ((line + half) * STEPS + step) * TILE_SIZE, TILE);
        }
    }

    // B tiles of the 32 pairs of a step.
    void put_grads(int step) {
        for (int i = 0; i < TILE; i++) {
            const float* const* pair = grads.data() + step * TILE_CHANNELS + 2 * i;
            for (int column = 0; column < s.columns; column += 2) {
                Vector low, high;
                pair_tiles(pair[0] + column * TILE / 2, pair[1] + column * TILE / 2, low, high);
                float* to = b.data() + (column * STEPS + step) * TILE_SIZE + i * TILE;
                store(to, low);
                store(to + STEPS * TILE_SIZE, high);
            }
        }
    }

    void multiply(int steps, int lines, float* sums) const {
        const auto tiles = [](const Buffer& from, int i) { return Operand{from.data() + i * STEPS * TILE_SIZE, TILE, TILE_SIZE}; };
        for (int line = 0; line < lines; line += 2)
            for (int column = 0; column < s.columns; column += 2)
                multiply_tiles(
                    line + 1 < lines, column + 1 < s.columns, tiles(a, line), tiles(a, line + 1), tiles(b, column),
                    tiles(b, column + 1), steps, sums + line * TILE * s.stride + column * TILE, s.stride, false);
    }
};

// Segments of rows: a number that 2, 3 and 4 threads share evenly, as long as there are rows for them and the sums of one stay in the
// second-level cache.
int segments_for(const Shape& s) {
    const int64_t all = s.slots * s.size;
    if (s.p.n_out >= 24 * 1536 && 24 * all <= int64_t{6} << 20) return 24;
    return s.p.n_out >= 12 * (s.source == Source::TABLE ? 512 : 64) && all <= int64_t{1} << 19 ? 12 : 1;
}

// Segment by segment, all slots and channels of a chunk while its rows are in the cache.
void add_segment(Worker& worker, int64_t begin, int64_t end, int64_t chunk, float* sums) {
    const Shape& s = worker.s;
    std::fill_n(sums, s.size * s.slots, 0.0f);
    written();
    for (int64_t from = begin; from < end; from += chunk)
        for (int slot = 0; slot < s.slots; slot++)
            worker.add(slot, from, std::min(end, from + chunk), 0, s.lines, sums + slot * s.size);
}

// All rows of one slot for `lines` tiles of input channels from tile `first` on.
void add_slot(Worker& worker, int slot, int first, int lines, int64_t chunk, float* sums) {
    const Shape& s = worker.s;
    std::fill_n(sums, lines * TILE * s.stride, 0.0f);
    written();
    for (int64_t from = 0; from < s.p.n_out; from += chunk)
        worker.add(slot, from, std::min(s.p.n_out, from + chunk), first, lines, sums);
}

// A line of the gradient: the sums of all segments in order, `apart` floats from each other.
void gather_line(const float* from, int64_t apart, int segments, int channels, float* to) {
    std::copy_n(from, channels, to);
    for (int i = 1; i < segments; i++)
        for (int c = 0; c < channels; c++) to[c] += from[i * apart + c];
}

}  // namespace

void weight_gradient_by_amx(const RoundedWeightGradient& p) {
    const Shape s(p);
    const int segments = segments_for(s), blocks = static_cast<int>(divided(s.lines, CHANNELS / TILE));
    const int block = static_cast<int>(divided(divided(s.lines, blocks), 2)) * 2;
    const bool direct = segments == 1 && s.slots * s.size == static_cast<int64_t>(p.slots) * p.c_in * p.c_out;
    const int64_t words = s.input_words(), ahead = s.source == Source::TABLE ? p.n_out : 0;
    const Buffer xs((p.n_in + 1) * words), gs(ahead * s.g_words), buffer(direct ? 0 : s.size * s.slots * segments);
    std::fill_n(xs.data() + p.n_in * words, words, 0.0f);
    float* sums = direct ? p.grad : buffer.data();
    const int64_t chunk = segments == 1 ? std::min<int64_t>(p.n_out, 4096) : std::clamp<int64_t>(262144 / (p.c_in + p.c_out), 512, 4096);
#pragma omp parallel num_threads(p.threads)
    {
#pragma omp for schedule(static) nowait
        for (int64_t r = 0; r < (words ? p.n_in : 0); r++) {
            if (s.source == Source::TABLE)
                round_row(p.x + r * p.c_in, p.c_in, xs.data() + r * words, words);
            else
                round_neighbour(p.x + r * p.c_in, p.c_in, xs.data() + r * words);
        }
#pragma omp for schedule(static)
        for (int64_t r = 0; r < ahead; r++) round_row(p.g + r * p.c_out, p.c_out, gs.data() + r * s.g_words, s.g_words);
        const TileRegisters registers;
        Worker worker(s, xs.data(), gs.data(), chunk);
        if (segments > 1) {
#pragma omp for schedule(dynamic, 1)
            for (int i = 0; i < segments; i++)
                add_segment(worker, p.n_out * i / segments, p.n_out * (i + 1) / segments, chunk, sums + i * s.slots * s.size);
        } else {
#pragma omp for schedule(dynamic, 1)
            for (int unit = 0; unit < s.slots * blocks; unit++) {
                const int slot = unit / blocks, first = unit % blocks * block, lines = std::min(block, s.lines - first);
                if (lines > 0) add_slot(worker, slot, first, lines, chunk, sums + slot * s.size + first * TILE * s.stride);
            }
        }
        if (!direct) {
#pragma omp for schedule(static)
            for (int64_t line = 0; line < static_cast<int64_t>(p.slots) * p.c_in; line++)
                gather_line(sums + s.line_at(line), s.slots * s.size, segments, p.c_out, p.grad + line * p.c_out);
        }
    }
}

#endif
