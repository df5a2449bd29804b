/* The int8 network, one step of 80 ms a call: mirror_device/network.py says what is computed, in numpy, and
 * gives the same scores bit for bit. Build without fused multiply-add and without -ffast-math. */
#include "network.h"

#include <stdlib.h>
#include <string.h>

#include "numeric.h"

#if defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define HAVE_NEON 1
#endif

/* One more build of a loop for processors with vectors of 32 bytes, chosen when the module is loaded. The order
 * of all float operations stays the same, so do the bits. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

enum { MOST_CHANNELS = 1024, MOST_BLOCKS = 64, MOST_HEAD = 8, MOST_UNITS = 64, MOST_KEYWORDS = 64, MOST_CLASSES = 64 };
static const double FAR = 1000.0, MOST_COST = 8.0, TRAIL_COST = 1.0;

/* A convolution in 8 bits: outputs (rows) over n_in inputs, each row padded with zeros to n_padded. */
typedef struct {
    int n_in, n_padded, n_out, zero;
    float inverse_scale;
    const int32_t *offset;
    const float *scale, *bias;
    const int8_t *weight;
} Layer;

typedef struct {
    int dilation, history;
    Layer depthwise, pointwise;
    int8_t *past; /* (history + 2, channels) */
} Block;

typedef struct {
    int n_states;
    int classes[2 * MOST_UNITS];
    double wall[2 * MOST_UNITS], total[2 * MOST_UNITS], sharpness, even_cost;
} Phrase;

struct Network {
    int channels, kernel, stem_kernel, stem_history, n_blocks, n_head, n_keywords, n_classes;
    float floor, decay, mean_sum[N_MELS], mean_weight;
    Layer stem, head[MOST_HEAD], phones;
    Block blocks[MOST_BLOCKS];
    Phrase phrases[MOST_KEYWORDS];
    int8_t *stem_past; /* (stem_history + 8, 40) */
    float *residual, *sums; /* (2, channels) each */
    int8_t *narrow;         /* (2, padded) */
    int32_t *whole;         /* (channels) */
    int32_t *ints;
    float *floats;
    int8_t *weights;
};

/* Reads arrays one after the other and remembers whether there was too little. */
typedef struct {
    const int32_t *ints;
    size_t n_ints;
    const float *floats;
    size_t n_floats;
    const int8_t *weights;
    size_t n_weights;
    int failed;
} Reader;

static const int32_t *take_ints(Reader *r, size_t n)
{
    if (r->failed || n > r->n_ints) {
        r->failed = 1;
        return NULL;
    }
    r->ints += n;
    r->n_ints -= n;
    return r->ints - n;
}

static const float *take_floats(Reader *r, size_t n)
{
    if (r->failed || n > r->n_floats) {
        r->failed = 1;
        return NULL;
    }
    r->floats += n;
    r->n_floats -= n;
    return r->floats - n;
}

static const int8_t *take_weights(Reader *r, size_t n)
{
    if (r->failed || n > r->n_weights) {
        r->failed = 1;
        return NULL;
    }
    r->weights += n;
    r->n_weights -= n;
    return r->weights - n;
}

static int take_int(Reader *r, int low, int high)
{
    const int32_t *value = take_ints(r, 1);
    if (value == NULL || *value < low || *value > high) {
        r->failed = 1;
        return low;
    }
    return *value;
}

static float take_float(Reader *r)
{
    const float *value = take_floats(r, 1);
    return value == NULL ? 1.0f : *value;
}

static int padded(int n)
{
    return (n + 15) / 16 * 16;
}

static Layer take_layer(Reader *r, int n_in, int n_out, int n_weights)
{
    Layer layer = {n_in, padded(n_in), n_out, 0, 1.0f, NULL, NULL, NULL, NULL};
    layer.zero = take_int(r, 0, 255);
    layer.offset = take_ints(r, (size_t)n_out);
    layer.inverse_scale = take_float(r);
    layer.scale = take_floats(r, (size_t)n_out);
    layer.bias = take_floats(r, (size_t)n_out);
    layer.weight = take_weights(r, (size_t)n_weights);
    return layer;
}

