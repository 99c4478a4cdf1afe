// Vector math, logarithms and powers: log, log2, log10, log1p, asinh, acosh, atanh, pow.
//
// float32: log in float arithmetic, the others in double. float64: log and log1p here (within 1 ulp), the
// rest from the C library.
#pragma once

#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

// What a logarithm gives where the number is not positive and finite.
template <class T>
T log_edges(T x, T y) {
  const T no_number = x < 0 ? kNaN<T> : x;  // infinity and NaN are their own logarithm
  const T edge = x == 0 ? -kInf<T> : no_number;
  return x > 0 && x < kInf<T> ? y : edge;
}

inline float log(float x) {
  const bool small = x < std::numeric_limits<float>::min();
  const float scaled = small ? x * 0x1p23F : x;
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2))
  const std::uint32_t split = bits_of(scaled) - 0x3f3504f3U;
  const auto e = static_cast<float>((static_cast<std::int32_t>(split) >> 23) - (small ? 23 : 0));
  const float f = from_bits((split & 0x7fffffU) + 0x3f3504f3U) - 1;
  const float p = horner(f, 0.333333135F, -0.250001669F, 0.200022236F, -0.166593671F, 0.142095715F,
                         -0.125497445F, 0.121088773F, -0.109158747F, 0.0533790812F);
  // f - f^2 / 2 + f^3 p, and e ln 2 in two parts
  const float square = f * f;
  const float tail = fused(e, kLn2Low<float>, fused(square * f, p, -0.5F * square));
  return log_edges(x, fused(e, kLn2High<float>, f + tail));
}

// log(1 + f) for f from sqrt(1/2) - 1 to sqrt(2) - 1, as 2 atanh(s) = s (2 + s^2 p(s^2)), s = f / (2 + f).
inline double log_of_mantissa(double f) {
  const double s = f / (2 + f);
  const double z = s * s;
  const double p = horner(z, 0.6666666667584649, 0.3999999560463422, 0.28572111148221074, 0.2217609908363556,
                          0.1958552866901427);
  return s * fused(z, p, 2.0);
}

struct Mantissa {
  double e;
  double f;  // x = (1 + f) * 2^e
};

