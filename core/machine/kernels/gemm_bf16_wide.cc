// Matrix products of bfloat16 on one thread by way of float32: elements are widened as they are packed,
// summed as in a float32 product (see gemm.h) and rounded once at the end.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "machine/kernels.h"
#include "machine/kernels/gemm.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

namespace {

using Half = std::uint16_t;  // the bits of a bfloat16

constexpr Size kLanes32 = kLanes<float>;
constexpr Size kPanel = 2 * kLanes32;

inline float widened(Half x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }

void widen(float* out, const Half* x, Size n) {
#pragma GCC ivdep
  for (Size i = 0; i < n; ++i) out[i] = widened(x[i]);
}

// Lines of k elements `step` apart, one after another in `room`.
void widen_lines(float* room, const Half* x, Size lines, Size k, Size step) {
  for (Size l = 0; l < lines; ++l) widen(room + l * k, x + l * step, k);
}

// As pack_panel.
void pack_wide_panel(float* out, const Half* b, Size k, Size n, Size row, Size col, float* room) {
  if (row == 1) {
    widen_lines(room, b, n, k, col);
    return pack_panel(out, room, k, n, kPanel, Size{1}, k);
  }
  if (n < kPanel) std::fill_n(out, k * kPanel, 0.0f);
  for (Size p = 0; p < k; ++p) {
    float* const to = out + p * kPanel;
    const Half* const from = b + p * row;
    if (col == 1 && n == kPanel) {
      __builtin_prefetch(from + kPanel, 0, 2);  // of the next panel
#pragma GCC ivdep
      for (Size j = 0; j < kPanel; ++j) to[j] = widened(from[j]);
    } else {
      for (Size j = 0; j < n; ++j) to[j] = widened(from[j * col]);
    }
  }
}

// As pack_tiles.
void pack_wide_tiles(float* out, const Half* a, Size rows, Size k, Size height, Size row, Size col,
                     float* room) {
  const Size end = (k - 1) * col + rows;  // of what may be read where rows lie side by side
  for (Size i = 0; i < rows; i += height) {
    const Size count = std::min(height, rows - i);
    float* const to = out + i * k;
    const Half* const from = a + i * row;
    if (col == 1) {
      widen_lines(room, from, count, k, row);
      pack_tiles(to, room, count, k, height, k, Size{1});
      continue;
    }
    const Size whole = (count + kLanes32 - 1) / kLanes32 * kLanes32;
    for (Size p = 0; p < k; ++p) {
      const Half* const step = from + p * col;
      float* const at = to + p * height;
      // Whole vectors are written; the next step overwrites what is past the rows.
      if (row == 1 && col > 0 && p < k - 1 && p * col + i + whole <= end) {
        for (Size r = 0; r < count; r += kLanes32)
#pragma GCC ivdep
          for (Size l = 0; l < kLanes32; ++l) at[r + l] = widened(step[r + l]);
      } else {
        for (Size r = 0; r < count; ++r) at[r] = widened(step[r * row]);
      }
    }
  }
}

StoreKernel rounded = nullptr;

void product(const Product& x, void* scratch) {
  const auto* const a = static_cast<const Half*>(x.a);
  const auto* const b = static_cast<const Half*>(x.b);
  auto* const c = static_cast<Half*>(x.c);
  const WideBlocks blocks(x.m, x.n);
  auto* const sums = static_cast<float*>(scratch);
  float* const room = sums + blocks.rows * blocks.columns;
  float* const packed = room + kProductDepth * kPanel;
  for (Size i0 = 0; i0 < x.m; i0 += blocks.rows) {
    for (Size j0 = 0; j0 < x.n; j0 += blocks.columns) {
      Product y = x;
      y.m = std::min(blocks.rows, x.m - i0);
      y.n = std::min(blocks.columns, x.n - j0);
      y.c = sums;
      y.c_row = blocks.columns;
      y.c_col = 1;
      if (x.bias) y.bias = static_cast<const float*>(x.bias) + j0;
      const Size height = equal_part(y.m, kTileRows);
      blocked_product<float>(
          y, height, packed,
          [&](float* out, Size i, Size rows, Size p, Size k) {
            pack_wide_tiles(out, a + (i0 + i) * x.a_row + p * x.a_col, rows, k, height, x.a_row, x.a_col,
                            room);
          },
          [&](float* out, Size j, Size n, Size p, Size k) {
            pack_wide_panel(out, b + p * x.b_row + (j0 + j) * x.b_col, k, n, x.b_row, x.b_col, room);
          });
      for (Size i = 0; i < y.m; ++i)
        rounded(c + (i0 + i) * x.c_row + j0 * x.c_col, x.c_col, sums + i * blocks.columns, y.n);
    }
  }
}

}  // namespace

// After fill_convert, before fill_gemm_bf16.
void fill_gemm_bf16_wide(Kernels& k) {
  rounded = k.store_of(DType::BFloat16, Compute::F32);
  k.product_bf16 = product;
}

}  // namespace versant::isa::VERSANT_ISA
