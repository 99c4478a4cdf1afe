// Reductions of blocks, in the order of Note [Order of reductions] (reduce.h): 16 lanes, then a tree of
// lanes.
#include <limits>
#include <type_traits>

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

// A register of the instruction set, and how many of them take part in one go.
#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif
constexpr int kInFlight = 8;

constexpr int kLanes = 16;

// The numbers of all lanes: `steps` and `joins` below work on one number or on a register of them.
template <class T>
using Register [[gnu::vector_size(kRegisterBytes), gnu::aligned(alignof(T)), gnu::may_alias]] = T;

template <class T>
constexpr int kParts = kLanes * sizeof(T) / kRegisterBytes;

template <class T>
struct SumOf {
  static constexpr T start = T(-0.0);  // adding it changes nothing, not even -0
  static T padding(T) { return start; }
  template <class V>
  [[gnu::always_inline]] static V step(V sum, V x, V) {
    return sum + x;
  }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V b) {
    return a + b;
  }
};

template <class T>
struct ProdOf {
  static constexpr T start = T(1);
  static T padding(T) { return start; }
  template <class V>
  [[gnu::always_inline]] static V step(V product, V x, V) {
    return product * x;
  }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V b) {
    return a * b;
  }
};

template <class T>
struct MaxOf {
  static constexpr T start =
      std::is_integral_v<T> ? std::numeric_limits<T>::lowest() : -std::numeric_limits<T>::infinity();
  static T padding(T) { return start; }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V b) {
    if constexpr (std::is_integral_v<T>) return a > b ? a : b;
    const V larger = a > b ? a : b;  // b when it is NaN
    return a != a ? a : larger;
  }
  template <class V>
  [[gnu::always_inline]] static V step(V best, V x, V) {
    return join(best, x);
  }
};

template <class T>
struct MinOf {
  static constexpr T start =
      std::is_integral_v<T> ? std::numeric_limits<T>::max() : std::numeric_limits<T>::infinity();
  static T padding(T) { return start; }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V b) {
    if constexpr (std::is_integral_v<T>) return a < b ? a : b;
    const V smaller = a < b ? a : b;
    return a != a ? a : smaller;
  }
  template <class V>
  [[gnu::always_inline]] static V step(V best, V x, V) {
    return join(best, x);
  }
};

template <class T>
struct AnyOf {
  static constexpr T start = T(0);
  static T padding(T) { return start; }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V x) {
    return x != T(0) ? V{} + T(1) : a;
  }
  template <class V>
  [[gnu::always_inline]] static V step(V any, V x, V) {
    return join(any, x);
  }
};

template <class T>
struct AllOf {
  static constexpr T start = T(1);
  static T padding(T) { return start; }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V x) {
    return x == T(0) ? V{} : a;
  }
  template <class V>
  [[gnu::always_inline]] static V step(V all, V x, V) {
    return join(all, x);
  }
};

template <class T>
struct DeviationOf {
  static constexpr T start = T(0);
  static T padding(T center) { return center; }
  template <class V>
  [[gnu::always_inline]] static V step(V sum, V x, V center) {
    const V distance = x - center;
    return sum + distance * distance;
  }
  template <class V>
  [[gnu::always_inline]] static V join(V a, V b) {
    return a + b;
  }
};

template <class Op, class T>
[[gnu::always_inline]] inline T join_lanes(T* lane) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lane[l] = Op::join(lane[l], lane[l + half]);
  return lane[0];
}

// `count` rows side by side, so that their chains of additions overlap.
template <class Op, class T, int count>
[[gnu::always_inline]] inline void reduce_some_rows(const T* x, std::ptrdiff_t stride, std::ptrdiff_t n,
                                                    const T* center, std::ptrdiff_t center_step, T* out) {
  using V = Register<T>;
  constexpr int parts = kParts<T>, width = kLanes / parts;
  V lanes[count][parts], middle[count];
  for (int r = 0; r < count; ++r) {
    middle[r] = V{} + (center ? center[r * center_step] : T(0));
    for (int p = 0; p < parts; ++p) lanes[r][p] = V{} + Op::start;
  }
  std::ptrdiff_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int r = 0; r < count; ++r) {
      const T* from = x + r * stride + i;
      for (int p = 0; p < parts; ++p)
        lanes[r][p] =
            Op::template step<V>(lanes[r][p], *reinterpret_cast<const V*>(from + p * width), middle[r]);
    }
  }
  for (int r = 0; r < count; ++r) {
    alignas(kRegisterBytes) T last[kLanes];
    if (i < n) {
      const T fill = Op::padding(center ? center[r * center_step] : T(0));
      for (int l = 0; l < kLanes; ++l) last[l] = fill;
      for (std::ptrdiff_t l = 0; l < n - i; ++l) last[l] = x[r * stride + i + l];
      for (int p = 0; p < parts; ++p)
        lanes[r][p] =
            Op::template step<V>(lanes[r][p], *reinterpret_cast<const V*>(last + p * width), middle[r]);
    }
    for (int p = 0; p < parts; ++p) *reinterpret_cast<V*>(last + p * width) = lanes[r][p];
    out[r] = join_lanes<Op>(last);
  }
}

