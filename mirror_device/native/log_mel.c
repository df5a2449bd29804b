/* The log-mel front end, one step of 8 frames a call: mirror_device/logmel.py says what is computed, in numpy;
 * both agree to the rounding of a double FFT. The 8 frames lie innermost, two to a vector, and the order of all
 * sums is the same on every machine. */
#include "log_mel.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "numeric.h"

enum { FRAME = 400, HOP = 160, HISTORY = FRAME - HOP, POINTS = 256, PAIRS = LOG_MEL_FRAMES / 2 };
enum { BLOCK = 80, BLOCKS = (HISTORY + STEP_SAMPLES) / BLOCK }; /* a frame is five blocks, a hop two */
static const double PI = 3.14159265358979323846, PREEMPHASIS = 0.97;

typedef double Pair __attribute__((vector_size(16))); /* of two frames */
typedef Pair Loose __attribute__((aligned(8), may_alias));
typedef Pair Lanes[PAIRS]; /* of all frames */

struct LogMel {
    Lanes re[POINTS], im[POINTS], mels[LOG_MEL_BANDS];
    int16_t samples[HISTORY + STEP_SAMPLES];
    double emphasised[HISTORY + STEP_SAMPLES];
    double window[FRAME];
    double cosine[2 * POINTS], sine[2 * POINTS]; /* of 2 pi k / 512 */
    int reversed[POINTS];
    int first[POINTS], count[POINTS]; /* the mels that a bin belongs to */
    float filters[POINTS][LOG_MEL_BANDS];
};

LogMel *log_mel_new(const double *window, const float *filters)
{
    LogMel *f = aligned_alloc(16, (sizeof *f + 15) / 16 * 16);
    if (f == NULL)
        return NULL;
    memset(f, 0, sizeof *f);
    memcpy(f->window, window, sizeof f->window);
    memcpy(f->filters, filters, sizeof f->filters);
    for (int k = 0; k < 2 * POINTS; k++) {
        f->cosine[k] = cos(PI * k / POINTS);
        f->sine[k] = sin(PI * k / POINTS);
    }
    for (int k = 0; k < POINTS; k++) {
        for (int digit = 0; digit < 8; digit += 2) /* four digits to the base 4 */
            f->reversed[k] |= (k >> digit & 3) << (6 - digit);
        for (int m = 0; m < LOG_MEL_BANDS; m++)
            if (f->filters[k][m] != 0.0f) {
                if (f->count[k] == 0)
                    f->first[k] = m;
                f->count[k] = m + 1 - f->first[k];
            }
    }
    return f;
}

void log_mel_free(LogMel *f)
{
    free(f);
}

void log_mel_reset(LogMel *f)
{
    memset(f->samples, 0, sizeof f->samples);
}

/* All frames, centred, pre-emphasised and windowed, as 256 complex numbers each in the order of the transform.
 * Both are linear: samples are emphasised once, and of each frame 0.03 times its mean is taken away. */
static void load(LogMel *f, const int16_t *samples)
{
    int64_t sums[BLOCKS];
    memmove(f->samples, f->samples + STEP_SAMPLES, sizeof(int16_t) * HISTORY);
    memcpy(f->samples + HISTORY, samples, sizeof(int16_t) * STEP_SAMPLES);
    for (int b = 0; b < BLOCKS; b++) {
        int32_t sum = 0;
        for (int i = b * BLOCK; i < (b + 1) * BLOCK; i++)
            sum += f->samples[i];
        sums[b] = sum;
    }
    f->emphasised[0] = 0.0;
    for (int i = 1; i < HISTORY + STEP_SAMPLES; i++)
        f->emphasised[i] = (double)f->samples[i] - PREEMPHASIS * (double)f->samples[i - 1];
    for (int pair = 0; pair < PAIRS; pair++) {
        const double *x[2];
        double centre[2];
        for (int i = 0; i < 2; i++) {
            const int frame = 2 * pair + i, block = frame * (HOP / BLOCK);
            int64_t sum = 0;
            for (int b = block; b < block + FRAME / BLOCK; b++)
                sum += sums[b];
            centre[i] = (1.0 - PREEMPHASIS) * ((double)sum / FRAME);
            x[i] = f->emphasised + frame * HOP;
        }
        for (int n = 0; n < FRAME / 2; n++) {
            const Pair window = *(const Loose *)(f->window + 2 * n);
            const Pair one = (*(const Loose *)(x[0] + 2 * n) - centre[0]) * window;
            const Pair other = (*(const Loose *)(x[1] + 2 * n) - centre[1]) * window;
            f->re[f->reversed[n]][pair] = (Pair){one[0], other[0]};
            f->im[f->reversed[n]][pair] = (Pair){one[1], other[1]};
        }
        for (int i = 0; i < 2; i++) { /* Kaldi repeats the first sample */
            const double first = (1.0 - PREEMPHASIS) * (double)f->samples[(2 * pair + i) * HOP];
            f->re[f->reversed[0]][pair][i] = (first - centre[i]) * f->window[0];
        }
    }
    for (int n = FRAME / 2; n < POINTS; n++) {
        memset(f->re[f->reversed[n]], 0, sizeof(Lanes));
        memset(f->im[f->reversed[n]], 0, sizeof(Lanes));
    }
}