static Layer take_dense(Reader *r, int n_in, int n_out)
{
    return take_layer(r, n_in, n_out, padded(n_in) * n_out);
}

static void take_phrase(Reader *r, Phrase *phrase)
{
    int n_units = take_int(r, 1, MOST_UNITS);
    phrase->n_states = 2 * n_units;
    for (int u = 0; u < n_units; u++) {
        phrase->classes[2 * u] = take_int(r, 1, MOST_CLASSES - 1);
        phrase->classes[2 * u + 1] = 0;
    }
    for (int i = 0; i < phrase->n_states; i++) {
        int leap = i >= 2 && i % 2 == 0 && phrase->classes[i] != phrase->classes[i - 2];
        phrase->wall[i] = leap ? 0.0 : FAR;
    }
    phrase->sharpness = take_float(r);
    phrase->even_cost = take_float(r);
}

static void read_network(Network *n, Reader *r)
{
    n->channels = take_int(r, 1, MOST_CHANNELS);
    n->kernel = take_int(r, 1, 64);
    n->stem_kernel = take_int(r, STRIDE, 25);
    n->n_blocks = take_int(r, 1, MOST_BLOCKS);
    n->n_head = take_int(r, 0, MOST_HEAD);
    n->n_keywords = take_int(r, 1, MOST_KEYWORDS);
    n->n_classes = take_int(r, 0, MOST_CLASSES);
    n->floor = take_float(r);
    n->decay = take_float(r);
    n->stem_history = n->stem_kernel - STRIDE;
    n->stem = take_dense(r, N_MELS * n->stem_kernel, n->channels);
    for (int b = 0; b < n->n_blocks && !r->failed; b++) {
        Block *block = &n->blocks[b];
        block->dilation = take_int(r, 1, 64);
        block->history = (n->kernel - 1) * block->dilation;
        block->depthwise = take_layer(r, n->channels, n->channels, n->kernel * n->channels);
        block->pointwise = take_dense(r, n->channels, n->channels);
    }
    int width = n->channels;
    for (int h = 0; h < n->n_head && !r->failed; h++) {
        int n_out = take_int(r, 1, MOST_CHANNELS);
        n->head[h] = take_dense(r, width, n_out);
        width = n_out;
    }
    if (n->n_head ? width != n->n_keywords : n->n_classes == 0)
        r->failed = 1;
    if (n->n_classes > 0) {
        n->phones = take_dense(r, n->channels, n->n_classes);
        for (int p = 0; p < n->n_keywords && !r->failed; p++) {
            take_phrase(r, &n->phrases[p]);
            for (int i = 0; i < n->phrases[p].n_states; i++)
                if (n->phrases[p].classes[i] >= n->n_classes)
                    r->failed = 1;
        }
    }
    if (r->n_ints || r->n_floats || r->n_weights)
        r->failed = 1;
}

static void *copied(const void *source, size_t bytes)
{
    void *copy = malloc(bytes ? bytes : 1);
    if (copy != NULL && bytes)
        memcpy(copy, source, bytes);
    return copy;
}

static int allocate(Network *n)
{
    n->stem_past = calloc((size_t)(n->stem_history + STEP_FRAMES) * N_MELS + 16, 1);
    n->residual = malloc(sizeof(float) * OUT_FRAMES * MOST_CHANNELS);
    n->sums = malloc(sizeof(float) * OUT_FRAMES * MOST_CHANNELS);
    n->narrow = calloc(OUT_FRAMES, MOST_CHANNELS);
    n->whole = malloc(sizeof(int32_t) * MOST_CHANNELS);
    int all = n->stem_past && n->residual && n->sums && n->narrow && n->whole;
    for (int b = 0; b < n->n_blocks; b++) {
        n->blocks[b].past = malloc((size_t)(n->blocks[b].history + OUT_FRAMES) * (size_t)n->channels);
        all = all && n->blocks[b].past;
    }
    return all;
}

