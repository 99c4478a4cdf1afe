// Normalisation of one row, forward and backward: layer_norm, rms_norm and group_norm.
//
// Sums run over 64 lanes by place in the row and then over blocks of 1024 places, whatever the instruction
// set.
#include <cmath>
#include <cstring>

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

namespace {

using Size = std::ptrdiff_t;

constexpr Size kLanes = 16, kChains = 4, kBlock = 1024;

template <class T>
struct Wide {
  typedef T Vector __attribute__((vector_size(kLanes * sizeof(T))));
  typedef T Loose __attribute__((vector_size(kLanes * sizeof(T)), aligned(alignof(T)), may_alias));
};
template <class T>
using V = typename Wide<T>::Vector;

template <class T>
[[gnu::always_inline]] inline V<T> load(const T* p) {
  return *reinterpret_cast<const typename Wide<T>::Loose*>(p);
}
template <class T>
[[gnu::always_inline]] inline void store(T* p, V<T> v) {
  *reinterpret_cast<typename Wide<T>::Loose*>(p) = v;
}
// The first `count` lanes; zeros behind.
template <class T>
[[gnu::always_inline]] inline V<T> load_first(const T* p, Size count) {
  V<T> v{};
  std::memcpy(&v, p, static_cast<std::size_t>(count) * sizeof(T));
  return v;
}
template <class T>
[[gnu::always_inline]] inline void clear_behind(V<T>& v, Size count) {
  T lanes[kLanes];
  std::memcpy(lanes, &v, sizeof(v));
  for (Size l = count; l < kLanes; ++l) lanes[l] = 0;
  std::memcpy(&v, lanes, sizeof(v));
}

template <class T>
double fold(const V<T>& v) {
  T lanes[kLanes];
  std::memcpy(lanes, &v, sizeof(v));
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return static_cast<double>(lanes[0]);
}

// sums[s] = sum over i < n of term s, where terms(at, out) sets the terms of the elements that at(p) loads
// from any array p of the row.
template <class T, int count, class Terms>
[[gnu::always_inline]] inline void add_up(Size n, double* sums, Terms terms) {
  for (int s = 0; s < count; ++s) sums[s] = 0;
  for (Size begin = 0; begin < n; begin += kBlock) {
    const Size end = n - begin < kBlock ? n : begin + kBlock;
    V<T> total[count][kChains] = {};
    Size i = begin;
    for (; i + kChains * kLanes <= end; i += kChains * kLanes) {
#pragma GCC unroll 4
      for (Size c = 0; c < kChains; ++c) {
        V<T> term[count];
        terms(
            [&](const T* p) __attribute__((always_inline)) { return load(p + i + c * kLanes); }, term);
#pragma GCC unroll 2
        for (int s = 0; s < count; ++s) total[s][c] += term[s];
      }
    }
    for (Size c = 0; i < end; i += kLanes, ++c) {
      const Size some = end - i < kLanes ? end - i : kLanes;
      V<T> term[count];
      terms([&](const T* p) { return load_first(p + i, some); }, term);
      for (int s = 0; s < count; ++s) {
        if (some < kLanes) clear_behind<T>(term[s], some);
        total[s][c] += term[s];
      }
    }
    for (int s = 0; s < count; ++s)
      sums[s] += fold<T>((total[s][0] + total[s][1]) + (total[s][2] + total[s][3]));
  }
}

// A mean in two parts: what it loses in rounding would be seen in rows far from zero.
template <class T>
struct Centre {
  T high, low;
  explicit Centre(double mean)
      : high(static_cast<T>(mean)), low(static_cast<T>(mean - static_cast<double>(high))) {}
  template <class X>
  [[gnu::always_inline]] inline X distance(X x) const {
    return (x - high) - low;
  }
};

// The moments of a row; for rms_norm the mean counts as 0. A first mean is good to a few digits where the row
// lies far from zero; distances from it are exact there and correct it.
template <class T>
void moments(const RowNorm& row, double& mean, T& inverse) {
  const T* const x = static_cast<const T*>(row.x);
  const auto n = static_cast<double>(row.n);
  double sums[2] = {};
  mean = 0;
  if (row.rms) {
    add_up<T, 1>(
        row.n, sums, [&](auto at, V<T>* term) __attribute__((always_inline)) { term[0] = at(x) * at(x); });
    inverse = static_cast<T>(1 / std::sqrt(sums[0] / n + row.eps));
    return;
  }
  add_up<T, 1>(
      row.n, sums, [&](auto at, V<T>* term) __attribute__((always_inline)) { term[0] = at(x); });
  const T first = static_cast<T>(sums[0] / n);
  add_up<T, 2>(
      row.n, sums, [&](auto at, V<T>* term) __attribute__((always_inline)) {
        term[0] = at(x) - first;
        term[1] = term[0] * term[0];
      });
  const double rest = sums[0] / n;
  mean = static_cast<double>(first) + rest;
  inverse = static_cast<T>(1 / std::sqrt(std::fmax(sums[1] / n - rest * rest, 0.0) + row.eps));
}

template <class T>
void forward(const RowNorm& row) {
  double mean;
  T inverse;
  moments<T>(row, mean, inverse);
  const Centre<T> centre(mean);
  *row.mean = mean;
  *static_cast<T*>(row.inverse) = inverse;
  const T* const x = static_cast<const T*>(row.x);
  const T* const scale = static_cast<const T*>(row.scale);
  const T* const shift = static_cast<const T*>(row.shift);
  T* const y = static_cast<T*>(row.y);
  if (row.segment > 0) {
    for (Size at = 0, s = 0; at < row.n; at += row.segment, ++s) {
      const T a = scale ? scale[s] : T(1), b = shift ? shift[s] : T(0);
#pragma GCC ivdep
      for (Size i = at; i < at + row.segment; ++i) y[i] = centre.distance(x[i]) * inverse * a + b;
    }
  } else if (scale && shift) {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) y[i] = centre.distance(x[i]) * inverse * scale[i] + shift[i];
  } else if (scale) {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) y[i] = centre.distance(x[i]) * inverse * scale[i];
  } else if (shift) {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) y[i] = centre.distance(x[i]) * inverse + shift[i];
  } else {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) y[i] = centre.distance(x[i]) * inverse;
  }
}

