// Vector math: arithmetic of integers and floats, division and remainders, maximum and minimum.
#pragma once

#include "machine/kernels.h"
#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

// Integers wrap: arithmetic goes through the unsigned type.
inline std::int64_t wrapped(std::uint64_t x) { return static_cast<std::int64_t>(x); }
inline std::uint64_t raw(std::int64_t x) { return static_cast<std::uint64_t>(x); }

template <class T>
T neg(T x) {
  return -x;
}
inline std::int64_t neg(std::int64_t x) { return wrapped(0 - raw(x)); }

inline std::int64_t abs(std::int64_t x) { return x < 0 ? neg(x) : x; }

template <class T>
T sign(T x) {
  const T of_number = choose(x > 0, T(1), T(0)) - choose(x < 0, T(1), T(0));
  return choose(x != x, x, of_number);
}

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

template <class T>
T div(T x, T y) {
  return x / y;
}

// Where the quotient of floats is small enough, fmod is one exact fused multiply-add: the quotient, cut to an
// integer, is right or one too large. The C library serves large quotients and divisors that are 0, infinite
// or NaN.
template <class T>
bool has_large_quotient(T x, T y) {
  const T q = abs(x) / abs(y);
  return !kFma || !(q < (sizeof(T) == 4 ? T(0x1p22) : T(0x1p51)) && abs(y) < kInf<T>);
}
template <class T>
T fmod_of_small_quotient(T x, T y) {
  const T size = abs(y);
  const T r = fused(-trunc(abs(x) / size), size, abs(x));
  return copysign(r < 0 ? r + size : r, x);
}
inline float fmod(float x, float y) { return __builtin_fmodf(x, y); }
inline double fmod(double x, double y) { return __builtin_fmod(x, y); }

// Python's remainder from C's: the sign of the divisor, of zero too.
template <class T>
T remainder_of(T r, T y) {
  const T moved = (r < 0) != (y < 0) ? r + y : r;
  return r == 0 ? copysign(r, y) : moved;
}

// Python's floor division, the quotient that goes with the remainder; x / 0 is what division gives.
template <class T>
T floordiv_of(T r, T x, T y) {
  const T q = (x - r) / y;
  const T lower = (r != 0) & ((r < 0) != (y < 0)) ? q - 1 : q;
  const T whole = floor(lower);
  const T nearest = lower - whole > T(0.5) ? whole + 1 : whole;
  const T of_finite = lower == 0 ? copysign(T(0), x / y) : nearest;
  return y == 0 ? x / y : of_finite;
}

inline std::int64_t pow(std::int64_t x, std::int64_t n) {
  if (n < 0) return x == 1 ? 1 : x == -1 ? ((n & 1) != 0 ? -1 : 1) : 0;
  std::uint64_t result = 1;
  for (std::uint64_t base = raw(x), e = raw(n); e != 0; e >>= 1, base *= base) {
    if ((e & 1) != 0) result *= base;
  }
  return wrapped(result);
}

// The greatest common divisor, by Euclid's algorithm; that of 0 and 0 is 0.
inline std::int64_t gcd(std::int64_t x, std::int64_t y) {
  std::uint64_t a = raw(abs(x)), b = raw(abs(y));
  while (b != 0) {
    const std::uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return wrapped(a);
}

inline std::int64_t shift_left(std::int64_t x, std::int64_t by) {
  return raw(by) > 63 ? 0 : wrapped(raw(x) << (raw(by) & 63));
}
inline std::int64_t shift_right(std::int64_t x, std::int64_t by) {
  return x >> (raw(by) > 63 ? 63 : raw(by));
}

// The next number after x towards y: the bits of numbers of one sign are ordered as the numbers are.
template <class T>
T nextafter(T x, T y) {
  const auto bits = bits_of(x);
  const T beside = from_bits((x < y) == (x > 0) ? bits + 1 : bits - 1);
  const T moved = x == 0 ? copysign(std::numeric_limits<T>::denorm_min(), y) : beside;
  const T settled = x == y ? y : moved;
  return x != x || y != y ? x + y : settled;
}

// IEEE 754-2019 maximum and minimum, and maximumNumber and minimumNumber. Of two zeros the sign decides: all
// bits of equal numbers are the same but that one.
template <class T>
T both(T x, T y) {
  return from_bits(bits_of(x) & bits_of(y));
}
template <class T>
T either(T x, T y) {
  return from_bits(bits_of(x) | bits_of(y));
}

// Chosen from either side, numbers that differ give the same bits twice; equal ones, and a NaN and a number,
// give both. Their bits together are a NaN where one is, and of two zeros the one that the sign asks for.
template <Single F>
F both_positive(F x, F y) {
  return from_bits((bits_of(x) & bits_of(y)) | ((bits_of(x) | bits_of(y)) & 0x7fffffffU));
}
template <Double F>
F both_positive(F x, F y) {
  return from_bits((bits_of(x) & bits_of(y)) | ((bits_of(x) | bits_of(y)) & 0x7fffffffffffffffU));
}
template <class T>
T max(T x, T y) {
  return both_positive(choose(y > x, y, x), choose(x > y, x, y));
}
template <class T>
T min(T x, T y) {
  return either(choose(y < x, y, x), choose(x < y, x, y));
}
template <class T>
T fmax(T x, T y) {
  const T larger = choose(x > y, x, y);
  const T settled = choose(x == y, both(x, y), larger);
  return choose(y != y, x, settled);
}
template <class T>
T fmin(T x, T y) {
  const T smaller = choose(x < y, x, y);
  const T settled = choose(x == y, either(x, y), smaller);
  return choose(y != y, x, settled);
}
inline std::int64_t max(std::int64_t x, std::int64_t y) { return x > y ? x : y; }
inline std::int64_t min(std::int64_t x, std::int64_t y) { return x < y ? x : y; }
inline std::int64_t fmax(std::int64_t x, std::int64_t y) { return max(x, y); }
inline std::int64_t fmin(std::int64_t x, std::int64_t y) { return min(x, y); }

}  // namespace versant::isa::VERSANT_ISA
