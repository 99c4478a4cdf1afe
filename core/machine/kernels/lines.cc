// Elementwise steps over lines that share a number or two per line.
#include "machine/kernels.h"
#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

// Short lines: the numbers of each are written out beside its elements, and all run as one.
template <class T, class F>
[[gnu::flatten]] void short_lines(const LinesJob& job) {
  constexpr std::ptrdiff_t kTile = 256;
  T s[kTile], t[kTile];
  const T* const first = static_cast<const T*>(job.first);
  const T* const second = static_cast<const T*>(job.second);
  const std::ptrdiff_t at_once = kTile / job.n;
  for (std::ptrdiff_t l = 0; l < job.lines; l += at_once) {
    const std::ptrdiff_t count = job.lines - l < at_once ? job.lines - l : at_once;
    T *to_s = s, *to_t = t;
    for (std::ptrdiff_t i = l; i < l + count; ++i, to_s += job.n, to_t += job.n) {
      for (std::ptrdiff_t k = 0; k < job.n; ++k) {
        to_s[k] = first ? first[i] : T(0);
        to_t[k] = second ? second[i] : T(0);
      }
    }
    T* const out = static_cast<T*>(job.out) + l * job.n;
    const T* const a = static_cast<const T*>(job.a) + l * job.n;
    const T* const b = job.b ? static_cast<const T*>(job.b) + l * job.n : a;
#pragma GCC ivdep
    for (std::ptrdiff_t k = 0; k < count * job.n; ++k) out[k] = F{}(a[k], b[k], s[k], t[k]);
  }
}

template <class T, class F>
[[gnu::flatten]] void lines(const LinesJob& job) {
  constexpr std::ptrdiff_t kShort = 64;
  if (job.n < kShort && job.lines > 1) return short_lines<T, F>(job);
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
  fill_lines_op(k, LinesOp::ExpScaled, [](auto a, auto, auto s, auto t) { return exp(a - s) * t; });
}

}  // namespace versant::isa::VERSANT_ISA
