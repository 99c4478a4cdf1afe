// Matrix products on one thread: register tiles over packed panels, any strides.
//
//   c[i, j] = (((0 + a[i, 0] * b[0, j]) + a[i, 1] * b[1, j]) + ...)     each step one fused multiply-add
//
// Vectors lie along j. A tile of up to kRows rows and a few vectors of c stays in registers while k advances;
// k is cut into blocks so that the panels stay in cache, and a tile resumes from c, which continues the
// chain.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

namespace {

using Size = std::ptrdiff_t;

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRows = 14;  // 14 rows of 2 vectors fill 28 of 32 registers
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRows = 6;  // 6 rows of 2 vectors fill 12 of 16 registers
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr int kRows = 8;
#else
constexpr int kVectorBytes = 16;
constexpr int kRows = 6;
#endif

// Tiles with few rows are wider, so that enough chains run side by side to hide the latency of an addition.
constexpr int kRowsOf4 = kRows / 2 - 1;  // rows of a tile of 4 vectors
constexpr int kRowsOf8 = 1;              // rows of a tile of 8 vectors

template <class T>
struct Simd {
  static constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  typedef T Loose __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  static Vector load(const T* p) { return *reinterpret_cast<const Loose*>(p); }
  static void store(T* p, Vector v) { *reinterpret_cast<Loose*>(p) = v; }
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

// One tile: `rows` x `vectors` of c over k steps. The element (i, k) of a is a[i * lda + k], or
// a[i + k * lda] when `k_major`; row k of b is at b + k * ldb; `resume` continues from what c holds.
template <class T, int rows, int vectors, bool k_major>
void tile(Size k, const T* a, Size lda, const T* b, Size ldb, T* c, Size ldc, bool resume) {
  constexpr int lanes = Simd<T>::kLanes;
  Vector<T> sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v)
      sum[i][v] = resume ? Simd<T>::load(c + i * ldc + v * lanes) : Vector<T>{};
  const auto step = [&](const T* a_at, const T* b_at) __attribute__((always_inline)) {
    Vector<T> line[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) line[v] = Simd<T>::load(b_at + v * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const T x = k_major ? a_at[i] : a_at[i * lda];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sum[i][v] = multiply_add(x, line[v], sum[i][v]);
    }
  };
  Size p = 0;
  for (; p + 4 <= k; p += 4) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) step(k_major ? a + (p + u) * lda : a + p + u, b + (p + u) * ldb);
  }
  for (; p < k; ++p) step(k_major ? a + p * lda : a + p, b + p * ldb);
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) Simd<T>::store(c + i * ldc + v * lanes, sum[i][v]);
}

template <class T>
using Tile = void (*)(Size k, const T* a, Size lda, const T* b, Size ldb, T* c, Size ldc, bool resume);

// tiles<T, vectors, k_major>[rows - 1]
template <class T, int vectors, bool k_major, int... row>
constexpr std::array<Tile<T>, sizeof...(row)> tiles_of(std::integer_sequence<int, row...>) {
  return {tile<T, row + 1, vectors, k_major>...};
}

template <class T, bool k_major>
Tile<T> tile_of(int rows, int vectors) {
  static constexpr auto one = tiles_of<T, 1, k_major>(std::make_integer_sequence<int, kRows>{});
  static constexpr auto two = tiles_of<T, 2, k_major>(std::make_integer_sequence<int, kRows>{});
  static constexpr auto four = tiles_of<T, 4, k_major>(std::make_integer_sequence<int, kRowsOf4>{});
  static constexpr auto eight = tiles_of<T, 8, k_major>(std::make_integer_sequence<int, kRowsOf8>{});
  switch (vectors) {
    case 1:
      return one[rows - 1];
    case 2:
      return two[rows - 1];
    case 4:
      return four[rows - 1];
    default:
      return eight[rows - 1];
  }
}

// --- packing
// -----------------------------------------------------------------------------------------------------------

