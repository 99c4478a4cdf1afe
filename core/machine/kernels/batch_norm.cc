// Batch norm over a piece of memory: sums for the moments and the gradients, and the maps with their results.
//
// A piece is a number of positions. Channels-last, each position is a row of all channels; otherwise the
// piece belongs to one channel. Sums run over kChannelLanes lanes by position, so both add in the same order.
#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

namespace {

using Size = std::ptrdiff_t;

template <class T>
struct Parts {
  explicit Parts(const ChannelJob& job)
      : x(static_cast<const T*>(job.x)),
        grad(static_cast<const T*>(job.grad)),
        high(static_cast<const T*>(job.high)),
        low(static_cast<const T*>(job.low)),
        a(static_cast<const T*>(job.a)),
        b(static_cast<const T*>(job.b)),
        c(static_cast<const T*>(job.c)),
        y(static_cast<T*>(job.y)),
        first(static_cast<T*>(job.first)),
        second(static_cast<T*>(job.second)) {}
  const T *x, *grad, *high, *low, *a, *b, *c;
  T *y, *first, *second;
};

// The terms of the two sums.
struct Moments {
  static constexpr bool kReadsGradient = false;
  template <class X, class T>
  [[gnu::always_inline]] static inline void terms(const X& x, const X&, T high, T, X& first, X& second) {
    first = x - high;
    second = first * first;
  }
};
struct GradientSums {
  static constexpr bool kReadsGradient = true;
  template <class X, class T>
  [[gnu::always_inline]] static inline void terms(const X& x, const X& grad, T high, T low, X& first,
                                                  X& second) {
    first = grad;
    second = grad * ((x - high) - low);
  }
};

template <class T, class Sums>
[[gnu::flatten]] void sums_of_rows(const ChannelJob& job) {
  const Parts<T> p(job);
  const Size channels = job.channels;
  for (Size r = 0; r < job.count; ++r) {
    const T* const x = p.x + r * channels;
    const T* const grad = Sums::kReadsGradient ? p.grad + r * channels : x;
    T* const first = p.first + r % kChannelLanes * channels;
    T* const second = p.second + r % kChannelLanes * channels;
#pragma GCC ivdep
    for (Size c = 0; c < channels; ++c) {
      T one, other;
      Sums::terms(x[c], grad[c], p.high[c], Sums::kReadsGradient ? p.low[c] : T(0), one, other);
      first[c] += one;
      second[c] += other;
    }
  }
}

template <class T>
struct Lanes {
  typedef T Vector __attribute__((vector_size(kChannelLanes * sizeof(T))));
  typedef T Loose __attribute__((vector_size(kChannelLanes * sizeof(T)), aligned(alignof(T)), may_alias));
  [[gnu::always_inline]] static inline Vector load(const T* p) { return *reinterpret_cast<const Loose*>(p); }
  [[gnu::always_inline]] static inline void store(T* p, Vector v) { *reinterpret_cast<Loose*>(p) = v; }
};

template <class T, class Sums>
[[gnu::flatten]] void sums_of_plane(const ChannelJob& job) {
  const Parts<T> p(job);
  const T high = p.high[0], low = Sums::kReadsGradient ? p.low[0] : T(0);
  const T* const grad = Sums::kReadsGradient ? p.grad : p.x;
  using L = Lanes<T>;
  typename L::Vector first = L::load(p.first), second = L::load(p.second);
  Size i = 0;
  for (; i + kChannelLanes <= job.count; i += kChannelLanes) {
    typename L::Vector one, other;
    Sums::terms(L::load(p.x + i), L::load(grad + i), high, low, one, other);
    first += one;
    second += other;
  }
  L::store(p.first, first);
  L::store(p.second, second);
  for (Size l = 0; i < job.count; ++i, ++l) {
    T one, other;
    Sums::terms(p.x[i], grad[i], high, low, one, other);
    p.first[l] += one;
    p.second[l] += other;
  }
}

// y = (x - centre) a + b
template <class T>
[[gnu::flatten]] void map_rows(const ChannelJob& job) {
  const Parts<T> p(job);
  for (Size r = 0; r < job.count; ++r) {
    const T* const x = p.x + r * job.channels;
    T* const y = p.y + r * job.channels;
#pragma GCC ivdep
    for (Size c = 0; c < job.channels; ++c) y[c] = ((x[c] - p.high[c]) - p.low[c]) * p.a[c] + p.b[c];
  }
}
template <class T>
[[gnu::flatten]] void map_plane(const ChannelJob& job) {
  const Parts<T> p(job);
  const T high = p.high[0], low = p.low[0], a = p.a[0], b = p.b[0];
#pragma GCC ivdep
  for (Size i = 0; i < job.count; ++i) p.y[i] = ((p.x[i] - high) - low) * a + b;
}

// y = ((grad - b) - (x - centre) c) a
template <class T>
[[gnu::flatten]] void gradient_of_rows(const ChannelJob& job) {
  const Parts<T> p(job);
  for (Size r = 0; r < job.count; ++r) {
    const Size at = r * job.channels;
    const T *const x = p.x + at, *const grad = p.grad + at;
    T* const y = p.y + at;
#pragma GCC ivdep
    for (Size c = 0; c < job.channels; ++c)
      y[c] = ((grad[c] - p.b[c]) - ((x[c] - p.high[c]) - p.low[c]) * p.c[c]) * p.a[c];
  }
}
template <class T>
[[gnu::flatten]] void gradient_of_plane(const ChannelJob& job) {
  const Parts<T> p(job);
  const T high = p.high[0], low = p.low[0], a = p.a[0], b = p.b[0], c = p.c[0];
#pragma GCC ivdep
  for (Size i = 0; i < job.count; ++i) p.y[i] = ((p.grad[i] - b) - ((p.x[i] - high) - low) * c) * a;
}

template <class T>
void fill_kernels(ChannelKernels& k) {
  k.moments[0] = sums_of_plane<T, Moments>;
  k.moments[1] = sums_of_rows<T, Moments>;
  k.gradient_sums[0] = sums_of_plane<T, GradientSums>;
  k.gradient_sums[1] = sums_of_rows<T, GradientSums>;
  k.map[0] = map_plane<T>;
  k.map[1] = map_rows<T>;
  k.gradient[0] = gradient_of_plane<T>;
  k.gradient[1] = gradient_of_rows<T>;
}

}  // namespace

void fill_batch_norm(Kernels& k) {
  fill_kernels<float>(k.channels[0]);
  fill_kernels<double>(k.channels[1]);
}

}  // namespace versant::isa::VERSANT_ISA
