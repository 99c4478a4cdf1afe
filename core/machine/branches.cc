// Branches: which plan answers a call, and its steps in order.
#include <algorithm>
#include <cstring>

#include "machine/engine.h"
#include "machine/ops.h"
#include "machine/replay.h"
#include "machine/slots.h"
#include "machine/verify.h"

namespace versant::trace {

namespace {

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

// The memory that a buffer stands for when a call begins; none where a step makes it.
Ref<Storage> memory_of(const Trace& trace, const Buffer& buffer, std::span<Tensor* const> arguments) {
  const auto index = static_cast<size_t>(buffer.index);
  switch (buffer.origin) {
    case Buffer::Origin::Fresh:
    case Buffer::Origin::Incoming:
      return {};
    case Buffer::Origin::Fixed:
      return buffer.storage;
    case Buffer::Origin::Argument:
      return arguments[index]->storage;
    case Buffer::Origin::Captured:
      return tensor_of(trace.captured[index], arguments).storage;
    case Buffer::Origin::Gradient:
      return tensor_of(trace.captured[index], arguments).grad->storage;
  }
  return {};
}

uint64_t hooks_of(const Tensor& tensor) {
  return tensor.node && tensor.node->hooks && hook_table_hooks.signature
             ? hook_table_hooks.signature(tensor.node->hooks)
             : 0;
}

}  // namespace

Plan::Plan(Trace trace) : trace_(std::move(trace)), prepared_(std::make_unique<Prepared>(trace_)) {
  std::vector<bool> written(trace_.buffers.size());
  std::vector<int> changed;
  size_t buffers = 0;  // of the steps so far
  const auto uses = [&](int buffer) { buffers = std::max(buffers, static_cast<size_t>(buffer + 1)); };
  for (const int buffer : trace_.argument_buffers) uses(buffer);
  const size_t n = trace_.plain.empty() ? trace_.forward_steps : trace_.plain.size();
  for (size_t s = 0; s < n; ++s) {
    const Step& step = trace_.plain.empty() ? trace_.steps[s] : trace_.plain[s];
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows) uses(window.buffer);
    if (step.reads()) {
      const bool read = step.kind == Step::Kind::Read;
      readings_.push_back({s, read ? step.number : Scalar::of_int(step.out[0].array.sizes[0]), buffers});
      restored_.clear();
      for (size_t b = 0; b < written.size(); ++b)
        if (written[b]) restored_.push_back(static_cast<int>(b));
      changed_ = changed;
    }
    if (step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::SetData ||
        step.kind == Step::Kind::RequireGrad)
      changed.push_back(step.index);
    for (const Window& window : step.out)
      if (trace_.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
        written[static_cast<size_t>(window.buffer)] = true;
  }
  find_beyond();
  undoable_plain_ = find_undoable(plain(), trace_.plain.empty() ? trace_.forward_steps : plain().size());
  undoable_ = trace_.plain.empty() ? undoable_plain_ : find_undoable(trace_.steps, trace_.forward_steps);
  if (verifying) verify_layout(trace_, prepared_->layout());
}

size_t Plan::find_undoable(const std::vector<Step>& steps, size_t count) {
  constexpr int64_t kMostBytes = 1 << 20;
  std::vector<bool> known(trace_.buffers.size());
  int64_t bytes = 0;
  for (size_t s = 0; s < count; ++s) {
    const Step& step = steps[s];
    if (step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::SetData ||
        step.kind == Step::Kind::RequireGrad) {
      unset_.push_back(step.index);
      continue;
    }
    if (step.kind == Step::Kind::Host && !step.pure) return s;
    std::vector<int> written;
    for (const Window& window : step.out) {
      const auto b = static_cast<size_t>(window.buffer);
      if (known[b] || trace_.buffers[b].origin == Buffer::Origin::Fresh) continue;
      known[b] = true;
      written.push_back(window.buffer);
      bytes += window.bytes;
    }
    if (bytes > kMostBytes) return s;
    undone_.insert(undone_.end(), written.begin(), written.end());
  }
  return count;
}

void Plan::find_beyond() {
  std::vector<int64_t> needed(trace_.buffers.size(), 0);
  const auto see = [&](const Window& window) {
    if (window.buffer < 0) return;
    int64_t& most = needed[static_cast<size_t>(window.buffer)];
    most = std::max(most, extent(window.array));
  };
  for (const auto* steps : {&trace_.steps, &trace_.plain})
    for (const Step& step : *steps)
      for (const auto* windows : {&step.in, &step.out}) std::for_each(windows->begin(), windows->end(), see);
  for (const auto* windows : {&trace_.results, &trace_.result_gradients})
    std::for_each(windows->begin(), windows->end(), see);
  for (const Outgoing& out : trace_.outgoing) see(out.window);
  for (size_t b = 0; b < needed.size(); ++b) {
    const Buffer& buffer = trace_.buffers[b];
    const auto index = static_cast<size_t>(buffer.index);
    const Array* array = buffer.origin == Buffer::Origin::Argument   ? &trace_.arguments[index]
                         : buffer.origin == Buffer::Origin::Captured ? &trace_.captured[index].geometry
                         : buffer.origin == Buffer::Origin::Gradient ? &trace_.captured[index].gradient
                                                                     : nullptr;
    if (array && needed[b] > extent(*array)) beyond_.emplace_back(b, needed[b]);
  }
}

bool Plan::fits(std::span<Tensor* const> arguments, std::string* difference,
                std::span<const std::string> names) const {
  const auto differs = [&](auto&&... words) {
    if (difference) *difference = text(words...);
    return false;
  };
  const auto name = [&](size_t i) { return i < names.size() ? "`" + names[i] + "`" : text("argument ", i); };
  if (arguments.size() != trace_.arguments.size())
    return differs(trace_.arguments.size(), " tensors were given, now ", arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Array& then = trace_.arguments[i];
    if (!same_geometry(*arguments[i], then))
      return differs(name(i), " was ", describe(then), ", now ", describe(*arguments[i]),
                     arguments[i]->sizes == then.sizes && arguments[i]->dtype == then.dtype
                         ? " with other strides"
                         : "");
    if (bytes_into_storage(*arguments[i]) != reinterpret_cast<int64_t>(then.data))
      return differs(name(i), " begins elsewhere in its memory");
    if (needs_grad(*arguments[i]) != trace_.argument_gradients[i])
      return differs(name(i), " has requires_grad=", needs_grad(*arguments[i]) ? "True" : "False");
    if (trace_.argument_is[i] && trace_.argument_is[i].get() != arguments[i])
      return differs(name(i), " was a tensor that the function reaches otherwise too");
    size_t same = 0;
    while (arguments[same] != arguments[i]) ++same;
    const int before = trace_.argument_tensors[i];
    if (same != (before < 0 ? i : static_cast<size_t>(before)))
      return differs("arguments are the same tensor in other places");
    // Arguments that shared memory still do, and no others.
    for (size_t j = 0; j < i; ++j)
      if ((arguments[i]->storage.get() == arguments[j]->storage.get()) !=
          (trace_.argument_buffers[i] == trace_.argument_buffers[j]))
        return differs(name(j), " and ", name(i), " share memory in another way");
  }
  // Memory that different names stood for still is different: see Storage::mark.
  static uint32_t marks = 0;
  const uint32_t mark = ++marks;
  for (Tensor* argument : arguments) argument->storage->mark = mark;
  for (const Captured& captured : trace_.captured) {
    Tensor& tensor = tensor_of(captured, arguments);
    if (captured.bound) {
      if (!at_same_place(tensor, captured.geometry))
        return same_geometry(tensor, captured.geometry)
                   ? differs(describe(tensor), " begins elsewhere in its memory")
                   : differs("a tensor was ", describe(captured.geometry), ", now ", describe(tensor));
      Storage* const storage = tensor.storage.get();
      if (captured.shares >= 0 || captured.shares_argument >= 0) {
        const Tensor& other =
            captured.shares >= 0 ? tensor_of(trace_.captured[static_cast<size_t>(captured.shares)], arguments)
                                 : *arguments[static_cast<size_t>(captured.shares_argument)];
        if (other.storage.get() != storage)
          return differs(describe(tensor), " shared memory, and does no more");
      } else if (std::exchange(storage->mark, mark) == mark) {
        return differs(describe(tensor), " shares memory with another tensor now");
      }
    }
    if (needs_grad(tensor) != captured.needs_grad)
      return differs(describe(tensor), " has requires_grad=", captured.needs_grad ? "False" : "True", " now");
    if (hooks_of(tensor) != captured.hooks) return differs(describe(tensor), " has other hooks now");
    if (!captured.reads_gradient) continue;
    if (static_cast<bool>(tensor.grad) != captured.had_gradient)
      return differs("a gradient was ", captured.had_gradient ? "there, now None" : "None, now there");
    if (tensor.grad && !at_same_place(*tensor.grad, captured.gradient))
      return differs("a gradient was ", describe(captured.gradient), ", now ", describe(*tensor.grad));
  }
  for (const auto& [b, bytes] : beyond_) {
    const auto now = static_cast<int64_t>(memory_of(trace_, trace_.buffers[b], arguments)->bytes);
    if (now < bytes)
      return differs("a view reaches ", bytes, " bytes into the memory of a tensor, which has ", now, " now");
  }
  return true;
}

int Branches::add(Trace trace) {
  plans_.push_back(std::make_shared<const Plan>(std::move(trace)));
  return static_cast<int>(plans_.size()) - 1;
}

int Branches::find(const Plan& like, size_t readings, const Scalar& value,
                   const std::vector<bool>& fit) const {
  const bool truth = like.plain()[like.readings_[readings].step].truth;
  for (size_t i = 0; i < plans_.size(); ++i) {
    const auto& other = plans_[i]->readings_;
    if (other.size() <= readings || !fit[i]) continue;
    bool same = true;
    for (size_t k = 0; k < readings && same; ++k)
      same = other[k].step == like.readings_[k].step &&
             same_value(other[k].value, like.readings_[k].value, like.plain()[other[k].step].truth);
    if (same && same_value(other[readings].value, value, truth)) return static_cast<int>(i);
  }
  return -1;
}

namespace {

// What a call found, to be put back when it meets a value that no plan knows.
class Found {
 public:
  void keep(const Ref<Storage>& storage) {
    for (const auto& [known, copy] : memory_)
      if (known.get() == storage.get()) return;
    Ref<Storage> copy = Storage::allocate(storage->bytes);
    std::memcpy(copy->data, storage->data, storage->bytes);
    memory_.emplace_back(storage, std::move(copy));
  }
  void keep(Tensor& tensor) {
    for (const Kept& kept : tensors_)
      if (kept.tensor.get() == &tensor) return;
    tensors_.push_back({TensorRef(&tensor), tensor, tensor.grad, needs_grad(tensor)});
  }
  void keep(Generator* generator) {
    for (const auto& [known, then] : generators_)
      if (known == generator) return;
    generators_.emplace_back(generator, *generator);
  }
  // What is needed to take a replay back.
  void keep(const Trace& trace, const std::vector<int>& buffers, const std::vector<int>& tensors,
            std::span<Tensor* const> arguments) {
    for (const int b : buffers)
      if (const auto storage = memory_of(trace, trace.buffers[static_cast<size_t>(b)], arguments))
        keep(storage);
    for (const int c : tensors) keep(tensor_of(trace.captured[static_cast<size_t>(c)], arguments));
    for (const Stream& stream : trace.streams) keep(stream.generator);
  }
  void put_back_generators() const {
    for (const auto& [generator, then] : generators_) *generator = then;
  }
  void put_back() const {
    put_back_generators();
    for (const Kept& kept : tensors_) {
      set_data(*kept.tensor, kept.array);
      kept.tensor->grad = kept.grad;
      set_requires_grad(*kept.tensor, kept.needs_grad);
    }
    for (const auto& [storage, copy] : memory_) std::memcpy(storage->data, copy->data, copy->bytes);
  }

