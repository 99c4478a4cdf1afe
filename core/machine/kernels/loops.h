// The loops around micro-ops, and how a scalar function becomes a kernel.
//
// A micro-op is a branch-free scalar function, given as a stateless lambda; its loop is left to the
// compiler's vectoriser, so an element has the same bits in a vector and in a remainder. `flatten` pulls
// everything that the function calls into the loop; `ivdep` says what the contract of MicroKernel says:
// operands are apart or the same.
#pragma once

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

template <class T, class F>
[[gnu::flatten]] void unary_loop(void* out, const void* a, const void*, const void*, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const x = static_cast<const T*>(a);
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = static_cast<T>(F{}(x[i]));
}

template <class T, class F>
[[gnu::flatten]] void binary_loop(void* out, const void* a, const void* b, const void*, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const p = static_cast<const T*>(a);
  const T* const q = static_cast<const T*>(b);
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = static_cast<T>(F{}(p[i], q[i]));
}

template <class T, class F>
[[gnu::flatten]] void ternary_loop(void* out, const void* a, const void* b, const void* c, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const p = static_cast<const T*>(a);
  const T* const q = static_cast<const T*>(b);
  const T* const r = static_cast<const T*>(c);
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = static_cast<T>(F{}(p[i], q[i], r[i]));
}

// The kernel of F in compute type T: the loop of its arity.
template <class T, class F>
constexpr MicroKernel kernel_of() {
  if constexpr (requires(T t) { F{}(t); }) {
    return unary_loop<T, F>;
  } else if constexpr (requires(T t) { F{}(t, t); }) {
    return binary_loop<T, F>;
  } else {
    return ternary_loop<T, F>;
  }
}

inline MicroKernel& slot(Kernels& k, Micro op, Compute compute) {
  return k.micro[static_cast<std::size_t>(op)][static_cast<std::size_t>(compute)];
}

template <class F>
void floats(Kernels& k, Micro op, F) {
  slot(k, op, Compute::F32) = kernel_of<float, F>();
  slot(k, op, Compute::F64) = kernel_of<double, F>();
}

template <class F>
void ints(Kernels& k, Micro op, F) {
  slot(k, op, Compute::I64) = kernel_of<std::int64_t, F>();
}

template <class F>
void all(Kernels& k, Micro op, F f) {
  floats(k, op, f);
  ints(k, op, f);
}

}  // namespace versant::isa::VERSANT_ISA
