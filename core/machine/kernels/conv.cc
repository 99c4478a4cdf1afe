// Convolutions of one sample on one thread: tiles over shifted planes.
#include <algorithm>
#include <cstring>

#include "machine/kernels.h"
#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

namespace {

constexpr Size kPositions = 768;  // that a tile's rows are computed for before they are written out
constexpr Size kChain = 1024;     // positions of a gradient that one chain of additions runs through

// One line of results with its bias.
template <class T>
void write_line(T* out, Size step, const T* line, Size n, const T* bias) {
  if (step == 1 && !bias) {
    std::memcpy(out, line, static_cast<std::size_t>(n) * sizeof(T));
  } else if (step == 1) {
    const T shift = *bias;
#pragma GCC ivdep
    for (Size x = 0; x < n; ++x) out[x] = line[x] + shift;
  } else {
    const T shift = bias ? *bias : T(0);
    for (Size x = 0; x < n; ++x) out[x * step] = bias ? line[x] + shift : line[x];
  }
}

// Positions run through whole lines of the padded plane, so that vectors are full even when lines are short;
// what falls between the lines is computed and dropped.
template <class T>
void correlate(const Correlation& x, void* scratch) {
  constexpr int lanes = kLanes<T>;
  const int widest = tile_vectors(x.outputs);
  const Size tiles = (x.outputs + tile_rows(widest) - 1) / tile_rows(widest);
  const Size height = (x.outputs + tiles - 1) / tiles;
  const Size lines = std::min(x.rows, std::max<Size>(1, kPositions / x.width));
  const Size held_row = (lines * x.width + lanes - 1) / lanes * lanes;
  auto* const held = static_cast<T*>(scratch);
  Size row_starts[kTileRows];
  for (Size i = 0; i < height; ++i) row_starts[i] = i * x.filter;
  TileJob<T> job;
  job.k = x.channels;
  job.taps = x.taps;
  job.a_taps = x.filter_taps;
  job.b_taps = x.plane_taps;
  job.a_step = 0;
  job.a_rows = row_starts;
  job.b_step = x.plane;
  job.c_row = held_row;
  job.add = false;
  for (Size o = 0; o < x.outputs; o += height) {
    const Size rows = std::min(height, x.outputs - o);
    job.a = static_cast<const T*>(x.filters) + o * x.filter;
    for (Size y = 0; y < x.rows; y += lines) {
      const Size n_lines = std::min(lines, x.rows - y);
      const Size positions = n_lines * x.width - (x.width - x.columns);
      Size columns;
      for (Size j = 0; j < positions; j += columns) {
        int vectors = widest;
        while (vectors > 1 && (vectors - 1) * lanes >= positions - j) vectors /= 2;
        columns = std::min<Size>(positions - j, Size{vectors} * lanes);
        job.tail = static_cast<int>(columns - (vectors - 1) * lanes);
        job.b = static_cast<const T*>(x.planes) + y * x.width + j;
        job.c = held + j;
        const bool whole = columns == vectors * lanes;
        tile_of<T>(false, rows, vectors, whole ? Reads::Whole : Reads::Tail)(job);
      }
      for (Size i = 0; i < rows; ++i) {
        T* out = static_cast<T*>(x.out) + (o + i) * x.out_channel + y * x.out_row;
        const T* bias = x.bias ? static_cast<const T*>(x.bias) + o + i : nullptr;
        for (Size l = 0; l < n_lines; ++l)
          write_line(out + l * x.out_row, x.out_column, held + i * held_row + l * x.width, x.columns, bias);
      }
    }
  }
}

template <class T>
void filter_gradient(const FilterGradient& x, void* scratch) {
  constexpr int lanes = kLanes<T>;
  const int widest = tile_vectors(x.count);
  const Size width = Size{widest} * lanes;
  const Size tiles = (x.count + tile_rows(widest) - 1) / tile_rows(widest);
  const Size height = (x.count + tiles - 1) / tiles;
  const Size positions = x.rows * x.columns;
  auto* const a_taps = static_cast<Size*>(scratch);
  Size* const b_taps = a_taps + x.rows;
  T* const panels = reinterpret_cast<T*>(a_taps + (2 * x.rows + 7) / 8 * 8);
  for (Size y = 0; y < x.rows; ++y) {
    a_taps[y] = y * x.width;
    b_taps[y] = y * x.columns * width;
  }
  const auto* grads = static_cast<const T*>(x.grads);
  for (Size o = 0; o < x.outputs; o += width)
    pack_panel(panels + o * positions, grads + o * positions, positions, std::min(width, x.outputs - o),
               width, Size{1}, positions);
  TileJob<T> job;
  job.a = static_cast<const T*>(x.planes);
  job.k = x.columns;
  job.a_step = 0;
  job.b_step = width;
  job.c_row = x.out_row;
  const Size lines = std::max<Size>(1, kChain / std::max<Size>(1, x.columns));
  for (Size o = 0; o < x.outputs; o += width) {
    const Size left = std::min(width, x.outputs - o);
    for (Size r = 0; r < x.count; r += height) {
      const Size rows = std::min(height, x.count - r);
      job.a_rows = x.starts + r;
      Size columns;
      for (Size j = 0; j < left; j += columns) {
        int vectors = widest;
        while (vectors > 1 && (vectors - 1) * lanes >= left - j) vectors /= 2;
        columns = std::min<Size>(left - j, Size{vectors} * lanes);
        job.tail = static_cast<int>(columns - (vectors - 1) * lanes);
        job.b = panels + o * positions + j;
        job.c = static_cast<T*>(x.out) + r * x.out_row + o + j;
        const Tile<T> tile = tile_of<T>(false, rows, vectors, Reads::Whole);
        for (Size y = 0; y < x.rows; y += lines) {
          job.a_taps = a_taps + y;
          job.b_taps = b_taps + y;
          job.taps = std::min(lines, x.rows - y);
          job.add = x.add || y > 0;
          tile(job);
        }
      }
    }
  }
}

}  // namespace

void fill_conv(Kernels& k) {
  k.correlate_f32 = correlate<float>;
  k.correlate_f64 = correlate<double>;
  k.filter_gradient_f32 = filter_gradient<float>;
  k.filter_gradient_f64 = filter_gradient<double>;
}

}  // namespace versant::isa::VERSANT_ISA
