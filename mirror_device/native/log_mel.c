/* The log-mel front end, one step of 8 frames a call: mirror_device/logmel.py says what is computed, in numpy;
 * both agree to the rounding of a double FFT. The 8 frames lie innermost, so that each operation is done for
 * all of them at once, and the order of the sums is the same on every machine. */
#include "log_mel.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "numeric.h"

enum { FRAME = 400, HOP = 160, HISTORY = FRAME - HOP, POINTS = 256, STAGES = 8, WIDE = LOG_MEL_FRAMES };
static const double PI = 3.14159265358979323846, PREEMPHASIS = 0.97;

typedef double Lanes[WIDE];

struct LogMel {
    double samples[HISTORY + STEP_SAMPLES];
    double window[FRAME];
    double cosine[POINTS], sine[POINTS]; /* of 2 pi k / 512 */
    int reversed[POINTS];
    int first[POINTS], count[POINTS]; /* the mels that a bin belongs to */
    float filters[POINTS][LOG_MEL_BANDS];
    Lanes re[POINTS], im[POINTS], mels[LOG_MEL_BANDS];
};

LogMel *log_mel_new(const double *window, const float *filters)
{
    LogMel *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    memcpy(f->window, window, sizeof f->window);
    memcpy(f->filters, filters, sizeof f->filters);
    for (int k = 0; k < POINTS; k++) {
        f->cosine[k] = cos(PI * k / POINTS);
        f->sine[k] = sin(PI * k / POINTS);
        for (int bit = 0; bit < STAGES; bit++)
            f->reversed[k] |= (k >> bit & 1) << (STAGES - 1 - bit);
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

/* Frame `lane`, centred, pre-emphasised and windowed, as 256 complex numbers in the order of the transform. */
static void frame(LogMel *f, int lane)
{
    const double *x = f->samples + lane * HOP;
    double sum = 0.0;
    for (int i = 0; i < FRAME; i++)
        sum = sum + x[i];
    const double mean = sum / FRAME;
    double before = x[0] - mean; /* Kaldi repeats the first sample */
    for (int i = 0; i < FRAME; i++) {
        double now = x[i] - mean, value = (now - PREEMPHASIS * before) * f->window[i];
        before = now;
        if (i % 2 == 0)
            f->re[f->reversed[i / 2]][lane] = value;
        else
            f->im[f->reversed[i / 2]][lane] = value;
    }
    for (int n = FRAME / 2; n < POINTS; n++)
        f->re[f->reversed[n]][lane] = f->im[f->reversed[n]][lane] = 0.0;
}

/* In place, radix 2, inputs in bit-reversed order (Cooley and Tukey, 1965). */
static void transform(LogMel *f)
{
    for (int half = 1; half < POINTS; half *= 2)
        for (int k = 0; k < half; k++) {
            const double c = f->cosine[k * (POINTS / half)], s = -f->sine[k * (POINTS / half)];
            for (int at = k; at < POINTS; at += 2 * half) {
                double *restrict ar = f->re[at], *restrict ai = f->im[at];
                double *restrict br = f->re[at + half], *restrict bi = f->im[at + half];
                for (int l = 0; l < WIDE; l++) {
                    const double tr = br[l] * c - bi[l] * s, ti = br[l] * s + bi[l] * c;
                    br[l] = ar[l] - tr;
                    bi[l] = ai[l] - ti;
                    ar[l] = ar[l] + tr;
                    ai[l] = ai[l] + ti;
                }
            }
        }
}

/* The power of bin k of the real transform, from bins k and 256 - k of the complex one, added to its mels. */
static void collect(LogMel *f, int k)
{
    const int mirror = (POINTS - k) % POINTS;
    const double *restrict ar = f->re[k], *restrict ai = f->im[k];
    const double *restrict br = f->re[mirror], *restrict bi = f->im[mirror];
    const double c = f->cosine[k], s = -f->sine[k];
    Lanes power;
    for (int l = 0; l < WIDE; l++) {
        const double er = (ar[l] + br[l]) * 0.5, ei = (ai[l] - bi[l]) * 0.5;
        const double odd_r = (ai[l] + bi[l]) * 0.5, odd_i = (br[l] - ar[l]) * 0.5;
        const double xr = er + (odd_r * c - odd_i * s), xi = ei + (odd_r * s + odd_i * c);
        power[l] = xr * xr + xi * xi;
    }
    for (int m = f->first[k]; m < f->first[k] + f->count[k]; m++)
        for (int l = 0; l < WIDE; l++)
            f->mels[m][l] = f->mels[m][l] + f->filters[k][m] * power[l];
}

void log_mel_step(LogMel *f, const int16_t *samples, float *out)
{
    memmove(f->samples, f->samples + STEP_SAMPLES, sizeof(double) * HISTORY);
    for (int i = 0; i < STEP_SAMPLES; i++)
        f->samples[HISTORY + i] = samples[i];
    for (int lane = 0; lane < WIDE; lane++)
        frame(f, lane);
    transform(f);
    memset(f->mels, 0, sizeof f->mels);
    for (int k = 0; k < POINTS; k++)
        if (f->count[k])
            collect(f, k);
    for (int lane = 0; lane < WIDE; lane++)
        for (int m = 0; m < LOG_MEL_BANDS; m++) {
            const float energy = (float)f->mels[m][lane];
            out[lane * LOG_MEL_BANDS + m] = (float)plain_log(energy > FLT_EPSILON ? energy : FLT_EPSILON);
        }
}
