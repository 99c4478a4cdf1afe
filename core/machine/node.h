// The tape: nodes of the backward graph.
//
// A node stands for one recorded op. Its edges say, for each input of the op, where that input's gradient
// goes. Nodes are numbered in the order in which they were made, so an edge always leads to a smaller number;
// the engine visits nodes by falling number and needs no counting of consumers (engine.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "machine/tensor.h"

namespace versant {

struct Edge {
  Ref<Node> node;
  uint32_t nr = 0;  // which output of `node`
};

// Where in the user's program a node was made; opaque to the machine.
struct Location {
  void* code = nullptr;  // owned
  int32_t at = 0;
};
struct LocationHooks {
  Location (*here)() = nullptr;
  void (*release)(void* code) = nullptr;
  void (*keep)(void* code) = nullptr;                  // for one release more
  std::string (*describe)(const Location&) = nullptr;  // "train.py:12"
  // Node `number` was made, while somebody observes.
  void (*made)(uint64_t number) = nullptr;
  // The path of the module that runs, and of the one that ran when node `number` was made; kept while
  // somebody observes (Modes::observed).
  std::string (*module_here)() = nullptr;
  std::string (*module_of)(uint64_t number) = nullptr;
  // Node `number`, which was just made, belongs to the module of node `of`.
  void (*made_for)(uint64_t number, uint64_t of) = nullptr;
  void (*note)(const std::string& text) = nullptr;  // adds a line to the pending exception of the host
};
extern LocationHooks location_hooks;

// On a way back that is recorded: the node whose gradient is being computed, and where the pass began. Nodes
// that no code of the user's makes there are of that node's place and module.
inline constexpr int kMostOrder = 7;  // of gradients that are told apart
struct Recorded {
  const Node* of = nullptr;
  Location began;
};
extern constinit thread_local const Recorded* recorded __attribute__((tls_model("initial-exec")));

struct OutputInfo {
  Dims sizes;
  DType dtype = DType::Float32;
};

// Gradients on their way into or out of a node; an empty reference is a zero.
using Grads = std::span<TensorRef>;

// Python-side hooks on a node; `before[nr]` run on the gradient of output nr, `after` on the node's results.
struct HookTable;
struct HookTableHooks {
  void (*run_pre)(HookTable*, Grads grads) = nullptr;  // throws HostError
  void (*run_post)(HookTable*, Node& node, Grads inputs, Grads outputs) = nullptr;
  void (*run_accumulated)(HookTable*, Tensor& leaf) = nullptr;
  // Moves what keeps the gradient of `tensor` from the node before an in-place op to its new one.
  void (*move_retained)(Tensor& tensor, Node* before) = nullptr;
  uint64_t (*signature)(const HookTable*) = nullptr;  // another one with every hook that comes or goes
  void (*destroy)(HookTable*) = nullptr;
};
extern HookTableHooks hook_table_hooks;
extern int64_t hooked_leaves;  // leaf nodes that have a table

struct Node {
  int64_t refs = 0;
  uint64_t number;
  uint64_t task = 0;  // the backward pass that has it queued, and where: see engine.cc
  uint32_t task_slot = 0;
  uint32_t bytes;  // size of this object, for the pool
  uint16_t n_edges = 0;
  uint16_t n_outputs = 1;
  bool released = false;  // its saved values are gone
  bool continues_sums = false;
  uint8_t order = 0;  // of the gradient it belongs to: 1 for what a recorded way back makes
  Location where;
  HookTable* hooks = nullptr;
  void* host_object = nullptr;  // the host's face of this node (not owned by the node)
  OutputInfo output;            // of output 0

  Node(uint32_t bytes, uint16_t n_edges);
  virtual ~Node();
  Node(const Node&) = delete;

  virtual std::string name() const = 0;
  virtual Edge* edges() = 0;
  virtual const OutputInfo& output_info(uint32_t) const { return output; }
  virtual bool is_leaf() const { return false; }
  // From the gradients of the outputs to those of the inputs, of which bit i of `wanted` says whether anybody
  // asks (all bits from the 64th on are taken as set). Runs with gradient mode on when create_graph was
  // asked.
  virtual void backward(Grads outputs, Grads inputs, uint64_t wanted) = 0;
  // The same for nodes that can add to what has already arrived: where sums[i] is not null, the gradient of
  // input i, of any broadcast shape, may be added to it instead, and inputs[i] left empty.
  virtual bool adds() const { return false; }
  virtual void backward_adding(Grads outputs, Grads inputs, uint64_t wanted, std::span<Tensor* const>) {
    backward(outputs, inputs, wanted);
  }
  // Of nodes that continue sums: whether backward finds, in the place of the gradient of input i, the sum
  // that waits there, if one does. What it leaves there is then the whole sum.
  virtual bool continues(int) const { return false; }
  bool wants(int input, uint64_t wanted) {
    return edges()[input].node && (input >= 64 || (wanted >> input & 1));
  }
  // Drops saved values; a second backward then raises.
  virtual void release_saved() = 0;

