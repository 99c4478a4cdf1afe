// Large products: packed blocks of a, packed panels of b, register tiles over both.
//
// For each block of k, each block of rows of a is packed into tiles that stay in the second cache, while the
// panels of b pass through the first: a panel meets all tiles of the block before the next one comes. Both
// are read in the order in which they were packed. Where a and b come from is left to whoever packs them, so
// that convolutions need not write their patches down.
#pragma once

#include <algorithm>

#include "machine/kernels.h"
#include "machine/kernels/largest.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

// Parts of `total` that are equal but for the last, none above `limit`.
[[gnu::always_inline]] inline Size equal_part(Size total, Size limit) {
  const Size parts = std::max<Size>(1, (total + limit - 1) / limit);
  return (total + parts - 1) / parts;
}

// The rows that a block of a holds, a multiple of `height`.
template <class T>
Size block_rows(Size height, Size k) {
  const Size most = kProductBlockBytes / (static_cast<Size>(sizeof(T)) * std::max<Size>(k, 1));
  return std::max<Size>(1, most / height) * height;
}

// c (+)= a @ b, where pack_a(out, i, rows, p, k) packs rows i.. as pack_tiles does, and
// pack_b(out, j, columns, p, k) a panel as pack_panel does, of width 2 * kLanes<T>.
// x.a and x.b are not looked at. `scratch` is 64-byte aligned, of product_scratch() bytes.
//
// x.largest asks for a look at what is written last, while it lies in the first cache.
template <class T, class PackA, class PackB>
void blocked_product(const Product& x, Size height, T* scratch, const PackA& pack_a, const PackB& pack_b) {
  constexpr int lanes = kLanes<T>;
  constexpr Size width = 2 * lanes;
  constexpr Size columns = kProductColumnBytes / static_cast<Size>(sizeof(T));
  auto* const c = static_cast<T*>(x.c);
  const Size depth = equal_part(x.k, kProductDepth), start = 0;
  const Size most_rows = std::min(block_rows<T>(height, depth), (x.m + height - 1) / height * height);
  T* const tiles = scratch;
  T* const panels = scratch + (most_rows * depth / lanes + 2) * lanes;
  LargestOf<T> largest;
  TileJob<T> job;
  job.taps = 1;
  job.a_taps = job.b_taps = &start;
  job.a_rows = nullptr;
  job.a_step = height;
  job.b_step = width;
  for (Size j0 = 0; j0 < x.n; j0 += columns) {
    const Size n = std::min(columns, x.n - j0);
    Size p = 0;
    do {
      const Size k = std::min(depth, x.k - p);
      const bool add = x.add || p > 0, looks = x.largest && p + k >= x.k;
      const T* const bias = x.bias && p + k >= x.k ? static_cast<const T*>(x.bias) + j0 : nullptr;
      job.k = k;
      for (Size i0 = 0; i0 < x.m; i0 += most_rows) {
        const Size m = std::min(most_rows, x.m - i0);
        pack_a(tiles, i0, m, p, k);
        for (Size j = 0; j < n; j += width) {
          const Size left = std::min(width, n - j);
          T* const panel = panels + j * k;
          if (i0 == 0) pack_b(panel, j0 + j, left, p, k);
          const int vectors = left > lanes ? 2 : 1;
          job.tail = static_cast<int>(left - (vectors - 1) * lanes);
          job.b = panel;
          for (Size i = 0; i < m; i += height) {
            const Size rows = std::min(height, m - i);
            const Tile<T> tile = tile_of<T>(true, rows, vectors, Reads::Whole);
            T* const at = c + (i0 + i) * x.c_row + (j0 + j) * x.c_col;
            job.a = tiles + i * k;
            if (x.c_col == 1 && (kMasked || left == vectors * lanes)) {
              job.c = at;
              job.c_row = x.c_row;
              job.add = add;
              job.bias = bias ? bias + j : nullptr;
              tile(job);
              if (looks) [[unlikely]]
                largest.see_rows(at, rows, left, x.c_row);
              continue;
            }
            alignas(64) T held[kTileElements<T>];
            job.c = held;
            job.c_row = vectors * lanes;
            job.add = false;
            job.bias = nullptr;
            tile(job);
            for (Size r = 0; r < rows; ++r) {
              for (Size s = 0; s < left; ++s) {
                T& to = at[r * x.c_row + s * x.c_col];
                to = add ? to + held[r * job.c_row + s] : held[r * job.c_row + s];
                if (bias) to = to + bias[j + s];
                if (looks) [[unlikely]]
                  largest.see_row(&to, 1);
              }
            }
          }
        }
      }
      p += k;
    } while (p < x.k);
  }
  if (x.largest) *x.largest = std::max(*x.largest, largest.all());
}

}  // namespace versant::isa::VERSANT_ISA
