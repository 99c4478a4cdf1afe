// Elementwise steps over lines that share a number or two per line.
#include "machine/kernels.h"
#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

template <class T, class F>
[[gnu::flatten]] void lines(const LinesJob& job) {
  const T* const first = static_cast<const T*>(job.first);
  const T* const second = static_cast<const T*>(job.second);
  for (std::ptrdiff_t l = 0; l < job.lines; ++l) {
    const std::ptrdiff_t at = l * job.n;
    T* const out = static_cast<T*>(job.out) + at;
    const T* const a = static_cast<const T*>(job.a) + at;
    const T* const b = job.b ? static_cast<const T*>(job.b) + at : a;
    const T s = first ? first[l] : T(0), t = second ? second[l] : T(0);
#pragma GCC ivdep
    for (std::ptrdiff_t k = 0; k < job.n; ++k) out[k] = F{}(a[k], b[k], s, t);
  }
}

template <class F>
void fill_lines_op(Kernels& k, LinesOp op, F) {
  k.lines[static_cast<std::size_t>(op)][0] = lines<float, F>;
  k.lines[static_cast<std::size_t>(op)][1] = lines<double, F>;
}

void fill_lines(Kernels& k) {
  fill_lines_op(k, LinesOp::ExpShifted, [](auto a, auto, auto s, auto) { return exp(a - s); });
  fill_lines_op(k, LinesOp::Divide, [](auto a, auto, auto s, auto) { return a / s; });
  fill_lines_op(k, LinesOp::Subtract, [](auto a, auto, auto s, auto t) { return (a - s) - t; });
  fill_lines_op(k, LinesOp::Multiply, [](auto a, auto b, auto, auto) { return a * b; });
  fill_lines_op(k, LinesOp::SoftmaxGrad, [](auto a, auto b, auto s, auto) { return b * (a - s); });
  fill_lines_op(k, LinesOp::LogSoftmaxGrad, [](auto a, auto b, auto s, auto) { return a - exp(b) * s; });
}

}  // namespace versant::isa::VERSANT_ISA
