#include "machine/replay.h"

#include <cstring>

#include "machine/engine.h"
#include "machine/matmul.h"
#include "machine/ops.h"

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

namespace {

bool same_geometry(const Array& now, const Array& then) {
  return now.dtype == then.dtype && now.sizes == then.sizes && now.strides == then.strides;
}
int64_t bytes_into_storage(const Array& array) {
  return static_cast<char*>(array.data) - static_cast<char*>(array.storage->data);
}
bool at_same_place(const Array& now, const Array& then) {
  return same_geometry(now, then) && bytes_into_storage(now) == reinterpret_cast<int64_t>(then.data);
}

bool same_value(const Scalar& a, const Scalar& b, bool truth) {
  const auto is_true = [](const Scalar& x) {
    return x.is_whole() ? x.i != 0 : x.f != 0 || x.imaginary_part().f != 0;
  };
  if (truth) return is_true(a) == is_true(b);
  if (a.kind != b.kind) return false;
  if (a.is_whole()) return a.i == b.i;
  const double x[2] = {a.f, a.imaginary_part().f}, y[2] = {b.f, b.imaginary_part().f};
  return std::memcmp(x, y, sizeof x) == 0;
}

// The memory of one replay.
class Slots {
 public:
  explicit Slots(size_t n) : storages_(n) {}

  int64_t rows = 0;  // of the last result whose size values decide

  Ref<Storage>& operator[](int buffer) { return storages_[static_cast<size_t>(buffer)]; }

  // The array that a window is now; memory is made where there is none.
  Array at(const Window& window) {
    Ref<Storage>& storage = storages_[static_cast<size_t>(window.buffer)];
    if (!storage) storage = Storage::allocate(static_cast<size_t>(extent(window.array)));
    Array array = window.array;
    array.storage = storage;
    array.data = static_cast<char*>(storage->data) + reinterpret_cast<int64_t>(window.array.data);
    return array;
  }

 private:
  std::vector<Ref<Storage>> storages_;
};

// Tensors that a function made become the step's outputs.
void take_over(const Step& step, const std::vector<TensorRef>& made, Slots& slots) {
  for (size_t k = 0; k < step.out.size(); ++k) {
    if (k >= made.size()) fail(ErrorKind::Runtime, "[compile] ", step.name, " gave fewer results");
    check_geometry(step, k, *made[k]);
    slots[step.out[k].buffer] = made[k]->storage;
  }
}

void run_step(const Step& step, Slots& slots, uint64_t first_block) {
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
        drawn = step.attributes;
        drawn.ints[step.random] = static_cast<int64_t>(default_generator().seed);
        drawn.ints[step.random + 1] = static_cast<int64_t>(first_block + step.block);
      }
      Run run(in, step.random >= 0 ? drawn : step.attributes);
      run.in_place = step.in_place;
      if (step.in_place) run.out[0] = arrays[0];
      run_primitive(*step.primitive, run);
      if (step.sized) slots.rows = run.out[0].rank() ? run.out[0].sizes[0] : 0;
      for (size_t k = 0; k < step.out.size(); ++k) {
        const Window& window = step.out[k];
        if (!step.sized) check_geometry(step, k, run.out[k]);
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
      default_generator().offset = first_block + step.block;
      take_over(step, step.body(inputs), slots);
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

}  // namespace

// The node of a replay's results: its backward replays the rest of the trace.
class ReplayNode final : public Node {
 public:
  static void attach(const std::shared_ptr<const Plan>& plan, Slots slots, std::span<Tensor* const> arguments,
                     std::span<const TensorRef> results) {
    const Trace& trace = plan->trace_;
    if (trace.differentiable.empty()) return;
    const auto n = static_cast<uint16_t>(trace.outgoing.size());
    auto* node = new_node<ReplayNode>(sizeof(ReplayNode), n);
    const Ref<Node> held(node);
    node->plan_ = plan;
    node->edges_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      const Outgoing& out = trace.outgoing[i];
      Tensor& target = out.argument >= 0 ? *arguments[static_cast<size_t>(out.argument)]
                                         : *trace.captured[static_cast<size_t>(out.captured)].tensor;
      node->edges_[i] = edge_of(target);
    }
    node->n_outputs = static_cast<uint16_t>(trace.differentiable.size());
    for (size_t k = 0; k < trace.differentiable.size(); ++k) {
      Tensor& result = *results[static_cast<size_t>(trace.differentiable[k])];
      node->infos_.push_back({result.sizes, result.dtype});
      set_history(result, node, static_cast<uint32_t>(k));
    }
    node->output = node->infos_[0];
    for (size_t b = 0; b < trace.buffers.size(); ++b)
      if (const auto& storage = slots[static_cast<int>(b)]; storage)
        node->versions_.emplace_back(static_cast<int>(b), storage->version);
    if (trace.freed)
      node->released = true;
    else
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
    const Trace& trace = plan_->trace_;
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
    const uint64_t first = default_generator().offset;
    for (size_t s = trace.forward_steps; s < trace.steps.size(); ++s) {
      run_step(trace.steps[s], slots, first);
      for (const int b : trace.steps[s].last) slots[b].reset();
    }
    for (size_t i = 0; i < trace.outgoing.size(); ++i)
      if (trace.outgoing[i].window.buffer >= 0 && edges_[i].node)
        inputs[i] = Tensor::make(slots.at(trace.outgoing[i].window));
  }

