// Micro-ops of circular functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_trig.h"

namespace versant::isa::VERSANT_ISA {

// The reduction of the fast functions is exact up to kReducible; beyond, the C library's double function,
// rounded once.
template <double (*f)(double)>
struct Unreduced {
  static bool rare(float x) { return abs(x) > kReducible; }
  static float slow(float x) { return static_cast<float>(f(static_cast<double>(x))); }
};

void fill_trigonometric(Kernels& k) {
  floats(k, Micro::Sin, with_rare<Unreduced<std::sin>>([](float x) { return sin(x); }),
         [](double x) { return std::sin(x); });
  floats(k, Micro::Cos, with_rare<Unreduced<std::cos>>([](float x) { return cos(x); }),
         [](double x) { return std::cos(x); });
  floats(k, Micro::Tan, with_rare<Unreduced<std::tan>>([](float x) { return tan(x); }),
         [](double x) { return std::tan(x); });
  floats(
      k, Micro::Asin, [](float x) { return asin(x); }, [](double x) { return std::asin(x); });
  floats(
      k, Micro::Acos, [](float x) { return acos(x); }, [](double x) { return std::acos(x); });
  floats(
      k, Micro::Atan, [](float x) { return atan(x); }, [](double x) { return std::atan(x); });
  floats(
      k, Micro::Atan2, [](float y, float x) { return atan2(y, x); },
      [](double y, double x) { return std::atan2(y, x); });
  floats(
      k, Micro::Hypot, [](float x, float y) { return hypot(x, y); },
      [](double x, double y) { return std::hypot(x, y); });
}

}  // namespace versant::isa::VERSANT_ISA
