// Matrix products on one thread: tiles over packed panels, any strides.
#include <algorithm>
#include <cstring>

#include "machine/kernels.h"
#include "machine/kernels/gemm.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

namespace {

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

constexpr Size kFewRows = Size{4} * kTileRows;
// The columns up to which packing the rows of a costs more than to read them where they lie.
template <class T>
constexpr Size kColumnsAlong = kMasked ? 1024 : 8 * kLanes<T>;

// Whether the rows of a tile share one set of the first cache, which holds 4096 bytes in each of its ways:
// more rows than ways push each other out.
[[gnu::always_inline]] inline bool rows_collide(Size stride_bytes) {
  constexpr Size way = 4096;
  const Size past = stride_bytes & (way - 1);
  return std::min(past, way - past) < 16;
}

// A product over one block of k and one of n; `add` adds it to what c holds, `bias` is added last. `largest`,
// if given, sees what is written.
template <class T>
void block(const Product& x, const T* a, const T* b, T* c, const T* bias, Size n, Size k, bool add,
           LargestOf<T>* largest, T* scratch) {
  constexpr int lanes = kLanes<T>;
  const int widest = tile_vectors(x.m);
  const Size width = Size{widest} * lanes;
  const Size height = equal_part(x.m, tile_rows(widest));
  const Size tiles_down = (x.m + height - 1) / height;
  const bool k_major = x.a_row == 1 && x.a_col != 1;
  const bool pack_a = !k_major && (x.a_col != 1 || (x.m <= kFewRows && n > 4 * width));
  // Steps side by side are read faster than rows; to turn rows costs a little, and reads whole vectors of
  // them.
  const bool turn_a = pack_a && x.a_col == 1 && n > 6 * width && height <= lanes;
  const Size depth = k + 16;
  T* const packed_rows = scratch;
  T* const panels =
      scratch +
      (pack_a ? (std::max(height, Size{turn_a ? lanes : 0}) * depth + lanes - 1) / lanes * lanes : 0);
  // Columns of b that are read where they lie: when its rows are contiguous and few tiles read them.
  const bool direct = x.b_col == 1 && tiles_down <= 4;
  const Size in_place = !direct ? 0 : kMasked ? n : n / lanes * lanes;
  for (Size j = in_place; j < n; j += width)
    pack_panel(panels + (j - in_place) * k, b + j * x.b_col, k, std::min(width, n - j), width, x.b_row,
               x.b_col);

  const Size start = 0;
  Size row_starts[kTileRows];
  for (Size i = 0; i < std::min<Size>(height, kTileRows); ++i) row_starts[i] = i * (pack_a ? depth : x.a_row);
  TileJob<T> job;
  job.k = k;
  job.taps = 1;
  job.a_taps = job.b_taps = &start;
  job.a_step = x.a_col;
  job.a_rows = row_starts;
  job.add = add;
  for (Size i = 0; i < x.m; i += height) {
    const Size rows = std::min(height, x.m - i);
    job.a = a + i * x.a_row;
    const bool turned = turn_a && i + lanes <= x.m;
    job.a_step = turned ? lanes : x.a_col;
    if (turned) {
      pack_panel(packed_rows, job.a, k, Size{lanes}, Size{lanes}, Size{1}, x.a_row);
      job.a = packed_rows;
    } else if (pack_a) {
      pack_rows(packed_rows, job.a, rows, k, depth, x.a_row, x.a_col);
      job.a = packed_rows;
    }
    Size columns;
    for (Size j = 0; j < n; j += columns) {
      const bool placed = j < in_place;
      const Size left = std::min(width, (placed ? in_place : n) - j);
      // The widest tile whose last vector has columns to compute, all of them where b is in place unmasked.
      int vectors = widest;
      while (vectors > 1 && (placed && !kMasked ? vectors * lanes > left : (vectors - 1) * lanes >= left))
        vectors /= 2;
      columns = std::min<Size>(left, Size{vectors} * lanes);
      job.tail = static_cast<int>(columns - (vectors - 1) * lanes);
      const Size packed = j - in_place;
      job.b = placed ? b + j : panels + packed / width * width * k + packed % width;
      job.b_step = placed ? x.b_row : width;
      const bool whole = !placed || columns == vectors * lanes;
      const Tile<T> tile = tile_of<T>(k_major || turned, rows, vectors, whole ? Reads::Whole : Reads::Tail);
      T* const at = c + i * x.c_row + j * x.c_col;
      if (x.c_col == 1 && (kMasked || columns == vectors * lanes)) {
        job.c = at;
        job.c_row = x.c_row;
        job.bias = bias ? bias + j : nullptr;
        tile(job);
        if (largest) [[unlikely]]
          largest->see_rows(at, rows, columns, x.c_row);
        continue;
      }
      alignas(64) T held[kTileElements<T>];
      job.c = held;
      job.c_row = vectors * lanes;
      job.add = false;
      job.bias = nullptr;
      tile(job);
      job.add = add;
      for (Size r = 0; r < rows; ++r) {
        for (Size s = 0; s < columns; ++s) {
          T& to = at[r * x.c_row + s * x.c_col];
          to = add ? to + held[r * job.c_row + s] : held[r * job.c_row + s];
          if (bias) to = to + bias[j + s];
          if (largest) [[unlikely]]
            largest->see_row(&to, 1);
        }
      }
    }
  }
}

template <class T>
void product(const Product& x, void* scratch) {
  const auto* a = static_cast<const T*>(x.a);
  const auto* b = static_cast<const T*>(x.b);
  auto* c = static_cast<T*>(x.c);
  // A few tiles read b where it lies, or panels that are packed for them alone. Many may read the rows of a
  // where they lie, while panels come from the second cache.
  const bool rows_stay =
      x.a_col == 1 && x.n <= kColumnsAlong<T> && !rows_collide(x.a_row * static_cast<Size>(sizeof(T)));
  if (x.m > kFewRows && !rows_stay) {
    const Size height = equal_part(x.m, kTileRows);
    return blocked_product<T>(
        x, height, static_cast<T*>(scratch),
        [&](T* out, Size i, Size rows, Size p, Size k) {
          pack_tiles(out, a + i * x.a_row + p * x.a_col, rows, k, height, x.a_row, x.a_col);
        },
        [&](T* out, Size j, Size n, Size p, Size k) {
          pack_panel(out, b + p * x.b_row + j * x.b_col, k, n, Size{2} * kLanes<T>, x.b_row, x.b_col);
        });
  }
  constexpr Size columns = kProductColumnBytes / static_cast<Size>(sizeof(T));
  const Size depth = equal_part(x.k, kProductDepth);
  LargestOf<T> largest;
  for (Size j = 0; j < x.n; j += columns) {
    const Size n = std::min(columns, x.n - j);
    Size p = 0;
    do {
      const Size k = std::min(depth, x.k - p);
      const T* const bias = x.bias && p + k >= x.k ? static_cast<const T*>(x.bias) + j : nullptr;
      block(x, a + p * x.a_col, b + p * x.b_row + j * x.b_col, c + j * x.c_col, bias, n, k, x.add || p > 0,
            x.largest && p + k >= x.k ? &largest : nullptr, static_cast<T*>(scratch));
      p += k;
    } while (p < x.k);
  }
  if (x.largest) *x.largest = std::max(*x.largest, largest.all());
}

}  // namespace

void fill_gemm(Kernels& k) {
  k.product_f32 = product<float>;
  k.product_f64 = product<double>;
}

}  // namespace versant::isa::VERSANT_ISA
