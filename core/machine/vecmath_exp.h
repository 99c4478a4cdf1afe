// Vector math, exponentials: exp, exp2, expm1, sinh, cosh, tanh, sigmoid.
//
// float32: exp, exp2, tanh and sigmoid in float arithmetic, the others in double. float64: exp, exp2, expm1,
// tanh and sigmoid here, the rest from the C library. Polynomials are minimax fits (Remez), their error below
// a tenth of a unit in the last place.
#pragma once

#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

inline constexpr double kLog2e = 1.4426950408889634;
inline constexpr double kLn2 = 0.6931471805599453;

// exp(x) = (head + tail) * 2^n for |x| < 150, with head + tail good to a few bits more than a float has.
struct ExpParts {
  float head;
  float tail;
  float shifted;  // kRounder + n
};

inline ExpParts exp_parts(float x) {
  const float shifted = fused(x, static_cast<float>(kLog2e), kRounder<float>);
  const float n = shifted - kRounder<float>;
  // x - n ln 2: the high part of ln 2 has 16 bits, so its product is exact; what the low part's loses is
  // kept.
  const float high = fused(n, -0x1.62e4p-1F, x);
  const float r = fused(n, -1.42860677e-06F, high);
  const float lost = fused(n, -1.42860677e-06F, high - r);
  const float q = horner(r, 0.49999994F, 0.166665167F, 0.0416682512F, 0.00836909469F, 0.00138171366F);
  const float head = 1 + r;
  const float tail = fused(r * r, q, ((1 - head) + r) + lost);
  return {head, tail, shifted};
}

inline float exp(float x) {
  const ExpParts parts = exp_parts(clamped(x, -104.0F, 89.0F));
  return scale(parts.head + parts.tail, parts.shifted);
}

inline float exp2(float x) {
  x = clamped(x, -151.0F, 129.0F);
  const float shifted = x + kRounder<float>;
  const float r = x - (shifted - kRounder<float>);
  const float q =
      horner(r, 0.693147242F, 0.240226552F, 0.0555027276F, 0.00961706508F, 0.0013417853F, 0.0001582322F);
  return scale(fused(r, q, 1.0F), shifted);
}

// exp(x) = (1 + tail) * 2^n in double, |x| < 1000. `T` is the type that the result is rounded to in the end.
struct WideExp {
  double r;     // x - n ln 2
  double tail;  // exp(r) - 1
  double shifted;
};

template <class T>
WideExp wide_exp(double x) {
  const double shifted = fused(x, kLog2e, kRounder<double>);
  const double n = shifted - kRounder<double>;
  const double r = fused(n, -1.9082149292705877e-10, fused(n, -0.6931471803691238, x));
  double q = 0;
  if constexpr (sizeof(T) == 4) {
    q = horner(r, 0.5000000000105753, 0.1666666675694132, 0.041666665958041006, 0.008333288371577537,
               0.0013888993650742825, 0.0001990532405018381, 2.478763223019747e-05);
  } else {
    q = horner(r, 0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321608, 0.0013888888888962906,
               0.00019841269886207772, 2.4801587171833763e-05, 2.755724410433858e-06, 2.7557402947651567e-07,
               2.5109081355739706e-08, 2.087532649068639e-09);
  }
  return {r, fused(r * r, q, r), shifted};
}

inline double exp(double x) {
  const WideExp parts = wide_exp<double>(clamped(x, -746.0, 710.0));
  return scale(1 + parts.tail, parts.shifted);
}

// For float results: |x| is clamped to where a float would long be 0 or infinite.
inline double exp_for_float(double x) {
  const WideExp parts = wide_exp<float>(clamped(x, -200.0, 200.0));
  const double power = power_of_two(parts.shifted);
  return fused(power, parts.tail, power);
}
inline double expm1_for_float(double x) {
  const WideExp parts = wide_exp<float>(clamped(x, -200.0, 200.0));
  const double power = power_of_two(parts.shifted);
  return fused(power, parts.tail, power - 1);
}

inline float expm1(float x) {
  const auto y = static_cast<float>(expm1_for_float(static_cast<double>(x)));
  return x == 0 ? x : y;
}

inline float sinh(float x) {
  const double e = expm1_for_float(static_cast<double>(abs(x)));
  return copysign(static_cast<float>(0.5 * (e + e / (e + 1))), x);
}

inline float cosh(float x) {
  const double e = exp_for_float(static_cast<double>(abs(x)));
  return static_cast<float>(0.5 * (e + 1 / e));
}

// Near 0 an odd polynomial, elsewhere 1 - 2 / (exp(2 |x|) + 1).
inline float tanh(float x) {
  const float size = abs(x);
  const float z = size * size;
  const float p = horner(z, -0.333332926F, 0.133316547F, -0.0537539423F, 0.0206782389F, -0.00574308215F);
  const float small = fused(size * z, p, size);
  const ExpParts parts = exp_parts(clamped(2 * size, 0.0F, 20.0F));
  const float e = (parts.head + parts.tail) * power_of_two(parts.shifted);
  const float large = 1 - 2 / (e + 1);
  return copysign(size < 0.625F ? small : large, x);
}

// 1 / (1 + e) or e / (1 + e) with e = exp(-|x|). What the sum and the quotient lose is put back: the linear
// function stands for 1 / (1 + e).
inline float sigmoid(float x) {
  const float e = exp(-abs(x));
  const float above = x < 0 ? e : 1.0F;
  if constexpr (!kFma) {
    return static_cast<float>(static_cast<double>(above) / (1 + static_cast<double>(e)));
  }
  const float sum = 1 + e;
  const float lost = (1 - sum) + e;
  const float y = above / sum;
  const float left = fused(-y, lost, fused(-y, sum, above));
  return fused(left, fused(sum, -0.5F, 1.457F), y);
}

inline double sigmoid(double x) {
  const double e = exp(-abs(x));
  return (x < 0 ? e : 1.0) / (1 + e);
}

}  // namespace versant::isa::VERSANT_ISA
