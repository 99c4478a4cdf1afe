// Note [Views and in-place]
// A view remembers its base, the tensor that owns the history of the memory. Writing in place through a view
// gives the *base* a new node (CopySlices: the gradient of the view's part goes through the op, the rest
// passes by) and counts the base's `history` up; writing in place to the base does the same without slices.
// Every view whose remembered count is behind regenerates its own node on next use, as a strided window on
// the base. Windows are expressed by three linear primitives over strided geometry (strided.cc), which are
// each other's gradients.
//
// Views made without recording (in no_grad, or by a custom function) cannot be followed this way, and which
// gradient is meant is anybody's guess: recorded writes to them, or to their base before they are used again,
// raise. A view that was made a leaf by requires_grad_() keeps that role.
#include "machine/inplace.h"

#include "machine/complex.h"
#include "machine/ops.h"
#include "machine/strided.h"

namespace versant {

namespace {

bool overlaps_itself(const Array& array) {
  if (array.numel == 0) return false;
  for (int d = 0; d < array.rank(); ++d)
    if (array.strides[d] == 0 && array.sizes[d] > 1) return true;
  return false;
}

// Complex numbers as a last axis of two real ones.
TensorRef in_real_parts(Tensor& x) { return is_complex(x.dtype) ? ops::as_real(x) : TensorRef(&x); }

// The window's elements. Where `real_parts`, one of base and view is complex and the other real, and the
// window is between their real parts.
TensorRef read_window(Tensor& base, const Window& window, bool real_parts) {
  if (!real_parts) return ops::window_read(base, window);
  const TensorRef part = ops::window_read(*in_real_parts(base), window);
  return is_complex(base.dtype) ? part : ops::as_complex(*part);
}

bool differ_in_parts(const Array& view, const Array& base) {
  return is_complex(view.dtype) != is_complex(base.dtype);
}

// The node of a base after an in-place op on one of its views.
struct CopySlicesNode final : Node {
  Window window;
  bool real_parts;
  Ref<Node> inner;
  int self_input;
  std::vector<Edge> edges_;

