// Convolutions of bfloat16 by tiles: products of gathered patches (Note [Gathered patches] in
// conv_patches.cc) where the processor multiplies tiles. Strips of 32 patches are gathered as the product
// reads them. An element is summed in order of the taps and channels, so no bit depends on the batch or the
// number of threads; gradients of filters sum in order of the positions, and go by blocks of the same form
// where pairs of lanes are multiplied fast (AVX512_BF16) too.
#include <algorithm>
#include <cstring>
#include <vector>

#include "machine/conv_patches.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/memory_format.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant::tiles {

namespace {

using patches::channels_last;
using patches::Patches;
using patches::Run;

constexpr int64_t kItem = 2;                   // bytes
constexpr int64_t kPiece = kTileSide * kItem;  // of a row in a tile
constexpr int64_t kMostStrips = 8;             // that meet a panel
constexpr int64_t kStripBytes = 1 << 20;       // ... and what they take at most, unless it is one
constexpr int64_t kSummed = 1024;              // positions of a block of the filters' gradients
constexpr double kUnlockedWork = 1e6;

bool suits(const ConvShape& s, const Array& result, const TileKernels* products) {
  return result.dtype == DType::BFloat16 && products && s.flat() && s.groups == 1 && s.in % kTileSide == 0 &&
         s.out % kTileSide == 0;
}

// Where position `at` of the patches stands.
struct Position {
  int64_t n, y, x;
  Position(const Patches& p, int64_t at)
      : n(at / p.columns / p.rows), y(at / p.columns % p.rows), x(at % p.columns) {}
  void advance(const Patches& p) {
    if (++x < p.columns) return;
    x = 0;
    if (++y < p.rows) return;
    y = 0;
    ++n;
  }
};

// What a patch reads at (dy, dx): the channels there, or null outside of the image.
const std::byte* read_at(const Patches& p, const Position& at, int64_t dy, int64_t dx) {
  const int64_t y = at.y * p.step_y + dy, x = at.x * p.step_x + dx;
  if (y < 0 || y >= p.height || x < 0 || x >= p.width) return nullptr;
  return p.source + ((at.n * p.height + y) * p.width + x) * p.channels * kItem;
}

// A strip of `count` patches from `first` on; rows behind them stay as they are, and nobody reads them.
void gather_strip(const Patches& p, int64_t first, int64_t count, std::byte* to) {
  Position at(p, first);
  for (int64_t i = 0; i < count; ++i, at.advance(p)) {
    std::byte* out = to + i * kPiece;
    for (const Run& run : p.runs) {
      for (int64_t j = 0; j < run.count; ++j) {
        const std::byte* const from = read_at(p, at, run.dy, run.dx + j);
        for (int64_t c = 0; c < p.channels * kItem; c += kPiece, out += kTileBytes) {
          if (from)
            std::memcpy(out, from + c, kPiece);
          else
            std::memset(out, 0, kPiece);
        }
      }
    }
  }
}

// Where a phase's results go: position (y, x) of the patches to (y * step_y + y, x * step_x + x).
struct Target {
  void* data;
  int64_t height, width, outputs;
  int64_t step_y = 1, step_x = 1, y = 0, x = 0;
  int64_t row(const Patches& p, int64_t at) const {
    const Position position(p, at);
    return ((position.n * height + position.y * step_y + y) * width + position.x * step_x + x) * outputs;
  }
};

// Filters in panels. turned: of the gradient of the images, whose outputs are the filters' inputs.
void pack_filters(const Patches& p, const Array& w, bool turned, int64_t outputs, std::byte* to) {
  const int64_t column = w.strides[turned ? 1 : 0], channel = w.strides[turned ? 0 : 1];
  const int64_t panel_bytes = p.depth() * kPiece, panels = outputs / kTileSide;
  parallel_for(panels, std::max<int64_t>(1, 2048 / p.depth()), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      std::byte* at = to + j * panel_bytes;
      for (const patches::Tap& tap : p.taps) {
        const int64_t from = tap.ky * w.strides[3] + tap.kx * w.strides[4] + j * kTileSide * column;
        kernels->tiles->pack_panel(at, w.as<std::byte>() + from * kItem, kTileSide, p.channels, channel,
                                   column);
        at += p.channels * kPiece;
      }
    }
  });
}

// results = patches @ filters (+ bias)
void multiply(const Patches& p, const Array& w, bool turned, const float* bias, const Target& to) {
  const int64_t count = p.count(), depth = p.depth(), bytes = depth * kPiece;
  const int64_t strips = (count + kTileSide - 1) / kTileSide;
  const int64_t most = std::clamp<int64_t>(kStripBytes / bytes, 1, kMostStrips);
  const int64_t lanes = std::min<int64_t>(num_threads(), strips), stretch = (strips + lanes - 1) / lanes;
  const int64_t panel_bytes = to.outputs / kTileSide * bytes;
  const Scratch scratch(static_cast<size_t>(panel_bytes + lanes * most * bytes));
  const Unlocked unlocked(static_cast<double>(count * depth) * static_cast<double>(to.outputs) >=
                          kUnlockedWork);
  pack_filters(p, w, turned, to.outputs, scratch.data());
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      std::byte* const own = scratch.data() + panel_bytes + lane * most * bytes;
      std::ptrdiff_t rows[kMostStrips * kTileSide];
      const int64_t last = std::min(count, (lane + 1) * stretch * kTileSide);
      for (int64_t first = lane * stretch * kTileSide; first < last; first += most * kTileSide) {
        TileBlock block;
        block.strips = own;
        block.strip_bytes = block.panel_bytes = bytes;
        block.rows = std::min(most * kTileSide, last - first);
        for (int64_t i = 0; i < block.rows; i += kTileSide)
          gather_strip(p, first + i, std::min(kTileSide, block.rows - i), own + i / kTileSide * bytes);
        for (int64_t i = 0; i < block.rows; ++i) rows[i] = to.row(p, first + i);
        block.panels = scratch.data();
        block.columns = to.outputs;
        block.k = depth;
        block.c = to.data;
        block.c_rows = rows;
        block.bias = bias;
        kernels->tiles->multiply(block);
      }
    }
  });
}

}  // namespace

