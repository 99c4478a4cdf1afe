// Vector math, logarithms: log, log2, log10, log1p, asinh, acosh, atanh.
//
// float32: log in float arithmetic, the others in double.
#pragma once

#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

// What a logarithm gives where the number is not positive and finite.
template <class T>
T log_edges(T x, T y) {
  const T no_number = choose(x < 0, T(kNaN<T>), x);  // infinity and NaN are their own logarithm
  const T edge = choose(x == 0, T(-kInf<T>), no_number);
  return choose((x > 0) & (x < kInf<T>), y, edge);
}

template <Single F>
inline F log(F x) {
  const auto small = x < std::numeric_limits<float>::min();
  const F scaled = choose(small, x * 0x1p23F, x);
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2))
  constexpr float root_half = 0x1.6a09e6p-1F;  // 0x3f3504f3
  const auto split = bits_of(scaled) - bits_of(choose(small, F(root_half * 0x1p23F), F(root_half)));
  const F e = to_number(as_signed(split) >> 23);
  const F f = from_bits((split & 0x7fffffU) + 0x3f3504f3U) - 1;
  const F p = horner(f, 0.333333135F, -0.250001669F, 0.200022236F, -0.166593671F, 0.142095715F, -0.125497445F,
                     0.121088773F, -0.109158747F, 0.0533790812F);
  // f - f^2 / 2 + f^3 p, and e ln 2 in two parts
  const F square = f * f;
  const F tail = fused(e, F(kLn2Low<F>), fused(square * f, p, -0.5F * square));
  return log_edges(x, fused(e, F(kLn2High<F>), f + tail));
}

// log(1 + f) for f from sqrt(1/2) - 1 to sqrt(2) - 1, as 2 atanh(s) = s (2 + s^2 p(s^2)), s = f / (2 + f).
inline double log_of_mantissa(double f) {
  const double s = f / (2 + f);
  const double z = s * s;
  const double p = horner(z, 0.6666666667584649, 0.3999999560463422, 0.28572111148221074, 0.2217609908363556,
                          0.1958552866901427);
  return s * fused(z, p, 2.0);
}

template <class F>
struct MantissaOf {
  F e;
  F f;  // x = (1 + f) * 2^e
};
using Mantissa = MantissaOf<double>;

// For normal positive doubles, so for every positive float.
template <Double F>
inline MantissaOf<F> split_mantissa(F x) {
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd;
  const auto biased = bits_of(x) + (0x3ff0000000000000 - root_half);
  const F e = from_bits(biased >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
  const F m = from_bits((biased & 0xfffffffffffff) + root_half);
  return {e, m - 1};
}

// log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + R) to the accuracy of double, s = f / (2 + f) (as in FreeBSD's
// e_log.c).
template <class F>
struct WideLog {
  F half_square;  // f^2 / 2
  F tail;         // s (f^2 / 2 + R)
};
template <Double F>
inline WideLog<F> wide_log(F f) {
  const F s = f / (2 + f);
  const F z = s * s;
  const F rest = z * horner(z, 0.6666666666666735, 0.3999999999941109, 0.2857142874326269, 0.2222219847598521,
                            0.18183569739853522, 0.15313903245641833, 0.14797507719057545);
  const F half_square = 0.5 * f * f;
  return {half_square, s * (half_square + rest)};
}

// log((1 + f) * 2^e) + c, c being tiny.
template <Double F>
inline F log_of_split(MantissaOf<F> split, F c) {
  const WideLog<F> parts = wide_log(split.f);
  const F tail = parts.tail + fused(split.e, F(kLn2Low<F>), c);
  return fused(split.e, F(kLn2High<F>), split.f - (parts.half_square - tail));
}

// For positive doubles, subnormals too.
template <Double F>
inline MantissaOf<F> split_any(F x) {
  const auto small = x < std::numeric_limits<double>::min();
  const MantissaOf<F> split = split_mantissa(choose(small, x * 0x1p54, x));
  return {split.e - choose(small, F(54), F(0)), split.f};
}

template <Double F>
inline F log(F x) {
  return log_edges(x, log_of_split(split_any(x), F(0)));
}

// log(x) / log(base): the logarithm of the mantissa in a short and a small part, times 1 / log(base) in such
// parts.
inline double log_to_base(double x, double inverse_high, double inverse_low, double two_high,
                          double two_low) {
  const Mantissa split = split_any(x);
  const WideLog<double> parts = wide_log(split.f);
  const double high = from_bits(bits_of(split.f - parts.half_square) & 0xffffffff00000000);
  const double low = split.f - high - parts.half_square + parts.tail;
  const double of_high = high * inverse_high;
  const double of_low = (low + high) * inverse_low + low * inverse_high;
  const double exponent = split.e * two_high;
  const double sum = exponent + of_high;
  const double lost = exponent - sum + of_high;
  return log_edges(x, sum + (lost + (of_low + split.e * two_low)));
}
inline double log2(double x) { return log_to_base(x, 0x1.71547652p+0, 0x1.705fc2eefa200p-33, 1, 0); }
inline double log10(double x) {
  return log_to_base(x, 0x1.bcb7b15p-2, 0x1.37287195355bbp-33, 0x1.34413509f4p-2, 0x1.cff7988f8959bp-41);
}

// log(1 + x) + e log 2 for x > -1 where 1 + x is normal: what 1 + x loses is put back.
inline double log1p_inner(double x, double e) {
  const double sum = 1 + x;
  const double lost = x > 1 ? 1 - (sum - x) : x - (sum - 1);
  const Mantissa split = split_mantissa(sum);
  return log_of_split(Mantissa{split.e + e, split.f}, lost / sum);
}

inline double log1p(double x) {
  const double edge = x == -1 ? -kInf<double> : x < -1 ? kNaN<double> : x;
  return x > -1 && x < kInf<double> && abs(x) >= 0x1p-54 ? log1p_inner(x, 0) : edge;
}

// log(1 + t), t = 2 |x| / (1 - |x|)
inline double atanh(double x) {
  const double size = abs(x);
  const double t = quotient(Sum<double>{2 * size, 0}, fast_sum(1.0, -size));
  const double edge = size == 1 ? kInf<double> : kNaN<double>;
  const double y = size < 0x1p-28 ? size : 0.5 * log1p_inner(t, 0);
  return copysign(size < 1 ? y : edge, x);
}

// log(1 + t), t = |x| + x^2 / (1 + sqrt(x^2 + 1)); for large |x| log(|x|) + log(2).
inline double asinh(double x) {
  const double size = abs(x);
  const double square = size * size;
  const bool large = size > 0x1p60;
  const double t = size + square / (1 + sqrt(square + 1));
  const double y = log1p_inner(large ? size : t, large ? 1 : 0);
  const double of_normal = size < 0x1p-28 ? size : y;
  return copysign(size < kInf<double> ? of_normal : size, x);
}

inline double acosh(double x) {
  const double above = x - 1;
  const bool large = x > 0x1p60;
  const double t = above + sqrt(above * (above + 2));
  const double y = log1p_inner(large ? x : t, large ? 1 : 0);
  const double edge = x < 1 ? kNaN<double> : x;
  return x >= 1 && x < kInf<double> ? y : edge;
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

}  // namespace versant::isa::VERSANT_ISA
