// Register tiles: the innermost loop of matrix products and convolutions.
//
// A tile is a few rows and a few vectors of columns of c that stay in registers while k advances:
//
//   c[i, j] = (((0 + a[i, 0] * b[0, j]) + a[i, 1] * b[1, j]) + ...)     each step one fused multiply-add
//
// Vectors lie along j. The steps may come in several stretches ("taps"), each at an offset of its own in a
// and in b; the chain of additions runs through all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace versant::isa::VERSANT_ISA {

using Size = std::ptrdiff_t;

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kTileRows = 14;  // 14 rows of 2 vectors fill 28 of 32 registers
inline constexpr bool kMasked = true;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kTileRows = 6;  // 6 rows of 2 vectors fill 12 of 16 registers
inline constexpr bool kMasked = false;
#elif defined(__aarch64__)
inline constexpr int kVectorBytes = 16;
inline constexpr int kTileRows = 8;
inline constexpr bool kMasked = false;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kTileRows = 4;  // without fused multiply-adds, products need registers too
inline constexpr bool kMasked = false;
#endif

// Tiles with few rows are wider, so that enough chains run side by side to hide the latency of an addition.
inline constexpr int kTileRowsOf4 = kTileRows / 2 - (kTileRows > 6 ? 1 : 0);
inline constexpr int kTileRowsOf8 = 1;

// How many vectors across a tile is when `rows` rows are left to compute.
constexpr int tile_vectors(Size rows) { return rows <= kTileRowsOf8 ? 8 : rows <= kTileRowsOf4 ? 4 : 2; }
constexpr Size tile_rows(int vectors) {
  return vectors == 8 ? kTileRowsOf8 : vectors == 4 ? kTileRowsOf4 : kTileRows;
}

template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));
// The most elements a tile has.
template <class T>
inline constexpr int kTileElements = (kTileRows * 2 > 8 ? kTileRows * 2 : 8) * kLanes<T>;

template <class T>
struct TileJob {
  const T* a;
  const T* b;
  T* c;
  Size k;              // steps of each tap
  Size taps;           // 1 or more
  const Size* a_taps;  // where each tap begins in a and in b
  const Size* b_taps;
  Size a_step;         // k-major: from one step to the next in a, whose rows are adjacent
  const Size* a_rows;  // row-major: where each row begins in a; steps are adjacent
  Size b_step;         // from one step to the next in b
  Size c_row;
  // Columns of the last vector; without masks the tile reads and writes whole vectors whatever this says.
  int tail;
  bool add;                 // c += the sum; else c = the sum
  const T* bias = nullptr;  // one for each column, added last; may be null
};

template <class T>
using Tile = void (*)(const TileJob<T>& job);

// The tile of 1 to tile_rows(vectors) rows; vectors is 1, 2, 4 or 8. Where the last vector of b may be read
// whole, it says so: a masked load takes the place of a multiplication.
enum class Reads : bool { Tail, Whole };
template <class T>
Tile<T> tile_of(bool k_major, Size rows, int vectors, Reads reads);

// A panel: k rows of b, `width` (a multiple of kLanes) columns side by side; columns past n are zeros.
template <class T>
void pack_panel(T* out, const T* b, Size k, Size n, Size width, Size row, Size col);

// Rows of a as tiles of `height`, each k-major: out[t * height * k + p * height + i] = a[(t * height + i) *
// row + p * col]; the last tile may have fewer rows. Writes up to a vector past the end of `out`.
template <class T>
void pack_tiles(T* out, const T* a, Size rows, Size k, Size height, Size row, Size col);

// --- vectors
// -----------------------------------------------------------------------------------------------------------

template <class T>
struct Simd {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  typedef T Loose __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  [[gnu::always_inline]] static inline Vector load(const T* p) { return *reinterpret_cast<const Loose*>(p); }
  [[gnu::always_inline]] static inline void store(T* p, Vector v) { *reinterpret_cast<Loose*>(p) = v; }
};
template <class T>
using Vector = typename Simd<T>::Vector;

[[gnu::always_inline]] inline Vector<float> multiply_add(float x, Vector<float> y, Vector<float> sum) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_fmadd_ps(_mm512_set1_ps(x), (__m512)y, (__m512)sum);
#elif defined(__FMA__)
  return (Vector<float>)_mm256_fmadd_ps(_mm256_set1_ps(x), (__m256)y, (__m256)sum);
#elif defined(__aarch64__)
  for (int l = 0; l < 4; ++l) sum[l] = __builtin_fmaf(x, y[l], sum[l]);
  return sum;
#else
  return x * y + sum;
#endif
}

[[gnu::always_inline]] inline Vector<double> multiply_add(double x, Vector<double> y, Vector<double> sum) {
#if defined(__AVX512F__)
  return (Vector<double>)_mm512_fmadd_pd(_mm512_set1_pd(x), (__m512d)y, (__m512d)sum);
#elif defined(__FMA__)
  return (Vector<double>)_mm256_fmadd_pd(_mm256_set1_pd(x), (__m256d)y, (__m256d)sum);
#elif defined(__aarch64__)
  for (int l = 0; l < 2; ++l) sum[l] = __builtin_fma(x, y[l], sum[l]);
  return sum;
#else
  return x * y + sum;
#endif
}

// The first `count` lanes only, where the instruction set has masks (kMasked); all of them elsewhere.
#if defined(__AVX512F__)
[[gnu::always_inline]] inline Vector<float> load_first(const float* p, int count) {
  return (Vector<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
}
[[gnu::always_inline]] inline Vector<double> load_first(const double* p, int count) {
  return (Vector<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), p);
}
[[gnu::always_inline]] inline void store_first(float* p, Vector<float> v, int count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
}
[[gnu::always_inline]] inline void store_first(double* p, Vector<double> v, int count) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1), (__m512d)v);
}
#else
template <class T>
[[gnu::always_inline]] inline Vector<T> load_first(const T* p, int) {
  return Simd<T>::load(p);
}
template <class T>
[[gnu::always_inline]] inline void store_first(T* p, Vector<T> v, int) {
  Simd<T>::store(p, v);
}
#endif

// Transposes a square of vectors by exchanging halves, quarters ... single lanes; `distance` starts at half.
template <class T, int distance = kLanes<T> / 2>
[[gnu::always_inline]] inline void transpose(Vector<T>* row) {
  constexpr int lanes = kLanes<T>;
  using Lane = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Lane Mask __attribute__((vector_size(kVectorBytes)));
  constexpr auto mask = [](bool high) {
    Mask m{};
    for (int l = 0; l < lanes; ++l) {
      const bool second = (l & distance) != 0;
      m[l] = high ? (second ? lanes + l : l + distance) : (second ? lanes + l - distance : l);
    }
    return m;
  };
  const Mask low = mask(false), high = mask(true);
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if (i & distance) continue;
    const Vector<T> x = row[i], y = row[i + distance];
    row[i] = __builtin_shuffle(x, y, low);
    row[i + distance] = __builtin_shuffle(x, y, high);
  }
  if constexpr (distance > 1) transpose<T, distance / 2>(row);
}

}  // namespace versant::isa::VERSANT_ISA
