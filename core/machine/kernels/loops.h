// The loops around micro-ops, and how a scalar function becomes a kernel.
//
// A micro-op is a branch-free scalar function, given as a stateless lambda; its loop is left to the
// compiler's vectoriser, so an element has the same bits in a vector and in a remainder. `flatten` pulls
// everything that the function calls into the loop; `ivdep` says what the contract of MicroKernel says:
// operands are apart or the same.
#pragma once

#include <type_traits>

#include "machine/code/recorded.h"
#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

// Truth becomes 1 or 0 by a choice of constants, which has a vector form in every instruction set.
template <class T, class R>
T result(R value) {
  if constexpr (std::is_same_v<R, bool>) {
    return value ? T(1) : T(0);
  } else {
    return static_cast<T>(value);
  }
}

template <class T, class F>
[[gnu::flatten]] void unary_loop(void* out, const void* a, const void*, const void*, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const x = static_cast<const T*>(a);
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = result<T>(F{}(x[i]));
}

template <class T, class F>
[[gnu::flatten]] void binary_loop(void* out, const void* a, const void* b, const void*, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const p = static_cast<const T*>(a);
  const T* const q = static_cast<const T*>(b);
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = result<T>(F{}(p[i], q[i]));
}

template <class T, class F>
[[gnu::flatten]] void ternary_loop(void* out, const void* a, const void* b, const void* c, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const p = static_cast<const T*>(a);
  const T* const q = static_cast<const T*>(b);
  const T* const r = static_cast<const T*>(c);
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = result<T>(F{}(p[i], q[i], r[i]));
}

// Functions with a fast form that is right but for rare arguments, and a slow one for those: F::rare,
// F::fast, F::slow. A block of elements is computed fast when none of them is rare; what an element gets
// depends on itself alone.
inline constexpr std::ptrdiff_t kRareBlock = 64;

template <class T, class F>
[[gnu::flatten]] void rare_unary_loop(void* out, const void* a, const void*, const void*, std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const x = static_cast<const T*>(a);
  for (std::ptrdiff_t begin = 0; begin < n; begin += kRareBlock) {
    const std::ptrdiff_t end = n - begin < kRareBlock ? n : begin + kRareBlock;
    int rare = 0;
    for (std::ptrdiff_t i = begin; i < end; ++i) rare |= F::rare(x[i]) ? 1 : 0;
    if (rare == 0) {
#pragma GCC ivdep
      for (std::ptrdiff_t i = begin; i < end; ++i) y[i] = F::fast(x[i]);
    } else {
      for (std::ptrdiff_t i = begin; i < end; ++i) y[i] = F::rare(x[i]) ? F::slow(x[i]) : F::fast(x[i]);
    }
  }
}

template <class T, class F>
[[gnu::flatten]] void rare_binary_loop(void* out, const void* a, const void* b, const void*,
                                       std::ptrdiff_t n) {
  T* const y = static_cast<T*>(out);
  const T* const p = static_cast<const T*>(a);
  const T* const q = static_cast<const T*>(b);
  for (std::ptrdiff_t begin = 0; begin < n; begin += kRareBlock) {
    const std::ptrdiff_t end = n - begin < kRareBlock ? n : begin + kRareBlock;
    int rare = 0;
    for (std::ptrdiff_t i = begin; i < end; ++i) rare |= F::rare(p[i], q[i]) ? 1 : 0;
    if (rare == 0) {
#pragma GCC ivdep
      for (std::ptrdiff_t i = begin; i < end; ++i) y[i] = F::fast(p[i], q[i]);
    } else {
      for (std::ptrdiff_t i = begin; i < end; ++i) {
        y[i] = F::rare(p[i], q[i]) ? F::slow(p[i], q[i]) : F::fast(p[i], q[i]);
      }
    }
  }
}

// The kernel of F in compute type T: the loop of its kind.
template <class T, class F>
constexpr MicroKernel kernel_of() {
  if constexpr (requires(T t) { F::rare(t); }) {
    return rare_unary_loop<T, F>;
  } else if constexpr (requires(T t) { F::rare(t, t); }) {
    return rare_binary_loop<T, F>;
  } else if constexpr (requires(T t) { F{}(t); }) {
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
void ints(Kernels& k, Micro op, F) {
  slot(k, op, Compute::I64) = kernel_of<std::int64_t, F>();
}

template <class F>
void floats(Kernels& k, Micro op, F) {
  slot(k, op, Compute::F32) = kernel_of<float, F>();
  slot(k, op, Compute::F64) = kernel_of<double, F>();
}

// Records F (see code/recorded.h).
template <class T, class F>
std::uint16_t record(std::uint16_t a, std::uint16_t b, std::uint16_t c) {
  using Symbol = Recorded<T>;
  const auto recorded = [&] {
    const Symbol x(a, nullptr), y(b, nullptr), z(c, nullptr);
    if constexpr (std::is_invocable_v<F, Symbol>) {
      return F{}(x);
    } else if constexpr (std::is_invocable_v<F, Symbol, Symbol>) {
      return F{}(x, y);
    } else {
      return F{}(x, y, z);
    }
  }();
  if constexpr (std::is_same_v<decltype(recorded), const RecordedTruth>) {
    return choose(recorded, Symbol(1), Symbol(0)).id;
  } else {
    return recorded.id;
  }
}

// Machine code is for AVX2 with fused multiply-adds, and for AVX-512.
#if defined(__AVX512F__) && defined(__AVX512DQ__)
inline constexpr int kCodeBytes = 64;
#elif defined(__AVX2__) && defined(__FMA__)
inline constexpr int kCodeBytes = 32;
#else
inline constexpr int kCodeBytes = 0;
#endif

// Of micro-ops that machine code computes in line, in compute types T.
template <class... T, class F>
void in_line(Kernels& k, Micro op, F) {
  if constexpr (kCodeBytes > 0) {
    k.code_bytes = kCodeBytes;
    ((k.formulas[static_cast<std::size_t>(op)]
                [static_cast<std::size_t>(sizeof(T) == 4 ? Compute::F32 : Compute::F64)] = record<T, F>),
     ...);
  }
}

template <class F>
void all(Kernels& k, Micro op, F f) {
  floats(k, op, f);
  ints(k, op, f);
}

// Of micro-ops that machine code has in line: for both float types, and for integers too; for float32 alone.
template <class F>
void open_floats(Kernels& k, Micro op, F f) {
  floats(k, op, f);
  in_line<float, double>(k, op, f);
}
template <class F>
void open_all(Kernels& k, Micro op, F f) {
  all(k, op, f);
  in_line<float, double>(k, op, f);
}
template <class F>
void open_singles(Kernels& k, Micro op, F f) {
  floats(k, op, f);
  in_line<float>(k, op, f);
}

}  // namespace versant::isa::VERSANT_ISA