/* In place, radix 4, inputs in digit-reversed order (Cooley and Tukey, 1965). */
static void transform(LogMel *f)
{
    for (int quarter = 1; quarter < POINTS; quarter *= 4)
        for (int k = 0; k < quarter; k++) {
            const int turn = k * (POINTS / 2 / quarter); /* in 512ths */
            const double c1 = f->cosine[turn], s1 = f->sine[turn], c2 = f->cosine[2 * turn],
                         s2 = f->sine[2 * turn], c3 = f->cosine[3 * turn], s3 = f->sine[3 * turn];
            for (int at = k; at < POINTS; at += 4 * quarter) {
                Pair *re0 = f->re[at], *re1 = f->re[at + quarter], *re2 = f->re[at + 2 * quarter],
                     *re3 = f->re[at + 3 * quarter];
                Pair *im0 = f->im[at], *im1 = f->im[at + quarter], *im2 = f->im[at + 2 * quarter],
                     *im3 = f->im[at + 3 * quarter];
                for (int l = 0; l < PAIRS; l++) {
                    const Pair ar = re0[l], ai = im0[l];
                    const Pair br = re1[l] * c1 + im1[l] * s1, bi = im1[l] * c1 - re1[l] * s1;
                    const Pair cr = re2[l] * c2 + im2[l] * s2, ci = im2[l] * c2 - re2[l] * s2;
                    const Pair dr = re3[l] * c3 + im3[l] * s3, di = im3[l] * c3 - re3[l] * s3;
                    const Pair er = ar + cr, ei = ai + ci, fr = ar - cr, fi = ai - ci;
                    const Pair gr = br + dr, gi = bi + di, hr = br - dr, hi = bi - di;
                    re0[l] = er + gr;
                    im0[l] = ei + gi;
                    re1[l] = fr + hi; /* minus i times h */
                    im1[l] = fi - hr;
                    re2[l] = er - gr;
                    im2[l] = ei - gi;
                    re3[l] = fr - hi;
                    im3[l] = fi + hr;
                }
            }
        }
}

/* Four times the power of bin k of the real transform, from bins k and 256 - k of the complex one, added to
 * its mels. */
static void collect(LogMel *f, int k)
{
    const int mirror = (POINTS - k) % POINTS, last = f->first[k] + f->count[k];
    const Pair *ar = f->re[k], *ai = f->im[k], *br = f->re[mirror], *bi = f->im[mirror];
    const double c = f->cosine[k], s = f->sine[k];
    Lanes power;
    for (int l = 0; l < PAIRS; l++) {
        const Pair odd_r = ai[l] + bi[l], odd_i = br[l] - ar[l];
        const Pair xr = (ar[l] + br[l]) + (odd_r * c + odd_i * s), xi = (ai[l] - bi[l]) + (odd_i * c - odd_r * s);
        power[l] = xr * xr + xi * xi;
    }
    for (int m = f->first[k]; m < last; m++) {
        const double weight = f->filters[k][m];
        for (int l = 0; l < PAIRS; l++)
            f->mels[m][l] = f->mels[m][l] + power[l] * weight;
    }
}

void log_mel_step(LogMel *f, const int16_t *samples, float *out)
{
    load(f, samples);
    transform(f);
    memset(f->mels, 0, sizeof f->mels);
    for (int k = 0; k < POINTS; k++)
        if (f->count[k])
            collect(f, k);
    for (int lane = 0; lane < LOG_MEL_FRAMES; lane++)
        for (int m = 0; m < LOG_MEL_BANDS; m++) {
            const float energy = (float)(f->mels[m][lane / 2][lane % 2] * 0.25);
            out[lane * LOG_MEL_BANDS + m] = (float)plain_log(energy > FLT_EPSILON ? energy : FLT_EPSILON);
        }
}
