// Forward derivatives of ops, and gradients of functions of wrapped tensors.
//
// Note [Derivatives of both kinds]
// There is one derivative of each op, the reverse one. An elementwise op's gradient g -> g * d is the same
// product forward: t -> t * d. Primitives say if they are linear in their inputs; the derivative along t is
// then the op itself of t. For all others the way back is a linear function of the gradient that comes in,
// and its own way back is the forward derivative (Townsend, "A new trick for calculating Jacobian vector
// products", 2017); the way back is made of recorded ops, so this holds at every order.
#pragma once

#include <functional>
#include <vector>

#include "machine/elementwise.h"
#include "machine/engine.h"
#include "machine/primitive.h"

namespace versant::transforms {

// The outputs of a primitive whose inputs have derivatives at level `at`.
Outputs push(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes,
             int at);
// Gives a plain tensor, and the base that it is a view of, a derivative of zero at level `at`.
void give_tangent(Tensor& tensor, int at);

// The same for elementwise ops, whose call is a transform's when an input is wrapped.
bool concerns(std::span<const Input> inputs);
TensorRef apply(ElementwiseOp& op, std::span<const Input> inputs);
void apply_in_place(ElementwiseOp& op, std::span<const Input> inputs, Tensor& out, bool fresh);
// Writes `result` to `self`, both as seen at level `at`.
void write_in_place(Tensor& self, Tensor& result, const char* op, int at);

// A copy of `x` to differentiate by: its plain tensor is a variable of the tape of its own (tied to what `x`
// came from), with a batch at every open level of vmap.
TensorRef variable(Tensor& x);
// Gradients of plain outputs, weighted, by plain variables; keep: others of the same graph are asked after.
using PlainPull = std::function<std::vector<TensorRef>(std::span<const TensorRef> outputs,
                                                       std::span<const TensorRef> weights,
                                                       std::span<const TensorRef> variables, bool keep)>;
// The gradients of `outputs`, weighted, by variables; null where there is none. All may be wrapped.
std::vector<TensorRef> pull(std::span<const TensorRef> outputs, std::span<const TensorRef> weights,
                            std::span<const TensorRef> variables, const PlainPull& plain, bool keep);
// The same from the whole graph.
std::vector<TensorRef> pull(std::span<const TensorRef> outputs, std::span<const TensorRef> weights,
                            std::span<const TensorRef> variables, engine::Options options);
// x.detach(): off the tape and without derivatives.
TensorRef detached(Tensor& x);
// Whether gradients lead from a tensor, or from what it holds.
bool is_recorded(Tensor& x);
// The same value off the tape.
TensorRef off_tape(Tensor& x);
// `function` with the derivatives of its results along `tangents` (null for none) of `values`, by the way
// back.
struct Pushed {
  std::vector<TensorRef> values, tangents;
};
Pushed push_through(const std::function<std::vector<TensorRef>(std::span<Tensor* const>)>& function,
                    std::span<const TensorRef> values, std::span<const TensorRef> tangents);

}  // namespace versant::transforms
