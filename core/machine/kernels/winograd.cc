// Convolutions of 3 x 3 filters: the maps to and from the 16 points of a tile, and the products between.
// See Note [Winograd] in winograd.h.
#include "machine/conv_kernels.h"

#include <algorithm>

#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

void pack_filters(const FilterPanels& job, Size begin, Size end);

namespace {

using V = Vector<float>;
constexpr int kWidth = kLanes<float>;
constexpr Size kPanel = 2 * kWidth;
constexpr int kSide = 4;     // points of a tile along an axis
constexpr int kResults = 2;  // results of a tile along an axis
constexpr Size kPoints = kWinogradPoints;

V load(const float* p) { return Simd<float>::load(p); }
void store(float* p, V v) { Simd<float>::store(p, v); }

// --- the maps along one axis; elements are `s` apart

template <int s>
[[gnu::always_inline]] inline void image_axis(V* d) {  // B^T
  const V d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s];
  d[0] = d0 - d2;
  d[s] = d1 + d2;
  d[2 * s] = d2 - d1;
  d[3 * s] = d1 - d3;
}
template <int s>
[[gnu::always_inline]] inline void result_axis(V* d) {  // A^T: 4 to 2
  const V d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s];
  d[0] = (d0 + d1) + d2;
  d[s] = (d1 - d2) - d3;
}
template <int s>
[[gnu::always_inline]] inline void gradient_axis(V* d) {  // A: 2 to 4
  const V d0 = d[0], d1 = d[s];
  d[s] = d0 + d1;
  d[2 * s] = d0 - d1;
  d[3 * s] = -d1;
}
template <int s>
[[gnu::always_inline]] inline void filter_axis(V* d) {  // G: 3 to 4
  const V d0 = d[0], d1 = d[s], d2 = d[2 * s];
  const V ends = (d0 + d2) * 0.5f, middle = d1 * 0.5f;
  d[s] = ends + middle;
  d[2 * s] = ends - middle;
  d[3 * s] = d2;
}
template <int s>
[[gnu::always_inline]] inline void filter_gradient_axis(V* d) {  // G^T: 4 to 3
  const V sum = (d[s] + d[2 * s]) * 0.5f, difference = (d[s] - d[2 * s]) * 0.5f;
  d[0] = d[0] + sum;
  d[s] = difference;
  d[2 * s] = sum + d[3 * s];
}

struct TilePlace {
  TilePlace(const WinogradJob& job, Size tile)
      : batch(tile / (job.down * job.across)),
        row(tile / job.across % job.down * kResults),
        column(tile % job.across * kResults) {}
  Size batch, row, column;  // of the first result
};

// --- filters

void transform_filters(const PlaneFilters& w, float* out, Size point_step, Size begin, Size end) {
  constexpr Size kTogether = 32;  // inputs, first packed side by side
  alignas(64) float packed[9 * kTogether * kPanel];
  Size taps[9];
  for (Size t = 0; t < 9; ++t) taps[t] = t / 3 * w.row_step + t % 3 * w.column_step;
  FilterPanels panel;
  panel.output_step = w.output_step;
  panel.channel_step = w.input_step;
  panel.taps = taps;
  panel.tap_count = 9;
  panel.panels = packed;
  for (Size p = begin; p < end; ++p) {
    panel.outputs = std::min(kPanel, w.outputs - p * kPanel);
    for (Size first = 0; first < w.inputs; first += kTogether) {
      const Size count = panel.channels = std::min(kTogether, w.inputs - first);
      panel.filters = w.data + p * kPanel * w.output_step + first * w.input_step;
      pack_filters(panel, 0, 1);
      for (Size at = 0; at < count * kPanel; at += kWidth) {
        V d[kPoints];
#pragma GCC unroll 9
        for (int t = 0; t < 9; ++t) d[t / 3 * kSide + t % 3] = load(packed + t * count * kPanel + at);
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) filter_axis<kSide>(d + j);
#pragma GCC unroll 4
        for (int i = 0; i < kSide; ++i) filter_axis<1>(d + i * kSide);
        float* const to = out + (p * w.inputs + first) * kPanel + at;
#pragma GCC unroll 16
        for (int point = 0; point < kPoints; ++point) store(to + point * point_step, d[point]);
      }
    }
  }
}

// --- images

