// Matrix products of bfloat16 on one thread, where the processor multiplies whole tiles (AMX): 32 steps of k
// at a time, summed in float32 in the order of k, rounded once at the end. Only k decides how an element is
// summed, so no bit depends on m, on n, on layout or on how a product is cut into parts. As the instruction
// has it, subnormal numbers count as zero. Blocks may also be multiplied by pairs of lanes (AVX512_BF16).
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "machine/cpu.h"
#include "machine/kernels.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

#if defined(__AVX512BW__) && defined(__AVX512VL__)

namespace {

#define VERSANT_TILES __attribute__((target("amx-tile,amx-bf16,avx512bf16")))
#define VERSANT_PAIRS __attribute__((target("avx512bf16")))

using Half = std::uint16_t;  // the bits of a bfloat16
using Line = Vector<float>;  // 16 pairs of them, moved and never computed with

constexpr Size kSide = kTileSide;
constexpr Size kSteps = kTileSide;           // of k that a tile holds
constexpr Size kBlock = kSide * kSteps;      // elements of a packed step of a strip or a panel
constexpr Size kLine = kSide * kSteps / 16;  // from one row of a packed panel to the next

struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The intrinsics do not say that they read memory: what they read must have been written.
[[gnu::always_inline]] inline void written() { asm volatile("" ::: "memory"); }

constexpr TileShapes kShapes;

__mmask32 first_of(Size count) {
  return static_cast<__mmask32>(count >= 32 ? ~0u : count > 0 ? (1u << count) - 1 : 0);
}

Line halves(const Half* from, Size count) { return (Line)_mm512_maskz_loadu_epi16(first_of(count), from); }

// 16 pairs: lanes of two lines with one value of each of 16 rows or columns.
Line paired(const Half* low, const Half* high, Size count) {
  const auto mask = static_cast<__mmask16>(first_of(std::min<Size>(count, 16)));
  const auto wide = [mask](const Half* from) {
    return _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(mask, from));
  };
  const __m512i above = high ? wide(high) : _mm512_setzero_si512();
  return (Line)_mm512_or_si512(low ? wide(low) : _mm512_setzero_si512(),
                               _mm512_maskz_slli_epi32(0xffff, above, 16));
}

// 16 rows or columns that lie side by side, as a line of pairs for every two of up to 32 steps, which are
// `step` apart.
void pair_up(Line* lines, const Half* from, Size count, Size steps, Size step) {
  for (Size q = 0; q < 16; ++q) {
    const Half* const low = from + 2 * q * step;
    lines[q] = paired(2 * q < steps ? low : nullptr, 2 * q + 1 < steps ? low + step : nullptr, count);
  }
}

void put(Half* to, Line line) { Simd<float>::store(reinterpret_cast<float*>(to), line); }

// 16 vectors (rows of a, columns of b) of up to 32 steps each, as lines of 16 pairs, one for each vector:
// `step` is from one step to the next, `apart` from one vector to the next.
void gather(Line* lines, const Half* from, Size vectors, Size steps, Size apart, Size step) {
  if (step == 1) {
    for (Size v = 0; v < 16; ++v) lines[v] = v < vectors ? halves(from + v * apart, steps) : Line{};
    return;
  }
  alignas(64) Half room[16][kSteps] = {};
  for (Size v = 0; v < vectors; ++v)
    for (Size s = 0; s < steps; ++s) room[v][s] = from[v * apart + s * step];
  for (Size v = 0; v < 16; ++v) lines[v] = halves(room[v], kSteps);
}

// A strip: for every 32 steps, 32 rows of 64 bytes. What is past the rows or past k is zero.
void pack_strip(void* strip, const void* x, Size rows, Size k, Size row, Size col) {
  auto* to = static_cast<Half*>(strip);
  const auto* const a = static_cast<const Half*>(x);
  for (Size p = 0; p < k; p += kSteps, to += kBlock) {
    const Size steps = std::min(kSteps, k - p);
    const Half* const from = a + p * col;
    for (Size r = 0; r < kSide; r += 16) {
      Line lines[16];
      const Size some = std::clamp<Size>(rows - r, 0, 16);
      if (row == 1 && col != 1) {  // k-major
        pair_up(lines, from + r, some, steps, col);
        transpose<float>(lines);
      } else {
        gather(lines, from + r * row, some, steps, row, col);
      }
      for (Size v = 0; v < 16; ++v) put(to + (r + v) * kSteps, lines[v]);
    }
  }
}

