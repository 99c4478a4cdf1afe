// Automatic mixed precision: casts of the arguments of an op, as the record of the op asks for
// (src/versant/ops/record.py, `autocast`).
#pragma once

#include "machine/tensor.h"

namespace versant {

enum class CastPolicy : uint8_t {
  None,
  Lower,    // float arguments become the lower precision
  Float32,  // float arguments of lower precision become float32
  Promote,  // float arguments become the widest of theirs, float32 or the lower precision
};

// The state of the calling thread. Whether it is on stands in `modes.autocast`, where calls look.
struct AutocastState {
  DType lower = DType::BFloat16;
  bool caching = true;
  int depth = 0;  // of nested regions
};
extern thread_local AutocastState autocast_state;

// The cast of one argument; the tensor itself when it stays. A float32 leaf that requires a gradient, a
// weight, is cast to the lower precision once in a region, while it does not change.
TensorRef autocast(Tensor& x, DType to);
// The dtype to which Promote takes these arguments.
DType autocast_widest(std::span<Tensor* const> tensors);
// Whether autocast looks at a tensor: floats but float64.
inline bool autocast_takes(const Tensor& x) { return is_floating(x.dtype) && x.dtype != DType::Float64; }
// Forgets the weights that were cast.
void clear_autocast_cache();

}  // namespace versant