template <class Op, class T>
void rows(const RowsJob& job) {
  constexpr int many = kInFlight / kParts<T>;
  const T* x = static_cast<const T*>(job.x);
  const T* center = static_cast<const T*>(job.center);
  T* out = static_cast<T*>(job.out);
  std::ptrdiff_t r = 0;
  for (; r + many <= job.rows; r += many)
    reduce_some_rows<Op, T, many>(x + r * job.stride, job.stride, job.n,
                                  center ? center + r * job.center_step : center, job.center_step, out + r);
  for (; r < job.rows; ++r)
    reduce_some_rows<Op, T, 1>(x + r * job.stride, job.stride, job.n,
                               center ? center + r * job.center_step : center, job.center_step, out + r);
}

// Lanes are rows: the numbers of a lane stand side by side, one per column of a strip.
template <class Op, class T>
void columns(const ColumnsJob& job) {
  constexpr std::ptrdiff_t kStrip = 128;
  alignas(64) T lanes[kLanes][kStrip];
  for (std::ptrdiff_t begin = 0; begin < job.width; begin += kStrip) {
    const std::ptrdiff_t width = job.width - begin < kStrip ? job.width - begin : kStrip;
    const T* const center = job.center ? static_cast<const T*>(job.center) + begin : nullptr;
    const int used = static_cast<int>(job.n < kLanes ? job.n : kLanes);
    for (std::ptrdiff_t r = 0; r < job.n; ++r) {
      const T* const x = static_cast<const T*>(job.rows[r]) + job.first + begin;
      T* const lane = lanes[r % kLanes];
      if (r < kLanes) {
#pragma GCC ivdep
        for (std::ptrdiff_t j = 0; j < width; ++j)
          lane[j] = Op::template step<T>(Op::start, x[j], center ? center[j] : T(0));
      } else if (center) {
#pragma GCC ivdep
        for (std::ptrdiff_t j = 0; j < width; ++j) lane[j] = Op::template step<T>(lane[j], x[j], center[j]);
      } else {
#pragma GCC ivdep
        for (std::ptrdiff_t j = 0; j < width; ++j) lane[j] = Op::template step<T>(lane[j], x[j], T(0));
      }
    }
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int l = 0; l < half && l + half < used; ++l) {
#pragma GCC ivdep
        for (std::ptrdiff_t j = 0; j < width; ++j) lanes[l][j] = Op::join(lanes[l][j], lanes[l + half][j]);
      }
    }
    T* const out = static_cast<T*>(job.out) + begin;
    for (std::ptrdiff_t j = 0; j < width; ++j) out[j] = lanes[0][j];
  }
}

template <class T>
std::ptrdiff_t find(const void* data, std::ptrdiff_t n, const void* value) {
  const T* const x = static_cast<const T*>(data);
  const T wanted = *static_cast<const T*>(value);
  constexpr std::ptrdiff_t kStep = 64;  // elements tested between two branches
  std::ptrdiff_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    int hits = 0;
    for (std::ptrdiff_t k = 0; k < kStep; ++k)
      hits |= static_cast<int>(x[i + k] == wanted) |
              static_cast<int>((x[i + k] != x[i + k]) & (wanted != wanted));
    if (hits) break;
  }
  for (; i < n; ++i)
    if (x[i] == wanted || (x[i] != x[i] && wanted != wanted)) return i;
  return n;
}

template <class T, bool largest>
void arg_columns(const ArgColumnsJob& job) {
  T* const best = static_cast<T*>(job.best);
  std::int64_t* const at = job.at;
  for (std::ptrdiff_t r = 0; r < job.n; ++r) {
    const T* const x = static_cast<const T*>(job.rows[r]) + job.first;
    const std::int64_t index = job.base + r;
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < job.width; ++j) {
      const bool beyond = largest ? x[j] > best[j] : x[j] < best[j];
      const bool better = beyond | ((x[j] != x[j]) & (best[j] == best[j]));
      best[j] = better ? x[j] : best[j];
      at[j] = better ? index : at[j];
    }
  }
}

template <template <class> class Op, class T>
void fill_one(Kernels& k, Reduction reduction, Compute compute) {
  const auto c = static_cast<std::size_t>(compute), r = static_cast<std::size_t>(reduction);
  k.reduce_rows[r][c] = rows<Op<T>, T>;
  k.reduce_columns[r][c] = columns<Op<T>, T>;
}

// Integers wrap: their sums and products run unsigned.
template <class T>
void fill_type(Kernels& k, Compute compute) {
  using Wrapping = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;
  fill_one<SumOf, Wrapping>(k, Reduction::Sum, compute);
  fill_one<ProdOf, Wrapping>(k, Reduction::Prod, compute);
  fill_one<MaxOf, T>(k, Reduction::Max, compute);
  fill_one<MinOf, T>(k, Reduction::Min, compute);
  fill_one<AnyOf, T>(k, Reduction::Any, compute);
  fill_one<AllOf, T>(k, Reduction::All, compute);
  if constexpr (!std::is_integral_v<T>) fill_one<DeviationOf, T>(k, Reduction::Deviation, compute);
  const auto c = static_cast<std::size_t>(compute);
  k.find[c] = find<T>;
  k.arg_columns[0][c] = arg_columns<T, true>;
  k.arg_columns[1][c] = arg_columns<T, false>;
}

void fill_reduce(Kernels& k) {
  fill_type<float>(k, Compute::F32);
  fill_type<double>(k, Compute::F64);
  fill_type<std::int64_t>(k, Compute::I64);
}

}  // namespace versant::isa::VERSANT_ISA