// Transposes a square of vectors by exchanging halves, quarters ... single lanes.
template <class T, int distance>
[[gnu::always_inline]] inline void transpose(Vector<T>* row) {
  constexpr int lanes = Simd<T>::kLanes;
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

// One panel of b, k x width row after row; columns past n are zeros.
template <class T>
void pack_panel(T* out, const T* b, Size k, Size n, Size width, Size row, Size col) {
  constexpr int lanes = Simd<T>::kLanes;
  if (col == 1 && n == width) {
    for (Size p = 0; p < k; ++p)
      for (Size j = 0; j < width; j += lanes)
        Simd<T>::store(out + p * width + j, Simd<T>::load(b + p * row + j));
    return;
  }
  if (n < width) std::fill_n(out, k * width, T(0));
  Size packed = 0;  // columns that are done
  if (row == 1) {
    for (; packed + lanes <= n; packed += lanes) {
      Size p = 0;
      for (; p + lanes <= k; p += lanes) {
        Vector<T> square[lanes];
#pragma GCC unroll 16
        for (int j = 0; j < lanes; ++j) square[j] = Simd<T>::load(b + (packed + j) * col + p);
        transpose<T, lanes / 2>(square);
#pragma GCC unroll 16
        for (int j = 0; j < lanes; ++j) Simd<T>::store(out + (p + j) * width + packed, square[j]);
      }
      for (; p < k; ++p)
        for (int j = 0; j < lanes; ++j) out[p * width + packed + j] = b[(packed + j) * col + p];
    }
  }
  for (Size p = 0; p < k; ++p)
    for (Size j = packed; j < n; ++j) out[p * width + j] = b[p * row + j * col];
}

// The rows of a tile of a, each k long and `stride` apart.
template <class T>
void pack_rows(T* out, const T* a, Size rows, Size k, Size stride, Size row, Size col) {
  for (Size i = 0; i < rows; ++i) {
    if (col == 1)
      std::memcpy(out + i * stride, a + i * row, static_cast<std::size_t>(k) * sizeof(T));
    else
      for (Size p = 0; p < k; ++p) out[i * stride + p] = a[i * row + p * col];
  }
}

// --- blocks
// ------------------------------------------------------------------------------------------------------------

// The vectors across a panel for a product of m rows.
int panel_vectors(Size m) { return m <= kRowsOf8 ? 8 : m <= kRowsOf4 ? 4 : 2; }

// Parts of `total` that are equal but for one, none above `limit`.
Size part(Size total, Size limit) {
  const Size parts = std::max<Size>(1, (total + limit - 1) / limit);
  return (total + parts - 1) / parts;
}

// A product over one block of k and one of n; `resume` continues the chains that c holds.
template <class T>
void block(const Product& x, const T* a, const T* b, T* c, Size n, Size k, bool resume, T* scratch) {
  constexpr int lanes = Simd<T>::kLanes;
  const int widest = panel_vectors(x.m);
  const Size width = Size{widest} * lanes;
  const Size height = part(x.m, widest == 2 ? kRows : widest == 4 ? kRowsOf4 : kRowsOf8);
  const Size tall = (x.m + height - 1) / height;
  // b is read where it lies when its rows are contiguous and few tiles read them.
  const bool direct = x.b_col == 1 && tall <= 4;
  const bool k_major = x.a_row == 1 && x.a_col != 1;
  const bool pack_a = !k_major && (x.a_col != 1 || n > 4 * width);
  const Size depth = k + 16;
  T* const rows = scratch;
  T* const panels = scratch + (pack_a ? (height * depth + lanes - 1) / lanes * lanes : 0);
  const Size whole = direct ? n / lanes * lanes : 0;  // columns read in place
  for (Size j = whole, at = 0; j < n; j += width, at += width * k) {
    const Size left = std::min(width, n - j);
    pack_panel(panels + at, b + j * x.b_col, k, left, width, x.b_row, x.b_col);
  }
  for (Size i = 0; i < x.m; i += height) {
    const Size h = std::min(height, x.m - i);
    const T* a_at = a + i * x.a_row;
    Size lda = k_major ? x.a_col : x.a_row;
    if (pack_a) {
      pack_rows(rows, a_at, h, k, depth, x.a_row, x.a_col);
      a_at = rows;
      lda = depth;
    }
    for (Size j = 0; j < n;) {
      const bool in_place = j < whole;
      const Size limit = std::min(width, (in_place ? whole : n) - j);
      // The narrowest tile that covers what is left; a tile in place must not read past its columns.
      int vectors = widest;
      if (in_place) {
        while (vectors * lanes > limit) vectors /= 2;
      } else {
        while (vectors > 1 && vectors / 2 * lanes >= limit) vectors /= 2;
      }
      const Size n_here = std::min<Size>(limit, Size{vectors} * lanes);
      const T* b_at = in_place ? b + j : panels + (j - whole) / width * width * k + (j - whole) % width;
      const Size ldb = in_place ? x.b_row : width;
      const Tile<T> run = k_major ? tile_of<T, true>(static_cast<int>(h), vectors)
                                  : tile_of<T, false>(static_cast<int>(h), vectors);
      T* c_at = c + i * x.c_row + j * x.c_col;
      if (n_here == vectors * lanes && x.c_col == 1) {
        run(k, a_at, lda, b_at, ldb, c_at, x.c_row, resume);
      } else {
        alignas(64) T held[2 * kRows * lanes];  // the largest tile
        const Size ld = vectors * lanes;
        if (resume)
          for (Size r = 0; r < h; ++r)
            for (Size s = 0; s < n_here; ++s) held[r * ld + s] = c_at[r * x.c_row + s * x.c_col];
        run(k, a_at, lda, b_at, ldb, held, ld, resume);
        for (Size r = 0; r < h; ++r)
          for (Size s = 0; s < n_here; ++s) c_at[r * x.c_row + s * x.c_col] = held[r * ld + s];
      }
      j += n_here;
    }
  }
}

template <class T>
void product(const Product& x, void* scratch) {
  const auto* a = static_cast<const T*>(x.a);
  const auto* b = static_cast<const T*>(x.b);
  auto* c = static_cast<T*>(x.c);
  constexpr Size columns = kProductColumnBytes / static_cast<Size>(sizeof(T));
  const Size depth = part(x.k, kProductDepth);
  for (Size j = 0; j < x.n; j += columns) {
    const Size n = std::min(columns, x.n - j);
    Size p = 0;
    do {
      const Size k = std::min(depth, x.k - p);
      block(x, a + p * x.a_col, b + p * x.b_row + j * x.b_col, c + j * x.c_col, n, k, p > 0,
            static_cast<T*>(scratch));
      p += k;
    } while (p < x.k);
  }
}

static_assert(kRowsOf4 * 4 <= kRows * 2 && kRowsOf8 * 8 <= kRows * 2);

}  // namespace

void fill_gemm(Kernels& k) {
  k.product_f32 = product<float>;
  k.product_f64 = product<double>;
}

}  // namespace versant::isa::VERSANT_ISA