bool convolve(const ConvShape& s, const Array& x, const Array& weight, const Array* bias, const Array& y) {
  if (!suits(s, y, kernels->tiles)) return false;
  const Array from = channels_last(x), filters = channels_last(weight);
  const Array to = lies_channels_last(y) ? y : empty_channels_last(y.sizes, y.dtype);
  const Array shift = bias ? bias->to_dtype(DType::Float32).to_contiguous() : Array();
  multiply(patches::patches_of(s, from), filters, false, bias ? shift.as<float>() : nullptr,
           {to.data, s.y().out, s.x().out, s.out});
  if (to.data != y.data) copy_into(y, to);
  return true;
}

bool convolve_input_gradient(const ConvShape& s, const Array& grad, const Array& weight,
                             const Array& x_grad) {
  if (!suits(s, x_grad, kernels->tiles)) return false;
  const Array from = channels_last(grad), filters = channels_last(weight);
  const Array to = lies_channels_last(x_grad) ? x_grad : empty_channels_last(x_grad.sizes, x_grad.dtype);
  const ConvAxis &y = s.y(), &x = s.x();
  bool all = true;
  for (int64_t phase = 0; phase < std::min(y.stride, y.in); ++phase)
    all &= !patches::met_taps(y, phase).empty();
  for (int64_t phase = 0; phase < std::min(x.stride, x.in); ++phase)
    all &= !patches::met_taps(x, phase).empty();
  if (!all) fill(to, Scalar::of_int(0));
  for (int64_t phase_y = 0; phase_y < std::min(y.stride, y.in); ++phase_y) {
    for (int64_t phase_x = 0; phase_x < std::min(x.stride, x.in); ++phase_x) {
      Patches p(from, (y.in - phase_y + y.stride - 1) / y.stride, (x.in - phase_x + x.stride - 1) / x.stride);
      for (const auto& [dy, ky] : patches::met_taps(y, phase_y))
        for (const auto& [dx, kx] : patches::met_taps(x, phase_x)) p.add(dy, dx, {ky, kx});
      if (p.taps.empty()) continue;
      multiply(p, filters, true, nullptr, {to.data, y.in, x.in, s.in, y.stride, x.stride, phase_y, phase_x});
    }
  }
  if (to.data != x_grad.data) copy_into(x_grad, to);
  return true;
}

bool convolve_weight_gradient(const ConvShape& s, const Array& x, const Array& grad,
                              const Array& weight_grad) {
  const TileKernels* const products = kernels->tiles ? kernels->tiles : kernels->pairs;
  if (!suits(s, weight_grad, products)) return false;
  const Array from = channels_last(x), along = channels_last(grad);
  const Patches p = patches::patches_of(s, from);
  const int64_t count = p.count(), depth = p.depth(), strips = s.out / kTileSide;
  const int64_t strip_bytes = kSummed * kPiece, panels = depth / kTileSide;
  const int64_t lanes = std::min<int64_t>(num_threads(), panels);
  const Array sums = Array::empty(Dims{s.out, depth}, DType::Float32);
  std::vector<std::pair<int64_t, int64_t>> offsets;  // of the taps
  for (const Run& run : p.runs)
    for (int64_t j = 0; j < run.count; ++j) offsets.emplace_back(run.dy, run.dx + j);
  {
    const Scratch scratch(static_cast<size_t>((strips + lanes) * strip_bytes));
    const Unlocked unlocked(s.work() >= kUnlockedWork);
    for (int64_t first = 0; first < count; first += kSummed) {
      const int64_t k = std::min(kSummed, count - first);
      parallel_for(strips, 1, [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o)
          products->pack_strip(scratch.data() + o * strip_bytes,
                               along.as<std::byte>() + (first * s.out + o * kTileSide) * kItem, kTileSide, k,
                               1, s.out);
      });
      parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
        for (int64_t lane = begin; lane < end; ++lane) {
          std::byte* const panel = scratch.data() + (strips + lane) * strip_bytes;
          const void* rows[kSummed];  // of the tap
          int64_t tap = -1;
          for (int64_t j = lane * panels / lanes; j < (lane + 1) * panels / lanes; ++j) {
            const int64_t column = j * kTileSide;
            if (tap != column / p.channels) {
              tap = column / p.channels;
              const auto [dy, dx] = offsets[static_cast<size_t>(tap)];
              Position at(p, first);
              for (int64_t i = 0; i < k; ++i, at.advance(p)) rows[i] = read_at(p, at, dy, dx);
            }
            products->pack_rows(panel, rows, column % p.channels, k);
            TileBlock block;
            block.strips = scratch.data();
            block.strip_bytes = strip_bytes;
            block.rows = s.out;
            block.panels = panel;
            block.columns = kTileSide;
            block.k = k;
            block.sums = sums.as<float>() + column;
            block.sums_row = depth;
            block.first = first == 0;
            products->multiply(block);
          }
        }
      });
    }
  }
  copy_into(weight_grad, sums.view(weight_grad.sizes, Dims{depth, 1, 1, s.x().kernel * s.in, s.in}));
  return true;
}

}  // namespace versant::tiles