Network *network_new(const int32_t *ints, size_t n_ints, const float *floats, size_t n_floats,
                     const int8_t *weights, size_t n_weights)
{
    Network *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->ints = copied(ints, n_ints * sizeof *ints);
    n->floats = copied(floats, n_floats * sizeof *floats);
    n->weights = copied(weights, n_weights);
    Reader reader = {n->ints, n_ints, n->floats, n_floats, n->weights, n_weights, 0};
    if (n->ints && n->floats && n->weights)
        read_network(n, &reader);
    else
        reader.failed = 1;
    if (reader.failed || !allocate(n)) {
        network_free(n);
        return NULL;
    }
    network_reset(n);
    return n;
}

void network_free(Network *n)
{
    if (n == NULL)
        return;
    for (int b = 0; b < MOST_BLOCKS; b++)
        free(n->blocks[b].past);
    free(n->stem_past);
    free(n->residual);
    free(n->sums);
    free(n->narrow);
    free(n->whole);
    free(n->ints);
    free(n->floats);
    free(n->weights);
    free(n);
}

int network_keywords(const Network *n)
{
    return n->n_keywords;
}

void network_reset(Network *n)
{
    memset(n->mean_sum, 0, sizeof n->mean_sum);
    n->mean_weight = 0.0f;
    memset(n->stem_past, n->stem.zero - 128, (size_t)(n->stem_history + STEP_FRAMES) * N_MELS);
    for (int b = 0; b < n->n_blocks; b++) {
        Block *block = &n->blocks[b];
        memset(block->past, block->depthwise.zero - 128,
               (size_t)(block->history + OUT_FRAMES) * (size_t)n->channels);
    }
    for (int p = 0; p < n->n_keywords; p++)
        for (int i = 0; i < n->phrases[p].n_states; i++)
            n->phrases[p].total[i] = FAR;
}

/* To signed 8 bits, 128 below the file's unsigned ones; rounded to even by the width of a float. */
EACH_PROCESSOR static void quantise(const Layer *layer, const float *restrict x, int n, int8_t *restrict out)
{
    const float inverse = layer->inverse_scale, low = (float)-layer->zero, high = (float)(255 - layer->zero);
    const int shift = layer->zero - 128;
    for (int i = 0; i < n; i++) {
        float t = x[i] * inverse;
        t = t > low ? t : low; /* NaN becomes the least */
        t = t < high ? t : high;
        t = (t + 12582912.0f) - 12582912.0f;
        out[i] = (int8_t)((int32_t)t + shift);
    }
}

static inline float real(const Layer *layer, int32_t sum, int o)
{
    return (float)(sum + layer->offset[o]) * layer->scale[o] + layer->bias[o];
}

/* Two frames at a time, so that each weight is loaded once. */
EACH_PROCESSOR static void dense(const Layer *layer, const int8_t *restrict a, const int8_t *restrict b, float *restrict ya,
                  float *restrict yb)
{
    const int n = layer->n_padded & ~15, n_out = layer->n_out;
    int o = 0;
#ifdef HAVE_NEON
    for (; o + 4 <= n_out; o += 4) {
        const int8_t *w = layer->weight + (size_t)o * (size_t)n;
        int32x4_t sa[4], sb[4];
        for (int k = 0; k < 4; k++)
            sa[k] = sb[k] = vdupq_n_s32(0);
        for (int i = 0; i < n; i += 16) {
            int8x16_t va = vld1q_s8(a + i), vb = vld1q_s8(b + i);
            for (int k = 0; k < 4; k++) {
                int8x16_t vw = vld1q_s8(w + (size_t)k * (size_t)n + i);
                /* |w| <= 127, so two products stay within 16 bits. */
                int16x8_t pa = vmlal_high_s8(vmull_s8(vget_low_s8(vw), vget_low_s8(va)), vw, va);
                int16x8_t pb = vmlal_high_s8(vmull_s8(vget_low_s8(vw), vget_low_s8(vb)), vw, vb);
                sa[k] = vpadalq_s16(sa[k], pa);
                sb[k] = vpadalq_s16(sb[k], pb);
            }
        }
        for (int k = 0; k < 4; k++) {
            ya[o + k] = real(layer, vaddvq_s32(sa[k]), o + k);
            yb[o + k] = real(layer, vaddvq_s32(sb[k]), o + k);
        }
    }
#else
    for (; o + 4 <= n_out; o += 4) { /* four at a time: both frames are widened once for them */
        const int8_t *restrict w0 = layer->weight + (size_t)o * (size_t)n, *restrict w1 = w0 + n,
                      *restrict w2 = w1 + n, *restrict w3 = w2 + n;
        int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
        for (int i = 0; i < n; i++) {
            const int16_t xa = a[i], xb = b[i];
            a0 += (int16_t)w0[i] * xa;
            a1 += (int16_t)w1[i] * xa;
            a2 += (int16_t)w2[i] * xa;
            a3 += (int16_t)w3[i] * xa;
            b0 += (int16_t)w0[i] * xb;
            b1 += (int16_t)w1[i] * xb;
            b2 += (int16_t)w2[i] * xb;
            b3 += (int16_t)w3[i] * xb;
        }
        const int32_t sa[4] = {a0, a1, a2, a3}, sb[4] = {b0, b1, b2, b3};
        for (int k = 0; k < 4; k++) {
            ya[o + k] = real(layer, sa[k], o + k);
            yb[o + k] = real(layer, sb[k], o + k);
        }
    }
#endif
    for (; o < n_out; o++) {
        const int8_t *w = layer->weight + (size_t)o * (size_t)n;
        int32_t sa = 0, sb = 0;
        for (int i = 0; i < n; i++) {
            sa += (int16_t)w[i] * (int16_t)a[i];
            sb += (int16_t)w[i] * (int16_t)b[i];
        }
        ya[o] = real(layer, sa, o);
        yb[o] = real(layer, sb, o);
    }
}

