// Patches of channels-last images: what the positions of a convolution's result read. See Note [Gathered
// patches] in conv_patches.cc.
#pragma once

#include <utility>
#include <vector>

#include "machine/conv.h"

namespace versant::patches {

// Taps that stand side by side: at (dy, dx + j) for j < count, from column `first` of the patches on.
struct Run {
  int64_t dy, dx, count, first;
};
// Which filter tap gives the rows of a tap of the patches.
struct Tap {
  int64_t ky, kx;
};

// The positions of a result, or of a phase of it, and what they read.
struct Patches {
  const std::byte* source = nullptr;  // channels-last
  int64_t height = 0, width = 0, channels = 0;
  int64_t batch = 0, rows = 0, columns = 0;  // positions
  int64_t step_y = 1, step_x = 1;            // from one position to the next in the source
  std::vector<Run> runs;
  std::vector<Tap> taps;

  Patches(const Array& x, int64_t positions_y, int64_t positions_x)
      : source(x.as<std::byte>()),
        height(x.sizes[3]),
        width(x.sizes[4]),
        channels(x.sizes[1]),
        batch(x.sizes[0]),
        rows(positions_y),
        columns(positions_x) {}
  int64_t count() const { return batch * rows * columns; }
  int64_t depth() const { return static_cast<int64_t>(taps.size()) * channels; }
  // Taps come in order of dy, then dx.
  void add(int64_t dy, int64_t dx, Tap tap) {
    if (!runs.empty() && runs.back().dy == dy && runs.back().dx + runs.back().count == dx)
      ++runs.back().count;
    else
      runs.push_back({dy, dx, 1, depth()});
    taps.push_back(tap);
  }
  // Whether a patch is one position of the source, each the next one's neighbour.
  bool plain() const {
    return taps.size() == 1 && step_y == 1 && step_x == 1 && rows == height && columns == width &&
           runs[0].dy == 0 && runs[0].dx == 0;
  }
};

// What the results of a convolution read of its images.
Patches patches_of(const ConvShape& shape, const Array& x);

// The positions of x that are `phase` beyond a multiple of the stride, and which taps of an axis meet
// results there: (offset in the results, tap), by offset.
std::vector<std::pair<int64_t, int64_t>> met_taps(const ConvAxis& axis, int64_t phase);

// The array, or a copy of it that lies so.
Array channels_last(const Array& x);

}  // namespace versant::patches
