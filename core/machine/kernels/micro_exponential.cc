// Micro-ops of exponentials, logarithms, powers and hyperbolic functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

// The float32 functions take the double function of the C library and round once.
template <double (*f)(double)>
void wide(Kernels& k, Micro op) {
  floats(k, op, [](auto x) { return f(static_cast<double>(x)); });
}

inline double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

void fill_exponential(Kernels& k) {
  wide<std::exp>(k, Micro::Exp);
  wide<std::exp2>(k, Micro::Exp2);
  wide<std::expm1>(k, Micro::Expm1);
  wide<std::log>(k, Micro::Log);
  wide<std::log2>(k, Micro::Log2);
  wide<std::log10>(k, Micro::Log10);
  wide<std::log1p>(k, Micro::Log1p);
  wide<std::sinh>(k, Micro::Sinh);
  wide<std::cosh>(k, Micro::Cosh);
  wide<std::tanh>(k, Micro::Tanh);
  wide<std::asinh>(k, Micro::Asinh);
  wide<std::acosh>(k, Micro::Acosh);
  wide<std::atanh>(k, Micro::Atanh);
  wide<sigmoid>(k, Micro::Sigmoid);
  floats(k, Micro::Pow,
         [](auto x, auto y) { return std::pow(static_cast<double>(x), static_cast<double>(y)); });
}

}  // namespace versant::isa::VERSANT_ISA