EACH_PROCESSOR static void depthwise(const Network *n, const Block *block, int frame, float *restrict y)
{
    const Layer *layer = &block->depthwise;
    const int channels = n->channels;
    const int8_t *restrict w = layer->weight, *restrict x = block->past + (size_t)frame * (size_t)channels;
    int32_t *restrict sum = n->whole;
    memcpy(sum, layer->offset, sizeof *sum * (size_t)channels);
    for (int k = 0; k < n->kernel; k++, w += channels, x += (size_t)block->dilation * (size_t)channels)
        for (int c = 0; c < channels; c++)
            sum[c] += (int16_t)((int16_t)w[c] * (int16_t)x[c]);
    const float *restrict scale = layer->scale, *restrict bias = layer->bias;
    for (int c = 0; c < channels; c++)
        y[c] = (float)sum[c] * scale[c] + bias[c];
}

static void relu(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

/* Both frames of `x` (rows `stride` apart) through a dense layer, to `y`. */
static void apply(Network *n, const Layer *layer, const float *x, float *y)
{
    for (int f = 0; f < OUT_FRAMES; f++) {
        int8_t *narrow = n->narrow + f * MOST_CHANNELS;
        quantise(layer, x + f * MOST_CHANNELS, layer->n_in, narrow);
        memset(narrow + layer->n_in, 0, (size_t)(layer->n_padded - layer->n_in));
    }
    dense(layer, n->narrow, n->narrow + MOST_CHANNELS, y, y + MOST_CHANNELS);
}

static void stem(Network *n, const float *log_mel)
{
    float normalised[N_MELS];
    int8_t *next = n->stem_past + (size_t)n->stem_history * N_MELS;
    for (int f = 0; f < STEP_FRAMES; f++) {
        n->mean_weight = n->mean_weight * n->decay;
        n->mean_weight = n->mean_weight + 1.0f;
        for (int m = 0; m < N_MELS; m++) {
            float x = log_mel[f * N_MELS + m];
            x = x > n->floor ? x : n->floor;
            n->mean_sum[m] = n->mean_sum[m] * n->decay;
            n->mean_sum[m] = n->mean_sum[m] + x;
            normalised[m] = x - n->mean_sum[m] / n->mean_weight;
        }
        quantise(&n->stem, normalised, N_MELS, next + f * N_MELS);
    }
    /* Rows of frames are the windows; what lies behind the last one meets weights of zero. */
    dense(&n->stem, n->stem_past, n->stem_past + STRIDE * N_MELS, n->residual, n->residual + MOST_CHANNELS);
    for (int f = 0; f < OUT_FRAMES; f++)
        relu(n->residual + f * MOST_CHANNELS, n->channels);
    memmove(n->stem_past, n->stem_past + STEP_FRAMES * N_MELS, (size_t)n->stem_history * N_MELS);
}

static void pass(Network *n, Block *block)
{
    const size_t width = (size_t)n->channels;
    for (int f = 0; f < OUT_FRAMES; f++)
        quantise(&block->depthwise, n->residual + f * MOST_CHANNELS, n->channels,
                 block->past + (size_t)(block->history + f) * width);
    for (int f = 0; f < OUT_FRAMES; f++)
        depthwise(n, block, f, n->sums + f * MOST_CHANNELS);
    apply(n, &block->pointwise, n->sums, n->sums);
    for (int f = 0; f < OUT_FRAMES; f++) {
        float *x = n->residual + f * MOST_CHANNELS, *y = n->sums + f * MOST_CHANNELS;
        relu(y, n->channels);
        for (int c = 0; c < n->channels; c++)
            x[c] = x[c] + y[c];
    }
    memmove(block->past, block->past + OUT_FRAMES * width, (size_t)block->history * width);
}

/* Nats of each class, in one frame. */
static void costs(const float *logits, int n, double *cost)
{
    double most = logits[0], sum = 0.0;
    for (int i = 1; i < n; i++)
        most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < n; i++)
        sum = sum + plain_exp(logits[i] - most);
    double log_sum = plain_log(sum);
    for (int i = 0; i < n; i++)
        cost[i] = log_sum - (logits[i] - most);
}