// A panel: for every two steps, the pairs of 32 columns. What is past the columns or past k is zero.
void pack_panel(void* panel, const void* x, Size columns, Size k, Size row, Size col) {
  auto* to = static_cast<Half*>(panel);
  const auto* const b = static_cast<const Half*>(x);
  for (Size p = 0; p < k; p += kSteps, to += kBlock) {
    const Size steps = std::min(kSteps, k - p);
    const Half* const from = b + p * row;
    for (Size j = 0; j < kSide; j += 16) {
      Line lines[16];
      const Size some = std::clamp<Size>(columns - j, 0, 16);
      if (col == 1) {
        pair_up(lines, from + j, some, steps, row);
      } else {
        gather(lines, from + j * col, some, steps, col, row);
        transpose<float>(lines);
      }
      for (Size q = 0; q < 16; ++q) put(to + q * kLine + 2 * j, lines[q]);
    }
  }
}

void pack_rows(void* panel, const void* const* rows, Size first, Size k) {
  auto* to = static_cast<Half*>(panel);
  const auto row = [&](Size p) {
    return p < k && rows[p] ? static_cast<const Half*>(rows[p]) + first : nullptr;
  };
  for (Size p = 0; p < k; p += kSteps) {
    for (Size q = 0; q < kSteps; q += 2, to += kLine) {
      const Half *const low = row(p + q), *const high = row(p + q + 1);
      put(to, paired(low, high, 16));
      put(to + 32, paired(low ? low + 16 : nullptr, high ? high + 16 : nullptr, 16));
    }
  }
}

// sums (+)= strip @ panel, of 32 rows and columns; sums lie `step` bytes apart.
VERSANT_TILES void sum(float* sums, Size step, const Half* strip, const Half* panel, Size steps, bool first) {
  written();
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, step);
    _tile_loadd(1, sums + 16, step);
    _tile_loadd(2, sums + 4 * step, step);  // 16 rows further, in floats
    _tile_loadd(3, sums + 4 * step + 16, step);
  }
  for (Size p = 0; p < steps; p += kSteps, strip += kBlock, panel += kBlock) {
    _tile_loadd(4, strip, 64);
    _tile_loadd(6, panel, 128);
    _tile_loadd(7, panel + 32, 128);
    _tile_loadd(5, strip + kBlock / 2, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, step);
  _tile_stored(1, sums + 16, step);
  _tile_stored(2, sums + 4 * step, step);
  _tile_stored(3, sums + 4 * step + 16, step);
}

// The same by pairs of lanes.
VERSANT_PAIRS void sum_pairs(float* sums, Size step, const Half* strip, const Half* panel, Size steps,
                             bool first) {
  constexpr Size kRows = 8;  // whose sums stay in registers
  for (Size i = 0; i < kSide; i += kRows, strip += kRows * kSteps) {
    float* const to = sums + i * step / 4;
    __m512 low[kRows], high[kRows];
    for (Size r = 0; r < kRows; ++r) {
      low[r] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(to + r * step / 4);
      high[r] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(to + r * step / 4 + 16);
    }
    const auto pairs = [](const Half* from) { return (__m512bh)_mm512_loadu_si512(from); };
    const Half *a = strip, *b = panel;
    for (Size p = 0; p < steps; p += kSteps, a += kBlock, b += kBlock) {
      for (Size q = 0; q < kSteps; q += 2) {
        const __m512bh left = pairs(b + q / 2 * kLine), right = pairs(b + q / 2 * kLine + 32);
        for (Size r = 0; r < kRows; ++r) {
          std::int32_t pair;
          std::memcpy(&pair, a + r * kSteps + q, sizeof pair);
          const auto all = (__m512bh)_mm512_set1_epi32(pair);
          low[r] = _mm512_dpbf16_ps(low[r], all, left);
          high[r] = _mm512_dpbf16_ps(high[r], all, right);
        }
      }
    }
    for (Size r = 0; r < kRows; ++r) {
      _mm512_storeu_ps(to + r * step / 4, low[r]);
      _mm512_storeu_ps(to + r * step / 4 + 16, high[r]);
    }
  }
}

// c = sums + bias, rounded, of one row; `col` is from one element of c to the next.
VERSANT_PAIRS void write_row(Half* c, Size col, const float* sums, const float* bias, Size columns) {
  for (Size s = 0; s < columns; s += 16) {
    const Size some = std::min<Size>(columns - s, 16);
    const auto mask = static_cast<__mmask16>(first_of(some));
    __m512 total = _mm512_loadu_ps(sums + s);
    if (bias) total = _mm512_add_ps(total, _mm512_maskz_loadu_ps(mask, bias + s));
    const auto rounded = (__m256i)_mm512_cvtneps_pbh(total);
    if (col == 1) {
      _mm256_mask_storeu_epi16(c + s, mask, rounded);
      continue;
    }
    alignas(32) Half held[16];
    _mm256_store_si256(reinterpret_cast<__m256i*>(held), rounded);
    for (Size l = 0; l < some; ++l) c[(s + l) * col] = held[l];
  }
}

