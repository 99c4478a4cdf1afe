// Vector math: the building blocks.
//
// Everything in vecmath*.h is a scalar function of float, double or int64 without branches or with branches
// that a vectoriser turns into selects. The headers are included by kernels only, once per instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace versant::isa::VERSANT_ISA {

// What functions are applied to: numbers, or what stands for one where machine code is recorded (see
// code/recorded.h). Functions of which machine code is made are templates over both.
template <class F>
struct NumberOf {
  using Type = F;
};
template <class F>
using Number = typename NumberOf<F>::Type;
template <class F>
concept Single = std::is_same_v < Number<F>,
float > ;
template <class F>
concept Double = std::is_same_v < Number<F>,
double > ;

template <class F>
inline constexpr Number<F> kInf = std::numeric_limits<Number<F>>::infinity();
template <class F>
inline constexpr Number<F> kNaN = std::numeric_limits<Number<F>>::quiet_NaN();
inline constexpr double kPi = 3.141592653589793;

inline std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline std::uint64_t bits_of(double x) { return __builtin_bit_cast(std::uint64_t, x); }
inline float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline double from_bits(std::uint64_t bits) { return __builtin_bit_cast(double, bits); }
inline std::int32_t as_signed(std::uint32_t bits) { return static_cast<std::int32_t>(bits); }
inline std::uint32_t as_unsigned(std::int32_t x) { return static_cast<std::uint32_t>(x); }
inline float to_number(std::int32_t x) { return static_cast<float>(x); }

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

template <class T>
inline T choose(bool truth, T x, T y) {
  return truth ? x : y;
}

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
T horner(T, Number<T> c0) {
  return c0;
}
template <class T, class... Rest>
T horner(T x, Number<T> c0, Rest... rest) {
  return fused(horner(x, rest...), x, T(c0));
}

// Adding this rounds a number below half of it to an integer, which then stands in the low bits.
template <class F>
inline constexpr Number<F> kRounder = sizeof(Number<F>) == 4 ? 0x1.8p23 : 0x1.8p52;

// 2^n, given kRounder + n; n from -126 to 127, or from -1022 to 1023.
template <Single F>
inline F power_of_two(F shifted) {
  return from_bits((bits_of(shifted) + 127) << 23);
}
template <Double F>
inline F power_of_two(F shifted) {
  return from_bits((bits_of(shifted) + 1023) << 52);
}

// y * 2^n, given kRounder + n, rounded once for |n| up to twice the exponent range: y times two halves of the
// power.
template <Single F>
inline F scale(F y, F shifted) {
  const auto n = as_signed(bits_of(shifted) - bits_of(kRounder<float>));
  const auto half = n >> 1;
  return y * from_bits(as_unsigned(half + 127) << 23) * from_bits(as_unsigned(n - half + 127) << 23);
}
template <Double F>
inline F scale(F y, F shifted) {
  const auto n = bits_of(shifted) - bits_of(kRounder<double>) + 4096;  // positive: a logical shift halves it
  const auto half = n >> 1;
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
T at_most(T x, Number<T> high) {
  return choose(x > high, T(high), x);
}

}  // namespace versant::isa::VERSANT_ISA
