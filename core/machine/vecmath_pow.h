// Vector math, powers: x^y = 2^(y log2 |x|).
//
// float32 in double. float64 with the logarithm in two doubles, which takes fused multiply-adds; without them
// the C library's pow.
#pragma once

#include "machine/vecmath_exp.h"
#include "machine/vecmath_log.h"

namespace versant::isa::VERSANT_ISA {

// x^y, given |x|^y for positive finite |x| and moderate exponents y log2 |x|, and the exponent: the sign and
// the cases of IEEE 754 9.2.1.
template <class T>
T pow_with_edges(T x, T y, T inner, T exponent) {
  constexpr T highest = std::numeric_limits<T>::max_exponent;
  constexpr T lowest = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits - 2;
  const T size = abs(x);
  const T capped = exponent > highest ? kInf<T> : inner;
  const T of_finite = exponent < lowest ? T(0) : capped;
  const T of_ends = (size == 0) == (y < 0) ? kInf<T> : T(0);
  const T of_most = size == 0 || size == kInf<T> ? of_ends : of_finite;
  const T of_size = size == 1 ? T(1) : of_most;  // to an infinite power, too

  const bool whole = trunc(y) == y;
  const bool odd = whole && trunc(T(0.5) * y) != T(0.5) * y;
  const T with_sign = odd ? copysign(of_size, x) : of_size;
  const bool undefined = x < 0 && size < kInf<T> && !whole;
  const T of_numbers = undefined ? kNaN<T> : with_sign;
  const T result = x != x || y != y ? x + y : of_numbers;
  return x == 1 || y == 0 ? T(1) : result;
}

inline float pow(float x, float y) {
  const Mantissa split = split_mantissa(static_cast<double>(abs(x)));
  const double p = static_cast<double>(y) * fused(log_of_mantissa(split.f), kLog2e, split.e);
  const double shifted = p + kRounder<double>;
  const double r = p - (shifted - kRounder<double>);
  const double q =
      horner(r, 0.6931471838364771, 0.24022650922136402, 0.05550400333081353, 0.00961805663012887,
             0.0013341967966840115, 0.0001546148346040272, 1.3359843384997911e-05);
  const double power = power_of_two(shifted);
  return pow_with_edges(x, y, static_cast<float>(fused(power * r, q, power)), static_cast<float>(p));
}

// a * b in two parts, exact.
inline Sum<double> exact_product(double a, double b) {
  const double high = a * b;
  return {high, fused(a, b, -high)};
}
inline Sum<double> product(Sum<double> a, Sum<double> b) {
  const Sum<double> high = exact_product(a.high, b.high);
  return {high.high, high.low + fused(a.high, b.low, a.low * b.high)};
}

// log2(x) for x > 0 to about 65 bits: log(1 + f) = s (2 + 2/3 s^2 + s^4 p(s^2)) with the first two terms in
// two parts.
inline Sum<double> log2_parts(double x) {
  const Mantissa split = split_any(x);
  const Sum<double> quotient = quotient_parts(Sum<double>{split.f, 0}, fast_sum(2.0, split.f));
  const Sum<double> s = fast_sum(quotient.high, quotient.low);
  const Sum<double> z = product(s, s);
  const Sum<double> third = product(z, {0x1.5555555555555p-1, 0x1.5555555555555p-55});
  const double p = horner(z.high, 0.4000000000000227, 0.2857142857009193, 0.22222222521348292,
                          0.18181784237483148, 0.15386763513860513, 0.13256669196044948, 0.1319774729920313);
  const Sum<double> sum = fast_sum(2.0, third.high);
  const Sum<double> logarithm = product(s, {sum.high, sum.low + fused(z.high * z.high, p, third.low)});
  const Sum<double> binary = product(logarithm, {kLog2e, 0x1.777d0ffda0d24p-56});
  const Sum<double> total = fast_sum(split.e, binary.high);
  return fast_sum(total.high, total.low + binary.low);
}

inline double pow(double x, double y) {
  if constexpr (!kFma) return y == 0 ? 1.0 : std::pow(x, y);
  const Sum<double> p = product(log2_parts(abs(x)), {y, 0});
  const double shifted = p.high + kRounder<double>;
  const double n = p.high - (shifted - kRounder<double>);
  const Sum<double> r = exact_product(n, kLn2);
  const Sum<double> rest = fast_sum(r.high, r.low + fused(n, 2.3190468138462996e-17, p.low * kLn2));
  const ExpParts<double> parts = exp_parts(rest.high, rest.low);
  return pow_with_edges(x, y, scale(parts.head + parts.tail, shifted), p.high);
}

}  // namespace versant::isa::VERSANT_ISA
