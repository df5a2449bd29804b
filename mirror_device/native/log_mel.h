#ifndef REARVIEW_LOG_MEL_H
#define REARVIEW_LOG_MEL_H

#include <stdint.h>

enum { STEP_SAMPLES = 1280, LOG_MEL_FRAMES = 8, LOG_MEL_BANDS = 40 };

typedef struct LogMel LogMel;

/* `window` (400), `filters` (256 bins, 40 mels): those of mirror_device/logmel.py. NULL without memory. */
LogMel *log_mel_new(const double *window, const float *filters);
void log_mel_free(LogMel *front_end);
void log_mel_reset(LogMel *front_end);
/* 1280 samples to (8, 40). */
void log_mel_step(LogMel *front_end, const int16_t *samples, float *out);

#endif
