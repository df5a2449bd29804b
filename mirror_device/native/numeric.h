/* Exponential and logarithm by plain multiplications and additions, so that every machine rounds alike: the
 * C library's differ in their last bits from one processor to the next. Built without fused multiply-add. */
#ifndef REARVIEW_NUMERIC_H
#define REARVIEW_NUMERIC_H

#include <math.h>
#include <stdint.h>

/* exp(x) for -700 <= x <= 700; what is outside is taken for the bound. */
static inline double plain_exp(double x)
{
    static const double coefficients[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                          1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                                          1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    x = x < -700.0 ? -700.0 : x > 700.0 ? 700.0 : x;
    double k = rint(x * 1.4426950408889634);
    double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
    double y = coefficients[0];
    for (int i = 1; i < 13; i++)
        y = y * r + coefficients[i];
    return ldexp(y, (int)k);
}

/* log(x) for normal x > 0: log of the mantissa by the series of the area hyperbolic tangent. */
static inline double plain_log(double x)
{
    union { double value; uint64_t bits; } word = {x};
    int exponent = (int)(word.bits >> 52) - 1022;
    word.bits = (word.bits & 0xfffffffffffffULL) | 0x3fe0000000000000ULL; /* 0.5 <= value < 1 */
    double m = word.value;
    if (m < 0.70710678118654752) {
        m = m + m;
        exponent -= 1;
    }
    double z = (m - 1.0) / (m + 1.0), square = z * z, y = 1.0 / 21;
    for (int odd = 19; odd >= 1; odd -= 2)
        y = y * square + 1.0 / odd;
    return exponent * 0.693147180559945309417 + 2.0 * z * y;
}

#endif
