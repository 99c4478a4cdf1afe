// Vector math, incomplete gamma and beta functions and the slopes of their inverses, in double.
//
// Series and continued fractions (Abramowitz and Stegun 6.5.29, 6.5.31, 26.5.8), for huge shapes Temme's
// expansion (1979). Slopes by a are those of the same sums with dual numbers as a (implicit differentiation:
// Figurnov, Mohamed and Mnih 2018). Accuracy: some 1e-14 relative, 1e-12 beyond shapes of 1e4.
#pragma once

#include "machine/vecmath_gamma.h"

namespace versant::isa::VERSANT_ISA {

inline constexpr double kHugeShape = 1e5;
inline constexpr int kMostTerms = 20000;

// A number and its derivative by the shape.
struct Dual {
  double v, d = 0;
};
inline Dual operator+(Dual a, Dual b) { return {a.v + b.v, a.d + b.d}; }
inline Dual operator-(Dual a, Dual b) { return {a.v - b.v, a.d - b.d}; }
inline Dual operator*(Dual a, Dual b) { return {a.v * b.v, a.d * b.v + a.v * b.d}; }
inline Dual operator/(Dual a, Dual b) {
  const double quotient = a.v / b.v;
  return {quotient, (a.d - quotient * b.d) / b.v};
}

// Whether a term, or how far a factor is from 1, no longer counts.
inline bool negligible(double term, double total) { return abs(term) <= 1e-17 * abs(total); }
inline bool negligible(Dual term, Dual total) {
  return negligible(term.v, total.v) && abs(term.d) <= 1e-17 * (abs(total.d) + abs(total.v));
}
// Whether the product of c and d, which is near 1, is 1 up to rounding.
inline bool are_inverse(double c, double d) { return abs(c * d - 1) < 4e-16; }
inline bool are_inverse(Dual c, Dual d) {
  return are_inverse(c.v, d.v) && abs((c * d).d) <= 4e-16 * (1 + abs(c.d * d.v));
}
inline bool is_zero(double x) { return x == 0; }
inline bool is_zero(Dual x) { return x.v == 0; }

// A continued fraction b0 + a1 / (b1 + a2 / (b2 + ...)), from its front (Lentz 1976).
template <class T>
struct Fraction {
  T value, c, d{0};

