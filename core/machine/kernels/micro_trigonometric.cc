// Micro-ops of circular functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

// The float32 functions take the double function of the C library and round once.
template <double (*f)(double)>
void wide(Kernels& k, Micro op) {
  floats(k, op, [](auto x) { return f(static_cast<double>(x)); });
}

void fill_trigonometric(Kernels& k) {
  wide<std::sin>(k, Micro::Sin);
  wide<std::cos>(k, Micro::Cos);
  wide<std::tan>(k, Micro::Tan);
  wide<std::asin>(k, Micro::Asin);
  wide<std::acos>(k, Micro::Acos);
  wide<std::atan>(k, Micro::Atan);
  floats(k, Micro::Atan2,
         [](auto x, auto y) { return std::atan2(static_cast<double>(x), static_cast<double>(y)); });
  floats(k, Micro::Hypot,
         [](auto x, auto y) { return std::hypot(static_cast<double>(x), static_cast<double>(y)); });
}

}  // namespace versant::isa::VERSANT_ISA
