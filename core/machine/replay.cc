#include "machine/replay.h"

#include <cstring>

#include "machine/engine.h"
#include "machine/matmul.h"
#include "machine/ops.h"
#include "machine/slots.h"
#include "machine/tape.h"

namespace versant::trace {

ReplayHooks replay_hooks;

void check_geometry(const Step& step, size_t k, const Array& result) {
  const Array& then = step.out[k].array;
  if (result.dtype == then.dtype && result.sizes == then.sizes && result.strides == then.strides &&
      static_cast<char*>(result.data) - static_cast<char*>(result.storage->data) ==
          reinterpret_cast<int64_t>(then.data))
    return;
  fail(ErrorKind::Runtime, "[compile] ", step.where, ": ", step.name, " gives ", describe(result),
       " now and gave ", describe(then), " in the trace: its size depends on values");
}

void set_data(Tensor& tensor, const Array& array) {
  if (tensor.data == array.data && same_geometry(tensor, array)) return;
  static_cast<Array&>(tensor) = Array(array);
  delete std::exchange(tensor.view, nullptr);
  if (tensor.node && tensor.node->is_leaf()) tensor.node->output = {tensor.sizes, tensor.dtype};
}

void take_over(const Step& step, const std::vector<TensorRef>& made, Slots& slots) {
  for (size_t k = 0; k < step.out.size(); ++k) {
    if (k >= made.size()) fail(ErrorKind::Runtime, "[compile] ", step.name, " gave fewer results");
    check_geometry(step, k, *made[k]);
    slots[step.out[k].buffer] = made[k]->storage;
  }
}

void run_step(const Trace& trace, const Step& step, Slots& slots, const Stands& stands) {
  switch (step.kind) {
    case Step::Kind::Program: {
      Array arrays[Program::kMaxInputs + Program::kMaxOutputs];
      Operand operands[Program::kMaxInputs];
      const Array* outputs[Program::kMaxOutputs];
      size_t n = 0, used = 0, n_out = 0;
      for (const Window& window : step.in) {
        if (window.buffer < 0) {
          operands[n++] = {nullptr, window.number};
        } else {
          arrays[used] = slots.at(window);
          operands[n++] = {&arrays[used++], {}};
        }
      }
      for (const Window& window : step.out) {
        arrays[used] = slots.at(window);
        outputs[n_out++] = &arrays[used++];
      }
      if (!step.divisors.empty()) {
        const size_t stored = n_out - step.divisors.size();
        std::vector<Total> totals;
        for (size_t k = 0; k < step.divisors.size(); ++k)
          totals.push_back({outputs[stored + k], step.divisors[k]});
        return run_program_summed(*step.program, step.compute, {operands, n}, {outputs, stored}, totals,
                                  numel_of(step), step.common, step.name.c_str());
      }
      return run_program(*step.program, step.compute, {operands, n}, {outputs, n_out}, outputs[0]->sizes,
                         step.common, step.name.c_str());
    }
    case Step::Kind::Primitive: {
      std::vector<Array> arrays;
      arrays.reserve(step.in.size());
      std::vector<const Array*> in;
      for (const Window& window : step.in) in.push_back(&arrays.emplace_back(slots.at(window)));
      Attributes drawn;
      if (step.random >= 0) {
        const Generator from = stands.of(step);
        drawn = step.attributes;
        drawn.ints[step.random] = static_cast<int64_t>(from.seed);
        drawn.ints[step.random + 1] = static_cast<int64_t>(from.offset);
      }
      Run run(in, step.random >= 0 ? drawn : step.attributes);
      run.in_place = step.in_place;
      if (step.in_place) run.out[0] = arrays[0];
      run_primitive(*step.primitive, run);
      for (size_t k = 0; k < step.out.size(); ++k) {
        const Window& window = step.out[k];
        check_geometry(step, k, run.out[k]);
        if (!step.in_place) slots[window.buffer] = run.out[k].storage;
      }
      return;
    }
    case Step::Kind::Multiply: {
      const Dims& how = step.attributes.ints;
      Array bias;
      if (step.in.size() > 2) bias = slots.at(step.in[2]);
      return multiply(slots.at(step.in[0]), how[0] != 0, slots.at(step.in[1]), how[1] != 0,
                      slots.at(step.out[0]), step.in.size() > 2 ? &bias : nullptr, how[2] != 0);
    }
    case Step::Kind::Copy:
      return copy_into(slots.at(step.out[0]), slots.at(step.in[0]));
    case Step::Kind::Apply: {
      std::vector<TensorRef> inputs;
      for (const Window& window : step.in) inputs.push_back(Tensor::make(slots.at(window)));
      if (step.stream >= 0) *trace.streams[static_cast<size_t>(step.stream)].generator = stands.of(step);
      take_over(step, step.body(inputs), slots);
      if (step.stream >= 0) stands.drew(step, *trace.streams[static_cast<size_t>(step.stream)].generator);
      return;
    }
    case Step::Kind::Call: {
      std::vector<Array> arrays;
      for (const auto* windows : {&step.in, &step.out})
        for (const Window& window : *windows) arrays.push_back(slots.at(window));
      return step.action(arrays);
    }
    case Step::Kind::Fill:
      return fill(slots.at(step.out[0]), step.number);
    default:
      return;
  }
}

namespace {

// The node of a replay's results: its backward replays the rest of the trace.
class ReplayNode final : public Node {
 public:
  static void attach(const std::shared_ptr<const Plan>& plan, Slots slots, const Stands& stands,
                     std::span<Tensor* const> arguments, std::span<const TensorRef> results) {
    const Trace& trace = plan->trace();
    if (trace.differentiable.empty()) return;
    const auto n = static_cast<uint16_t>(trace.outgoing.size());
    auto* node = new_node<ReplayNode>(sizeof(ReplayNode), n);
    const Ref<Node> held(node);
    node->plan_ = plan;
    node->stands_ = stands.first;
    node->shifts_ = stands.shifts;
    node->edges_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      const Outgoing& out = trace.outgoing[i];
      Tensor& target = out.argument >= 0
                           ? *arguments[static_cast<size_t>(out.argument)]
                           : tensor_of(trace.captured[static_cast<size_t>(out.captured)], arguments);
      node->edges_[i] = edge_of(target);
    }
    node->n_outputs = static_cast<uint16_t>(trace.differentiable.size());
    for (size_t k = 0; k < trace.differentiable.size(); ++k) {
      Tensor& result = *results[static_cast<size_t>(trace.differentiable[k])];
      node->infos_.push_back({result.sizes, result.dtype});
      set_history(result, node, static_cast<uint32_t>(k));
    }
    node->output = node->infos_[0];
    if (modes.taping) tape::note(*node);
    if (trace.freed) {
      node->released = true;
      return;
    }
    for (size_t b = 0; b < trace.buffers.size(); ++b)
      if (const auto& storage = slots[static_cast<int>(b)]; storage)
        node->versions_.emplace_back(static_cast<int>(b), storage->version);
    node->slots_ = std::make_unique<Slots>(std::move(slots));
  }

