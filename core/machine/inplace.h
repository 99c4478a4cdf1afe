// In-place changes and views on the tape. See Note [Views and in-place] in inplace.cc.
#pragma once

#include "machine/node.h"

namespace versant {

// Raises unless `tensor` may be written in place by `op` now.
void check_in_place(Tensor& tensor, const char* op);
// After an in-place op: `node` (or null) made the new value; `self_input` is its input that was the old
// value, or -1; the tensor is its output `output_nr`.
void rebase_history(Tensor& tensor, Node* node, int self_input, uint32_t output_nr = 0);
// Makes `view` a view of the base behind `source`.
void mark_view(Tensor& view, Tensor& source);

}  // namespace versant
