// A Python number on its way into an op: weak in dtype promotion.
#pragma once

#include <cstdint>

#include "machine/dtype.h"

namespace versant {

struct Scalar {
  enum class Kind : uint8_t { Bool, Int, Float, Complex };

  Kind kind = Kind::Float;
  union {
    double f = 0.0;
    int64_t i;
  };
  double imaginary;  // of Complex, whose real part is `f`

  static Scalar of(double value) {
    Scalar s;
    s.f = value;
    return s;
  }
  static Scalar of_int(int64_t value) {
    Scalar s;
    s.kind = Kind::Int;
    s.i = value;
    return s;
  }
  static Scalar of_bool(bool value) {
    Scalar s = of_int(value);
    s.kind = Kind::Bool;
    return s;
  }
  static Scalar of_complex(double real, double imaginary) {
    Scalar s = of(real);
    s.kind = Kind::Complex;
    s.imaginary = imaginary;
    return s;
  }
  bool is_complex() const { return kind == Kind::Complex; }
  bool is_whole() const { return kind <= Kind::Int; }  // a bool or an int
  // The real part and the imaginary one, as numbers.
  Scalar real_part() const { return is_complex() ? of(f) : *this; }
  Scalar imaginary_part() const { return is_complex() ? of(imaginary) : of(0.0); }
  // Of complex numbers the real part.
  double as_double() const { return is_whole() ? static_cast<double>(i) : f; }
  // A float beyond the range of int64 saturates; NaN gives 0.
  int64_t as_int() const {
    if (is_whole()) return i;
    if (!(f == f)) return 0;
    if (f >= 9223372036854775808.0) return INT64_MAX;
    if (f <= -9223372036854775808.0) return INT64_MIN;
    return static_cast<int64_t>(f);
  }
};

}  // namespace versant