// The tile's points, each vector of channels to `to + point * step`. `at(i, j, c)` loads.
template <class At>
[[gnu::always_inline]] inline void transform_image(float* to, Size step, Size channels, const At& at) {
  for (Size c = 0; c < channels; c += kWidth) {
    V d[kPoints];
#pragma GCC unroll 16
    for (int p = 0; p < kPoints; ++p) d[p] = at(p / kSide, p % kSide, c);
#pragma GCC unroll 4
    for (int j = 0; j < kSide; ++j) image_axis<kSide>(d + j);
#pragma GCC unroll 4
    for (int i = 0; i < kSide; ++i) image_axis<1>(d + i * kSide);
#pragma GCC unroll 16
    for (int p = 0; p < kPoints; ++p) store(to + p * step + c, d[p]);
  }
}

void transform_images(const WinogradJob& job, Size first, Size begin, Size end, Size count, float* out) {
  const ChannelImages& x = job.x;
  const Size step = count * job.image_row();
  alignas(64) static const float zeros[kWidth] = {};
  for (Size n = begin; n < end; ++n) {
    const TilePlace tile(job, first + n);
    const Size row = tile.row - job.pad_y, column = tile.column - job.pad_x;
    const float* const image = x.data + tile.batch * x.batch_step;
    float* const to = out + n * job.image_row();
    if (row >= 0 && column >= 0 && row + kSide <= x.height && column + kSide <= x.width) {
      const float* const corner = image + row * x.row_step + column * x.column_step;
      const Size row_step = x.row_step, column_step = x.column_step;
      transform_image(
          to, step, x.channels, [&](int i, int j, Size c) __attribute__((always_inline)) {
            return load(corner + i * row_step + j * column_step + c);
          });
      continue;
    }
    const float* from[kPoints];
    Size moves[kPoints];  // all ones inside, zero in the padding
    for (int p = 0; p < kPoints; ++p) {
      const Size i = row + p / kSide, j = column + p % kSide;
      const bool inside = i >= 0 && j >= 0 && i < x.height && j < x.width;
      from[p] = inside ? image + i * x.row_step + j * x.column_step : zeros;
      moves[p] = inside ? -1 : 0;
    }
    transform_image(
        to, step, x.channels, [&](int i, int j, Size c) __attribute__((always_inline)) {
          return load(from[i * kSide + j] + (c & moves[i * kSide + j]));
        });
  }
}

// --- results

// A tile's results, and how many of them lie inside the image.
struct ResultPlace {
  ResultPlace(const WinogradJob& job, const TilePlace& tile)
      : corner(job.y.data + tile.batch * job.y.batch_step + tile.row * job.y.row_step +
               tile.column * job.y.column_step),
        rows(std::min<Size>(kResults, job.y.height - tile.row)),
        columns(std::min<Size>(kResults, job.y.width - tile.column)) {}
  float* corner;
  Size rows, columns;
};

void write_results(const WinogradJob& job, Size first, Size count, const float* sums, Size row) {
  const ChannelImages& y = job.y;
  const Size step = count * row;
  for (Size n = 0; n < count; ++n) {
    const ResultPlace to(job, TilePlace(job, first + n));
    const float* const from = sums + n * row;
    for (Size c = 0; c < y.channels; c += kWidth) {
      V d[kPoints];
#pragma GCC unroll 16
      for (int p = 0; p < kPoints; ++p) d[p] = load(from + p * step + c);
#pragma GCC unroll 4
      for (int j = 0; j < kSide; ++j) result_axis<kSide>(d + j);
#pragma GCC unroll 2
      for (int i = 0; i < kResults; ++i) result_axis<1>(d + i * kSide);
      const V shift = job.bias ? load(job.bias + c) : V{};
      for (Size i = 0; i < to.rows; ++i)
        for (Size j = 0; j < to.columns; ++j)
          store(to.corner + i * y.row_step + j * y.column_step + c, d[i * kSide + j] + shift);
    }
  }
}

void transform_gradients(const WinogradJob& job, Size first, Size begin, Size end, Size count, float* out) {
  const ChannelImages& y = job.y;
  const Size step = count * job.gradient_row();
  for (Size n = begin; n < end; ++n) {
    const ResultPlace from(job, TilePlace(job, first + n));
    float* const to = out + n * job.gradient_row();
    for (Size c = 0; c < y.channels; c += kWidth) {
      V d[kPoints] = {};
#pragma GCC unroll 2
      for (int i = 0; i < kResults; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < kResults; ++j)
          if (i < from.rows && j < from.columns)
            d[i * kSide + j] = load(from.corner + i * y.row_step + j * y.column_step + c);
#pragma GCC unroll 2
      for (int j = 0; j < kResults; ++j) gradient_axis<kSide>(d + j);
#pragma GCC unroll 4
      for (int i = 0; i < kSide; ++i) gradient_axis<1>(d + i * kSide);
#pragma GCC unroll 16
      for (int p = 0; p < kPoints; ++p) store(to + p * step + c, d[p]);
    }
  }
}

