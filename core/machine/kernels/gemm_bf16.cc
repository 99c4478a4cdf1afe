// Matrix products of bfloat16 on one thread, where the processor has a fast instruction for them: two steps
// of k at a time, summed in float32 in the order of k, rounded once at the end. Only the sizes and k decide
// how an element is summed, so no bit depends on m, on n or on layout.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "machine/cpu.h"
#include "machine/kernels.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

#if defined(__AVX512BW__) && defined(__AVX512VL__)

namespace {

#define VERSANT_BF16 __attribute__((target("avx512bf16")))

using Pair = std::uint32_t;   // two steps of k
using Half = std::uint16_t;   // the bits of a bfloat16
constexpr int kLanes16 = 16;  // pairs or floats in a vector

struct PairJob {
  const Pair* a;
  const Pair* b;
  Half* c;
  float* sums;         // between blocks of k; null where one block is all
  const float* bias;   // of these columns; may be null
  Size pairs;          // of this block
  const Size* a_rows;  // row-major: where each row begins in a, in halves
  Size a_step;         // k-major: from one pair to the next in a, whose rows are adjacent
  Size b_step, c_row, sums_row;
  __mmask16 tail;  // columns of the last vector
  bool first, last;
};

using PairTile = void (*)(const PairJob&);

template <int rows, int vectors, bool k_major>
VERSANT_BF16 void pair_tile(const PairJob& job) {
  __m512 sum[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v)
      sum[i][v] = job.first ? _mm512_setzero_ps() : _mm512_loadu_ps(job.sums + i * job.sums_row + v * 16);
  if (job.last) {
    for (int i = 0; i < rows; ++i) __builtin_prefetch(job.c + i * job.c_row, 1);
  }
  const char* row[rows];
  if constexpr (!k_major) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
      row[i] = reinterpret_cast<const char*>(job.a) + job.a_rows[i] * static_cast<Size>(sizeof(Half));
  }
  for (Size p = 0; p < job.pairs; ++p) {
    __m512bh line[vectors];
    const Pair* const at = job.b + p * job.b_step;
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) line[v] = (__m512bh)_mm512_loadu_si512(at + v * 16);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      int x;
      if constexpr (k_major)
        std::memcpy(&x, job.a + p * job.a_step + i, sizeof x);
      else
        std::memcpy(&x, row[i] + p * 4, sizeof x);
      const auto both = (__m512bh)_mm512_set1_epi32(x);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sum[i][v] = _mm512_dpbf16_ps(sum[i][v], both, line[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      if (!job.last) {
        _mm512_storeu_ps(job.sums + i * job.sums_row + v * 16, sum[i][v]);
        continue;
      }
      const __mmask16 mask = v == vectors - 1 ? job.tail : static_cast<__mmask16>(0xffff);
      __m512 total = sum[i][v];
      if (job.bias) total = _mm512_add_ps(total, _mm512_maskz_loadu_ps(mask, job.bias + v * 16));
      _mm256_mask_storeu_epi16(job.c + i * job.c_row + v * 16, mask, (__m256i)_mm512_cvtneps_pbh(total));
    }
  }
}

template <int vectors, bool k_major, int... row>
constexpr std::array<PairTile, sizeof...(row)> pair_tiles(std::integer_sequence<int, row...>) {
  return {pair_tile<row + 1, vectors, k_major>...};
}

template <bool k_major>
PairTile find_pair_tile(Size rows, int vectors) {
  static constexpr auto one = pair_tiles<1, k_major>(std::make_integer_sequence<int, kTileRows>{});
  static constexpr auto two = pair_tiles<2, k_major>(std::make_integer_sequence<int, kTileRows>{});
  static constexpr auto four = pair_tiles<4, k_major>(std::make_integer_sequence<int, kTileRowsOf4>{});
  static constexpr auto eight = pair_tiles<8, k_major>(std::make_integer_sequence<int, kTileRowsOf8>{});
  switch (vectors) {
    case 1:
      return one[static_cast<std::size_t>(rows - 1)];
    case 2:
      return two[static_cast<std::size_t>(rows - 1)];
    case 4:
      return four[static_cast<std::size_t>(rows - 1)];
    default:
      return eight[static_cast<std::size_t>(rows - 1)];
  }
}

constexpr __mmask16 kAll = 0xffff;

