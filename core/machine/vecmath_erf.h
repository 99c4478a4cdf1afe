// Vector math, error functions: erf, erfc, erfcx, erfinv.
//
// float32: erf in float arithmetic, the others in double.
#pragma once

#include "machine/vecmath_exp.h"
#include "machine/vecmath_log.h"

namespace versant::isa::VERSANT_ISA {

// Near 0 an odd polynomial, elsewhere 1 - exp(p(|x|)); from 4 on the nearest float is 1.
template <Single F>
inline F erf(F x) {
  const F size = abs(x);
  const F z = size * size;
  const F p = horner(z, 0.128379166F, -0.376126289F, 0.112836227F, -0.0268553626F, 0.00519090286F,
                     -0.000802529219F, 7.85893062e-05F);
  const F small = fused(size, p, size);
  const F t = at_most(size, 4.0F);
  const F large = 1 - exp_between(horner(t, -0.000133578171F, -1.12793612F, -0.636737227F, -0.104327492F,
                                         0.0224201921F, -0.0030922778F, 0.000200993556F));
  return copysign(choose(size < 0.875F, small, large), x);
}

// For x >= 0: exp(-x^2) p(q) / (1 + 2x), q = (x - 3) / (x + 3) (Shepherd and Laframboise 1981); 0 from 10.2
// on. For x < 0: 2 - erfc(-x).
inline float erfc(float x) {
  const auto size = static_cast<double>(at_most(abs(x), 10.2F));
  const double q = (size - 3) / (size + 3);
  const double p =
      horner(q, 1.2530080592158548, -0.13562114013038212, -0.04756240968319415, 0.12964643361262768,
             -0.11927079520545811, 0.06829575064925623, -0.023798539218527974, 0.0025665591657802636,
             0.002003352908847349, -0.0007751156270873096, -0.0002671784264754726);
  const double right = exp_for_float(-size * size) * p / fused(size, 2.0, 1.0);
  return static_cast<float>(x < 0 ? 2 - right : right);
}

// The rounding error of x * x.
inline double square_error(double x, double square) {
  if constexpr (kFma) return fused(x, x, -square);
  const double shifted = 134217729 * x;  // 2^27 + 1: halves of 26 bits
  const double high = shifted - (shifted - x);
  const double low = x - high;
  return high * high - square + 2 * high * low + low * low;
}

// exp(x^2) erfc(x) to the accuracy of double for 0 <= x <= 27.3: p(q) / (1 + 2x), q = (x - 4) / (x + 4).
inline double erfcx_inner(double x) {
  const double q = (x - 4) / (x + 4);
  const double p =
      horner(q, 1.2329951186255526, -0.13962111684056286, 0.015379652102620139, 0.06809705425473354,
             -0.10103906603632354, 0.09373283499691457, -0.06633036581203909, 0.03716751556070027,
             -0.01619773405471984, 0.005031969770621074, -0.0007577733614271454, -0.00019925557959382033,
             0.00015062229014900524, -2.440295372828673e-05, -1.1224821433502813e-05, 5.717498310979025e-06,
             3.012732136063244e-07, -8.347659080538906e-07, 6.288830965587697e-08, 1.1516021260063787e-07,
             -7.842016816903977e-09, -1.3649985196502374e-08, -1.8001701599338184e-09);
  return p / fused(x, 2.0, 1.0);
}

// For x >= 0: 0 from 27.3 on. Within 3.5 ulp.
inline double erfc_of_positive(double x) {
  x = at_most(x, 27.3);
  const double square = x * x;
  const double scaled = erfcx_inner(x);
  return exp(-square) * fused(-scaled, square_error(x, square), scaled);
}

// For 0 <= x <= 1.
inline double erf_inner(double x) {
  const double z = x * x;
  const double p =
      horner(z, 0.1283791670955126, -0.3761263890318375, 0.11283791670954857, -0.026866170645072893,
             0.005223977624780864, -0.0008548326978742152, 0.00012055331036901129, -1.492559350698783e-05,
             1.6460972819311816e-06, -1.6350025252514475e-07, 1.465788007095652e-08, -1.13656669257668e-09,
             5.945263479613622e-11);
  return fused(x, p, x);
}

inline double erf(double x) {
  const double size = abs(x);
  return copysign(size < 1 ? erf_inner(size) : 1 - erfc_of_positive(size), x);
}
inline double erfc(double x) {
  const double size = abs(x);
  const double right = erfc_of_positive(size);
  const double inner = copysign(erf_inner(size), x);
  const double outer = x < 0 ? 2 - right : right;
  return size < 0.75 ? 1 - inner : outer;
}

// exp(x^2) erfc(x): from 27.3 on its asymptotic series (Abramowitz and Stegun 7.1.23); below 0 by
// 2 exp(x^2) - erfcx(-x).
inline double erfcx(double x) {
  constexpr double inverse_root_pi = 0.5641895835477563;
  const double size = abs(x);
  const double z = 1 / (size * size);
  const double far =
      inverse_root_pi / size * horner(z, 1.0, -0.5, 0.75, -1.875, 6.5625, -29.53125, 162.421875);
  const double right = size < 27.3 ? erfcx_inner(size) : far;
  const double square = x * x;
  const double twice = 2 * exp(square);
  const double left = twice < kInf<double> ? fused(twice, square_error(x, square), twice) - right : twice;
  return x < 0 ? left : right;
}
inline float erfcx(float x) { return static_cast<float>(erfcx(static_cast<double>(x))); }

// The inverse of erf for |x| < 1 to the accuracy of float, as far as 1 - 2^-24: x times a polynomial in
// w = -log(1 - x^2) below 5, in sqrt(w) above (the shape of Giles 2010).
inline double erfinv_for_float(double x) {
  const Mantissa split = split_mantissa((1 - x) * (1 + x));
  const double w = fused(split.e, -kLn2, -log_of_mantissa(split.f));
  const bool middle = w < 5;
  const double t = middle ? w - 2.5 : sqrt(w) - 3.25;
  const double p = horner(t, middle ? 1.501409353513708 : 3.083885606831792,
                          middle ? 0.24664028763205834 : 1.0052590027837147,
                          middle ? -0.0041773394133900205 : 0.005371180480960287,
                          middle ? -0.001252744656656123 : -0.0037519748836980535,
                          middle ? 0.0002182826397520132 : 0.0024883637315014037,
                          middle ? -4.9619139936183655e-06 : -0.0016834539065022729,
                          middle ? -3.4346146291539674e-06 : 0.0009660486351997741,
                          middle ? 4.658925160958651e-07 : -0.000368134857746729,
                          middle ? 1.8037609278489554e-08 : 1.0334352928409443e-06,
                          middle ? -8.772850172155961e-09 : 8.602668631602488e-05,
                          middle ? 3.3552063908895734e-10 : -2.9943809848203575e-05);
  return x * p;
}

inline float erfinv(float x) {
  const float edge = abs(x) == 1 ? copysign(kInf<float>, x) : kNaN<float>;
  return abs(x) < 1 ? static_cast<float>(erfinv_for_float(static_cast<double>(x))) : edge;
}

// The same, and for sqrt(w) from 3.9, as far as doubles below 1 go, a polynomial of its own; then a step of
// Halley's method on erf or, from 1/2 on, on erfc.
inline double erfinv(double x) {
  constexpr double half_root_pi = 0.8862269254527580;
  const double size = abs(x);
  const double rest = 1 - size;
  const double root = sqrt(-log(rest * (1 + size)));
  const double far = size * horner(root - 5, 4.849906719406673, 1.0102998746366025, -0.0001432520746410221,
                                   -0.0002125936569588311, 8.533123273816083e-05, -2.253442452536181e-05);
  const double start = rest < 0x1p-23 ? far : erfinv_for_float(size);
  const double miss = size < 0.5 ? erf_inner(start) - size : rest - erfc_of_positive(start);
  const double newton = miss * half_root_pi * exp(start * start);
  const double y = start - newton / (1 + start * newton);
  const double of_inner = size < 1e-9 ? size * half_root_pi : y;
  const double edge = size == 1 ? kInf<double> : kNaN<double>;
  return copysign(size < 1 ? of_inner : edge, x);
}

}  // namespace versant::isa::VERSANT_ISA