  // The number that the next node will have.
  static uint64_t next();
  // A number that no node gets: a moment between nodes.
  static uint64_t skip();
  // Freed without recursion, however long the chain of nodes behind it.
  static void destroy(Node* node);
};

// Makes a node of a class of its own size from the pool.
template <typename T, typename... Args>
T* new_node(size_t bytes, Args&&... args) {
  void* block = pool::allocate(bytes);
  return new (block) T(static_cast<uint32_t>(bytes), std::forward<Args>(args)...);
}

// The end of the tape: gradients of a leaf tensor arrive here.
struct LeafNode final : Node {
  Tensor* leaf;             // null once the tensor is gone
  bool resting = false;     // requires_grad is off for now: gradients are dropped
  uint32_t watchers = 0;    // tapes that record and watch its tensor
  uint64_t watched_at = 0;  // of a leaf that exists for tapes: the number of the next node then
  uint64_t noted = 0;       // when tapes were last told that it is read
  uint64_t asked = 0;       // the last question of a tape that it is a source of

  LeafNode(uint32_t bytes, Tensor* leaf);
  std::string name() const override { return "AccumulateGrad"; }
  Edge* edges() override { return nullptr; }
  bool is_leaf() const override { return true; }
  void backward(Grads outputs, Grads inputs, uint64_t wanted) override;
  void release_saved() override {}
};

// --- modes
// -----------------------------------------------------------------------------------------------------------

struct Modes {
  bool grad = true;
  bool inference = false;
  bool autocast = false;      // autocast.h
  bool taping = false;        // a gradient tape records: tape.h
  bool packs = false;         // saved values go through the host: see SavingHooks
  bool tracing = false;       // what the machine does is recorded: trace.h
  bool transforming = false;  // some tensors may stand for more than they show: transforms/levels.h
  bool watching = false;      // what the machine does is reported: watch.h
  bool dry = false;           // ... is to make room for results, and to compute none: watch.h
  bool observed() const { return tracing | watching; }
  // Whether ways back are made of recorded ops, instead of kernels over arrays.
  bool composes() const { return grad || transforming; }
};
// Initial-exec: a fixed offset from the thread pointer instead of a call at every op.
extern constinit thread_local Modes modes __attribute__((tls_model("initial-exec")));

// What the host keeps in the place of saved values where modes.packs is set, and how it gives them back.
struct SavingHooks {
  void* (*pack)(const Array& value) = nullptr;  // throws HostError
  Array (*unpack)(void* packed) = nullptr;      // throws HostError
  void (*release)(void* packed) = nullptr;
};
extern SavingHooks saving_hooks;

// An object of the host that stands for a saved value.
class Packed {
 public:
  Packed() = default;
  explicit Packed(void* object) : object_(object) {}
  Packed(Packed&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Packed& operator=(Packed&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Packed() {
    if (object_) saving_hooks.release(object_);
  }
  void* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  void* object_ = nullptr;
};

// A value kept for backward.
struct Saved {
  Array array;    // of a packed value only sizes and dtype
  Packed packed;  // in the place of the array, or empty
  uint32_t version = 0;
  bool present = false;

  void keep(const Array& value) {
    if (modes.packs) [[unlikely]]
      return pack(value);
    array = value;
    version = value.storage->version;
    present = true;
  }
  // Raises for values made in inference mode, which take no part in gradients.
  void keep(const Tensor& value) {
    if (value.inference) [[unlikely]]
      refuse_inference();
    keep(static_cast<const Array&>(value));
  }
  [[noreturn]] static void refuse_inference();
  void pack(const Array& value);
  void drop() {
    array = Array();
    Packed gone = std::move(packed);
  }
  // The value, not packed. Raises when it was changed in place since, naming the op and the line that kept
  // it.
  const Array& get(const Node& node) const;
  // The value of a packed one.
  Array unpacked(const Node& node) const;
  // The value as a tensor whose gradient goes along `edge` (when recording).
  TensorRef unpack(const Node& node, const Edge* edge) const;
};

// --- scopes of gradient mode
// -----------------------------------------------------------------------------------------------------------

// Sets gradient mode for a scope.
class GradMode {
 public:
  explicit GradMode(bool on) : before_(modes.grad) { modes.grad = on; }
  ~GradMode() { modes.grad = before_; }

 private:
  bool before_;
};

// --- graph of a tensor
// ------------------------------------------------------------------------------------------------

// Brings the node of a view up to date after in-place changes of its base (inplace.cc).
void refresh_view(Tensor& tensor);

// Where gradients of `tensor` go; an empty edge when it needs none.
inline Edge edge_of(Tensor& tensor) {
  if (tensor.view && tensor.view->history != tensor.view->base->history) refresh_view(tensor);
  return Edge{tensor.node, tensor.output_nr};
}
// What belongs to tapes needs one only while a tape records: Note [Tapes].
inline bool needs_grad(Tensor& tensor) {
  if (tensor.view && tensor.view->history != tensor.view->base->history) refresh_view(tensor);
  return tensor.node && (!tensor.taped || modes.taping);
}

// Makes `tensor` a leaf that wants a gradient, or not.
void set_requires_grad(Tensor& tensor, bool on);
// Cuts the tie between a dying tensor and its leaf node.
void release_leaf(Tensor& tensor);
// Cuts a tensor from the tape.
void detach_in_place(Tensor& tensor);
// Gives a fresh result its node.
inline void set_history(Tensor& result, Node* node, uint32_t output_nr = 0) {
  result.node = Ref<Node>(node);
  result.output_nr = output_nr;
  result.taped = modes.taping;
}

}  // namespace versant
