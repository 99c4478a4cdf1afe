// Vector math, part one: the building blocks, and arithmetic, rounding and integer functions.
//
// Everything in vecmath*.h is a scalar function of float, double or int64 without branches or with branches
// that a vectoriser turns into selects. The headers are included by kernels only, once per instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "machine/dtype.h"
#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

template <class T>
inline constexpr T kInf = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();

inline std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline std::uint64_t bits_of(double x) { return __builtin_bit_cast(std::uint64_t, x); }
inline float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline double from_bits(std::uint64_t bits) { return __builtin_bit_cast(double, bits); }

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

// x between the bounds; NaN stays NaN.
template <class T>
T clamped(T x, T low, T high) {
  const T raised = x < low ? low : x;
  return raised > high ? high : raised;
}

// Integers wrap: arithmetic goes through the unsigned type.
inline std::int64_t wrapped(std::uint64_t x) { return static_cast<std::int64_t>(x); }
inline std::uint64_t raw(std::int64_t x) { return static_cast<std::uint64_t>(x); }

inline float neg(float x) { return -x; }
inline double neg(double x) { return -x; }
inline std::int64_t neg(std::int64_t x) { return wrapped(0 - raw(x)); }

inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
inline std::int64_t abs(std::int64_t x) { return x < 0 ? neg(x) : x; }

template <class T>
T sign(T x) {
  const T of_number = static_cast<T>(x > 0) - static_cast<T>(x < 0);
  return x != x ? x : of_number;
}

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
T add(T x, T y) {
  return x + y;
}
template <class T>
T sub(T x, T y) {
  return x - y;
}
template <class T>
T mul(T x, T y) {
  return x * y;
}
inline std::int64_t add(std::int64_t x, std::int64_t y) { return wrapped(raw(x) + raw(y)); }
inline std::int64_t sub(std::int64_t x, std::int64_t y) { return wrapped(raw(x) - raw(y)); }
inline std::int64_t mul(std::int64_t x, std::int64_t y) { return wrapped(raw(x) * raw(y)); }

inline std::int64_t divided_by_zero() {
  integer_zero_division.store(true, std::memory_order_relaxed);
  return 0;
}

// Division and remainder by -1 are negation and 0: the processor would trap on the lowest integer.
inline std::int64_t div(std::int64_t x, std::int64_t y) {
  if (y == 0) return divided_by_zero();
  return y == -1 ? neg(x) : x / y;
}
inline std::int64_t fmod(std::int64_t x, std::int64_t y) {
  if (y == 0) return divided_by_zero();
  return y == -1 ? 0 : x % y;
}
inline std::int64_t floordiv(std::int64_t x, std::int64_t y) {
  if (y == 0) return divided_by_zero();
  if (y == -1) return neg(x);
  const std::int64_t q = x / y;
  return q - static_cast<std::int64_t>(x % y != 0 && (x < 0) != (y < 0));
}
inline std::int64_t remainder(std::int64_t x, std::int64_t y) {
  if (y == 0) return divided_by_zero();
  if (y == -1) return 0;
  const std::int64_t r = x % y;
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

inline float div(float x, float y) { return x / y; }
inline double div(double x, double y) { return x / y; }
inline float fmod(float x, float y) { return __builtin_fmodf(x, y); }
inline double fmod(double x, double y) { return __builtin_fmod(x, y); }

// The remainder takes the divisor's sign, zero too; for a finite x and an infinite divisor of the other sign
// that is y.
template <class T>
T remainder(T x, T y) {
  const T r = fmod(x, y);
  if (r == 0) return copysign(r, y);
  return (r < 0) != (y < 0) ? r + y : r;
}

// Python's float floor division: the quotient that belongs to the remainder, so x = y * floordiv + remainder
// holds as well as it can; division by zero gives what x / y gives.
template <class T>
T floordiv(T x, T y) {
  if (y == 0) return x / y;
  const T r = fmod(x, y);
  T q = (x - r) / y;
  if (r != 0 && (r < 0) != (y < 0)) q -= 1;
  if (q == 0) return copysign(T(0), x / y);
  const T whole = floor(q);
  return q - whole > T(0.5) ? whole + 1 : whole;
}

inline std::int64_t pow(std::int64_t x, std::int64_t n) {
  if (n < 0) return x == 1 ? 1 : x == -1 ? ((n & 1) != 0 ? -1 : 1) : 0;
  std::uint64_t result = 1;
  for (std::uint64_t base = raw(x), e = raw(n); e != 0; e >>= 1, base *= base) {
    if ((e & 1) != 0) result *= base;
  }
  return wrapped(result);
}

inline std::int64_t shift_left(std::int64_t x, std::int64_t by) {
  return raw(by) > 63 ? 0 : wrapped(raw(x) << (raw(by) & 63));
}
inline std::int64_t shift_right(std::int64_t x, std::int64_t by) {
  return x >> (raw(by) > 63 ? 63 : raw(by));
}

// IEEE 754-2019 maximum and minimum, and maximumNumber and minimumNumber. Of two zeros the sign decides: all
// bits of equal numbers are the same but that one.
inline float both(float x, float y) { return from_bits(bits_of(x) & bits_of(y)); }
inline double both(double x, double y) { return from_bits(bits_of(x) & bits_of(y)); }
inline float either(float x, float y) { return from_bits(bits_of(x) | bits_of(y)); }
inline double either(double x, double y) { return from_bits(bits_of(x) | bits_of(y)); }

template <class T>
T max(T x, T y) {
  const T larger = x > y ? x : y;
  const T settled = x == y ? both(x, y) : larger;
  return x != x ? x : settled;
}
template <class T>
T min(T x, T y) {
  const T smaller = x < y ? x : y;
  const T settled = x == y ? either(x, y) : smaller;
  return x != x ? x : settled;
}
template <class T>
T fmax(T x, T y) {
  const T larger = x > y ? x : y;
  const T settled = x == y ? both(x, y) : larger;
  return y != y ? x : settled;
}
template <class T>
T fmin(T x, T y) {
  const T smaller = x < y ? x : y;
  const T settled = x == y ? either(x, y) : smaller;
  return y != y ? x : settled;
}
inline std::int64_t max(std::int64_t x, std::int64_t y) { return x > y ? x : y; }
inline std::int64_t min(std::int64_t x, std::int64_t y) { return x < y ? x : y; }
inline std::int64_t fmax(std::int64_t x, std::int64_t y) { return max(x, y); }
inline std::int64_t fmin(std::int64_t x, std::int64_t y) { return min(x, y); }

}  // namespace versant::isa::VERSANT_ISA
