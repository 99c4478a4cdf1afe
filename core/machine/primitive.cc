#include "machine/primitive.h"

#include <bit>
#include <new>
#include <vector>

#include "machine/complex.h"
#include "machine/inplace.h"
#include "machine/tape.h"
#include "machine/trace.h"
#include "machine/transforms/batching.h"
#include "machine/watch.h"

namespace versant {

namespace {
// Filled while the program starts, when names cannot be asked yet.
std::vector<const Primitive*>& primitives() {
  static std::vector<const Primitive*> all;
  return all;
}
}  // namespace

Primitive::Primitive() { primitives().push_back(this); }

const Primitive* find_primitive(std::string_view saved_name) {
  for (const Primitive* primitive : primitives())
    if (primitive->saved_name() == saved_name && !primitive->is_view()) return primitive;
  return nullptr;
}

void Run::start_copy() {
  if (in_place) return;
  out[0] = Array::empty(in[0]->sizes, in[0]->dtype);
  copy_into(out[0], *in[0]);
}

// The edges, further output descriptions and saved arrays follow the object in the same block of memory.
class PrimitiveNode final : public Node {
 public:
  static size_t size(size_t n_inputs, int n_outputs, int n_saved) {
    return sizeof(PrimitiveNode) + n_inputs * sizeof(Edge) + (n_outputs - 1) * sizeof(OutputInfo) +
           n_saved * sizeof(Saved);
  }

  PrimitiveNode(uint32_t bytes, const Primitive& primitive, const Attributes& attributes, size_t n_inputs,
                int n_outs, Saves saves)
      : Node(bytes, static_cast<uint16_t>(n_inputs)),
        primitive(primitive),
        attributes(attributes),
        saves(saves) {
    n_outputs = static_cast<uint16_t>(n_outs);
    auto* at = reinterpret_cast<char*>(this + 1);
    edges_ = reinterpret_cast<Edge*>(at);
    for (size_t i = 0; i < n_inputs; ++i) new (edges_ + i) Edge;
    at += n_inputs * sizeof(Edge);
    more_ = reinterpret_cast<OutputInfo*>(at);
    for (int k = 1; k < n_outs; ++k) new (more_ + k - 1) OutputInfo;
    at += (n_outs - 1) * sizeof(OutputInfo);
    saved_ = reinterpret_cast<Saved*>(at);
    for (int i = 0; i < n_saved(); ++i) new (saved_ + i) Saved;
  }
  ~PrimitiveNode() override {
    for (int i = 0; i < n_edges; ++i) edges_[i].~Edge();
    for (int k = 1; k < n_outputs; ++k) more_[k - 1].~OutputInfo();
    for (int i = 0; i < n_saved(); ++i) saved_[i].~Saved();
  }

  std::string name() const override { return primitive.name(); }
  Edge* edges() override { return edges_; }
  const OutputInfo& output_info(uint32_t nr) const override { return nr == 0 ? output : more_[nr - 1]; }
  OutputInfo& info(int nr) { return nr == 0 ? output : more_[nr - 1]; }
  void backward(Grads outputs, Grads inputs, uint64_t wanted) override {
    Vjp vjp(*this, outputs, inputs, wanted);
    primitive.vjp(vjp);
  }
  bool adds() const override { return primitive.adds(); }
  void backward_adding(Grads outputs, Grads inputs, uint64_t wanted, std::span<Tensor* const> sums) override {
    Vjp vjp(*this, outputs, inputs, wanted, sums);
    primitive.vjp(vjp);
  }
  void release_saved() override {
    for (int i = 0; i < n_saved(); ++i) saved_[i].drop();
    released = n_saved() > 0;
  }
  int n_saved() const { return std::popcount(saves.inputs) + std::popcount(saves.outputs); }
  Saved& saved_input(int i) const { return saved_[std::popcount(saves.inputs & ((1u << i) - 1))]; }
  Saved& saved_output(int k) const {
    return saved_[std::popcount(saves.inputs) + std::popcount(saves.outputs & ((1u << k) - 1))];
  }
  const Edge& edge(int i) const { return edges_[i]; }

  const Primitive& primitive;
  const Attributes attributes;
  const Saves saves;

