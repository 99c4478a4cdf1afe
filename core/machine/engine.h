// The backward pass.
#pragma once

#include <span>
#include <vector>

#include "machine/node.h"

namespace versant {
class Tape;
}

namespace versant::engine {

struct Options {
  bool keep_graph = false;       // leave saved values for another pass
  bool create_graph = false;     // record the pass itself
  bool stop = false;             // targets count as independent of each other: no way leads through one
  const Tape* within = nullptr;  // nodes that this tape does not hold end the pass
  bool whole = false;            // every leaf behind the roots is a target: nothing needs to be left out
};

// Gradients of `roots`, weighted by `weights` (an empty one means 1 for a one-element root), accumulated into
// .grad of every leaf behind them.
void backward(std::span<Tensor* const> roots, std::span<TensorRef> weights, Options options);

// The same with respect to `targets`, returned instead of accumulated; an empty reference where no path
// leads.
std::vector<TensorRef> gradients(std::span<Tensor* const> roots, std::span<TensorRef> weights,
                                 std::span<Tensor* const> targets, Options options);

// The same along edges; every root has a node and a weight of its shape, a target may have none.
std::vector<TensorRef> gradients_along(std::span<const Edge> roots, std::span<TensorRef> weights,
                                       std::span<const Edge> targets, Options options);

// Adds `grad` to tensor.grad as the end of the tape does.
void accumulate(Tensor& tensor, TensorRef grad);
// The same, and runs the hooks that follow on a leaf.
void deposit(Tensor& tensor, TensorRef grad);

// The pass that runs on this thread, 0 for none, and of each tensor whether that pass comes to it.
uint64_t running_pass();
std::vector<bool> will_come_to(std::span<Tensor* const> tensors);

}  // namespace versant::engine
