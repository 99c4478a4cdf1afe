// Convolutions of 3 x 3 filters by fewer products: what the machine tells the kernels.
//
// Note [Winograd]
// A tile of 2 x 2 results of a 3 x 3 convolution reads 4 x 4 of the image. Both the image's tile and the
// filter become 4 x 4 numbers by additions alone, these are multiplied point by point, summed over the
// channels, and give the results by additions again (Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", 2015):
//
//   Y = A^T [ sum over channels (G w G^T) (B^T x B) ] A        16 products instead of 36
//
// The sums over the channels are a matrix product for each of the 16 points. The gradient of x is the same
// convolution with filters turned round. That of w reads each map the other way:
//
//   dw = G^T [ sum over tiles (A dY A^T) (B^T x B) ] G
//
// Rounding errors are no larger than those of direct sums: chains are nine times shorter. An infinity or a
// NaN may spread over its tile, where a direct sum keeps it within the filter's reach.
//
// Whether a convolution goes this way depends on its filters, channels and image size alone. Tiles do not
// depend on one another and gradients of w are summed in the order of the tiles, so no bit depends on the
// batch or the number of threads.
#pragma once

#include <cstddef>

#include "machine/kernels.h"

namespace versant {

// Channels-last images: the channels of a position are adjacent. Steps in elements.
struct ChannelImages {
  float* data = nullptr;
  std::ptrdiff_t height = 0, width = 0, channels = 0;
  std::ptrdiff_t batch_step = 0, row_step = 0, column_step = 0;
};

// Filters, or their gradients, where they lie: (outputs, inputs, 3, 3).
struct PlaneFilters {
  float* data = nullptr;
  std::ptrdiff_t outputs = 0, inputs = 0;
  std::ptrdiff_t output_step = 0, input_step = 0, row_step = 0, column_step = 0;
};

inline constexpr std::ptrdiff_t kWinogradPoints = 16;
inline constexpr std::ptrdiff_t kWinogradGap =
    16;  // elements between rows, so that they meet in no cache set

struct WinogradJob {
  ChannelImages x, y;
  std::ptrdiff_t pad_y = 0, pad_x = 0;
  std::ptrdiff_t down = 0, across = 0;  // tiles of an image
  const float* bias = nullptr;          // of y; may be null
  // Transformed filters: for each point panels of winograd_panel outputs, each with a row for every input.
  const float* filters = nullptr;
  std::ptrdiff_t filters_point = 0;  // from one point to the next
  // Transformed images or gradients: for each point a row for every tile.
  std::ptrdiff_t image_row() const { return x.channels + kWinogradGap; }
  std::ptrdiff_t gradient_row() const { return y.channels + kWinogradGap; }
};

// What a block of `tiles` tiles needs.
inline std::size_t winograd_scratch(const WinogradJob& job, std::ptrdiff_t tiles) {
  return static_cast<std::size_t>(kWinogradPoints * tiles * (job.image_row() + job.gradient_row() + 64)) *
         sizeof(float);
}

}  // namespace versant