// --- a block of tiles from images to results

void convolve_tiles(const WinogradJob& job, Size first, Size count, float* scratch) {
  const Size channels = job.x.channels, outputs = job.y.channels, row = job.gradient_row();
  float* const images = scratch;
  float* const sums = images + kPoints * count * job.image_row();
  transform_images(job, first, 0, count, count, images);
  const Size start = 0;
  Size row_starts[kTileRows];
  for (Size i = 0; i < kTileRows; ++i) row_starts[i] = i * job.image_row();
  TileJob<float> tile;
  tile.k = channels;
  tile.taps = 1;
  tile.a_taps = tile.b_taps = &start;
  tile.a_step = 1;
  tile.a_rows = row_starts;
  tile.b_step = kPanel;
  tile.c_row = row;
  tile.tail = kWidth;
  tile.add = false;
  const Size parts = (count + kTileRows - 1) / kTileRows, height = (count + parts - 1) / parts;
  for (Size p = 0; p < kPoints; ++p) {
    const float* const image = images + p * count * job.image_row();
    float* const sum = sums + p * count * row;
    for (Size o = 0; o < outputs; o += kPanel) {
      const int vectors = outputs - o > kWidth ? 2 : 1;
      tile.b = job.filters + p * job.filters_point + o * channels;
      for (Size i = 0; i < count; i += height) {
        const Size rows = std::min(height, count - i);
        tile.a = image + i * job.image_row();
        tile.c = sum + i * row + o;
        tile_of<float>(false, rows, vectors, Reads::Whole)(tile);
      }
    }
  }
  write_results(job, first, count, sums, row);
}

// --- gradients of filters from the sums of each point, (points, inputs, outputs)

// A square of inputs and outputs at a time, so that memory is written in runs whichever way the filters lie.
void write_filter_gradients(const PlaneFilters& w, const float* sums, Size begin, Size end) {
  const Size step = w.inputs * w.outputs;
  for (Size c = begin; c < end; c += kWidth) {
    for (Size o = 0; o < w.outputs; o += kWidth) {
      V square[9][kWidth];  // for each tap a vector of outputs for each input
      for (int i = 0; i < kWidth; ++i) {
        V d[kPoints];
#pragma GCC unroll 16
        for (int p = 0; p < kPoints; ++p) d[p] = load(sums + p * step + (c + i) * w.outputs + o);
#pragma GCC unroll 4
        for (int j = 0; j < kSide; ++j) filter_gradient_axis<kSide>(d + j);
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) filter_gradient_axis<1>(d + j * kSide);
#pragma GCC unroll 9
        for (int t = 0; t < 9; ++t) square[t][i] = d[t / 3 * kSide + t % 3];
      }
      float* const to = w.data + o * w.output_step + c * w.input_step;
      for (int t = 0; t < 9; ++t) transpose<float>(square[t]);
      for (int l = 0; l < kWidth; ++l) {
        for (int t = 0; t < 9; ++t) {
          float* const run = to + l * w.output_step + t / 3 * w.row_step + t % 3 * w.column_step;
          if (w.input_step == 1) {
            store(run, square[t][l]);
          } else {
            for (int i = 0; i < kWidth; ++i) run[i * w.input_step] = square[t][l][i];
          }
        }
      }
    }
  }
}

}  // namespace

void fill_panels(ConvolutionKernels&);

void fill_convolution(Kernels& k) {
  static const ConvolutionKernels filled = [] {
    ConvolutionKernels kernels{};
    fill_panels(kernels);
    kernels.winograd_filters = transform_filters;
    kernels.winograd_convolve = convolve_tiles;
    kernels.winograd_images = transform_images;
    kernels.winograd_gradients = transform_gradients;
    kernels.winograd_filter_gradients = write_filter_gradients;
    return kernels;
  }();
  k.convolution = &filled;
}

}  // namespace versant::isa::VERSANT_ISA
