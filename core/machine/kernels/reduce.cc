// Reductions of blocks, in the order of Note [Order of reductions] (reduce.h): 16 lanes, then a tree of
// lanes.
#include <limits>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
constexpr std::ptrdiff_t kFlatColumns = 64;  // rows as narrow as this may be taken 16 at a time
constexpr int kTogether = 4;                 // rows of a lane in one pass over it

// The numbers of all lanes: `steps` and `joins` below work on one number or on a register of them.
template <class T>
using Register [[gnu::vector_size(kRegisterBytes), gnu::aligned(alignof(T)), gnu::may_alias]] = T;

// Subtracting zero keeps even the sign of -0.
template <class T>
[[gnu::always_inline]] inline Register<T> all_lanes(T x) {
  return x - Register<T>{};
}

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

// The first n numbers at x (n may be 0 or less, or more than a register holds), and `fill` in what is left.
template <class T>
[[gnu::always_inline]] inline Register<T> load_some(const T* x, std::ptrdiff_t n, T fill) {
  using V = Register<T>;
  constexpr int width = kRegisterBytes / sizeof(T);
  const V rest = all_lanes<T>(fill);
  const int count = n < 0 ? 0 : n > width ? width : static_cast<int>(n);
#if defined(__AVX512F__)
  const unsigned mask = (1U << count) - 1;
  if constexpr (std::is_same_v<T, float>) {
    return (V)_mm512_mask_loadu_ps((__m512)rest, static_cast<__mmask16>(mask), x);
  } else {
    return (V)_mm512_mask_loadu_epi64((__m512i)rest, static_cast<__mmask8>(mask), x);
  }
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) {
    const __m256i mask =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return (V)_mm256_blendv_ps((__m256)rest, _mm256_maskload_ps(x, mask), (__m256)mask);
  } else {
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    return (V)_mm256_blendv_epi8((__m256i)rest, _mm256_maskload_epi64((const long long*)x, mask), mask);
  }
#else
  V some = rest;
  for (int l = 0; l < width; ++l)
    if (l < count) some[l] = x[l];
  return some;
#endif
}

// Each lane joined with the one `half` of the register further on: a shuffle by constants.
template <class Op, class T, int half, int... lane>
[[gnu::always_inline]] inline Register<T> join_halves(Register<T> all, std::integer_sequence<int, lane...>) {
  using Index [[gnu::vector_size(kRegisterBytes)]] =
      std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr int width = sizeof...(lane);
  const Register<T> joined =
      Op::template join<Register<T>>(all, __builtin_shuffle(all, Index{(lane + half) % width...}));
  if constexpr (half == 1)
    return joined;
  else
    return join_halves<Op, T, half / 2>(joined, std::integer_sequence<int, lane...>{});
}

// Joins the 16 lanes: l with l + 8, then with l + 4, l + 2, l + 1.
template <class Op, class T>
[[gnu::always_inline]] inline T join_lanes(Register<T>* parts) {
  using V = Register<T>;
  constexpr int width = kRegisterBytes / sizeof(T);
  for (int half = kParts<T> / 2; half > 0; half /= 2)
    for (int p = 0; p < half; ++p) parts[p] = Op::template join<V>(parts[p], parts[p + half]);
  const V all = join_halves<Op, T, width / 2>(parts[0], std::make_integer_sequence<int, width>{});
  return all[0];
}

// `count` rows side by side, so that their chains of additions overlap.
template <class Op, class T, int count>
[[gnu::always_inline]] inline void reduce_some_rows(const T* x, std::ptrdiff_t stride, std::ptrdiff_t n,
                                                    const T* center, std::ptrdiff_t center_step, T* out) {
  using V = Register<T>;
  constexpr int parts = kParts<T>, width = kLanes / parts;
  V lanes[count][parts];
  T middle[count];
  for (int r = 0; r < count; ++r) {
    middle[r] = center ? center[r * center_step] : T(0);
    for (int p = 0; p < parts; ++p) lanes[r][p] = all_lanes<T>(Op::start);
  }
  std::ptrdiff_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int r = 0; r < count; ++r) {
      for (int p = 0; p < parts; ++p) {
        const V next = *reinterpret_cast<const V*>(x + r * stride + i + p * width);
        lanes[r][p] = Op::template step<V>(lanes[r][p], next, all_lanes<T>(middle[r]));
      }
    }
  }
  if (i < n) {
    for (int r = 0; r < count; ++r) {
      for (int p = 0; p < parts; ++p) {
        const V next = load_some(x + r * stride + i + p * width, n - i - p * width, Op::padding(middle[r]));
        lanes[r][p] = Op::template step<V>(lanes[r][p], next, all_lanes<T>(middle[r]));
      }
    }
  }
  for (int r = 0; r < count; ++r) out[r] = join_lanes<Op, T>(lanes[r]);
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

