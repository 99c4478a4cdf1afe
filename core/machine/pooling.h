// Windows of pooling over one to three axes.
//
// Fixed and adaptive windows alike become two lists for each axis: where each window begins and where it
// ends. Fewer than three axes: the leading ones have one window over one element.
#pragma once

#include <array>
#include <vector>

#include "machine/array.h"
#include "machine/primitive.h"

namespace versant::pooling {

// One axis. A window takes elements first, first + dilation, ... below last; all of them exist.
struct Windows {
  std::vector<int64_t> first, last;
  std::vector<int64_t> padded;  // how many a window takes when padding counts too
  int64_t dilation = 1;
  int64_t count() const { return static_cast<int64_t>(first.size()); }
};

// What a pooling is. Of adaptive ones the kernel holds the output sizes.
struct Form {
  bool adaptive = false, ceil = false, padding_counts = true;
  bool last = false;    // the input is channels-last, so its gradient should be
  int64_t divisor = 0;  // 0: the number of elements
  std::array<int64_t, 3> kernel{1, 1, 1}, stride{1, 1, 1}, padding{}, dilation{1, 1, 1};

  static constexpr int kInts = 17;
  Attributes pack() const;
  static Form unpack(const Attributes& attributes);
  // Whether every window lies in images of `sizes` (N, C, ...) with some padding, so that it takes something.
  bool admits(const Dims& sizes) const;
  Windows windows(int axis, int64_t size) const;
};

// The windows over an array (N, C, ...) and the sizes of the result.
struct Plan {
  Plan(const Form& form, const Dims& sizes);
  double divisor(const Form& form, int64_t z, int64_t y, int64_t x) const;
  int64_t outputs() const { return axes[0].count() * axes[1].count() * axes[2].count(); }
  int64_t inputs() const { return in[0] * in[1] * in[2]; }

  std::array<Windows, 3> axes;
  std::array<int64_t, 3> in{1, 1, 1};
  Dims out_sizes;
};

// The functions of the machine over it, for any rank from 3 to 5; x is (N, C, ...).
Outputs max_pool(Tensor& x, const Form& form);  // values and places in their image
TensorRef avg_pool(Tensor& x, const Form& form);
TensorRef unpool(Tensor& x, Tensor& places, const Dims& sizes);  // sizes: of the result's images

}  // namespace versant::pooling