// With a mask of all lanes: GCC takes the undefined operand of the form without for a mistake.
inline __m512i widened(__m256i halves) { return _mm512_maskz_cvtepu16_epi32(kAll, halves); }

// out[p * width + j] = x[2 p, j] and x[2 p + 1, j], for j < n <= width; what is past k or n is zero.
void pack_pairs(Pair* out, const Half* x, Size k, Size n, Size width, Size row, Size col) {
  const Size pairs = (k + 1) / 2;
  if (col == 1) {
    for (Size p = 0; p < pairs; ++p) {
      const Half* const low = x + 2 * p * row;
      const bool both = 2 * p + 1 < k;
      for (Size j = 0; j < width; j += kLanes16) {
        const auto some = [](Size count) {
          return static_cast<__mmask16>(count >= 16 ? 0xffff : count > 0 ? (1u << count) - 1 : 0);
        };
        const __mmask16 in = some(n - j), written = some(width - j);
        __builtin_prefetch(low + width + j, 0, 2);  // of the next panel
        __builtin_prefetch(low + row + width + j, 0, 2);
        const __m512i first = widened(_mm256_maskz_loadu_epi16(in, low + j));
        const __m512i second =
            both ? widened(_mm256_maskz_loadu_epi16(in, low + row + j)) : _mm512_setzero_si512();
        _mm512_mask_storeu_epi32(out + p * width + j, written,
                                 _mm512_or_si512(first, _mm512_maskz_slli_epi32(kAll, second, 16)));
      }
    }
    return;
  }
  const bool aligned = reinterpret_cast<std::uintptr_t>(x) % sizeof(Pair) == 0;
  if (row == 1 && k % 2 == 0 && col % 2 == 0 && width % kLanes16 == 0 && aligned) {
    // Pairs lie side by side: they move as floats do, and nothing is computed.
    pack_panel(reinterpret_cast<float*>(out), reinterpret_cast<const float*>(x), pairs, n, width, Size{1},
               col / 2);
    return;
  }
  std::fill_n(out, pairs * width, Pair{0});
  for (Size j = 0; j < n; ++j)
    for (Size q = 0; q < k; ++q)
      out[q / 2 * width + j] |= static_cast<Pair>(x[q * row + j * col]) << (q % 2 * 16);
}

Size equal_part(Size total, Size limit) {
  const Size parts = std::max<Size>(1, (total + limit - 1) / limit);
  return (total + parts - 1) / parts;
}

struct Blocks {
  Size k;        // of a block, even
  Size columns;  // of a block, a multiple of 32
  explicit Blocks(Size depth) {
    k = (equal_part(depth, kPairDepth) + 1) / 2 * 2;
    columns = std::max<Size>(32, kPairBlockBytes / (2 * std::max<Size>(k, 1)) / 32 * 32);
  }
};

// Rows of a as strips of `height`, each with its rows side by side: where they are packed, they are packed
// once for all blocks of columns if they fit.
class Strips {
 public:
  Strips(const Product& x, Size height, Size depth, bool packs, Pair* room)
      : a_(static_cast<const Half*>(x.a)),
        row_(x.a_row),
        col_(x.a_col),
        height_(height),
        depth_(depth),
        packs_(packs),
        k_major_(x.a_row == 1 && x.a_col != 1),
        keeps_(packs && x.m * depth * 4 <= kPairRowsBytes),
        room_(room) {}

  bool k_major() const { return k_major_; }
  bool keeps() const { return keeps_; }
  Size row_step() const { return packs_ ? 2 * depth_ : row_; }  // in halves

  // Rows i.. at p..: packed unless that was done before.
  const Pair* at(Size i, Size rows, Size p, Size k, bool packed) const {
    const Half* const from = a_ + i * row_ + p * col_;
    if (!packs_) return reinterpret_cast<const Pair*>(from);
    Pair* const to = room_ + (keeps_ ? i * depth_ : 0);
    if (packed && keeps_) return to;
    const Size pairs = (k + 1) / 2;
    if (k_major_) {
      pack_pairs(to, from, k, rows, height_, col_, 1);
      return to;
    }
    for (Size r = 0; r < rows; ++r) {
      if (col_ == 1) {
        if (k % 2) to[r * depth_ + pairs - 1] = 0;
        std::memcpy(to + r * depth_, from + r * row_, static_cast<std::size_t>(k) * 2);
      } else {
        pack_pairs(to + r * depth_, from + r * row_, k, 1, 1, col_, 2);
      }
    }
    return to;
  }