// While it lives the registers hold tiles of 16 rows of 64 bytes.
struct Shaped {
  VERSANT_TILES Shaped() { _tile_loadconfig(&kShapes); }
  VERSANT_TILES ~Shaped() { _tile_release(); }
};

template <auto sum>
void multiply(const TileBlock& x) {
  alignas(64) float held[kSide * kSide];
  const auto half = [](const void* base, Size bytes) {
    return reinterpret_cast<const Half*>(static_cast<const char*>(base) + bytes);
  };
  for (Size j = 0; j < x.columns; j += kSide) {
    const Half* const panel = half(x.panels, j / kSide * x.panel_bytes);
    for (Size i = 0; i < x.rows; i += kSide) {
      const Half* const strip = half(x.strips, i / kSide * x.strip_bytes);
      if (x.sums) {
        sum(x.sums + i * x.sums_row + j, x.sums_row * 4, strip, panel, x.k, x.first);
        continue;
      }
      sum(held, kSide * 4, strip, panel, x.k, true);
      for (Size r = 0; r < std::min(kSide, x.rows - i); ++r)
        write_row(static_cast<Half*>(x.c) + x.c_rows[i + r] + j, 1, held + r * kSide,
                  x.bias ? x.bias + j : nullptr, std::min(kSide, x.columns - j));
    }
  }
}

void multiply_tiles(const TileBlock& x) {
  const Shaped shaped;
  multiply<sum>(x);
}

// Panels of a block of b stay in the second cache, and meet one strip of a after the other.
void product_bf16_tiles(const Product& x, void* scratch) {
  const TileBlocks blocks(x.n, x.k);
  const bool one_block = blocks.k >= x.k;
  auto* const panels = static_cast<Half*>(scratch);
  Half* const strip = panels + blocks.columns * blocks.k;
  auto* const sums = reinterpret_cast<float*>(strip + kSide * blocks.k);
  const auto* const a = static_cast<const Half*>(x.a);
  const auto* const b = static_cast<const Half*>(x.b);
  const Shaped shaped;
  for (Size j0 = 0; j0 < x.n; j0 += blocks.columns) {
    const Size n = std::min(blocks.columns, x.n - j0);
    const Size step = one_block ? kSide : blocks.columns;  // of the sums
    Size p = 0;
    do {
      const Size k = std::min(blocks.k, x.k - p);
      for (Size j = 0; j < n; j += kSide)
        pack_panel(panels + j * blocks.k, b + p * x.b_row + (j0 + j) * x.b_col, std::min(kSide, n - j), k,
                   x.b_row, x.b_col);
      for (Size i = 0; i < x.m; i += kSide) {
        const Size rows = std::min(kSide, x.m - i);
        pack_strip(strip, a + i * x.a_row + p * x.a_col, rows, k, x.a_row, x.a_col);
        for (Size j = 0; j < n; j += kSide) {
          float* const to = one_block ? sums : sums + i * step + j;
          sum(to, step * 4, strip, panels + j * blocks.k, k, p == 0);
          if (p + k < x.k) continue;
          Half* const at = static_cast<Half*>(x.c) + i * x.c_row + (j0 + j) * x.c_col;
          for (Size r = 0; r < rows; ++r)
            write_row(at + r * x.c_row, x.c_col, to + r * step,
                      x.bias ? static_cast<const float*>(x.bias) + j0 + j : nullptr, std::min(kSide, n - j));
        }
      }
      p += k;
    } while (p < x.k);
  }
}

#undef VERSANT_TILES
#undef VERSANT_PAIRS

}  // namespace

void fill_gemm_bf16_tiles(Kernels& k) {
  static constexpr TileKernels kTiles = {pack_strip, pack_panel, pack_rows, multiply_tiles};
  static constexpr TileKernels kPairs = {pack_strip, pack_panel, pack_rows, multiply<sum_pairs>};
  const bool found = has_tile_products();
  k.product_bf16_tiles = found ? product_bf16_tiles : nullptr;
  k.tiles = found ? &kTiles : nullptr;
  k.pairs = fast_pair_products() ? &kPairs : nullptr;
}

#else

void fill_gemm_bf16_tiles(Kernels& k) {
  k.product_bf16_tiles = nullptr;
  k.tiles = nullptr;
  k.pairs = nullptr;
}

#endif

}  // namespace versant::isa::VERSANT_ISA
