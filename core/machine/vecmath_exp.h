// Vector math, exponentials: exp, exp2, expm1, sinh, cosh, tanh, sigmoid.
//
// float32: exp, exp2, tanh and sigmoid in float arithmetic, the others in double. float64: sinh and cosh from
// the C library, the others here (within 1 ulp, tanh and sigmoid within 2). Polynomials are minimax fits
// (Remez), their error below a tenth of a unit in the last place.
#pragma once

#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

inline constexpr double kLog2e = 1.4426950408889634;
inline constexpr double kLn2 = 0.6931471805599453;

// ln 2 in two parts. The high one is short, so its product with an exponent is exact.
template <class F>
inline constexpr Number<F> kLn2High = sizeof(Number<F>) == 4 ? 0x1.62e4p-1 : 0x1.62e42fefa3800p-1;
template <class F>
inline constexpr Number<F> kLn2Low = sizeof(Number<F>) == 4 ? 1.42860677e-06F : 0x1.ef35793c76730p-45;

// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, to the accuracy of T
template <Single F>
inline F exp_tail(F r) {
  return horner(r, 0.49999994F, 0.166665167F, 0.0416682512F, 0.00836909469F, 0.00138171366F);
}
template <Double F>
inline F exp_tail(F r) {
  return horner(r, 0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321608,
                0.0013888888888962906, 0.00019841269886207772, 2.4801587171833763e-05, 2.755724410433858e-06,
                2.7557402947651567e-07, 2.5109081355739706e-08, 2.087532649068639e-09);
}

// x = n ln 2 + r + lost
template <class T>
struct ExpReduced {
  T r;
  T lost;     // what r lost in rounding
  T shifted;  // kRounder + n
};

template <class T>
ExpReduced<T> exp_reduced(T x) {
  const T shifted = fused(x, static_cast<T>(kLog2e), kRounder<T>);
  const T n = shifted - kRounder<T>;
  const T high = fused(n, -kLn2High<T>, x);
  const T r = fused(n, -kLn2Low<T>, high);
  return {r, fused(n, -kLn2Low<T>, high - r), shifted};
}

// exp(r + lost) = head + tail, good to a few bits more than T has.
template <class T>
struct ExpParts {
  T head;
  T tail;
};

template <class T>
ExpParts<T> exp_parts(T r, T lost) {
  const T head = 1 + r;
  return {head, fused(r * r, exp_tail(r), ((1 - head) + r) + lost)};
}

// exp(x) within 0.7 ulp, where the result is neither subnormal nor infinite.
template <class T>
T exp_inner(T x) {
  const ExpReduced<T> reduced = exp_reduced(x);
  const ExpParts<T> parts = exp_parts(reduced.r, reduced.lost);
  return (parts.head + parts.tail) * power_of_two(reduced.shifted);
}

// exp(x) within 1 ulp in the same range, for less.
template <Single F>
inline F exp_between(F x) {
  const ExpReduced<F> reduced = exp_reduced(x);
  return (1 + fused(reduced.r * reduced.r, exp_tail(reduced.r), reduced.r)) * power_of_two(reduced.shifted);
}

// Far outside the reduction gives any number, and a choice at the end repairs that: it costs less than to
// clamp x first.
template <Single F>
inline F exp(F x) {
  const ExpReduced<F> reduced = exp_reduced(x);
  const F y = scale(1 + fused(reduced.r * reduced.r, exp_tail(reduced.r), reduced.r), reduced.shifted);
  const F capped = choose(x > 89, F(kInf<F>), y);
  return choose(x < -104, F(0), capped);
}
template <Double F>
inline F exp(F x) {
  const ExpReduced<F> reduced = exp_reduced(x);
  const ExpParts<F> parts = exp_parts(reduced.r, reduced.lost);
  const F y = scale(parts.head + parts.tail, reduced.shifted);
  const F capped = choose(x > 710, F(kInf<F>), y);
  return choose(x < -746, F(0), capped);
}

template <Single F>
inline F exp2(F x) {
  const F shifted = x + kRounder<F>;
  const F r = x - (shifted - kRounder<F>);
  const F q =
      horner(r, 0.693147242F, 0.240226552F, 0.0555027276F, 0.00961706508F, 0.0013417853F, 0.0001582322F);
  const F y = scale(fused(r, q, F(1)), shifted);
  const F capped = choose(x >= 128, F(kInf<F>), y);
  return choose(x < -150, F(0), capped);
}
template <Double F>
inline F exp2(F x) {
  const F shifted = x + kRounder<F>;
  const F n = x - (shifted - kRounder<F>);
  const F r = n * kLn2;
  const F lost = kFma ? fused(n, kLn2, -r) + n * 2.3190468138462996e-17 : F(0);
  const ExpParts<F> parts = exp_parts(r, lost);
  const F y = scale(parts.head + parts.tail, shifted);
  const F capped = choose(x >= 1024, F(kInf<F>), y);
  return choose(x < -1075, F(0), capped);
}

// exp(r) - 1 for |r| <= ln(2) / 2 in double, to the accuracy of float.
inline double expm1_of_rest(double r) {
  const double q =
      horner(r, 0.5000000000105753, 0.1666666675694132, 0.041666665958041006, 0.008333288371577537,
             0.0013888993650742825, 0.0001990532405018381, 2.478763223019747e-05);
  return fused(r * r, q, r);
}

