// Micro-ops of exponentials, logarithms, powers and hyperbolic functions.
#include "machine/kernels/loops.h"
#include "machine/vecmath_exp.h"
#include "machine/vecmath_log.h"
#include "machine/vecmath_pow.h"

namespace versant::isa::VERSANT_ISA {

void fill_exponential(Kernels& k) {
  open_floats(k, Micro::Exp, [](auto x) { return exp(x); });
  open_floats(k, Micro::Exp2, [](auto x) { return exp2(x); });
  floats(k, Micro::Expm1, [](auto x) { return expm1(x); });
  in_line<double>(k, Micro::Expm1, [](auto x) { return expm1(x); });
  open_floats(k, Micro::Log, [](auto x) { return log(x); });
  floats(k, Micro::Log2, [](auto x) { return log2(x); });
  floats(k, Micro::Log10, [](auto x) { return log10(x); });
  floats(k, Micro::Log1p, [](auto x) { return log1p(x); });
  floats(k, Micro::Sinh, [](auto x) { return sinh(x); });
  floats(k, Micro::Cosh, [](auto x) { return cosh(x); });
  open_floats(k, Micro::Tanh, [](auto x) { return tanh(x); });
  floats(k, Micro::Asinh, [](auto x) { return asinh(x); });
  floats(k, Micro::Acosh, [](auto x) { return acosh(x); });
  floats(k, Micro::Atanh, [](auto x) { return atanh(x); });
  open_floats(k, Micro::Sigmoid, [](auto x) { return sigmoid(x); });
  floats(k, Micro::Pow, [](auto x, auto y) { return pow(x, y); });
}

}  // namespace versant::isa::VERSANT_ISA
