// What the machine asks of the kernels for convolutions of channels-last images in float32.
#pragma once

#include <cstddef>

#include "machine/winograd.h"

namespace versant {

// Filters as panels of kernel.panel outputs side by side: (panels, depth, panel), zeros behind the last
// output. depth: taps by channels, as in Note [Gathered patches].
struct FilterPanels {
  const float* filters = nullptr;
  std::ptrdiff_t outputs = 0, channels = 0;
  std::ptrdiff_t output_step = 0, channel_step = 0;
  const std::ptrdiff_t* taps = nullptr;  // where each begins
  std::ptrdiff_t tap_count = 0;
  float* panels = nullptr;
};

// c (+)= a @ panels [+ bias]: rows of a are `depth` long and `a_row` apart. Outputs are a multiple of 8.
struct PanelProduct {
  const float* a = nullptr;
  std::ptrdiff_t rows = 0, depth = 0, a_row = 0;
  const float* panels = nullptr;
  std::ptrdiff_t outputs = 0, panel_step = 0;
  float* c = nullptr;
  std::ptrdiff_t c_row = 0;
  const float* bias = nullptr;
  bool add = false;
};

struct ConvolutionKernels {
  std::ptrdiff_t panel;
  void (*pack_filters)(const FilterPanels& job, std::ptrdiff_t begin, std::ptrdiff_t end);  // panels
  void (*multiply)(const PanelProduct& job);

  // See Note [Winograd]. Panels [begin, end) of transformed filters.
  void (*winograd_filters)(const PlaneFilters& filters, float* out, std::ptrdiff_t point_step,
                           std::ptrdiff_t begin, std::ptrdiff_t end);
  // Results of `count` tiles from `first` on. `scratch` is 64-byte aligned, of winograd_scratch() bytes.
  void (*winograd_convolve)(const WinogradJob& job, std::ptrdiff_t first, std::ptrdiff_t count,
                            float* scratch);
  // Transformed images, or gradients, of tiles [first + begin, first + end): rows [begin, end) of `count`.
  void (*winograd_images)(const WinogradJob& job, std::ptrdiff_t first, std::ptrdiff_t begin,
                          std::ptrdiff_t end, std::ptrdiff_t count, float* out);
  void (*winograd_gradients)(const WinogradJob& job, std::ptrdiff_t first, std::ptrdiff_t begin,
                             std::ptrdiff_t end, std::ptrdiff_t count, float* out);
  // Gradients of the filters of inputs [begin, end), multiples of 16, from sums (points, inputs, outputs).
  void (*winograd_filter_gradients)(const PlaneFilters& filters, const float* sums, std::ptrdiff_t begin,
                                    std::ptrdiff_t end);
};

}  // namespace versant