// For normal positive doubles, so for every positive float.
inline Mantissa split_mantissa(double x) {
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd;
  const std::uint64_t biased = bits_of(x) + (0x3ff0000000000000 - root_half);
  const double e = from_bits(biased >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
  const double m = from_bits((biased & 0xfffffffffffff) + root_half);
  return {e, m - 1};
}

// log((1 + f) * 2^e) + c to the accuracy of double, c being tiny: e ln 2 + f - f^2 / 2 + s (f^2 / 2 + R), s =
// f / (2 + f) (as in FreeBSD's e_log.c).
inline double log_of_split(Mantissa split, double c) {
  const double f = split.f;
  const double s = f / (2 + f);
  const double z = s * s;
  const double rest =
      z * horner(z, 0.6666666666666735, 0.3999999999941109, 0.2857142874326269, 0.2222219847598521,
                 0.18183569739853522, 0.15313903245641833, 0.14797507719057545);
  const double half_square = 0.5 * f * f;
  const double tail = fused(s, half_square + rest, fused(split.e, kLn2Low<double>, c));
  return fused(split.e, kLn2High<double>, f - (half_square - tail));
}

inline double log(double x) {
  const bool small = x < std::numeric_limits<double>::min();
  Mantissa split = split_mantissa(small ? x * 0x1p54 : x);
  split.e -= small ? 54.0 : 0.0;
  return log_edges(x, log_of_split(split, 0));
}

inline double log1p(double x) {
  const double sum = 1 + x;
  const double lost = x > 1 ? 1 - (sum - x) : x - (sum - 1);
  const double y = log_of_split(split_mantissa(sum), lost / sum);
  const double edge = x == -1 ? -kInf<double> : x < -1 ? kNaN<double> : x;
  return x > -1 && x < kInf<double> && abs(x) >= 0x1p-54 ? y : edge;
}

// log(1 + x) for x > -1 for a float result: where 1 + x rounds, x itself is the fraction.
inline double log1p_for_float(double x) {
  const Mantissa split = split_mantissa(1 + x);
  return fused(split.e, kLn2, log_of_mantissa(split.e == 0 ? x : split.f));
}

inline float log2(float x) {
  const Mantissa split = split_mantissa(static_cast<double>(x));
  return log_edges(x, static_cast<float>(fused(log_of_mantissa(split.f), kLog2e, split.e)));
}

inline float log10(float x) {
  const Mantissa split = split_mantissa(static_cast<double>(x));
  return log_edges(x, static_cast<float>(
                          fused(log_of_mantissa(split.f), 0.4342944819032518, split.e * 0.3010299956639812)));
}

inline float log1p(float x) {
  const auto y = static_cast<float>(log1p_for_float(static_cast<double>(x)));
  const float edge = x == -1 ? -kInf<float> : x < -1 ? kNaN<float> : x;
  return x > -1 && x < kInf<float> && x != 0 ? y : edge;
}

inline float atanh(float x) {
  const auto size = static_cast<double>(abs(x));
  const auto y = static_cast<float>(0.5 * log1p_for_float(2 * size / (1 - size)));
  const float edge = abs(x) == 1 ? kInf<float> : kNaN<float>;
  return copysign(abs(x) < 1 ? y : edge, x);
}

inline float asinh(float x) {
  const auto size = static_cast<double>(abs(x));
  const double square = size * size;
  const auto y = static_cast<float>(log1p_for_float(size + square / (1 + sqrt(square + 1))));
  return copysign(abs(x) < kInf<float> ? y : abs(x), x);
}

inline float acosh(float x) {
  const double above = static_cast<double>(x) - 1;
  const auto y = static_cast<float>(log1p_for_float(above + sqrt(above * (above + 2))));
  const float edge = x < 1 ? kNaN<float> : x;
  return x >= 1 && x < kInf<float> ? y : edge;
}

// x^y = exp2(y log2 |x|) in double, then the sign and the cases of IEEE 754 9.2.1.
inline float pow(float x, float y) {
  const float size = abs(x);
  const Mantissa split = split_mantissa(static_cast<double>(size));
  const double p = static_cast<double>(y) * fused(log_of_mantissa(split.f), kLog2e, split.e);
  const double shifted = p + kRounder<double>;
  const double r = p - (shifted - kRounder<double>);
  const double q =
      horner(r, 0.6931471838364771, 0.24022650922136402, 0.05550400333081353, 0.00961805663012887,
             0.0013341967966840115, 0.0001546148346040272, 1.3359843384997911e-05);
  const double power = power_of_two(shifted);
  const auto inner = static_cast<float>(fused(power * r, q, power));
  const auto exponent = static_cast<float>(p);
  const float capped = exponent > 130 ? kInf<float> : inner;
  const float of_finite = exponent < -151 ? 0.0F : capped;
  const float of_ends = (size == 0) == (y < 0) ? kInf<float> : 0.0F;
  const float of_most = size == 0 || size == kInf<float> ? of_ends : of_finite;
  const float of_size = size == 1 ? 1.0F : of_most;  // to an infinite power, too

  const bool whole = trunc(y) == y;
  const bool odd = whole && trunc(0.5F * y) != 0.5F * y;
  const float with_sign = odd ? copysign(of_size, x) : of_size;
  const bool undefined = x < 0 && size < kInf<float> && !whole;
  const float of_numbers = undefined ? kNaN<float> : with_sign;
  const float result = x != x || y != y ? x + y : of_numbers;
  return x == 1 || y == 0 ? 1.0F : result;
}

inline double log2(double x) { return std::log2(x); }
inline double log10(double x) { return std::log10(x); }
inline double asinh(double x) { return std::asinh(x); }
inline double acosh(double x) { return std::acosh(x); }
inline double atanh(double x) { return std::atanh(x); }
inline double pow(double x, double y) { return std::pow(x, y); }

}  // namespace versant::isa::VERSANT_ISA
