#include "machine/node.h"

#include <unordered_map>

#include "machine/engine.h"
#include "machine/trace.h"

namespace versant {

LocationHooks location_hooks;
HookTableHooks hook_table_hooks;
int64_t hooked_leaves = 0;
constinit thread_local Modes modes __attribute__((tls_model("initial-exec")));

namespace {
uint64_t next_number = 1;

// Nodes whose count reached zero, waiting for their turn; non-null while the outermost destroy drains it.
std::vector<Node*>* doomed = nullptr;
}  // namespace

constinit thread_local const Recorded* recorded __attribute__((tls_model("initial-exec"))) = nullptr;

uint64_t Node::next() { return next_number; }
uint64_t Node::skip() { return next_number++; }

Node::Node(uint32_t bytes, uint16_t n_edges) : number(next_number++), bytes(bytes), n_edges(n_edges) {
  if (!location_hooks.here) return;
  where = location_hooks.here();
  if (modes.observed()) [[unlikely]]
    location_hooks.made(number);
  if (!recorded) [[likely]]
    return;
  order = static_cast<uint8_t>(std::min(recorded->of->order + 1, kMostOrder));
  const Location& began = recorded->began;
  if (where.code != began.code || where.at != began.at || !recorded->of->where.code) return;
  location_hooks.release(where.code);
  where = recorded->of->where;
  location_hooks.keep(where.code);
  if (modes.observed()) location_hooks.made_for(number, recorded->of->number);
}

Node::~Node() {
  if (where.code) location_hooks.release(where.code);
  if (hooks) hook_table_hooks.destroy(hooks);
}

void Node::destroy(Node* node) {
  if (doomed) {
    doomed->push_back(node);
    return;
  }
  std::vector<Node*> queue;
  doomed = &queue;
  while (node) {
    const uint32_t bytes = node->bytes;
    node->~Node();
    pool::deallocate(node, bytes);
    node = nullptr;
    if (!queue.empty()) {
      node = queue.back();
      queue.pop_back();
    }
  }
  doomed = nullptr;
}

LeafNode::LeafNode(uint32_t bytes, Tensor* leaf) : Node(bytes, 0), leaf(leaf) {
  number = 0;  // after every op
  output.sizes = leaf->sizes;
  output.dtype = leaf->dtype;
}

void LeafNode::backward(Grads outputs, Grads, uint64_t) {
  if (!leaf || resting || !outputs[0]) return;
  TensorRef keep(leaf);
  engine::deposit(*leaf, std::move(outputs[0]));
}

namespace {
// " at train.py:12", for messages.
std::string at_line(const Node& node) {
  return node.where.code && location_hooks.describe ? " at " + location_hooks.describe(node.where) : "";
}
}  // namespace

SavingHooks saving_hooks;

namespace {
void expect_present(const Saved& saved, const Node& node) {
  if (saved.present && !node.released) [[likely]]
    return;
  fail(ErrorKind::Runtime, "[backward] the values that ", node.name(), at_line(node),
       " saved were freed by an earlier backward; trying to backward through the graph a second time needs "
       "retain_graph=True the first time");
}
}  // namespace

void Saved::pack(const Array& value) {
  packed = Packed(saving_hooks.pack(value));
  array = Array();
  array.sizes = value.sizes;
  array.dtype = value.dtype;
  present = true;
}

Array Saved::unpacked(const Node& node) const {
  expect_present(*this, node);
  Array value = saving_hooks.unpack(packed.get());
  if (value.sizes != array.sizes || value.dtype != array.dtype)
    fail(ErrorKind::Runtime, "[backward] the hook of saved tensors gave ", describe(value),
         " for a value that ", node.name(), at_line(node), " saved with shape ", array.sizes, " and dtype ",
         name(array.dtype));
  return value;
}

const Array& Saved::get(const Node& node) const {
  expect_present(*this, node);
  if (array.storage->version != version) [[unlikely]] {
    fail(ErrorKind::Runtime, "[backward] a tensor ", describe(array), " saved for the gradient by ",
         node.name(), at_line(node), " has been modified by an inplace operation since: it is at version ",
         array.storage->version, "; expected version ", version);
  }
  return array;
}

TensorRef Saved::unpack(const Node& node, const Edge* edge) const {
  TensorRef tensor = Tensor::make(packed ? unpacked(node) : Array(get(node)));
  if (modes.grad && edge && edge->node && is_differentiable(tensor->dtype)) {
    tensor->node = edge->node;
    tensor->output_nr = edge->nr;
  }
  return tensor;
}

void Saved::refuse_inference() {
  fail(ErrorKind::Runtime,
       "[backward] inference tensors cannot be saved for the gradient; clone() them outside inference mode "
       "first");
}

namespace {
// Leaf nodes of tensors whose requires_grad was switched off: graphs recorded before still lead to them, and
// they come back when it is switched on again.
std::unordered_map<const Tensor*, Ref<LeafNode>>& resting_leaves() {
  static std::unordered_map<const Tensor*, Ref<LeafNode>> map;
  return map;
}

bool owns_leaf(const Tensor& tensor) {
  return tensor.node && tensor.node->is_leaf() && static_cast<LeafNode*>(tensor.node.get())->leaf == &tensor;
}
}  // namespace

void set_requires_grad(Tensor& tensor, bool on) {
  if (on == needs_grad(tensor) && (!on || !tensor.taped)) return;
  if (modes.tracing) [[unlikely]]
    trace::recorder->touches(tensor);
  if (!on) {
    if (!tensor.is_leaf()) {
      fail(ErrorKind::Runtime,
           "[requires_grad] only leaf tensors may stop requiring gradients; use x.detach()");
    }
    if (owns_leaf(tensor) && tensor.node->refs > 1) {
      Ref<LeafNode> leaf(static_cast<LeafNode*>(tensor.node.get()));
      leaf->resting = tensor.resting = true;
      resting_leaves().insert_or_assign(&tensor, std::move(leaf));
    } else {
      release_leaf(tensor);
    }
    tensor.node.reset();
    return;
  }
  if (!is_differentiable(tensor.dtype)) {
    fail(ErrorKind::Runtime,
         "[requires_grad] only floating-point and complex tensors can require gradients, got ",
         name(tensor.dtype));
  }
  if (tensor.inference && !modes.inference) {
    fail(ErrorKind::Runtime,
         "[requires_grad] an inference tensor cannot require gradients outside inference mode; clone() it");
  }
  if (tensor.node) {  // it was for tapes alone
    tensor.taped = false;
    return;
  }
  tensor.output_nr = 0;
  if (tensor.resting) {
    auto rested = resting_leaves().extract(&tensor);
    rested.mapped()->resting = tensor.resting = false;
    rested.mapped()->output = {tensor.sizes, tensor.dtype};
    tensor.node = Ref<Node>(rested.mapped().get());
    return;
  }
  tensor.node = Ref<Node>(new_node<LeafNode>(sizeof(LeafNode), &tensor));
}

void release_leaf(Tensor& tensor) {
  if (owns_leaf(tensor)) static_cast<LeafNode*>(tensor.node.get())->leaf = nullptr;
  if (tensor.resting) [[unlikely]] {
    auto rested = resting_leaves().extract(&tensor);
    rested.mapped()->leaf = nullptr;
    tensor.resting = false;
  }
}

void detach_in_place(Tensor& tensor) {
  release_leaf(tensor);
  tensor.node.reset();
  tensor.output_nr = 0;
  tensor.taped = tensor.retains_grad = false;
}

}  // namespace versant