  ReplayNode(uint32_t bytes, uint16_t n_edges) : Node(bytes, n_edges) {}
  std::string name() const override { return "Compiled"; }
  Edge* edges() override { return edges_.data(); }
  const OutputInfo& output_info(uint32_t nr) const override { return infos_[nr]; }
  void release_saved() override {
    slots_.reset();
    released = true;
  }
  void backward(Grads outputs, Grads inputs, uint64_t) override {
    const Trace& trace = plan_->trace();
    if (!slots_)
      fail(ErrorKind::Runtime,
           "[backward] a second backward through a compiled function: its values are freed; pass "
           "retain_graph=True the first time");
    if (modes.grad)
      fail(ErrorKind::Runtime,
           "[backward] create_graph through the results of a compiled function: compile the function that "
           "takes the gradients");
    for (const auto& [b, version] : versions_)
      if ((*slots_)[b]->version != version)
        fail(ErrorKind::Runtime,
             "[backward] a tensor that the gradient of a compiled function needs was changed in place since");
    Slots slots = *slots_;
    for (size_t k = 0; k < trace.incoming.size(); ++k) {
      const Window& window = trace.incoming[k];
      Array grad;
      if (outputs[k] && at_same_place(*outputs[k], window.array)) {
        grad = *outputs[k];
      } else {
        grad = Array::empty_like_layout(window.array, window.array.dtype);
        if (outputs[k])
          copy_into(grad, *outputs[k]);
        else
          fill(grad, Scalar::of(0.0));
      }
      slots[window.buffer] = grad.storage;
    }
    Stands stands(trace);
    stands.first = stands_;
    stands.shifts = shifts_;
    for (size_t s = trace.forward_steps; s < trace.steps.size(); ++s) {
      if (modes.watching && watch::watcher->takes_back()) [[unlikely]]
        report_hidden(trace.steps[s], false, [&](const Window& window) { return slots.look(window); });
      run_quietly([&] { run_step(trace, trace.steps[s], slots, stands); });
      if (modes.watching) [[unlikely]]
        report(trace.steps[s], 1, false, [&](const Window& window) { return slots.look(window); });
      for (const int b : trace.steps[s].last) slots[b].reset();
    }
    for (size_t i = 0; i < trace.streams.size(); ++i) {
      *trace.streams[i].generator = stands.back[i];
      trace.streams[i].generator->offset +=
          trace.streams[i].back_blocks +
          stands.shifted(static_cast<int>(i), trace.streams[i].back_blocks, true);
    }
    for (size_t i = 0; i < trace.outgoing.size(); ++i)
      if (trace.outgoing[i].window.buffer >= 0 && edges_[i].node)
        inputs[i] = Tensor::make(slots.at(trace.outgoing[i].window));
  }

 private:
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Slots> slots_;
  std::vector<Generator> stands_;  // of the forward pass
  std::vector<Shift> shifts_;
  std::vector<Edge> edges_;
  std::vector<OutputInfo> infos_;
  std::vector<std::pair<int, uint32_t>> versions_;
};

}  // namespace

void attach_history(const std::shared_ptr<const Plan>& plan, Slots slots, const Stands& stands,
                    std::span<Tensor* const> arguments, std::span<const TensorRef> results) {
  ReplayNode::attach(plan, std::move(slots), stands, arguments, results);
}

}  // namespace versant::trace
