// Vector math: the building blocks.
//
// Everything in vecmath*.h is a scalar function of float, double or int64 without branches or with branches
// that a vectoriser turns into selects. The headers are included by kernels only, once per instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace versant::isa::VERSANT_ISA {

template <class T>
inline constexpr T kInf = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();
inline constexpr double kPi = 3.141592653589793;

inline std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline std::uint64_t bits_of(double x) { return __builtin_bit_cast(std::uint64_t, x); }
inline float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline double from_bits(std::uint64_t bits) { return __builtin_bit_cast(double, bits); }

inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline float ceil(float x) { return __builtin_ceilf(x); }
inline double ceil(double x) { return __builtin_ceil(x); }
inline float floor(float x) { return __builtin_floorf(x); }
inline double floor(double x) { return __builtin_floor(x); }
inline float trunc(float x) { return __builtin_truncf(x); }
inline double trunc(double x) { return __builtin_trunc(x); }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }

// Ties to even: the rounding mode is never changed.
inline float round(float x) { return __builtin_rintf(x); }
inline double round(double x) { return __builtin_rint(x); }

inline float copysign(float x, float y) { return __builtin_copysignf(x, y); }
inline double copysign(double x, double y) { return __builtin_copysign(x, y); }

// Whether a * b + c can be rounded once.
#if defined(__FMA__) || defined(__aarch64__)
inline constexpr bool kFma = true;
#else
inline constexpr bool kFma = false;
#endif

// a * b + c inside approximations: one rounding where the instruction set has it, two where not.
inline float fused(float a, float b, float c) {
  if constexpr (kFma) return __builtin_fmaf(a, b, c);
  return a * b + c;
}
inline double fused(double a, double b, double c) {
  if constexpr (kFma) return __builtin_fma(a, b, c);
  return a * b + c;
}

// The polynomial c0 + c1 x + c2 x^2 + ...
template <class T>
T horner(T, T c0) {
  return c0;
}
template <class T, class... Rest>
T horner(T x, T c0, Rest... rest) {
  return fused(horner(x, rest...), x, c0);
}

// Adding this rounds a number below half of it to an integer, which then stands in the low bits.
template <class T>
inline constexpr T kRounder = 0;
template <>
inline constexpr float kRounder<float> = 0x1.8p23F;
template <>
inline constexpr double kRounder<double> = 0x1.8p52;

// 2^n, given kRounder + n; n from -126 to 127, or from -1022 to 1023.
inline float power_of_two(float shifted) { return from_bits((bits_of(shifted) + 127) << 23); }
inline double power_of_two(double shifted) { return from_bits((bits_of(shifted) + 1023) << 52); }

// y * 2^n, given kRounder + n, rounded once for |n| up to twice the exponent range: y times two halves of the
// power.
inline float scale(float y, float shifted) {
  const auto n = static_cast<std::int32_t>(bits_of(shifted) - bits_of(kRounder<float>));
  const std::int32_t half = n >> 1;
  return y * from_bits(static_cast<std::uint32_t>(half + 127) << 23) *
         from_bits(static_cast<std::uint32_t>(n - half + 127) << 23);
}
inline double scale(double y, double shifted) {
  const std::uint64_t n =
      bits_of(shifted) - bits_of(kRounder<double>) + 4096;  // positive: a logical shift halves it
  const std::uint64_t half = n >> 1;
  return y * from_bits((half - 2048 + 1023) << 52) * from_bits((n - half - 2048 + 1023) << 52);
}

// A number in two parts, the second a rounding error of the first.
template <class T>
struct Sum {
  T high;
  T low;
};

// a + b for |a| >= |b| or a = 0, with the error of the addition.
template <class T>
Sum<T> fast_sum(T a, T b) {
  const T sum = a + b;
  return {sum, (a - sum) + b};
}

// a / b: a first quotient and the correction that the remainder asks for. Both added are nearly correctly
// rounded.
template <class T>
Sum<T> quotient_parts(Sum<T> a, Sum<T> b) {
  if constexpr (!kFma) return {a.high / b.high, 0};
  const T inverse = 1 / b.high;
  const T first = a.high * inverse;
  const T remainder = fused(-first, b.high, a.high) + fused(-first, b.low, a.low);
  return {first, remainder * inverse};
}
template <class T>
T quotient(Sum<T> a, Sum<T> b) {
  const Sum<T> parts = quotient_parts(a, b);
  return parts.high + parts.low;
}

// The smaller of both; NaN stays NaN.
template <class T>
T at_most(T x, T high) {
  return x > high ? high : x;
}

}  // namespace versant::isa::VERSANT_ISA