  explicit Fraction(T b0) : value(nonzero(b0)), c(value) {}
  static T nonzero(T x) { return is_zero(x) ? T{1e-300} : x; }
  // Goes one level down; whether that changed nothing.
  bool next(T a, T b) {
    d = T{1} / nonzero(b + a * d);
    c = nonzero(b + a / c);
    value = value * (c * d);
    return are_inverse(c, d);
  }
};

// sum over n of x^n / ((a + 1) ... (a + n))
template <class T>
T gamma_series(T a, double x) {
  T term{1}, sum{1};
  for (int n = 1; n < kMostTerms; ++n) {
    term = term * T{x} / (a + T{double(n)});
    sum = sum + term;
    if (negligible(term, sum)) break;
  }
  return sum;
}
// 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / ...)), for x above a + 1
template <class T>
T gamma_fraction(T a, double x) {
  T b = T{x + 1} - a;
  Fraction<T> fraction(b);
  for (int n = 1; n < kMostTerms; ++n) {
    b = b + T{2};
    if (fraction.next(T{double(n)} * (a - T{double(n)}), b)) break;
  }
  return T{1} / fraction.value;
}
// The fraction that I_x(a, b) a B(a, b) x^-a (1 - x)^-b is, for x below (a + 1) / (a + b + 2).
template <class T>
T beta_fraction(double x, T a, T b) {
  Fraction<T> fraction(T{1});
  for (int n = 0; n < kMostTerms; ++n) {
    const T k{double(n)}, two = a + k + k;
    if (n > 0 && fraction.next(k * (b - k) * T{x} / ((two - T{1}) * two), T{1})) break;
    if (fraction.next((a + k) * (a + b + k) * T{-x} / (two * (two + T{1})), T{1}) && n > 0) break;
  }
  return T{1} / fraction.value;
}

// m - log(1 + m)
inline double below_log1p(double m) {
  if (abs(m) > 0.1) return m - std::log1p(m);
  double sum = 0;
  for (int k = 18; k >= 2; --k) sum = 1.0 / k - m * sum;
  return m * m * sum;
}

// x^a exp(-x) / gamma(a): by logarithms, for large a with their leading terms taken out.
inline double gamma_factor(double a, double x) {
  if (a < 10) return std::exp(a * std::log(x) - x - lgamma(a));
  constexpr double stirling[] = {1.0 / 12,   -1.0 / 360,        1.0 / 1260, -1.0 / 1680,
                                 1.0 / 1188, -691.0 / 360360.0, 1.0 / 156};
  double rest = 0;
  for (int i = 6; i >= 0; --i) rest = stirling[i] + rest / (a * a);
  return std::sqrt(a / (2 * kPi)) * std::exp(-a * below_log1p((x - a) / a) - rest / a);
}

// Of huge a near x = a: the lower function (side -1) or the upper one (side 1), from the normal distribution
// at eta sqrt(a), and a correction.
inline double gammainc_near(double a, double x, double side) {
  const double m = (x - a) / a, half = below_log1p(m);
  const double eta = copysign(std::sqrt(2 * half), m);
  constexpr double c0[] = {-1.0 / 3, 1.0 / 12, -2.0 / 135, 1.0 / 864, 1.0 / 2835, -139.0 / 777600};
  constexpr double c1[] = {-1.0 / 540, -1.0 / 288, 1.0 / 378};
  double first = 0, second = 0;
  for (int i = 5; i >= 0; --i) first = c0[i] + eta * first;
  for (int i = 2; i >= 0; --i) second = c1[i] + eta * second;
  return 0.5 * std::erfc(side * eta * std::sqrt(a / 2)) +
         side * std::exp(-a * half) / std::sqrt(2 * kPi * a) * (first + second / a);
}
inline bool is_near(double a, double x) { return a > kHugeShape && abs(x - a) < 0.03 * a; }

// 1 - P for x up to about 1, without the difference: by the series of the lower function less its first term
// (as in Cephes).
inline double gammaincc_small(double a, double x) {
  double factor = 1, sum = 0;
  for (int n = 1; n < kMostTerms; ++n) {
    factor *= -x / n;
    const double term = factor / (a + n);
    sum += term;
    if (negligible(term, sum)) break;
  }
  const double log_gamma = a < 1e-5 ? a * (a * (kPi * kPi / 12) - 0.57721566490153286061) : lgamma(1 + a);
  return -std::expm1(a * std::log(x) - log_gamma) - std::exp(a * std::log(x) - lgamma(a)) * sum;
}

// P(a, x), the regularised lower incomplete gamma function; NaN for negative arguments.
inline double gammainc(double a, double x) {
  if (!(a >= 0 && x >= 0)) return kNaN<double>;
  if (a == kInf<double>) return x == kInf<double> ? kNaN<double> : 0;
  if (x == 0) return a == 0 ? kNaN<double> : 0;
  if (a == 0 || x == kInf<double>) return 1;
  if (is_near(a, x)) return gammainc_near(a, x, -1);
  if (x > a + 1) return 1 - gamma_factor(a, x) * gamma_fraction(a, x);
  return gamma_factor(a, x) / a * gamma_series(a, x);
}
// 1 - P(a, x)
inline double gammaincc(double a, double x) {
  if (!(a >= 0 && x >= 0)) return kNaN<double>;
  if (a == kInf<double>) return x == kInf<double> ? kNaN<double> : 1;
  if (x == 0) return a == 0 ? kNaN<double> : 1;
  if (a == 0 || x == kInf<double>) return 0;
  if (is_near(a, x)) return gammainc_near(a, x, 1);
  if (x > a + 1) return gamma_factor(a, x) * gamma_fraction(a, x);
  if (x <= 1.1 && a < x * 1.1) return gammaincc_small(a, x);
  return 1 - gamma_factor(a, x) / a * gamma_series(a, x);
}

// dx/da of a draw x of the gamma distribution of shape a: where P(a, x) is kept, -dP/da / (dP/dx).
inline double gamma_slope(double a, double x) {
  if (!(a > 0 && a < kInf<double> && x >= 0 && x < kInf<double>)) return kNaN<double>;
  if (x == 0) return 0;
  if (a > kHugeShape) {
    // x = a + z sqrt(a) + (z^2 - 1) / 3 + (z^3 - 7 z) / (36 sqrt(a)) (Cornish and Fisher 1938)
    const double root = std::sqrt(a);
    double z = (x - a) / root;
    for (int i = 0; i < 8; ++i) z = (x - a - (z * z - 1) / 3) / root - (z * z - 7) * z / (36 * a);
    return 1 + z / (2 * root) - (z * z - 7) * z / (72 * a * root);
  }
  if (x > a + 1) {
    const Dual h = gamma_fraction(Dual{a, 1}, x);
    return x * (h.v * (std::log(x) - digamma(a)) + h.d);
  }
  const Dual sum = gamma_series(Dual{a, 1}, x);
  return -x / a * (sum.v * (std::log(x) - digamma(a + 1)) + sum.d);
}

// dx/da / (1 - x) of a draw x of the beta distribution of a and b: by how much the rest, 1 - x, shrinks.
inline double beta_slope(double x, double a, double b) {
  if (!(a > 0 && a < kInf<double> && b > 0 && b < kInf<double> && x >= 0 && x <= 1)) return kNaN<double>;
  if (x == 0) return 0;
  const double change = std::log(x) + digamma(a + b) - digamma(a);
  if (x < (a + 1) / (a + b + 2)) {
    const Dual h = beta_fraction(x, Dual{a, 1}, Dual{b});
    return -x / a * (h.v * (change - 1 / a) + h.d);
  }
  const Dual h = beta_fraction(1 - x, Dual{b}, Dual{a, 1});
  return x / b * (h.v * change + h.d);
}

}  // namespace versant::isa::VERSANT_ISA
