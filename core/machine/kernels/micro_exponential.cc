// Micro-ops of exponentials, logarithms, powers and hyperbolic functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_exp.h"
#include "machine/vecmath_log.h"

namespace versant::isa::VERSANT_ISA {

void fill_exponential(Kernels& k) {
  floats(k, Micro::Exp, [](auto x) { return exp(x); });
  floats(
      k, Micro::Exp2, [](float x) { return exp2(x); }, [](double x) { return std::exp2(x); });
  floats(
      k, Micro::Expm1, [](float x) { return expm1(x); }, [](double x) { return std::expm1(x); });
  floats(
      k, Micro::Log, [](float x) { return log(x); }, [](double x) { return std::log(x); });
  floats(
      k, Micro::Log2, [](float x) { return log2(x); }, [](double x) { return std::log2(x); });
  floats(
      k, Micro::Log10, [](float x) { return log10(x); }, [](double x) { return std::log10(x); });
  floats(
      k, Micro::Log1p, [](float x) { return log1p(x); }, [](double x) { return std::log1p(x); });
  floats(
      k, Micro::Sinh, [](float x) { return sinh(x); }, [](double x) { return std::sinh(x); });
  floats(
      k, Micro::Cosh, [](float x) { return cosh(x); }, [](double x) { return std::cosh(x); });
  floats(
      k, Micro::Tanh, [](float x) { return tanh(x); }, [](double x) { return std::tanh(x); });
  floats(
      k, Micro::Asinh, [](float x) { return asinh(x); }, [](double x) { return std::asinh(x); });
  floats(
      k, Micro::Acosh, [](float x) { return acosh(x); }, [](double x) { return std::acosh(x); });
  floats(
      k, Micro::Atanh, [](float x) { return atanh(x); }, [](double x) { return std::atanh(x); });
  floats(k, Micro::Sigmoid, [](auto x) { return sigmoid(x); });
  floats(
      k, Micro::Pow, [](float x, float y) { return pow(x, y); },
      [](double x, double y) { return std::pow(x, y); });
}

}  // namespace versant::isa::VERSANT_ISA
