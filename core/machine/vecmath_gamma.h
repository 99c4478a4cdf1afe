// Vector math, gamma functions: lgamma, digamma, polygamma, zeta, in double.
//
// Accuracy of the double functions: a few 1e-15 relative, for digamma and polygamma away from their zeros
// (near a zero the error is a few 1e-16 absolute times the size of the terms that cancel).
#pragma once

#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

// log |gamma(x)|. The C library's lgamma writes a global; lgamma_r does not.
inline double lgamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// digamma(x) = d/dx log gamma(x). Reflection for x < 0, recurrence up to 10, then the asymptotic series
// log x - 1/(2x) - sum B_2k / (2k x^2k) (Abramowitz and Stegun 6.3.6, 6.3.7, 6.3.18). Minus and plus infinity
// at +0 and -0; NaN at the negative integers.
inline double digamma(double x) {
  if (x == 0) return copysign(kInf<double>, -x);
  double result = 0;
  if (x < 0) {
    const double part = x - round(x);  // exact, in [-1/2, 1/2]
    if (part == 0 || x == -kInf<double>) return kNaN<double>;
    result = -kPi / std::tan(kPi * part);
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  if (x > 1e17) return result + std::log(x);
  constexpr double series[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                               1.0 / 132, -691.0 / 32760, 1.0 / 12};
  const double z = 1 / (x * x);
  double sum = 0;
  for (int i = 6; i >= 0; --i) sum = z * (series[i] + sum);
  return result + (std::log(x) - 0.5 / x - sum);
}

// x^-s; small whole powers by products.
inline double inverse_power(double x, double s) {
  if (s > 8 || s != floor(s)) return std::pow(x, -s);
  double product = x;
  for (int i = 1; i < s; ++i) product *= x;
  return 1 / product;
}

// The Hurwitz zeta function sum over k >= 0 of (q + k)^-s, for s > 1 and q > 0: nine terms, then Euler and
// Maclaurin's formula (as in Cephes).
inline double hurwitz_zeta(double s, double q) {
  if (q == kInf<double>) return 0;
  double sum = 0;
  for (int k = 0; k < 9; ++k, q += 1) {
    const double term = inverse_power(q, s);
    sum += term;
    if (term < 1e-17 * sum) return sum;
  }
  // (2k)! / B_2k
  constexpr double scale[] = {12.0,
                              -720.0,
                              30240.0,
                              -1209600.0,
                              47900160.0,
                              -1.8924375803183791606e9,
                              7.47242496e10,
                              -2.950130727918164224e12,
                              1.1646782814350067249e14,
                              -4.5979787224074726105e15,
                              1.8152105401943546773e17,
                              -7.1661652561756670113e18};
  double power = inverse_power(q, s);
  sum += inverse_power(q, s - 1) / (s - 1) + 0.5 * power;
  double factor = 1;
  for (int k = 0; k < 12; ++k) {
    factor *= s + 2 * k;
    power /= q;
    const double term = factor * power / scale[k];
    sum += term;
    if (abs(term) < 1e-17 * sum) break;
    factor *= s + 2 * k + 1;
    power /= q;
  }
  return sum;
}

// The same for any q: infinite where a term is, NaN for s < 1 and, below 0, for a fraction as s. Below 0 it
// is zeta's terms over all integers, which depend on the fraction of q alone, less those that lie beyond q.
inline double zeta(double s, double q) {
  if (s != s || q != q || s < 1) return kNaN<double>;
  if (s == 1) return kInf<double>;
  if (q > 0) return hurwitz_zeta(s, q);
  const double part = q - round(q);
  if (part == 0 || q == -kInf<double>) return kInf<double>;
  if (s != floor(s)) return kNaN<double>;
  const double parity = std::fmod(s, 2) == 0 ? 1 : -1;  // (-1)^s
  const double up = part < 0 ? 1 + part : part;
  const double down = part < 0 ? -part : 1 - part;
  return hurwitz_zeta(s, up) + parity * (hurwitz_zeta(s, down) - hurwitz_zeta(s, 1 - q));
}

// The n-th derivative of digamma for a whole n >= 0; NaN for other n. For n >= 1 it is
// (-1)^(n+1) n! zeta(n + 1, x); at a pole the limit from above.
inline double polygamma(double n, double x) {
  if (!(n >= 0) || n != floor(n) || x != x) return kNaN<double>;
  if (n == 0) return digamma(x);
  if (n == 1 && x == -kInf<double>) return kNaN<double>;
  const double s = n + 1;
  const double parity = std::fmod(s, 2) == 0 ? 1 : -1;  // (-1)^s
  const double sum = zeta(s, x);
  // n! zeta by logarithms where n! alone would overflow
  const double size = abs(sum);
  const double value = n <= 170 ? std::tgamma(s) * size : std::exp(lgamma(s) + std::log(size));
  return parity * copysign(value, sum);
}

}  // namespace versant::isa::VERSANT_ISA
