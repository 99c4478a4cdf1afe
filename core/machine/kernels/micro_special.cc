// Micro-ops of the error, gamma and Bessel functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_bessel.h"
#include "machine/vecmath_erf.h"
#include "machine/vecmath_gamma.h"

namespace versant::isa::VERSANT_ISA {

void fill_special(Kernels& k) {
  open_singles(k, Micro::Erf, [](auto x) { return erf(x); });
  floats(k, Micro::Erfc, [](auto x) { return erfc(x); });
  floats(k, Micro::Erfinv, [](auto x) { return erfinv(x); });
  floats(k, Micro::Erfcx, [](auto x) { return erfcx(x); });
  floats(k, Micro::Lgamma, [](auto x) { return lgamma(static_cast<double>(x)); });
  floats(k, Micro::Digamma, [](auto x) { return digamma(static_cast<double>(x)); });
  floats(k, Micro::Polygamma,
         [](auto n, auto x) { return polygamma(static_cast<double>(n), static_cast<double>(x)); });
  floats(k, Micro::Zeta, [](auto s, auto q) { return zeta(static_cast<double>(s), static_cast<double>(q)); });
  floats(k, Micro::I0, [](auto x) { return bessel<0>(static_cast<double>(x)); });
  floats(k, Micro::I0e, [](auto x) { return scaled_bessel<0>(static_cast<double>(x)); });
  floats(k, Micro::I1, [](auto x) { return bessel<1>(static_cast<double>(x)); });
  floats(k, Micro::I1e, [](auto x) { return scaled_bessel<1>(static_cast<double>(x)); });
}

}  // namespace versant::isa::VERSANT_ISA
