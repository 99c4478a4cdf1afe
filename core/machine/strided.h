// A window: how a view lies in its base. Both geometries are relative to the base's first element.
#pragma once

#include "machine/tensor.h"

namespace versant {

struct Window {
  Dims base_sizes, base_strides, view_sizes, view_strides;
  int64_t shift = 0;
};

namespace ops {
// The view's elements, from a tensor of the base's shape.
TensorRef window_read(Tensor& base, const Window& window);
// A tensor of the base's shape: `base` with the view's elements replaced by `part`.
TensorRef window_write(Tensor& base, Tensor& part, const Window& window);
// A tensor of the base's shape: zero, plus `part` added at the view's elements (which may repeat).
TensorRef window_add(Tensor& part, const Window& window);
}  // namespace ops

}  // namespace versant
