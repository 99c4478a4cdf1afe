#include "machine/node.h"

#include "machine/engine.h"

namespace versant {

LocationHooks location_hooks;
HookTableHooks hook_table_hooks;
thread_local Modes modes __attribute__((tls_model("initial-exec")));

namespace {
uint64_t next_number = 1;

// Nodes whose count reached zero, waiting for their turn; non-null while the outermost destroy drains it.
std::vector<Node*>* doomed = nullptr;
}  // namespace

Node::Node(uint32_t bytes, uint16_t n_edges) : number(next_number++), bytes(bytes), n_edges(n_edges) {
  if (location_hooks.here) where = location_hooks.here();
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
  if (!leaf || !outputs[0]) return;
  TensorRef keep(leaf);
  engine::accumulate(*leaf, std::move(outputs[0]));
  if (hooks && hook_table_hooks.run_accumulated) hook_table_hooks.run_accumulated(hooks, *leaf);
}

namespace {
// " at train.py:12", for messages.
std::string at_line(const Node& node) {
  return node.where.code && location_hooks.describe ? " at " + location_hooks.describe(node.where) : "";
}
}  // namespace

const Array& Saved::get(const Node& node) const {
  if (!present || node.released) [[unlikely]] {
    fail(ErrorKind::Runtime, "[backward] the values that ", node.name(), at_line(node),
         " saved were freed by an earlier backward; trying to backward through the graph a second time needs "
         "retain_graph=True the first time");
  }
  if (array.storage->version != version) [[unlikely]] {
    fail(ErrorKind::Runtime, "[backward] a tensor ", describe(array), " saved for the gradient by ",
         node.name(), at_line(node), " has been modified by an inplace operation since: it is at version ",
         array.storage->version, "; expected version ", version);
  }
  return array;
}

TensorRef Saved::unpack(const Node& node, const Edge* edge) const {
  TensorRef tensor = Tensor::make(get(node));
  if (modes.grad && edge && edge->node) {
    tensor->node = edge->node;
    tensor->output_nr = edge->nr;
  }
  return tensor;
}

void set_requires_grad(Tensor& tensor, bool on) {
  if (on == tensor.requires_grad()) return;
  if (!on) {
    if (!tensor.is_leaf()) {
      fail(ErrorKind::Runtime,
           "[requires_grad] only leaf tensors may stop requiring gradients; use x.detach()");
    }
    release_leaf(tensor);
    tensor.node.reset();
    return;
  }
  if (!tensor.is_floating()) {
    fail(ErrorKind::Runtime, "[requires_grad] only floating-point tensors can require gradients, got ",
         name(tensor.dtype));
  }
  if (tensor.inference && !modes.inference) {
    fail(ErrorKind::Runtime,
         "[requires_grad] an inference tensor cannot require gradients outside inference mode; clone() it");
  }
  tensor.node = Ref<Node>(new_node<LeafNode>(sizeof(LeafNode), &tensor));
  tensor.output_nr = 0;
}

void release_leaf(Tensor& tensor) {
  if (tensor.node && tensor.node->is_leaf()) {
    auto* leaf = static_cast<LeafNode*>(tensor.node.get());
    if (leaf->leaf == &tensor) leaf->leaf = nullptr;
  }
}

}  // namespace versant
