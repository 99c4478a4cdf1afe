// Vector math, error functions: erf, erfc, erfinv.
//
// float32: erf in float arithmetic, erfc and erfinv in double. float64: erf and erfc from the C library,
// erfinv here (a few 1e-16 relative).
#pragma once

#include "machine/vecmath_exp.h"
#include "machine/vecmath_log.h"

namespace versant::isa::VERSANT_ISA {

// Near 0 an odd polynomial, elsewhere 1 - exp(p(|x|)); from 4 on the nearest float is 1.
inline float erf(float x) {
  const float size = abs(x);
  const float z = size * size;
  const float p = horner(z, 0.128379166F, -0.376126289F, 0.112836227F, -0.0268553626F, 0.00519090286F,
                         -0.000802529219F, 7.85893062e-05F);
  const float small = fused(size, p, size);
  const float t = at_most(size, 4.0F);
  const float large = 1 - exp_inner(horner(t, -0.000133578171F, -1.12793612F, -0.636737227F, -0.104327492F,
                                           0.0224201921F, -0.0030922778F, 0.000200993556F));
  return copysign(size < 0.875F ? small : large, x);
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

// Halley's method on the above, or near 1 on the asymptotic form: on erf in the middle, on erfc where 1 - |x|
// is small.
inline double erfinv(double x) {
  constexpr double half_root_pi = 0.88622692545275801365;
  const double size = abs(x);
  if (!(size < 1)) return size == 1 ? copysign(kInf<double>, x) : kNaN<double>;
  if (size < 1e-9) return x * half_root_pi;
  const double rest = 1 - size;
  const bool far = rest < 0x1p-24;
  double y = 0;
  if (far) {
    const double w = -std::log(rest);
    y = sqrt(w - 0.5 * std::log(kPi * w));
  } else {
    y = erfinv_for_float(size);
  }
  for (int step = far ? 2 : 1; step > 0; --step) {
    const double miss = size < 0.5 ? std::erf(y) - size : rest - std::erfc(y);
    const double newton = miss * half_root_pi * std::exp(y * y);
    y -= newton / (1 + y * newton);
  }
  return copysign(y, x);
}

inline double erf(double x) { return std::erf(x); }
inline double erfc(double x) { return std::erfc(x); }

}  // namespace versant::isa::VERSANT_ISA
