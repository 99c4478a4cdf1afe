// Optimizer updates: every element on its own, each operation rounded on its own.
#include <cmath>
#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

namespace {

using Size = std::ptrdiff_t;

// Results too small for a normal number are zeros while it lives. Where a gradient stays zero, averages over
// the past shrink until they are subnormal and stay so for good, and each operation on them takes a hundred
// cycles.
class FlushesToZero {
 public:
#if defined(__x86_64__)
  FlushesToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON); }
  ~FlushesToZero() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushesToZero() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | std::uint64_t{1} << 24) : "memory");
  }
  ~FlushesToZero() { asm volatile("msr fpcr, %0" : : "r"(before_) : "memory"); }

 private:
  std::uint64_t before_;
#else
  FlushesToZero() = default;
#endif
  FlushesToZero(const FlushesToZero&) = delete;
};

// g' = g + weight_decay * p
// v  = g' at first, else momentum * v + (1 - dampening) * g'
// p -= lr * (v, or g' + momentum * v, or g' without momentum)
template <class T, bool decays, bool has_momentum, bool nesterov>
void sgd_loop(const SgdStep& s, T* p, const T* grad, T* v, Size n) {
  const T sign = static_cast<T>(s.gradient), decay = static_cast<T>(s.weight_decay);
  const T momentum = static_cast<T>(s.momentum), rate = static_cast<T>(-s.lr);
  const T kept = static_cast<T>(s.first ? 0 : 1), share = static_cast<T>(s.first ? 1 : 1 - s.dampening);
#pragma GCC ivdep
  for (Size i = 0; i < n; ++i) {
    T g = sign * grad[i];
    if constexpr (decays) g = g + decay * p[i];
    if constexpr (has_momentum) {
      const T old = kept != 0 ? v[i] * momentum : T(0);
      const T now = old + share * g;
      v[i] = now;
      g = nesterov ? g + momentum * now : now;
    }
    p[i] = p[i] + rate * g;
  }
}

template <class T>
void sgd(const SgdStep& s, void* param, const void* grad, void* momentum, Size n) {
  auto* p = static_cast<T*>(param);
  const auto* g = static_cast<const T*>(grad);
  auto* v = static_cast<T*>(momentum);
  const auto run = [&](auto decays) {
    constexpr bool d = decays.value;
    if (s.momentum == 0) return sgd_loop<T, d, false, false>(s, p, g, v, n);
    const FlushesToZero flushes;
    s.nesterov ? sgd_loop<T, d, true, true>(s, p, g, v, n) : sgd_loop<T, d, true, false>(s, p, g, v, n);
  };
  s.weight_decay != 0 ? run(std::true_type{}) : run(std::false_type{});
}

// p *= shrink;  g' = g + weight_decay * p
// m += (1 - beta1) * (g' - m);  v = beta2 * v + (1 - beta2) * g' * g'
// p -= step_size * m / (sqrt(v) / correction + eps), with one division: both sides of it times correction
template <class T, bool shrinks, bool decays, bool keeps_largest>
void adam_loop(const AdamStep& s, T* p, const T* grad, T* m, T* v, T* largest, Size n) {
  const T sign = static_cast<T>(s.gradient), decay = static_cast<T>(s.weight_decay);
  const T shrink = static_cast<T>(s.shrink), rate = static_cast<T>(-s.step_size * s.correction);
  const T weight = static_cast<T>(1 - s.beta1), rest = T(1) - weight;
  const T beta2 = static_cast<T>(s.beta2), share = static_cast<T>(1 - s.beta2);
  const T eps = static_cast<T>(s.eps * s.correction);
  // Of the two ways to interpolate, the one that is exact at the nearer end.
  const bool near = weight < T(0.5);
#pragma GCC ivdep
  for (Size i = 0; i < n; ++i) {
    T x = p[i];
    if constexpr (shrinks) x = x * shrink;
    T g = sign * grad[i];
    if constexpr (decays) g = g + decay * x;
    const T gap = g - m[i];
    const T mean = near ? m[i] + weight * gap : g - gap * rest;
    const T square = v[i] * beta2 + share * g * g;
    T scale = square;
    if constexpr (keeps_largest) {
      // A NaN on either side stays.
      scale = largest[i] > square || largest[i] != largest[i] ? largest[i] : square;
      largest[i] = scale;
    }
    m[i] = mean;
    v[i] = square;
    p[i] = x + rate * mean / (std::sqrt(scale) + eps);
  }
}

template <class T>
void adam(const AdamStep& s, void* param, const void* grad, void* m, void* v, void* largest, Size n) {
  const auto run = [&](auto shrinks, auto decays) {
    const auto loop = largest ? adam_loop<T, shrinks.value, decays.value, true>
                              : adam_loop<T, shrinks.value, decays.value, false>;
    loop(s, static_cast<T*>(param), static_cast<const T*>(grad), static_cast<T*>(m), static_cast<T*>(v),
         static_cast<T*>(largest), n);
  };
  const FlushesToZero flushes;
  if (s.shrink != 1) return run(std::true_type{}, std::false_type{});
  s.weight_decay != 0 ? run(std::false_type{}, std::true_type{}) : run(std::false_type{}, std::false_type{});
}

}  // namespace

void fill_optimizer(Kernels& k) {
  k.sgd_f32 = sgd<float>;
  k.sgd_f64 = sgd<double>;
  k.adam_f32 = adam<float>;
  k.adam_f64 = adam<double>;
}

}  // namespace versant::isa::VERSANT_ISA
