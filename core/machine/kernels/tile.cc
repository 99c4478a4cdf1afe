// The tiles themselves, one function for each number of rows and of vectors, and the packing of panels.
#include "machine/kernels/tile.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

namespace versant::isa::VERSANT_ISA {

namespace {

template <class T, int rows, int vectors, bool k_major, Reads reads>
void tile(const TileJob<T>& job) {
  constexpr int lanes = kLanes<T>;
  constexpr int last = vectors - 1;
  const int tail = job.tail;
  const Size a_step = job.a_step, b_step = job.b_step, k = job.k;
  // What the sums are added to arrives while they are computed.
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) __builtin_prefetch(job.c + i * job.c_row + v * lanes, 1);
  }
  Vector<T> sum[rows][vectors] = {};
  for (Size tap = 0; tap < job.taps; ++tap) {
    const T* const a = job.a + job.a_taps[tap];
    const T* const b = job.b + job.b_taps[tap];
    const T* row[rows];
    if constexpr (!k_major) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) row[i] = a + job.a_rows[i];
    }
    const auto step = [&](Size p) __attribute__((always_inline)) {
      Vector<T> line[vectors];
      const T* const at = b + p * b_step;
#pragma GCC unroll 8
      for (int v = 0; v < last; ++v) line[v] = Simd<T>::load(at + v * lanes);
      line[last] =
          reads == Reads::Whole ? Simd<T>::load(at + last * lanes) : load_first(at + last * lanes, tail);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const T x = k_major ? a[p * a_step + i] : row[i][p];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sum[i][v] = multiply_add(x, line[v], sum[i][v]);
      }
    };
    // Where registers are few, the compiler spills sums of unrolled steps.
    Size p = 0;
    if constexpr (kTileRows > 6) {
      for (; p + 4 <= k; p += 4) {
        step(p);
        step(p + 1);
        step(p + 2);
        step(p + 3);
      }
    }
#pragma GCC unroll 1
    for (; p < k; ++p) step(p);
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    T* const c = job.c + i * job.c_row;
    if (job.add) {
#pragma GCC unroll 8
      for (int v = 0; v < last; ++v) sum[i][v] += Simd<T>::load(c + v * lanes);
      sum[i][last] += load_first(c + last * lanes, tail);
    }
    if (job.bias) {
#pragma GCC unroll 8
      for (int v = 0; v < last; ++v) sum[i][v] += Simd<T>::load(job.bias + v * lanes);
      sum[i][last] += load_first(job.bias + last * lanes, tail);
    }
#pragma GCC unroll 8
    for (int v = 0; v < last; ++v) Simd<T>::store(c + v * lanes, sum[i][v]);
    store_first(c + last * lanes, sum[i][last], tail);
  }
}

template <class T, int vectors, bool k_major, Reads reads, int... row>
constexpr std::array<Tile<T>, sizeof...(row)> tiles(std::integer_sequence<int, row...>) {
  return {tile<T, row + 1, vectors, k_major, reads>...};
}

template <class T, bool k_major, Reads reads>
Tile<T> find_tile(Size rows, int vectors) {
  static constexpr auto one = tiles<T, 1, k_major, reads>(std::make_integer_sequence<int, kTileRows>{});
  static constexpr auto two = tiles<T, 2, k_major, reads>(std::make_integer_sequence<int, kTileRows>{});
  static constexpr auto four = tiles<T, 4, k_major, reads>(std::make_integer_sequence<int, kTileRowsOf4>{});
  static constexpr auto eight = tiles<T, 8, k_major, reads>(std::make_integer_sequence<int, kTileRowsOf8>{});
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

}  // namespace

template <class T>
Tile<T> tile_of(bool k_major, Size rows, int vectors, Reads reads) {
  if (kMasked && reads == Reads::Tail)
    return k_major                                                ? find_tile < T, true,
           kMasked ? Reads::Tail : Reads::Whole > (rows, vectors) : find_tile < T, false,
           kMasked ? Reads::Tail : Reads::Whole > (rows, vectors);
  return k_major ? find_tile<T, true, Reads::Whole>(rows, vectors)
                 : find_tile<T, false, Reads::Whole>(rows, vectors);
}

template <class T>
void pack_panel(T* out, const T* b, Size k, Size n, Size width, Size row, Size col) {
  constexpr int lanes = kLanes<T>;
  if (col == 1 && n == width) {
    for (Size p = 0; p < k; ++p) {
      for (Size j = 0; j < width; j += lanes) {
        __builtin_prefetch(b + p * row + width + j, 0, 2);  // of the next panel
        Simd<T>::store(out + p * width + j, Simd<T>::load(b + p * row + j));
      }
    }
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
        transpose<T>(square);
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

namespace {

// Whole vectors are stored; what they hold past the tile's rows is overwritten by the next step.
template <class T>
void pack_tile(T* out, const T* a, Size rows, Size k, Size height, Size row, Size col) {
  constexpr int lanes = kLanes<T>, groups = (kTileRows + lanes - 1) / lanes;
  const Size used = (rows + lanes - 1) / lanes;
  Size p = 0;
  if (col == 1) {
    for (; p + lanes <= k; p += lanes) {
      Vector<T> square[groups][lanes];
#pragma GCC unroll 4
      for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i)
          square[g][i] = Simd<T>::load(a + std::min<Size>(g * lanes + i, rows - 1) * row + p);
        transpose<T>(square[g]);
      }
      for (int i = 0; i < lanes; ++i)
        for (Size g = 0; g < used; ++g) Simd<T>::store(out + (p + i) * height + g * lanes, square[g][i]);
    }
  }
  for (; p < k; ++p)
    for (Size i = 0; i < rows; ++i) out[p * height + i] = a[i * row + p * col];
}

}  // namespace

template <class T>
void pack_tiles(T* out, const T* a, Size rows, Size k, Size height, Size row, Size col) {
  if (row != 1 || col == 1) {
    for (Size i = 0; i < rows; i += height)
      pack_tile(out + i * k, a + i * row, std::min(height, rows - i), k, height, row, col);
    return;
  }
  // Rows lie side by side, so tiles share cache lines: a few steps of all tiles are packed at a time. A
  // tile's last step is stored exactly, as the next tile's first is there already.
  constexpr Size lanes = kLanes<T>, some = 8;
  const Size end = (k - 1) * col + rows;  // of what may be read
  for (Size p0 = 0; p0 < k; p0 += some) {
    for (Size i = 0; i < rows; i += height) {
      const Size count = std::min(height, rows - i), whole = (count + lanes - 1) / lanes * lanes;
      for (Size p = p0; p < std::min(p0 + some, k); ++p) {
        const T* const from = a + p * col + i;
        T* const to = out + i * k + p * height;
        if (col > 0 && p < k - 1 && p * col + i + whole <= end) {
          for (Size r = 0; r < count; r += lanes) Simd<T>::store(to + r, Simd<T>::load(from + r));
        } else {
          for (Size r = 0; r < count; ++r) to[r] = from[r];
        }
      }
    }
  }
}

template Tile<float> tile_of<float>(bool, Size, int, Reads);
template Tile<double> tile_of<double>(bool, Size, int, Reads);
template void pack_panel<float>(float*, const float*, Size, Size, Size, Size, Size);
template void pack_panel<double>(double*, const double*, Size, Size, Size, Size, Size);
template void pack_tiles<float>(float*, const float*, Size, Size, Size, Size, Size);
template void pack_tiles<double>(double*, const double*, Size, Size, Size, Size, Size);

}  // namespace versant::isa::VERSANT_ISA