/* One frame further; returns the logit of a phrase that ends now. */
static double advance(Phrase *p, const double *cost)
{
    const int last = p->n_states - 1;
    double next[2 * MOST_UNITS];
    for (int i = 0; i <= last; i++) {
        double best = p->total[i], begin = i ? p->total[i - 1] : 0.0, leap = (i > 1 ? p->total[i - 2] : FAR) + p->wall[i];
        best = begin < best ? begin : best;
        best = leap < best ? leap : best;
        next[i] = best + cost[p->classes[i]] + (i == last ? TRAIL_COST : 0.0);
        next[i] = next[i] < FAR ? next[i] : FAR;
    }
    memcpy(p->total, next, sizeof *next * (size_t)p->n_states);
    double nats = (next[last] < next[last - 1] ? next[last] : next[last - 1]) / (p->n_states / 2);
    return p->sharpness * (p->even_cost - (nats < MOST_COST ? nats : MOST_COST));
}

void network_step(Network *n, const float *log_mel, float *scores)
{
    double best[MOST_KEYWORDS], cost[MOST_CLASSES];
    stem(n, log_mel);
    for (int b = 0; b < n->n_blocks; b++)
        pass(n, &n->blocks[b]);
    const float *x = n->residual;
    for (int h = 0; h < n->n_head; h++) {
        apply(n, &n->head[h], x, n->sums);
        for (int f = 0; h + 1 < n->n_head && f < OUT_FRAMES; f++)
            relu(n->sums + f * MOST_CHANNELS, n->head[h].n_out);
        x = n->sums;
    }
    float logits[OUT_FRAMES][MOST_KEYWORDS] = {{0}};
    for (int f = 0; n->n_head && f < OUT_FRAMES; f++)
        memcpy(logits[f], n->sums + f * MOST_CHANNELS, sizeof(float) * (size_t)n->n_keywords);
    if (n->n_classes)
        apply(n, &n->phones, n->residual, n->sums);
    for (int f = 0; f < OUT_FRAMES; f++) {
        if (n->n_classes)
            costs(n->sums + f * MOST_CHANNELS, n->n_classes, cost);
        for (int k = 0; k < n->n_keywords; k++) {
            double logit = logits[f][k];
            if (n->n_classes)
                logit = logit + advance(&n->phrases[k], cost);
            best[k] = f == 0 || logit > best[k] ? logit : best[k];
        }
    }
    for (int k = 0; k < n->n_keywords; k++)
        scores[k] = (float)(1.0 / (1.0 + plain_exp(-best[k])));
}
