// Python hooks on the tape's nodes.
#pragma once

#include "face.h"

namespace versant::face::hooks {

enum class When { Before, After, Accumulated };
inline constexpr uint32_t kAllOutputs = ~0u;

// Before: hook(grad) on the gradient of one output, or hook(grads) on all; may return a replacement.
// After: hook(grad_inputs, grad_outputs). Accumulated: hook(leaf). Returns a handle with remove().
PyObject* add(Node* node, When when, uint32_t output_nr, PyObject* hook);
// For the garbage collector: the callables of a table.
int traverse(HookTable* table, visitproc visit, void* arg);
// A new list of the callables on a node.
PyObject* callables(const Node* node);
// Keeps .grad of a non-leaf tensor at the next passes.
void retain(Tensor& tensor);

}  // namespace versant::face::hooks