// lane[j] = lane[j] and the numbers of column j of up to kTogether rows, one after the other.
template <class Op, class T>
[[gnu::always_inline]] inline void add_rows(T* lane, const T* const* rows, int count, const T* center,
                                            std::ptrdiff_t width) {
  auto add = [&](auto from) {
    if (count == kTogether) {
      const T *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
#pragma GCC ivdep
      for (std::ptrdiff_t j = 0; j < width; ++j) {
        const T m = from(j);
        lane[j] = Op::template step<T>(
            Op::template step<T>(Op::template step<T>(Op::template step<T>(lane[j], a[j], m), b[j], m), c[j],
                                 m),
            d[j], m);
      }
      return;
    }
    for (int r = 0; r < count; ++r) {
      const T* const a = rows[r];
#pragma GCC ivdep
      for (std::ptrdiff_t j = 0; j < width; ++j) lane[j] = Op::template step<T>(lane[j], a[j], from(j));
    }
  };
  if (center)
    add([center](std::ptrdiff_t j) { return center[j]; });
  else
    add([](std::ptrdiff_t) { return T(0); });
}

// Narrow rows that follow each other without gaps: 16 of them are one long row, in which each number has its
// own lane.
template <class Op, class T>
void flat_columns(const ColumnsJob& job) {
  alignas(64) T lanes[kLanes * kFlatColumns];
  const std::ptrdiff_t width = job.width, all = kLanes * width, n = job.n * width;
  const T* const x = static_cast<const T*>(job.rows[0]) + job.first;
  T* const out = static_cast<T*>(job.out);
  for (std::ptrdiff_t j = 0; j < all; ++j) lanes[j] = Op::start;
  std::ptrdiff_t i = 0;
  for (; i + 2 * all <= n; i += 2 * all) {
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < all; ++j)
      lanes[j] = Op::template step<T>(Op::template step<T>(lanes[j], x[i + j], T(0)), x[i + all + j], T(0));
  }
  for (; i < n; i += all) {
    const std::ptrdiff_t some = n - i < all ? n - i : all;
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < some; ++j) lanes[j] = Op::template step<T>(lanes[j], x[i + j], T(0));
  }
  for (std::ptrdiff_t half = all / 2; half >= width; half /= 2) {
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < half; ++j) lanes[j] = Op::template join<T>(lanes[j], lanes[j + half]);
  }
  for (std::ptrdiff_t j = 0; j < width; ++j) out[j] = lanes[j];
}

// Lanes are rows: the numbers of a lane stand side by side, one per column of a strip. Memory is read in
// order, but for those few rows that a lane takes together.
template <class Op, class T>
void columns(const ColumnsJob& job) {
  if (job.gapless && job.width <= kFlatColumns && !job.center) return flat_columns<Op, T>(job);
  constexpr std::ptrdiff_t kStrip = 1024 / sizeof(T), kRows = kTogether * kLanes;
  alignas(64) T lanes[kLanes][kStrip];
  alignas(64) T loaded[kTogether][kStrip];
  for (std::ptrdiff_t begin = 0; begin < job.width; begin += kStrip) {
    const std::ptrdiff_t width = job.width - begin < kStrip ? job.width - begin : kStrip;
    const std::ptrdiff_t used = job.n < kLanes ? job.n : kLanes;
    const T* const center = job.center ? static_cast<const T*>(job.center) + begin : nullptr;
    for (std::ptrdiff_t l = 0; l < used; ++l)
      for (std::ptrdiff_t j = 0; j < width; ++j) lanes[l][j] = Op::start;
    for (std::ptrdiff_t first = 0; first < job.n; first += kRows) {
      const std::ptrdiff_t end = job.n - first < kRows ? job.n : first + kRows;
      for (std::ptrdiff_t l = 0; l < kLanes && first + l < end; ++l) {
        const T* rows[kTogether];
        int count = 0;
        for (std::ptrdiff_t r = first + l; r < end; r += kLanes, ++count) {
          if (job.load) {
            job.load(loaded[count], static_cast<const char*>(job.rows[r]) + begin * job.step * job.item,
                     job.step, width);
            rows[count] = loaded[count];
          } else {
            rows[count] = static_cast<const T*>(job.rows[r]) + job.first + begin;
          }
        }
        add_rows<Op, T>(lanes[l], rows, count, center, width);
      }
    }
    for (std::ptrdiff_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::ptrdiff_t l = 0; l < half && l + half < used; ++l) {
#pragma GCC ivdep
        for (std::ptrdiff_t j = 0; j < width; ++j)
          lanes[l][j] = Op::template join<T>(lanes[l][j], lanes[l + half][j]);
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