 private:
  struct Kept {
    TensorRef tensor;
    Array array;
    TensorRef grad;
    bool needs_grad;
  };
  std::vector<std::pair<Ref<Storage>, Ref<Storage>>> memory_;
  std::vector<Kept> tensors_;
  std::vector<std::pair<Generator*, Generator>> generators_;
};

// Takes down what a plan changes before its last reading; `memory` of its buffers.
void keep(Found& found, const Trace& trace, const std::vector<int>& buffers, const std::vector<int>& tensors,
          const std::vector<Ref<Storage>>& memory, std::span<Tensor* const> arguments) {
  if (trace.plain.empty()) return;
  for (const int b : buffers)
    if (const auto& storage = memory[static_cast<size_t>(b)]) found.keep(storage);
  for (const int c : tensors) found.keep(tensor_of(trace.captured[static_cast<size_t>(c)], arguments));
  for (const Stream& stream : trace.streams) found.keep(stream.generator);
}

// The step that calls the host, for whoever watches what the host does.
class InHost {
 public:
  explicit InHost(const Step& step) : before_(std::exchange(watch::host, &step)) {}
  ~InHost() { watch::host = before_; }
  InHost(const InHost&) = delete;

 private:
  const Step* before_;
};

// Runs a step, or all of its chain, and tells the watcher; returns the first step after them.
size_t run_next(Prepared& ready, const Trace& trace, size_t s, const Stands& stands, bool undoable) {
  if (!modes.watching) [[likely]]
    return ready.run(s, stands);
  const auto look = [&](const Window& window) { return ready.look(window); };
  const size_t next = ready.end_of(s);
  if (next > s + 1 && !watch::watcher->reads()) {
    run_quietly([&] { ready.run(s, stands); });
    for (size_t i = s; i < next; ++i) report(trace.steps[i], next - s, undoable, look);
    return next;
  }
  for (size_t i = s; i < next; ++i) {
    const Step& step = trace.steps[i];
    if (watch::watcher->takes_back()) report_hidden(step, undoable, look);
    const bool asks = step.kind == Step::Kind::Program || step.kind == Step::Kind::Multiply;
    watch::Looks looks;
    run_quietly([&] {
      watch::Looks* const question = watch::watcher->looks() ? &looks : nullptr;
      const watch::Asked ask(asks ? question : nullptr);
      const watch::Offered offer(
          step.kind == Step::Kind::Primitive ? static_cast<const void*>(step.primitive) : &watch::kUpdates,
          question);
      ready.run_alone(i, stands);
    });
    report(step, 1, undoable, look, &looks);
  }
  return next;
}

// Leaves the default generator where a step that raises would leave it in eager mode.
void stop_at(const Step& step, const Stands& stands) {
  default_generator() = stands.first[0];
  default_generator().offset += step.stand + stands.shifted(0, step.stand);
}

// Moves the generators on and makes the results; array(window) as it is now.
template <typename ArrayOf>
void finish(const Trace& trace, const Stands& stands, std::vector<TensorRef>& results, ArrayOf array) {
  for (size_t i = 0; i < trace.streams.size(); ++i) {
    const Stream& stream = trace.streams[i];
    *stream.generator = stream.seeded ? stream.last : stands.first[i];
    if (!stream.seeded)
      stream.generator->offset += stream.blocks + stands.shifted(static_cast<int>(i), stream.blocks);
  }
  results.clear();
  for (size_t k = 0; k < trace.results.size(); ++k) {
    results.push_back(Tensor::make(array(trace.results[k])));
    if (trace.result_leaves[k]) set_requires_grad(*results.back(), true);
    if (trace.result_dialects[k]) results.back()->type = tensor_hooks.dialect_type;
    const Window& gradient = trace.result_gradients[k];
    if (gradient.buffer >= 0) results.back()->grad = Tensor::make(array(gradient));
  }
}

}  // namespace

int Branches::run(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const {
  const int branch = run_one(arguments, results);
  runs_ += branch >= 0;
  return branch;
}

int Branches::run_one(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const {
  const GradMode off(false);  // what is replayed is already below the tape
  const std::shared_ptr<const Plan> plan = plans_[latest_];
  if (!plan->prepared_->busy && (latest_ == 0 || plan->fits(arguments)) &&
      told([&] { return run_prepared(plan, arguments, results); }))
    return static_cast<int>(latest_);
  int branch = -1;
  told([&] { return (branch = run_slowly(arguments, results)) >= 0; });
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
    Prepared& ready;
    ~Release() {
      for (const int b : ready.passing()) ready.release(b);
      ready.busy = false;
    }
  } release{ready};
  for (const int b : ready.brought())
    ready.bind(b, memory_of(trace, trace.buffers[static_cast<size_t>(b)], arguments));
  Found found;
  if (!plan->readings_.empty()) {
    std::vector<Ref<Storage>> memory;
    for (size_t b = 0; b < trace.buffers.size(); ++b) memory.push_back(ready.storage(static_cast<int>(b)));
    keep(found, trace, plan->restored_, plan->changed_, memory, arguments);
  }
  const bool takes_back = modes.watching && watch::runs_again && watch::watcher->takes_back();
  if (takes_back) [[unlikely]]
    found.keep(trace, plan->undone_, plan->unset_, arguments);
  const Stands stands(trace);
  size_t s = 0;
  try {
    while (s < trace.forward_steps) {
      const Step& step = trace.steps[s];
      size_t next = s + 1;
      const auto tensor = [&]() -> Tensor& {
        return tensor_of(trace.captured[static_cast<size_t>(step.index)], arguments);
      };
      if (step.kind == Step::Kind::Read) {
        if (!same_value(item(ready.at(step.in[0])), step.number, step.truth)) {
          found.put_back();
          return false;
        }
      } else if (step.kind == Step::Kind::Host) {
        std::vector<TensorRef> inputs;
        for (const Window& window : step.in)
          inputs.push_back(window.buffer < 0 ? TensorRef(arguments[static_cast<size_t>(window.number.i)])
                                             : Tensor::make(ready.at(window)));
        default_generator() = stands.of(step);
        const GradMode mode(step.truth);
        const InHost in_host(step);
        const std::vector<TensorRef> made =
            replay_hooks.call(trace.hosts[static_cast<size_t>(step.index)], inputs);
        for (size_t k = 0; k < step.out.size(); ++k) {
          if (k >= made.size()) fail(ErrorKind::Runtime, "[compile] ", step.name, " gave fewer results");
          check_geometry(step, k, *made[k]);
          ready.bind(step.out[k].buffer, made[k]->storage);
        }
      } else if (step.kind == Step::Kind::SetGradient) {
        tensor().grad = step.in.empty() ? TensorRef() : Tensor::make(ready.at(step.in[0]));
      } else if (step.kind == Step::Kind::SetData) {
        set_data(tensor(), ready.at(step.in[0]));
      } else if (step.kind == Step::Kind::RequireGrad) {
        set_requires_grad(tensor(), step.truth);
      } else if (step.reads()) {
        const Array source = ready.at(step.in[0]);
        const Array* const in[] = {&source};
        Run run(in, step.attributes);
        run_primitive(*step.primitive, run);
        if (run.out[0].sizes != step.out[0].array.sizes) {
          found.put_back();
          return false;
        }
        ready.bind(step.out[0].buffer, run.out[0].storage);
      } else {
        next = run_next(ready, trace, s, stands, takes_back && s < plan->undoable_);
      }
      for (; s < next; ++s) {
        if (!ready.leaves_work(s)) continue;
        for (const Window& window : trace.steps[s].out)
          if (trace.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
            ++ready.storage(window.buffer)->version;
        for (const int b : trace.steps[s].last) ready.release(b);
      }
    }
  } catch (const watch::Again&) {
    found.put_back();
    throw;
  } catch (...) {
    stop_at(trace.steps[s], stands);
    throw;
  }
  finish(trace, stands, results, [&](const Window& window) { return ready.at(window); });
  if (!trace.differentiable.empty()) {
    Slots slots(trace.freed ? 0 : trace.buffers.size());
    if (!trace.freed)
      for (size_t b = 0; b < trace.buffers.size(); ++b)
        slots[static_cast<int>(b)] = ready.storage(static_cast<int>(b));
    attach_history(plan, std::move(slots), stands, arguments, results);
  }
  return true;
}

int Branches::run_slowly(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const {
  int at = 0;
  std::shared_ptr<const Plan> plan = plans_[0];
  // What the plans stand for is taken at first: steps may change it before another plan goes on.
  std::vector<bool> fit(plans_.size(), true);
  std::vector<std::vector<Ref<Storage>>> starts(plans_.size());
  Found found;
  const bool takes_back = modes.watching && watch::runs_again && watch::watcher->takes_back();
  size_t most = 0;
  for (size_t i = 0; i < plans_.size(); ++i) {
    const Plan& candidate = *plans_[i];
    const Trace& trace = candidate.trace_;
    if (i > 0 && !(fit[i] = candidate.fits(arguments))) continue;
    for (const Buffer& buffer : trace.buffers) starts[i].push_back(memory_of(trace, buffer, arguments));
    most = std::max(most, trace.buffers.size());
    keep(found, trace, candidate.restored_, candidate.changed_, starts[i], arguments);
    if (takes_back) [[unlikely]]
      found.keep(trace, candidate.undone_, candidate.unset_, arguments);
  }
  Slots slots(most);
  const auto bind = [&](int now, size_t from) {
    const auto& memory = starts[static_cast<size_t>(now)];
    for (size_t b = from; b < memory.size(); ++b) slots[static_cast<int>(b)] = memory[b];
  };
  bind(0, 0);
  Stands stands(plan->trace_);
  size_t readings = 0;
  // Goes on with the plan that was recorded for a value; false if there is none, and all is as it was.
  const auto follow = [&](const Scalar& value) {
    const Plan::Reading& reading = plan->readings_[readings];
    if (!same_value(value, reading.value, plan->plain()[reading.step].truth)) {
      const int next = find(*plan, readings, value, fit);
      if (next < 0) {
        found.put_back();
        const Step& step = plan->plain()[reading.step];
        parting_ = {step.where, step.truth, reading.value, value};
        return false;
      }
      found.put_back_generators();
      plan = plans_[static_cast<size_t>(next)];
      at = next;
      bind(next, reading.buffers);
      std::vector<Shift> shifts = std::move(stands.shifts);
      stands = Stands(plan->trace_);
      stands.shifts = std::move(shifts);
    }
    ++readings;
    return true;
  };
  size_t s = 0;
  try {
    for (; s < plan->plain().size(); ++s) {
      const Step& step = plan->plain()[s];
      const auto tensor = [&]() -> Tensor& {
        return tensor_of(plan->trace_.captured[static_cast<size_t>(step.index)], arguments);
      };
      switch (step.kind) {
        case Step::Kind::Read:
          if (!follow(item(slots.at(step.in[0])))) return -1;
          break;
        case Step::Kind::Host: {
          std::vector<TensorRef> inputs;
          for (const Window& window : step.in)
            inputs.push_back(window.buffer < 0 ? TensorRef(arguments[static_cast<size_t>(window.number.i)])
                                               : Tensor::make(slots.at(window)));
          default_generator() = stands.of(step);
          const GradMode mode(step.truth);
          const InHost in_host(step);
          take_over(step, replay_hooks.call(plan->trace_.hosts[static_cast<size_t>(step.index)], inputs),
                    slots);
          break;
        }
        case Step::Kind::SetGradient:
          tensor().grad = step.in.empty() ? TensorRef() : Tensor::make(slots.at(step.in[0]));
          break;
        case Step::Kind::SetData:
          set_data(tensor(), slots.at(step.in[0]));
          break;
        case Step::Kind::RequireGrad:
          set_requires_grad(tensor(), step.truth);
          break;
        default:
          if (!step.reads()) {
            run_quietly([&] { run_step(plan->trace_, step, slots, stands); });
            if (modes.watching) [[unlikely]]
              report(step, 1, takes_back && s < plan->undoable_plain_,
                     [&](const Window& window) { return slots.look(window); });
            break;
          }
          const Array source = slots.at(step.in[0]);
          const Array* const in[] = {&source};
          Run run(in, step.attributes);
          run_primitive(*step.primitive, run);
          if (!follow(Scalar::of_int(run.out[0].sizes[0]))) return -1;
          slots[plan->plain()[s].out[0].buffer] = run.out[0].storage;
      }
      const Step& done = plan->plain()[s];
      for (const Window& window : done.out)
        if (plan->trace_.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
          ++slots[window.buffer]->version;
      // Another plan may need what this one does not.
      if (readings == plan->readings_.size())
        for (const int b : done.last) slots[b].reset();
    }
  } catch (const watch::Again&) {
    found.put_back();
    throw;
  } catch (...) {
    // As a call in eager mode would leave it.
    stop_at(plan->plain()[s], stands);
    throw;
  }
  finish(plan->trace_, stands, results, [&](const Window& window) { return slots.at(window); });
  attach_history(plan, std::move(slots), stands, arguments, results);
  return at;
}

}  // namespace versant::trace