 private:
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Slots> slots_;
  std::vector<Edge> edges_;
  std::vector<OutputInfo> infos_;
  std::vector<std::pair<int, uint32_t>> versions_;
};

Plan::Plan(Trace trace) : trace_(std::move(trace)), prepared_(std::make_unique<Prepared>(trace_)) {
  std::vector<bool> written(trace_.buffers.size());
  for (size_t s = 0; s < trace_.steps.size(); ++s) {
    const Step& step = trace_.steps[s];
    if (step.kind == Step::Kind::Read) {
      readings_.push_back({s, step.number});
      restored_.clear();
      for (size_t b = 0; b < written.size(); ++b)
        if (written[b]) restored_.push_back(static_cast<int>(b));
    }
    for (const Window& window : step.out)
      if (trace_.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
        written[static_cast<size_t>(window.buffer)] = true;
  }
}

bool Plan::fits(std::span<Tensor* const> arguments, std::string* difference) const {
  const auto differs = [&](auto&&... words) {
    if (difference) *difference = text(words...);
    return false;
  };
  if (arguments.size() != trace_.arguments.size())
    return differs(trace_.arguments.size(), " tensors were given, now ", arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Array& then = trace_.arguments[i];
    if (!same_geometry(*arguments[i], then))
      return differs("argument ", i, " was ", describe(then), ", now ", describe(*arguments[i]),
                     arguments[i]->sizes == then.sizes && arguments[i]->dtype == then.dtype
                         ? " with other strides"
                         : "");
    if (bytes_into_storage(*arguments[i]) != reinterpret_cast<int64_t>(then.data))
      return differs("argument ", i, " begins elsewhere in its memory");
    if (needs_grad(*arguments[i]) != trace_.argument_gradients[i])
      return differs("argument ", i, " has requires_grad=", needs_grad(*arguments[i]) ? "True" : "False");
    // Arguments that shared memory still do, and no others.
    for (size_t j = 0; j < i; ++j)
      if ((arguments[i]->storage.get() == arguments[j]->storage.get()) !=
          (trace_.argument_buffers[i] == trace_.argument_buffers[j]))
        return differs("arguments ", j, " and ", i, " share memory in another way");
  }
  for (const Captured& captured : trace_.captured) {
    const Tensor& tensor = *captured.tensor;
    if (captured.bound && !at_same_place(tensor, captured.geometry))
      return differs("a tensor was ", describe(captured.geometry), ", now ", describe(tensor));
    if (captured.tensor->is_leaf() && needs_grad(*captured.tensor) != captured.requires_grad)
      return differs("requires_grad of ", describe(tensor), " was ",
                     captured.requires_grad ? "True" : "False");
    if (!captured.reads_gradient) continue;
    if (static_cast<bool>(tensor.grad) != captured.had_gradient)
      return differs("a gradient was ", captured.had_gradient ? "there, now None" : "None, now there");
    if (tensor.grad && !at_same_place(*tensor.grad, captured.gradient))
      return differs("a gradient was ", describe(captured.gradient), ", now ", describe(*tensor.grad));
  }
  return true;
}

int Branches::add(Trace trace) {
  plans_.push_back(std::make_shared<const Plan>(std::move(trace)));
  return static_cast<int>(plans_.size()) - 1;
}

int Branches::find(const Plan& like, size_t readings, const Scalar& value, bool truth,
                   std::span<Tensor* const> arguments) const {
  for (size_t i = 0; i < plans_.size(); ++i) {
    const auto& other = plans_[i]->readings_;
    if (other.size() <= readings || !plans_[i]->fits(arguments)) continue;
    bool same = true;
    for (size_t k = 0; k < readings && same; ++k)
      same = other[k].step == like.readings_[k].step &&
             same_value(other[k].value, like.readings_[k].value, like.trace_.steps[other[k].step].truth);
    if (same && same_value(other[readings].value, value, truth)) return static_cast<int>(i);
  }
  return -1;
}

int Branches::run(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const {
  const GradMode off(false);  // what is replayed is already below the tape
  const std::shared_ptr<const Plan> plan = plans_[latest_];
  if (!plan->prepared_->busy && (latest_ == 0 || plan->fits(arguments)) &&
      run_prepared(plan, arguments, results))
    return static_cast<int>(latest_);
  const int branch = run_slowly(arguments, results);
  if (branch >= 0) latest_ = static_cast<size_t>(branch);
  return branch;
}

bool Branches::run_prepared(const std::shared_ptr<const Plan>& plan, std::span<Tensor* const> arguments,
                            std::vector<TensorRef>& results) const {
  const Trace& trace = plan->trace_;
  Prepared& ready = *plan->prepared_;
  ready.busy = true;
  // Whatever happens, nothing of this replay stays bound.
  struct Release {
    const Trace& trace;
    Prepared& ready;
    ~Release() {
      for (size_t b = 0; b < trace.buffers.size(); ++b)
        if (trace.buffers[b].origin != Buffer::Origin::Captured &&
            trace.buffers[b].origin != Buffer::Origin::Fixed)
          ready.release(static_cast<int>(b));
      ready.busy = false;
    }
  } release{trace, ready};
  for (size_t b = 0; b < trace.buffers.size(); ++b) {
    const Buffer& buffer = trace.buffers[b];
    const auto at = static_cast<size_t>(buffer.index);
    switch (buffer.origin) {
      case Buffer::Origin::Fresh:
      case Buffer::Origin::Incoming:
        break;
      case Buffer::Origin::Fixed:
        ready.bind(static_cast<int>(b), buffer.storage);
        break;
      case Buffer::Origin::Argument:
        ready.bind(static_cast<int>(b), arguments[at]->storage);
        break;
      case Buffer::Origin::Captured:
        ready.bind(static_cast<int>(b), trace.captured[at].tensor->storage);
        break;
      case Buffer::Origin::Gradient:
        ready.bind(static_cast<int>(b), trace.captured[at].tensor->grad->storage);
        break;
    }
  }
  if (plan->readings_.empty())
    for (const Captured& captured : trace.captured)
      if (captured.drops_gradient) captured.tensor->grad.reset();
  std::vector<std::pair<int, Ref<Storage>>> saved;
  for (const int b : plan->restored_) {
    const Ref<Storage>& now = ready.storage(b);
    Ref<Storage> copy = Storage::allocate(now->bytes);
    std::memcpy(copy->data, now->data, now->bytes);
    saved.emplace_back(b, std::move(copy));
  }
  Generator& generator = default_generator();
  const uint64_t first = generator.offset;
  for (size_t s = 0; s < trace.forward_steps; ++s) {
    const Step& step = trace.steps[s];
    if (step.kind == Step::Kind::Read) {
      if (!same_value(ready.read(step), step.number, step.truth)) {
        for (auto& [b, copy] : saved) std::memcpy(ready.storage(b)->data, copy->data, copy->bytes);
        generator.offset = first;
        return false;
      }
    } else if (step.kind == Step::Kind::Host) {
      const std::vector<TensorRef> made = replay_hooks.call(trace.hosts[static_cast<size_t>(step.index)]);
      for (size_t k = 0; k < step.out.size(); ++k) {
        if (k >= made.size()) fail(ErrorKind::Runtime, "[compile] ", step.name, " gave fewer results");
        check_geometry(step, k, *made[k]);
        ready.bind(step.out[k].buffer, made[k]->storage);
      }
    } else if (step.kind == Step::Kind::SetGradient) {
      Tensor& tensor = *trace.captured[static_cast<size_t>(step.index)].tensor;
      tensor.grad = step.in.empty() ? TensorRef() : Tensor::make(ready.at(step.in[0]));
    } else {
      ready.run(s, first);
    }
    for (const Window& window : step.out)
      if (trace.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
        ++ready.storage(window.buffer)->version;
    for (const int b : step.last) ready.release(b);
  }
  generator.offset = first + trace.blocks;
  results.clear();
  for (const Window& window : trace.results) results.push_back(Tensor::make(ready.at(window)));
  if (!trace.differentiable.empty()) {
    Slots slots(trace.buffers.size());
    for (size_t b = 0; b < trace.buffers.size(); ++b)
      slots[static_cast<int>(b)] = ready.storage(static_cast<int>(b));
    ReplayNode::attach(plan, std::move(slots), arguments, results);
  }
  return true;
}

int Branches::run_slowly(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const {
  int at = 0;
  std::shared_ptr<const Plan> plan = plans_[0];
  size_t most = 0;
  for (const auto& candidate : plans_) most = std::max(most, candidate->trace_.buffers.size());
  Slots slots(most);
  const auto bind = [&](const Plan& now, size_t from) {
    for (size_t b = from; b < now.trace_.buffers.size(); ++b) {
      const Buffer& buffer = now.trace_.buffers[b];
      Ref<Storage>& slot = slots[static_cast<int>(b)];
      switch (buffer.origin) {
        case Buffer::Origin::Fresh:
        case Buffer::Origin::Incoming:
          break;
        case Buffer::Origin::Fixed:
          slot = buffer.storage;
          break;
        case Buffer::Origin::Argument:
          slot = arguments[static_cast<size_t>(buffer.index)]->storage;
          break;
        case Buffer::Origin::Captured:
          slot = now.trace_.captured[static_cast<size_t>(buffer.index)].tensor->storage;
          break;
        case Buffer::Origin::Gradient:
          slot = now.trace_.captured[static_cast<size_t>(buffer.index)].tensor->grad->storage;
          break;
      }
    }
  };
  bind(*plan, 0);
  // What a new value would make undone.
  std::vector<std::pair<int, Ref<Storage>>> saved;
  for (const auto& candidate : plans_) {
    for (const int b : candidate->restored_) {
      if (std::any_of(saved.begin(), saved.end(), [b](const auto& pair) { return pair.first == b; }))
        continue;
      if (!slots[b]) continue;
      Ref<Storage> copy = Storage::allocate(slots[b]->bytes);
      std::memcpy(copy->data, slots[b]->data, slots[b]->bytes);
      saved.emplace_back(b, std::move(copy));
    }
  }
  Generator& generator = default_generator();
  const uint64_t first = generator.offset;
  size_t readings = 0;
  for (size_t s = 0; s < plan->trace_.forward_steps; ++s) {
    const Step& step = plan->trace_.steps[s];
    switch (step.kind) {
      case Step::Kind::Read: {
        const Scalar value = step.rows ? Scalar::of_int(slots.rows) : item(slots.at(step.in[0]));
        if (!same_value(value, step.number, step.truth)) {
          const int next = find(*plan, readings, value, step.truth, arguments);
          if (next < 0) {
            for (auto& [b, copy] : saved) std::memcpy(slots[b]->data, copy->data, copy->bytes);
            generator.offset = first;
            return -1;
          }
          plan = plans_[static_cast<size_t>(next)];
          at = next;
          bind(*plan, 0);
        }
        ++readings;
        break;
      }
      case Step::Kind::Host:
        take_over(step, replay_hooks.call(plan->trace_.hosts[static_cast<size_t>(step.index)]), slots);
        break;
      case Step::Kind::SetGradient: {
        Tensor& tensor = *plan->trace_.captured[static_cast<size_t>(step.index)].tensor;
        tensor.grad = step.in.empty() ? TensorRef() : Tensor::make(slots.at(step.in[0]));
        break;
      }
      default:
        run_step(step, slots, first);
    }
    for (const Window& window : step.out)
      if (plan->trace_.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
        ++slots[window.buffer]->version;
    for (const int b : plan->trace_.steps[s].last) slots[b].reset();
  }
  generator.offset = first + plan->trace_.blocks;
  results.clear();
  for (const Window& window : plan->trace_.results) results.push_back(Tensor::make(slots.at(window)));
  ReplayNode::attach(plan, std::move(slots), arguments, results);
  return at;
}

}  // namespace versant::trace