 private:
  Edge* edges_;
  OutputInfo* more_;
  Saved* saved_;
};

const Attributes& Vjp::attributes() const { return node_.attributes; }
bool Vjp::needs(int input) const { return node_.edge(input).node && (input >= 64 || (wanted_ >> input & 1)); }
TensorRef Vjp::input(int i) const { return node_.saved_input(i).unpack(node_, &node_.edge(i)); }
TensorRef Vjp::output(int k) const {
  Edge self{Ref<Node>(const_cast<PrimitiveNode*>(&node_)), static_cast<uint32_t>(k)};
  return node_.saved_output(k).unpack(node_, &self);
}
const Dims& Vjp::input_sizes(int i) const { return node_.edge(i).node->output_info(node_.edge(i).nr).sizes; }
DType Vjp::input_dtype(int i) const { return node_.edge(i).node->output_info(node_.edge(i).nr).dtype; }
const Dims& Vjp::output_sizes(int k) const { return node_.output_info(k).sizes; }
int Vjp::n_inputs() const { return node_.n_edges; }

namespace {

// Records a run; returns null when no gradient flows. A mask of 32 bits bounds what can be saved, not the
// inputs.
PrimitiveNode* record(const Primitive& primitive, std::span<Tensor* const> inputs,
                      const Attributes& attributes, const Array* outputs, int n_outputs, bool in_place) {
  uint32_t needing = 0;
  bool any = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!needs_grad(*inputs[i])) continue;
    any = true;
    if (i < 32) needing |= 1u << i;
  }
  bool floating = false;
  for (int k = 0; k < n_outputs; ++k) floating |= is_differentiable(outputs[k].dtype);
  if (!any || !floating || !primitive.differentiable()) return nullptr;
  const Saves saves = primitive.saves(attributes, needing);
  const int n_saved = std::popcount(saves.inputs) + std::popcount(saves.outputs);
  auto* node = new_node<PrimitiveNode>(PrimitiveNode::size(inputs.size(), n_outputs, n_saved), primitive,
                                       attributes, inputs.size(), n_outputs, saves);
  Ref<Node> guard(node);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (needs_grad(*inputs[i])) node->edges()[i] = Edge{inputs[i]->node, inputs[i]->output_nr};
    if (i >= 32 || !(saves.inputs >> i & 1)) continue;
    Saved& saved = node->saved_input(static_cast<int>(i));
    saved.keep(*inputs[i]);
    // What is about to be overwritten is kept as a copy.
    if (in_place && inputs[i]->storage.get() == inputs[0]->storage.get()) {
      Array copy = Array::empty(inputs[i]->sizes, inputs[i]->dtype);
      copy_into(copy, *inputs[i]);
      saved.keep(copy);
    }
  }
  for (int k = 0; k < n_outputs; ++k) {
    node->info(k).sizes = outputs[k].sizes;
    node->info(k).dtype = outputs[k].dtype;
    // Of a primitive in place the output is there later.
    if (saves.outputs >> k & 1 && !(in_place && modes.packs)) node->saved_output(k).keep(outputs[k]);
  }
  if (modes.taping) [[unlikely]]
    tape::note(*node);
  return static_cast<PrimitiveNode*>(guard.release());
}

constexpr size_t kStackInputs = 8;

struct ArrayList {
  explicit ArrayList(std::span<Tensor* const> tensors) {
    const Array** at = few;
    if (tensors.size() > kStackInputs) {
      many.resize(tensors.size());
      at = many.data();
    }
    for (size_t i = 0; i < tensors.size(); ++i) at[i] = tensors[i];
    span = {at, tensors.size()};
  }
  const Array* few[kStackInputs];
  std::vector<const Array*> many;
  std::span<const Array* const> span;
};

// Runs `primitive` on the real parts of complex inputs, then on the imaginary ones.
void run_by_parts(const Primitive& primitive, Run& run) {
  std::vector<Array> halves(run.in.size());
  std::vector<const Array*> in(run.in.size());
  for (const int part : {0, 1}) {
    for (size_t i = 0; i < run.in.size(); ++i) {
      in[i] = run.in[i];
      if (!is_complex(in[i]->dtype)) continue;
      halves[i] = part_of(*in[i], part);
      in[i] = &halves[i];
    }
    Run half(in, run.attributes);
    half.in_place = run.in_place;
    if (run.in_place) half.out[0] = part_of(run.out[0], part);
    primitive.run(half);
    if (run.in_place) continue;
    if (part == 0) run.out[0] = Array::empty_like_layout(half.out[0], complex_dtype(half.out[0].dtype));
    copy_into(part_of(run.out[0], part), half.out[0]);
  }
}

