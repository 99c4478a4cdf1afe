// Micro-ops of circular functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_trig.h"

namespace versant::isa::VERSANT_ISA {

// The reduction of the fast functions is exact up to kReducible; beyond, the C library's double function.
template <double (*library)(double), class Fast>
struct Reducible {
  template <class T>
  static bool rare(T x) {
    return abs(x) > kReducible<T>;
  }
  template <class T>
  static T fast(T x) {
    return Fast{}(x);
  }
  template <class T>
  static T slow(T x) {
    return static_cast<T>(library(static_cast<double>(x)));
  }
};
template <double (*library)(double), class Fast>
Reducible<library, Fast> reducible(Fast) {
  return {};
}

void fill_trigonometric(Kernels& k) {
  floats(k, Micro::Sin, reducible<std::sin>([](auto x) { return sin(x); }));
  floats(k, Micro::Cos, reducible<std::cos>([](auto x) { return cos(x); }));
  floats(k, Micro::Tan, reducible<std::tan>([](auto x) { return tan(x); }));
  floats(k, Micro::Asin, [](auto x) { return asin(x); });
  floats(k, Micro::Acos, [](auto x) { return acos(x); });
  floats(k, Micro::Atan, [](auto x) { return atan(x); });
  floats(k, Micro::Atan2, [](auto y, auto x) { return atan2(y, x); });
  floats(k, Micro::Hypot, [](auto x, auto y) { return hypot(x, y); });
}

}  // namespace versant::isa::VERSANT_ISA
