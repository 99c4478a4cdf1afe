// Micro-ops of the error, gamma and Bessel functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_bessel.h"
#include "machine/vecmath_erf.h"
#include "machine/vecmath_gamma.h"
#include "machine/vecmath_incomplete.h"

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
  floats(k, Micro::Gammainc,
         [](auto a, auto x) { return gammainc(static_cast<double>(a), static_cast<double>(x)); });
  floats(k, Micro::Gammaincc,
         [](auto a, auto x) { return gammaincc(static_cast<double>(a), static_cast<double>(x)); });
  floats(k, Micro::GammaSlope,
         [](auto a, auto x) { return gamma_slope(static_cast<double>(a), static_cast<double>(x)); });
  floats(k, Micro::BetaSlope, [](auto x, auto a, auto b) {
    return beta_slope(static_cast<double>(x), static_cast<double>(a), static_cast<double>(b));
  });
  floats(k, Micro::I0, [](auto x) { return bessel<0>(static_cast<double>(x)); });
  floats(k, Micro::I0e, [](auto x) { return scaled_bessel<0>(static_cast<double>(x)); });
  floats(k, Micro::I1, [](auto x) { return bessel<1>(static_cast<double>(x)); });
  floats(k, Micro::I1e, [](auto x) { return scaled_bessel<1>(static_cast<double>(x)); });
}

}  // namespace versant::isa::VERSANT_ISA