void run_any(const Primitive& primitive, Run& run);

// Runs and records.
[[gnu::noinline]] void run_traced(const Primitive& primitive, Run& run) {
  {
    const trace::Quiet quiet;
    run_any(primitive, run);
  }
  trace::recorder->primitive(primitive, run);
}

// Runs and reports.
[[gnu::noinline]] void run_watched(const Primitive& primitive, Run& run) {
  if (primitive.is_view()) return run_primitive(primitive, run);
  const Array* out[kMaxPrimitiveOutputs];
  for (int k = 0; k < kMaxPrimitiveOutputs; ++k) out[k] = &run.out[k];
  watch::Looks looks;
  {
    const watch::Unwatched quiet;
    const watch::Offered offer(&primitive, watch::watcher->looks() ? &looks : nullptr);
    watch::watcher->begins();
    if (!watch::watcher->supplies(primitive.name(), run)) run_primitive(primitive, run);
  }
  const std::vector<Operand> in = watch::operands(run.in);
  watch::watcher->ran({.name = primitive.name(),
                       .in = in,
                       .out = {out, static_cast<size_t>(run.n_outputs)},
                       .looks = &looks});
}

void run_any(const Primitive& primitive, Run& run) {
  if (modes.observed()) [[unlikely]]
    return modes.tracing ? run_traced(primitive, run) : run_watched(primitive, run);
  run_primitive(primitive, run);
}

void reach(std::span<Tensor* const> tensors) {
  for (Tensor* tensor : tensors) trace::recorder->reaches(*tensor);
}

}  // namespace

void run_primitive(const Primitive& primitive, Run& run) {
  if (primitive.by_parts())
    for (const Array* array : run.in)
      if (is_complex(array->dtype)) return run_by_parts(primitive, run);
  primitive.run(run);
}

Outputs apply(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes) {
  if (modes.transforming && transforms::concerns(primitive, inputs, attributes)) [[unlikely]]
    return transforms::apply(primitive, inputs, attributes);
  if (modes.tracing) [[unlikely]]
    reach(inputs);
  ArrayList arrays(inputs);
  Run run(arrays.span, attributes);
  run_any(primitive, run);
  Ref<Node> node;
  if (modes.grad)
    node = Ref<Node>::steal(record(primitive, inputs, attributes, run.out, run.n_outputs, false));
  Outputs result;
  for (int k = 0; k < run.n_outputs; ++k) {
    TensorRef tensor = Tensor::make(std::move(run.out[k]));
    tensor->inference = modes.inference;
    if (node && is_differentiable(tensor->dtype)) {
      set_history(*tensor, node.get(), static_cast<uint32_t>(k));
    }
    result.tensor[k] = std::move(tensor);
  }
  if (primitive.is_view()) {
    Tensor& view = *result.tensor[0];
    view.inference = inputs[0]->inference;
    if (!view.inference) mark_view(view, *inputs[0]);
  }
  return result;
}

TensorRef record_result(const Primitive& primitive, std::span<Tensor* const> inputs,
                        const Attributes& attributes, Array result) {
  Ref<Node> node;
  if (modes.grad) node = Ref<Node>::steal(record(primitive, inputs, attributes, &result, 1, false));
  TensorRef tensor = Tensor::make(std::move(result));
  tensor->inference = modes.inference;
  if (node) set_history(*tensor, node.get());
  return tensor;
}

void apply_in_place(const Primitive& primitive, std::span<Tensor* const> inputs,
                    const Attributes& attributes) {
  if (modes.transforming && transforms::concerns(primitive, inputs, attributes)) [[unlikely]]
    return transforms::apply_in_place(primitive, inputs, attributes);
  Tensor& self = *inputs[0];
  check_in_place(self, primitive.name());
  if (modes.tracing) [[unlikely]]
    reach(inputs);
  ArrayList arrays(inputs);
  Run run(arrays.span, attributes);
  run.in_place = true;
  run.out[0] = self;
  Ref<Node> node;
  if (modes.grad) node = Ref<Node>::steal(record(primitive, inputs, attributes, run.out, 1, true));
  run_any(primitive, run);
  bump_version(self);
  if (node) {
    auto* recorded = static_cast<PrimitiveNode*>(node.get());
    if (recorded->saves.outputs & 1) recorded->saved_output(0).keep(run.out[0]);
  }
  if (modes.grad) rebase_history(self, node.get(), 0);
}

}  // namespace versant
