// A Python number on its way into an op: weak in dtype promotion.
#pragma once

#include <cstdint>

#include "machine/dtype.h"

namespace versant {

struct Scalar {
  enum class Kind : uint8_t { Bool, Int, Float };

  Kind kind = Kind::Float;
  union {
    double f = 0.0;
    int64_t i;
  };

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
  double as_double() const { return kind == Kind::Float ? f : static_cast<double>(i); }
  // A float beyond the range of int64 saturates; NaN gives 0.
  int64_t as_int() const {
    if (kind != Kind::Float) return i;
    if (!(f == f)) return 0;
    if (f >= 9223372036854775808.0) return INT64_MAX;
    if (f <= -9223372036854775808.0) return INT64_MIN;
    return static_cast<int64_t>(f);
  }
};

}  // namespace versant