 private:
  const Half* a_;
  Size row_, col_, height_, depth_;
  bool packs_, k_major_, keeps_;
  Pair* room_;
};

// c = a @ b. A block of b stays in the second cache while strips of a pass; of a strip, as many steps of k as
// the first cache holds meet all panels of the block before the next ones come.
void product_bf16(const Product& x, void* scratch) {
  const auto* b = static_cast<const Half*>(x.b);
  auto* c = static_cast<Half*>(x.c);
  const Blocks blocks(x.k);
  const int widest = tile_vectors(x.m);
  const Size width = Size{widest} * kLanes16, height = equal_part(x.m, tile_rows(widest));
  const Size depth = blocks.k / 2 + 16;  // of a packed row, in pairs
  const bool packs = x.a_col != 1 || x.k % 2 || x.n > 4 * width || x.k > kPairSteps;
  const Strips strips(x, height, depth, packs, static_cast<Pair*>(scratch));
  Pair* const panels = static_cast<Pair*>(scratch) + (strips.keeps() ? x.m + kTileRows : kTileRows) * depth;
  Size row_starts[kTileRows];
  for (Size i = 0; i < height; ++i) row_starts[i] = i * strips.row_step();
  PairJob job;
  job.b_step = width;
  job.a_rows = row_starts;
  job.a_step = height;
  for (Size j0 = 0; j0 < x.n; j0 += blocks.columns) {
    const Size n = std::min(blocks.columns, x.n - j0), n_panels = (n + width - 1) / width;
    auto* const sums = reinterpret_cast<float*>(panels + n_panels * width * (blocks.k / 2));
    job.sums_row = n_panels * width;
    Size p0 = 0;
    do {
      const Size k = std::min(blocks.k, x.k - p0), pairs = (k + 1) / 2;
      const bool one_block = k == x.k;
      for (Size j = 0; j < n; j += width)
        pack_pairs(panels + j * pairs, b + p0 * x.b_row + (j0 + j) * x.b_col, k, std::min(width, n - j),
                   width, x.b_row, x.b_col);
      for (Size i = 0; i < x.m; i += height) {
        const Size rows = std::min(height, x.m - i);
        const Pair* const strip = strips.at(i, rows, p0, k, one_block && j0 > 0);
        Size q = 0;
        do {
          job.pairs = std::min(kPairSteps / 2, pairs - q);
          job.first = p0 + q == 0;
          job.last = p0 + k >= x.k && q + job.pairs >= pairs;
          job.a = strip + (strips.k_major() ? q * height : q);
          for (Size j = 0; j < n; j += width) {
            const Size columns = std::min(width, n - j);
            int vectors = widest;
            while (vectors > 1 && (vectors / 2) * kLanes16 >= columns) vectors /= 2;
            const Size past = columns - (vectors - 1) * kLanes16;
            job.tail = static_cast<__mmask16>(past >= 16 ? 0xffff : past > 0 ? (1u << past) - 1 : 0);
            job.b = panels + j * pairs + q * width;
            job.sums = sums + (one_block ? 0 : i * job.sums_row) + j;
            job.bias = x.bias ? static_cast<const float*>(x.bias) + j0 + j : nullptr;
            Half* const at = c + i * x.c_row + (j0 + j) * x.c_col;
            const PairTile tile =
                strips.k_major() ? find_pair_tile<true>(rows, vectors) : find_pair_tile<false>(rows, vectors);
            if (x.c_col == 1 && past > 0) {
              job.c = at;
              job.c_row = x.c_row;
              tile(job);
              continue;
            }
            Half held[kTileElements<float>];
            job.c = held;
            job.c_row = vectors * kLanes16;
            tile(job);
            if (!job.last) continue;
            for (Size r = 0; r < rows; ++r)
              for (Size s = 0; s < columns; ++s) at[r * x.c_row + s * x.c_col] = held[r * job.c_row + s];
          }
          q += kPairSteps / 2;
        } while (q < pairs);
      }
      p0 += k;
    } while (p0 < x.k);
  }
}

#undef VERSANT_BF16

}  // namespace

void fill_gemm_bf16(Kernels& k) {
  if (fast_pair_products()) k.product_bf16 = product_bf16;
}

#else

void fill_gemm_bf16(Kernels&) {}

#endif

}  // namespace versant::isa::VERSANT_ISA
