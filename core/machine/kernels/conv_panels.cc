// Products of rows with panels of filters, and the packing of the panels: see conv_kernels.h.
#include <algorithm>

#include "machine/conv_kernels.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

namespace {

constexpr int kWidth = kLanes<float>;
constexpr Size kPanel = 2 * kWidth;

// The taps of each output follow one another without gaps: channels outside, taps inside, as (out, in, y, x)
// lies. Reads whole vectors along them.
void pack_turned(const FilterPanels& job, const float* from, float* to) {
  const Size depth = job.channels * job.tap_count;
  const auto row_of = [&](Size at) { return at % job.tap_count * job.channels + at / job.tap_count; };
  for (Size half = 0; half < kPanel; half += kWidth) {
    const float* const first = from + half * job.output_step;
    Size at = 0;
    for (; at + kWidth <= depth; at += kWidth) {
      Vector<float> square[kWidth];
#pragma GCC unroll 16
      for (int o = 0; o < kWidth; ++o) square[o] = Simd<float>::load(first + o * job.output_step + at);
      transpose<float>(square);
      for (int i = 0; i < kWidth; ++i) Simd<float>::store(to + row_of(at + i) * kPanel + half, square[i]);
    }
    for (; at < depth; ++at)
      for (int o = 0; o < kWidth; ++o) to[row_of(at) * kPanel + half + o] = first[o * job.output_step + at];
  }
}

void multiply(const PanelProduct& job) {
  const Size start = 0;
  Size row_starts[kTileRows];
  for (Size i = 0; i < kTileRows; ++i) row_starts[i] = i * job.a_row;
  TileJob<float> tile;
  tile.k = job.depth;
  tile.taps = 1;
  tile.a_taps = tile.b_taps = &start;
  tile.a_step = 1;
  tile.a_rows = row_starts;
  tile.b_step = kPanel;
  tile.c_row = job.c_row;
  tile.add = job.add;
  const Size parts = (job.rows + kTileRows - 1) / kTileRows, height = (job.rows + parts - 1) / parts;
  for (Size o = 0; o < job.outputs; o += kPanel) {
    const Size columns = std::min(kPanel, job.outputs - o);
    const int vectors = columns > kWidth ? 2 : 1;
    tile.tail = static_cast<int>(columns - (vectors - 1) * kWidth);
    tile.b = job.panels + o / kPanel * job.panel_step;
    tile.bias = job.bias ? job.bias + o : nullptr;
    for (Size i = 0; i < job.rows; i += height) {
      tile.a = job.a + i * job.a_row;
      tile.c = job.c + i * job.c_row + o;
      tile_of<float>(false, std::min(height, job.rows - i), vectors, Reads::Whole)(tile);
    }
  }
}

}  // namespace

void pack_filters(const FilterPanels& job, Size begin, Size end) {
  const Size depth = job.channels * job.tap_count;
  bool gapless = job.channel_step == job.tap_count;
  for (Size t = 0; t < job.tap_count; ++t) gapless = gapless && job.taps[t] == job.taps[0] + t;
  for (Size panel = begin; panel < end; ++panel) {
    const Size first = panel * kPanel, count = std::min(kPanel, job.outputs - first);
    const float* const from = job.filters + first * job.output_step;
    float* const to = job.panels + panel * depth * kPanel;
    if (gapless && job.channel_step > 1 && count == kPanel) {
      pack_turned(job, from + job.taps[0], to);
      continue;
    }
    for (Size t = 0; t < job.tap_count; ++t)
      pack_panel(to + t * job.channels * kPanel, from + job.taps[t], job.channels, count, kPanel,
                 job.channel_step, job.output_step);
  }
}

void fill_panels(ConvolutionKernels& k) {
  k.panel = kPanel;
  k.pack_filters = pack_filters;
  k.multiply = multiply;
}

}  // namespace versant::isa::VERSANT_ISA
