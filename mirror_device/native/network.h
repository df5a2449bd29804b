#ifndef REARVIEW_NETWORK_H
#define REARVIEW_NETWORK_H

#include <stddef.h>
#include <stdint.h>

enum { N_MELS = 40, STEP_FRAMES = 8, STRIDE = 4, OUT_FRAMES = 2 };

typedef struct Network Network;

/* A network from the arrays that mirror_device/native.py packs; NULL where they do not fit together, or
 * where memory is short. The arrays are copied. */
Network *network_new(const int32_t *ints, size_t n_ints, const float *floats, size_t n_floats,
                     const int8_t *weights, size_t n_weights);
void network_free(Network *network);
void network_reset(Network *network);
int network_keywords(const Network *network);
/* log_mel (8, 40) to a score in [0, 1] for each keyword. */
void network_step(Network *network, const float *log_mel, float *scores);

#endif
