// Micro-ops of the error and gamma functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath.h"
#include "machine/vecmath_special.h"

namespace versant::isa::VERSANT_ISA {

// The float32 functions take the double function and round once.
template <double (*f)(double)>
void wide(Kernels& k, Micro op) {
  floats(k, op, [](auto x) { return f(static_cast<double>(x)); });
}

void fill_special(Kernels& k) {
  wide<std::erf>(k, Micro::Erf);
  wide<std::erfc>(k, Micro::Erfc);
  wide<erfinv>(k, Micro::Erfinv);
  wide<lgamma>(k, Micro::Lgamma);
  wide<digamma>(k, Micro::Digamma);
  floats(k, Micro::Polygamma,
         [](auto n, auto x) { return polygamma(static_cast<double>(n), static_cast<double>(x)); });
}

}  // namespace versant::isa::VERSANT_ISA
