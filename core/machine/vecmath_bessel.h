// Vector math: the modified Bessel functions of the first kind, of orders 0 and 1, in double.
//
// Accuracy: within 4e-16 relative, and that of exp.
#pragma once

#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

// For |x| <= 8 the power series sum of (x/2)^2k / (k! (k + order)!) (Abramowitz and Stegun 9.6.10).
template <int order>
double bessel_series(double x) {
  const double z = 0.25 * x * x;
  double sum = 1;
  for (int k = 24; k > 0; --k) sum = fused(z * (1.0 / (k * (k + order))), sum, 1.0);
  return order == 0 ? sum : 0.5 * x * sum;
}

// sqrt(x) exp(-x) I(x) for x >= 8, a polynomial in 16/x - 1.
inline double bessel0_tail(double t) {
  return horner(t, 0.4021765094450081, 0.0033605519836677504, 0.00013621607438984735, 1.1143033800708978e-05,
                1.4838476651250266e-06, 2.973596046562712e-07, 8.872034383314144e-08, 3.932889375114634e-08,
                2.1566251453104354e-08, 7.534355843803342e-09, -6.8493381882867694e-09,
                -1.3326094405766387e-08, -5.0381064879032845e-09, 7.3359687108161536e-09,
                6.560138746917057e-09, -3.1346276429240787e-09, -4.575553424534973e-09,
                1.1050558794424347e-09, 2.1968921378829006e-09, -2.8033819978869995e-10,
                -6.633287112547084e-10, 3.629355229718733e-11, 9.36508689281819e-11);
}
inline double bessel1_tail(double t) {
  return horner(t, 0.38939845902587233, -0.009749577193235635, -0.0002192357638317243,
                -1.5038547209501858e-05, -1.8349102358955385e-06, -3.4838534380376333e-07,
                -1.000109565963654e-07, -4.313196489977733e-08, -2.339250374801858e-08,
                -8.409182040442918e-09, 6.8401389977069586e-09, 1.3958551001385955e-08, 5.59337010179061e-09,
                -7.44444147719727e-09, -6.983839624895866e-09, 3.086886736722725e-09, 4.810597405089944e-09,
                -1.0594544160443166e-09, -2.297004161885201e-09, 2.6340771095136483e-10,
                6.917089294193807e-10, -3.365431853180176e-11, -9.752397204138195e-11);
}
template <int order>
double bessel_tail(double x) {
  const double t = 16 / x - 1;
  return (order == 0 ? bessel0_tail(t) : bessel1_tail(t)) / sqrt(x);
}

// The function itself: odd for order 1. The exponential in two halves, because it overflows first.
template <int order>
double bessel(double x) {
  const double size = abs(x);
  const double half = exp(0.5 * size);
  const double far = half * bessel_tail<order>(size) * half;
  const double near = bessel_series<order>(size);
  const double value = size <= 8 ? near : size == kInf<double> ? size : far;
  return order == 0 ? value : copysign(value, x);
}

// The function times exp(-|x|).
template <int order>
double scaled_bessel(double x) {
  const double size = abs(x);
  const double near = bessel_series<order>(size) * exp(-size);
  const double value = size <= 8 ? near : bessel_tail<order>(size);
  return order == 0 ? value : copysign(value, x);
}

}  // namespace versant::isa::VERSANT_ISA
