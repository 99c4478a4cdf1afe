// Products of bfloat16 where the processor multiplies whole tiles (AMX): blocks of 32 x 32 results, summed in
// float32 over 32 steps of k at a time.
#pragma once

#include <cstddef>

namespace versant {

inline constexpr std::ptrdiff_t kTileSide = 32;     // rows of a strip, columns of a panel, steps of a tile
inline constexpr std::ptrdiff_t kTileBytes = 2048;  // of 32 rows or columns in 32 steps

// Strips are 32 rows of a, panels 32 columns of b, both as packed below; every 32 steps take kTileBytes.
// Results (rows x columns) are added to sums, or rounded and written row by row.
struct TileBlock {
  const void* strips = nullptr;
  std::ptrdiff_t strip_bytes = 0, rows = 0;  // from one strip to the next; of all of them
  const void* panels = nullptr;
  std::ptrdiff_t panel_bytes = 0, columns = 0;
  std::ptrdiff_t k = 0;
  // Either sums, of whole strips and panels:
  float* sums = nullptr;
  std::ptrdiff_t sums_row = 0;
  bool first = true;  // they begin at zero
  // ... or c, whose rows begin at c_rows (in elements), with a bias for each column that may be null.
  void* c = nullptr;
  const std::ptrdiff_t* c_rows = nullptr;
  const float* bias = nullptr;
};

struct TileKernels {
  // Rows of a, columns of b; steps between elements. What is past the rows, the columns or k is zero.
  void (*pack_strip)(void* to, const void* a, std::ptrdiff_t rows, std::ptrdiff_t k, std::ptrdiff_t row,
                     std::ptrdiff_t col);
  void (*pack_panel)(void* to, const void* b, std::ptrdiff_t columns, std::ptrdiff_t k, std::ptrdiff_t row,
                     std::ptrdiff_t col);
  // A panel whose k rows lie anywhere: 32 elements of each, from the first-th on; of a null one zeros.
  void (*pack_rows)(void* to, const void* const* rows, std::ptrdiff_t first, std::ptrdiff_t k);
  void (*multiply)(const TileBlock& block);
};

}  // namespace versant
