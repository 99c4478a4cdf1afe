// Micro-ops of the error and gamma functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_erf.h"
#include "machine/vecmath_gamma.h"

namespace versant::isa::VERSANT_ISA {

void fill_special(Kernels& k) {
  floats(k, Micro::Erf, [](auto x) { return erf(x); });
  floats(k, Micro::Erfc, [](auto x) { return erfc(x); });
  floats(k, Micro::Erfinv, [](auto x) { return erfinv(x); });
  floats(k, Micro::Lgamma, [](auto x) { return lgamma(static_cast<double>(x)); });
  floats(k, Micro::Digamma, [](auto x) { return digamma(static_cast<double>(x)); });
  floats(k, Micro::Polygamma,
         [](auto n, auto x) { return polygamma(static_cast<double>(n), static_cast<double>(x)); });
}

}  // namespace versant::isa::VERSANT_ISA