// y = inverse (scale g - along - normal across), normal = (x - mean) inverse.
template <class T>
void backward_plain(const RowNorm& row, const Centre<T>& centre, T inverse) {
  const T* const x = static_cast<const T*>(row.x);
  const T* const g = static_cast<const T*>(row.grad);
  const T* const scale = static_cast<const T*>(row.scale);
  T* const y = static_cast<T*>(row.y);
  T* const d_scale = static_cast<T*>(row.d_scale);
  T* const d_shift = static_cast<T*>(row.d_shift);
  double sums[2];
  if (scale) {
    add_up<T, 2>(
        row.n, sums, [&](auto at, V<T>* term) __attribute__((always_inline)) {
          const V<T> scaled = at(g) * at(scale);
          term[0] = scaled;
          term[1] = scaled * (centre.distance(at(x)) * inverse);
        });
  } else {
    add_up<T, 2>(
        row.n, sums, [&](auto at, V<T>* term) __attribute__((always_inline)) {
          term[0] = at(g);
          term[1] = term[0] * (centre.distance(at(x)) * inverse);
        });
  }
  const auto n = static_cast<double>(row.n);
  const T along = row.rms ? T(0) : static_cast<T>(sums[0] / n), across = static_cast<T>(sums[1] / n);
  if (scale && d_shift) {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) {
      const T grad = g[i], normal = centre.distance(x[i]) * inverse;
      d_scale[i] += grad * normal;
      d_shift[i] += grad;
      y[i] = inverse * (grad * scale[i] - along - normal * across);
    }
  } else if (scale) {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) {
      const T grad = g[i], normal = centre.distance(x[i]) * inverse;
      d_scale[i] += grad * normal;
      y[i] = inverse * (grad * scale[i] - along - normal * across);
    }
  } else {
#pragma GCC ivdep
    for (Size i = 0; i < row.n; ++i) {
      const T grad = g[i], normal = centre.distance(x[i]) * inverse;
      y[i] = inverse * (grad - along - normal * across);
    }
    if (d_shift) {
#pragma GCC ivdep
      for (Size i = 0; i < row.n; ++i) d_shift[i] += g[i];
    }
  }
}

template <class T>
void backward_segments(const RowNorm& row, const Centre<T>& centre, T inverse) {
  const T* const x = static_cast<const T*>(row.x);
  const T* const g = static_cast<const T*>(row.grad);
  const T* const scale = static_cast<const T*>(row.scale);
  T* const y = static_cast<T*>(row.y);
  T* const d_scale = static_cast<T*>(row.d_scale);
  T* const d_shift = static_cast<T*>(row.d_shift);
  double sum = 0, product = 0;
  for (Size at = 0, s = 0; at < row.n; at += row.segment, ++s) {
    double sums[2];
    add_up<T, 2>(
        row.segment, sums, [&](auto from, V<T>* term) __attribute__((always_inline)) {
          term[0] = from(g + at);
          term[1] = term[0] * (centre.distance(from(x + at)) * inverse);
        });
    d_shift[s] = static_cast<T>(sums[0]);
    d_scale[s] = static_cast<T>(sums[1]);
    const double a = scale ? static_cast<double>(scale[s]) : 1.0;
    sum += a * sums[0];
    product += a * sums[1];
  }
  const auto n = static_cast<double>(row.n);
  const T along = static_cast<T>(sum / n), across = static_cast<T>(product / n);
  for (Size at = 0, s = 0; at < row.n; at += row.segment, ++s) {
    const T a = scale ? scale[s] : T(1);
#pragma GCC ivdep
    for (Size i = at; i < at + row.segment; ++i)
      y[i] = inverse * (g[i] * a - along - centre.distance(x[i]) * inverse * across);
  }
}

template <class T>
void backward(const RowNorm& row) {
  const Centre<T> centre(*row.mean);
  const T inverse = *static_cast<const T*>(row.inverse);
  row.segment > 0 ? backward_segments<T>(row, centre, inverse) : backward_plain<T>(row, centre, inverse);
}

}  // namespace

void fill_row_norm(Kernels& k) {
  k.row_norm[0] = forward<float>;
  k.row_norm[1] = forward<double>;
  k.row_norm_backward[0] = backward<float>;
  k.row_norm_backward[1] = backward<double>;
}

}  // namespace versant::isa::VERSANT_ISA