  CopySlicesNode(uint32_t bytes, Edge base, Window window, bool real_parts, Ref<Node> inner, int self_input)
      : Node(bytes, static_cast<uint16_t>(1 + inner->n_edges)),
        window(std::move(window)),
        real_parts(real_parts),
        inner(std::move(inner)),
        self_input(self_input) {
    edges_.push_back(std::move(base));
    for (int i = 0; i < this->inner->n_edges; ++i)
      edges_.push_back(i == self_input ? Edge{} : this->inner->edges()[i]);
  }
  std::string name() const override { return "CopySlices(" + inner->name() + ")"; }
  Edge* edges() override { return edges_.data(); }
  // Gradients of gradients reach the inner node on their own way too, later in the same pass.
  void release_saved() override {
    if (inner->refs > 1) return;
    inner->release_saved();
    released = inner->released;
  }
  void backward(Grads outputs, Grads inputs, uint64_t wanted) override {
    if (!outputs[0]) return;
    const DType dtype = outputs[0]->dtype;
    TensorRef part = read_window(*outputs[0], window, real_parts);
    std::vector<TensorRef> inner_inputs(inner->n_edges);
    uint64_t inner_wanted = wanted >> 1;
    if (self_input >= 0) {
      const uint64_t bit = uint64_t{1} << self_input;
      inner_wanted = (wanted & 1) ? inner_wanted | bit : inner_wanted & ~bit;
    }
    inner->backward({&part, 1}, inner_inputs, inner_wanted);
    for (int i = 0; i < inner->n_edges; ++i)
      if (i != self_input) inputs[1 + i] = std::move(inner_inputs[i]);
    if (!wants(0, wanted)) return;
    TensorRef self = self_input >= 0 ? std::move(inner_inputs[self_input]) : TensorRef();
    if (!real_parts) {
      if (!self) self = ops::zeros(window.view_sizes, dtype);
      inputs[0] = ops::window_write(*outputs[0], *self, window);
      return;
    }
    if (!self) self = ops::zeros(inner->output.sizes, inner->output.dtype);
    TensorRef whole = ops::window_write(*in_real_parts(*outputs[0]), *in_real_parts(*self), window);
    inputs[0] = is_complex(dtype) ? ops::as_complex(*whole) : whole;
  }
};

// What a write without a gradient of its own leaves behind: none flows to the old values.
struct OverwriteNode final : Node {
  explicit OverwriteNode(uint32_t bytes) : Node(bytes, 0) {}
  std::string name() const override { return "overwrite"; }
  Edge* edges() override { return nullptr; }
  void release_saved() override {}
  void backward(Grads, Grads, uint64_t) override {}
};

Window window_of(const Array& view, const Array& base) {
  if (differ_in_parts(view, base))
    return is_complex(base.dtype) ? window_of(view, as_real(base)) : window_of(as_real(view), base);
  Window window;
  window.base_sizes = base.sizes;
  window.base_strides = base.strides;
  window.view_sizes = view.sizes;
  window.view_strides = view.strides;
  window.shift = (view.as<char>() - base.as<char>()) / static_cast<int64_t>(itemsize(base.dtype));
  return window;
}

[[noreturn]] void refuse_unrecorded(const ViewInfo& view, const char* op) {
  fail(ErrorKind::Runtime, "[", op, "] ",
       view.origin == ViewInfo::Origin::WithoutGrad
           ? "a view made in no_grad, or its base, is changed in place with grad mode enabled; make the view "
             "and "
             "the change either both inside no_grad() or both outside"
           : "a view made by a custom Function, or its base, is changed in place; return a clone() from "
             "forward");
}

}  // namespace

void check_in_place(Tensor& tensor, const char* op) {
  begin_write(tensor, op);
  if (overlaps_itself(tensor)) {
    fail(ErrorKind::Runtime, "[", op,
         "] several elements of the written-to tensor share one memory location (it was expanded); clone() "
         "it first");
  }
  if (tensor.inference && !modes.inference) {
    fail(ErrorKind::Runtime, "[", op,
         "] an inference tensor cannot be changed in place outside inference mode; clone() it");
  }
  if (!modes.grad) return;
  if (needs_grad(tensor) && tensor.is_leaf()) {
    fail(ErrorKind::Runtime, "[", op,
         "] a leaf Variable that requires grad is being used in an in-place operation; wrap the change in "
         "no_grad()");
  }
  if (tensor.view && tensor.node && (!tensor.view->base->node || tensor.view->base->is_leaf())) {
    fail(ErrorKind::Runtime, "[", op,
         "] a view of a leaf Variable that requires grad is being used in an in-place operation; wrap the "
         "change in no_grad()");
  }
  if (tensor.view && tensor.view->origin != ViewInfo::Origin::Recorded &&
      (tensor.node || needs_grad(*tensor.view->base)))
    refuse_unrecorded(*tensor.view, op);
}

void rebase_history(Tensor& tensor, Node* node, int self_input, uint32_t output_nr) {
  Ref<Node> overwrite;
  if (!node) {
    if (!needs_grad(tensor.view ? *tensor.view->base : tensor)) return;
    overwrite = Ref<Node>(new_node<OverwriteNode>(sizeof(OverwriteNode)));
    overwrite->output.sizes = tensor.sizes;
    overwrite->output.dtype = tensor.dtype;
    node = overwrite.get();
    self_input = -1;
  }
  if (!tensor.view) {
    const Ref<Node> before = std::exchange(tensor.node, Ref<Node>(node));
    if (tensor.retains_grad) hook_table_hooks.move_retained(tensor, before.get());
    tensor.output_nr = output_nr;
    tensor.taped = modes.taping;
    ++tensor.history;
    return;
  }
  if (tensor.view->origin != ViewInfo::Origin::Recorded)
    refuse_unrecorded(*tensor.view, node->name().c_str());
  if (node->n_outputs > 1) {
    fail(ErrorKind::Runtime, "[", node->name(),
         "] a view cannot be changed in place by a function with several outputs; clone() it first");
  }
  Tensor& base = *tensor.view->base;
  const Ref<Node> before = base.node;
  Edge base_edge = edge_of(base);
  base.node = Ref<Node>(new_node<CopySlicesNode>(sizeof(CopySlicesNode), std::move(base_edge),
                                                 window_of(tensor, base), differ_in_parts(tensor, base),
                                                 Ref<Node>(node), self_input));
  base.node->output.sizes = base.sizes;
  base.node->output.dtype = base.dtype;
  if (base.retains_grad) hook_table_hooks.move_retained(base, before.get());
  base.output_nr = 0;
  base.taped = modes.taping;
  ++base.history;
}

void mark_view(Tensor& view, Tensor& source) {
  const bool chained = source.view != nullptr;
  Tensor& base = chained ? *source.view->base : source;
  auto origin = modes.grad ? ViewInfo::Origin::Recorded : ViewInfo::Origin::WithoutGrad;
  if (chained && source.view->origin != ViewInfo::Origin::Recorded) origin = source.view->origin;
  view.view = new ViewInfo(TensorRef(&base), origin);
}

void refresh_view(Tensor& tensor) {
  Tensor& base = *tensor.view->base;
  if (tensor.node && tensor.node->is_leaf()) {
    tensor.view->history = base.history;
    return;
  }
  if (!base.node) {
    tensor.view->history = base.history;
    tensor.node.reset();
    return;
  }
  if (tensor.view->origin != ViewInfo::Origin::Recorded) refuse_unrecorded(*tensor.view, "grad_fn");
  tensor.view->history = base.history;
  const Ref<Node> before = tensor.node;
  GradMode record(true);
  TensorRef fresh = read_window(base, window_of(tensor, base), differ_in_parts(tensor, base));
  tensor.node = fresh->node;
  if (tensor.retains_grad) hook_table_hooks.move_retained(tensor, before.get());
  tensor.output_nr = fresh->output_nr;
  tensor.taped = base.taped;
}

}  // namespace versant