// For float results, |x| <= 700.
inline double exp_for_float(double x) {
  const ExpReduced<double> reduced = exp_reduced(x);
  const double power = power_of_two(reduced.shifted);
  return fused(power, expm1_of_rest(reduced.r), power);
}
inline double expm1_for_float(double x) {
  const ExpReduced<double> reduced = exp_reduced(x);
  const double power = power_of_two(reduced.shifted);
  return fused(power, expm1_of_rest(reduced.r), power - 1);
}

inline float expm1(float x) {
  const auto y = static_cast<float>(expm1_for_float(static_cast<double>(x)));
  const float of_moderate = x == 0 ? x : y;
  const float capped = x > 89 ? kInf<float> : of_moderate;
  return x < -18 ? -1.0F : capped;
}

// expm1(x) / 4 in two parts: 2^n (1 + r + r^2 q) - 1 as (2^n - 1) + 2^n r, whose rounding error is kept, and
// the rest; a quarter, since 2^n alone may be infinite.
template <Double F>
inline Sum<F> quarter_expm1(F x) {
  const ExpReduced<F> reduced = exp_reduced(x);
  const F quarter = power_of_two(reduced.shifted - 2);
  const Sum<F> sum = fast_sum(quarter - 0.25, quarter * reduced.r);
  const F rest = fused(reduced.r * reduced.r, exp_tail(reduced.r), reduced.lost);
  return {sum.high, fused(quarter, rest, sum.low)};
}

template <Double F>
inline F expm1(F x) {
  const Sum<F> parts = quarter_expm1(x);
  const F of_moderate = choose(abs(x) < 0x1p-54, x, 4 * (parts.high + parts.low));
  const F capped = choose(x > 710, F(kInf<F>), of_moderate);
  return choose(x < -40, F(-1), capped);
}

inline float sinh(float x) {
  const double e = expm1_for_float(static_cast<double>(at_most(abs(x), 100.0F)));
  return copysign(static_cast<float>(0.5 * (e + e / (e + 1))), x);
}

// (e + e / (e + 1)) / 2, e = expm1(|x|)
inline double sinh(double x) {
  const double size = at_most(abs(x), 710.6);  // where it is infinite and a quarter of the power is not yet
  const Sum<double> parts = quarter_expm1(size);
  const double half = 2 * (parts.high + parts.low);
  const Sum<double> sum = fast_sum(2 * parts.high, half / (2 * half + 1));
  const double y = sum.high + (sum.low + 2 * parts.low);
  const double of_finite = half < kInf<double> ? y : half;
  return copysign(size < 0x1p-30 ? size : of_finite, x);
}

inline float cosh(float x) {
  const double e = exp_for_float(static_cast<double>(at_most(abs(x), 100.0F)));
  return static_cast<float>(0.5 * (e + 1 / e));
}

// h + 1 / (4 h), h = exp(|x|) / 2
inline double cosh(double x) {
  const ExpReduced<double> reduced = exp_reduced(at_most(abs(x), 712.0));
  const ExpParts<double> parts = exp_parts(reduced.r, reduced.lost);
  const double half = scale(parts.head + parts.tail, reduced.shifted - 1);
  return half + 0.25 / half;
}

// Near 0 an odd polynomial, elsewhere 1 - 2 / (exp(2 |x|) + 1).
template <Single F>
inline F tanh(F x) {
  const F size = abs(x);
  const F z = size * size;
  const F p = horner(z, -0.333332926F, 0.133316547F, -0.0537539423F, 0.0206782389F, -0.00574308215F);
  const F small = fused(size * z, p, size);
  const F e = exp_between(2 * at_most(size, 10.0F));
  const F large = 1 - 2 / (e + 1);
  return copysign(choose(size < 0.625F, small, large), x);
}

// e / (e + 2), e = expm1(2 |x|)
template <Double F>
inline F tanh(F x) {
  const F size = abs(x);
  const Sum<F> parts = quarter_expm1(2 * at_most(size, 22.0));
  const Sum<F> e = fast_sum(4 * parts.high, 4 * parts.low);
  const F sum = e.high + 2;
  const F lost = choose(e.high > 2, e.high - sum + 2, 2 - sum + e.high) + e.low;
  const F y = quotient(e, Sum<F>{sum, lost});
  return copysign(choose(size < 0x1p-30, size, y), x);
}

// exp(x) for x <= 0: as above, but all powers are at most 1, so that one constant keeps them normal.
template <Single F>
inline F exp_of_negative(F x) {
  const ExpReduced<F> reduced = exp_reduced(x);
  const F power = from_bits((bits_of(reduced.shifted) + 127 + 64) << 23);
  const F y = (1 + fused(reduced.r * reduced.r, exp_tail(reduced.r), reduced.r)) * power * 0x1p-64F;
  return choose(x < -104, F(0), y);
}
template <Double F>
inline F exp_of_negative(F x) {
  return exp(x);
}

// 1 / (1 + e) or e / (1 + e), e = exp(-|x|), corrected by the remainder. Without fused multiply-adds float
// goes through double.
template <class T>
T sigmoid(T x) {
  const T e = exp_of_negative(-abs(x));
  const T above = choose(x < 0, e, T(1));
  if constexpr (!kFma) return static_cast<T>(static_cast<double>(above) / (1 + static_cast<double>(e)));
  const Sum<T> below = fast_sum(T(1), e);
  const T inverse = 1 / below.high;
  const T first = above * inverse;
  return fused(fused(-first, below.low, fused(-first, below.high, above)), inverse, first);
}

}  // namespace versant::isa::VERSANT_ISA
