#include "machine/trace.h"

#include <algorithm>

#include "machine/engine.h"
#include "machine/fuse.h"

namespace versant::trace {

Recorder* recorder = nullptr;

namespace {

uint32_t epochs = 0;

std::string place_of_call() {
  if (!location_hooks.here) return {};
  const Location at = location_hooks.here();
  if (!at.code) return {};
  std::string text = location_hooks.describe(at);
  location_hooks.release(at.code);
  return text;
}

// The geometry of an array, without its memory.
Array geometry_of(const Array& array) {
  Array same;
  same.data =
      reinterpret_cast<void*>(static_cast<char*>(array.data) - static_cast<char*>(array.storage->data));
  same.numel = array.numel;
  same.dtype = array.dtype;
  same.contiguous = array.contiguous;
  same.sizes = array.sizes;
  same.strides = array.strides;
  return same;
}

[[noreturn]] void refuse(const std::string& what, const char* why) {
  const std::string where = place_of_call();
  fail(ErrorKind::Runtime, "[compile] ", where.empty() ? "" : where + ": ", what, why);
}

}  // namespace

Recorder::Recorder() : epoch_(++epochs), first_node_(Node::next()), offset_(default_generator().offset) {
  Storage::current_epoch = epoch_;
}
Recorder::~Recorder() { Storage::current_epoch = 0; }

Recorder::Known& Recorder::known(const Array& array) {
  Storage* const storage = array.storage.get();
  const auto found = known_.find(storage);
  if (found != known_.end()) {
    Known& entry = found->second;
    if (!entry.settled) {
      entry.version = storage->version;
      entry.settled = true;
    } else if (entry.version != storage->version) {
      refuse(describe(array), " was changed by an operation that cannot be replayed");
    }
    return entry;
  }
  const bool fresh = storage->epoch == epoch_;
  Buffer buffer;
  if (!fresh) {
    const auto reached = reached_.find(storage);
    if (reached != reached_.end()) {
      buffer.origin = Buffer::Origin::Captured;
      buffer.index = reached->second;
      trace_.captured[static_cast<size_t>(reached->second)].bound = true;
    } else {
      buffer.origin = Buffer::Origin::Fixed;
      buffer.storage = array.storage;
    }
  }
  const int number = static_cast<int>(trace_.buffers.size());
  trace_.buffers.push_back(std::move(buffer));
  return known_.emplace(storage, Known{number, storage->version, true, !fresh}).first->second;
}

Window Recorder::window(const Array& array, bool reads) {
  const Known& entry = known(array);
  if (reads && !entry.filled && array.numel > 0)
    refuse(describe(array), " was made by an operation that cannot be replayed");
  Window window;
  window.buffer = entry.buffer;
  window.array = geometry_of(array);
  return window;
}

void Recorder::writes(const Array& array) {
  Known& entry = known(array);
  entry.filled = true;
  entry.settled = false;
  trace_.buffers[static_cast<size_t>(entry.buffer)].written = true;
}

Step& Recorder::add(Step::Kind kind, const char* name) {
  Step& step = trace_.steps.emplace_back();
  step.kind = kind;
  step.name = name;
  step.where = place_of_call();
  return step;
}

void Recorder::program(const Program& program, Compute compute, std::span<const Operand> inputs,
                       std::span<const Array* const> outputs, DType common, const char* op) {
  std::vector<Window> in, out;
  for (const Operand& operand : inputs) {
    if (operand.array) {
      in.push_back(window(*operand.array, true));
    } else {
      in.emplace_back().number = operand.scalar;
    }
  }
  for (const Array* output : outputs) {
    out.push_back(window(*output, false));
    writes(*output);
  }
  Step& step = add(Step::Kind::Program, op);
  step.in = std::move(in);
  step.out = std::move(out);
  step.program = &program;
  step.compute = compute;
  step.common = common;
}

void Recorder::primitive(const Primitive& primitive, const Run& run) {
  if (primitive.is_view()) return;
  std::vector<Window> in, out;
  for (const Array* array : run.in) in.push_back(window(*array, !run.in_place || array != run.in[0]));
  for (int k = 0; k < run.n_outputs; ++k) {
    const bool aliases = std::any_of(run.in.begin(), run.in.end(), [&](const Array* array) {
      return array->storage.get() == run.out[k].storage.get();
    });
    out.push_back(window(run.out[k], false));
    if (!aliases || run.in_place) writes(run.out[k]);
  }
  Step& step = add(Step::Kind::Primitive, primitive.name());
  step.in = std::move(in);
  step.out = std::move(out);
  step.primitive = &primitive;
  step.attributes = run.attributes;
  step.in_place = run.in_place;
  for (int i = 0; i + 1 < step.attributes.ints.size() && step.random < 0; ++i) {
    for (Draw& draw : draws_) {
      if (static_cast<uint64_t>(step.attributes.ints[i]) != draw.seed ||
          static_cast<uint64_t>(step.attributes.ints[i + 1]) != draw.first)
        continue;
      draw.used = true;
      step.random = i;
      step.block = draw.first - offset_;
      break;
    }
  }
  if (!primitive.sized()) return;
  step.sized = true;
  const Window rows = step.out[0];
  Step& reading = add(Step::Kind::Read, "rows");
  reading.in.push_back(rows);
  reading.number = Scalar::of_int(rows.array.rank() ? rows.array.sizes[0] : 0);
  reading.rows = true;
}

void Recorder::multiply(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
                        const Array* bias, bool add) {
  std::vector<Window> in;
  in.push_back(window(a, true));
  in.push_back(window(b, true));
  if (bias) in.push_back(window(*bias, true));
  Window out = window(c, add);
  writes(c);
  Step& step = this->add(Step::Kind::Multiply, "multiply");
  step.in = std::move(in);
  step.out.push_back(std::move(out));
  step.attributes.ints = Dims{a_turned, b_turned, add};
}

void Recorder::exposes(const Array& array, const char* how) const {
  refuse(
      describe(array) + ": " + how,
      " gives its memory to Python, which a replay cannot follow; read single values with item(), or do this "
      "outside of the compiled function");
}

void Recorder::moves(const Tensor& tensor) const {
  refuse(describe(tensor),
         " is given other memory, which a replay would not repeat; write into the memory that "
         "it has: x.data.copy_(y)");
}

void Recorder::copy(const Array& to, const Array& from) {
  Window source = window(from, true), target = window(to, false);
  writes(to);
  Step& step = add(Step::Kind::Copy, "copy");
  step.in.push_back(std::move(source));
  step.out.push_back(std::move(target));
}

void Recorder::fill(const Array& to, Scalar value) {
  Window target = window(to, false);
  writes(to);
  Step& step = add(Step::Kind::Fill, "fill");
  step.out.push_back(std::move(target));
  step.number = value;
}

void Recorder::read(const Array& array, Scalar value, bool truth) {
  Window source = window(array, true);
  Step& step = add(Step::Kind::Read, truth ? "truth" : "value");
  step.in.push_back(std::move(source));
  step.number = value;
  step.truth = truth;
}

int Recorder::tensor_index(Tensor& tensor) {
  const auto found = tensors_.find(&tensor);
  if (found != tensors_.end()) return found->second;
  const int index = static_cast<int>(trace_.captured.size());
  Captured captured;
  captured.tensor = TensorRef(&tensor);
  captured.geometry = geometry_of(tensor);
  captured.requires_grad = needs_grad(tensor);
  trace_.captured.push_back(std::move(captured));
  gradients_.push_back(nullptr);
  tensors_.emplace(&tensor, index);
  return index;
}

void Recorder::reaches(Tensor& tensor) {
  Storage* const storage = tensor.storage.get();
  if (storage->epoch == epoch_ || known_.contains(storage) || reached_.contains(storage)) return;
  reached_.emplace(storage, tensor_index(tensor));
}

void Recorder::touches_gradient(Tensor& tensor, bool reads) {
  const int index = tensor_index(tensor);
  Captured& captured = trace_.captured[static_cast<size_t>(index)];
  if (captured.touches_gradient) return;
  captured.touches_gradient = true;
  captured.reads_gradient = reads;
  captured.drops_gradient = !reads && trace_.hosts.empty();
  gradients_[static_cast<size_t>(index)] = tensor.grad.get();
  if (!tensor.grad) return;
  held_.push_back(tensor.grad);  // so that no other tensor comes to stand in its place
  if (!reads) return;
  captured.had_gradient = true;
  captured.gradient = geometry_of(*tensor.grad);
  Storage* const storage = tensor.grad->storage.get();
  if (storage->epoch == epoch_ || known_.contains(storage)) return;
  Buffer buffer;
  buffer.origin = Buffer::Origin::Gradient;
  buffer.index = index;
  known_.emplace(storage, Known{static_cast<int>(trace_.buffers.size()), storage->version, true, true});
  trace_.buffers.push_back(std::move(buffer));
}

void Recorder::settle_gradients() {
  for (size_t i = 0; i < trace_.captured.size(); ++i) {
    if (!trace_.captured[i].touches_gradient) continue;
    Tensor& tensor = *trace_.captured[i].tensor;
    if (tensor.grad.get() == gradients_[i]) continue;
    gradients_[i] = tensor.grad.get();
    std::vector<Window> in;
    if (tensor.grad) {
      held_.push_back(tensor.grad);
      in.push_back(window(*tensor.grad, true));
    }
    Step& step = add(Step::Kind::SetGradient, "gradient");
    step.in = std::move(in);
    step.index = static_cast<int>(i);
  }
}

void Recorder::constant(const Array& array) {
  Buffer buffer;
  buffer.origin = Buffer::Origin::Fixed;
  const Quiet quiet;
  Array copy = Array::empty(array.sizes, array.dtype);
  copy_into(copy, array);
  // The trace keeps the data as they were, in a storage that is none of the trace's.
  copy.storage->epoch = 0;
  buffer.storage = copy.storage;
  known_.insert_or_assign(array.storage.get(),
                          Known{static_cast<int>(trace_.buffers.size()), array.storage->version, true, true});
  trace_.buffers.push_back(std::move(buffer));
}

void Recorder::draws(const Generator& generator, uint64_t seed, uint64_t first) {
  if (&generator != &default_generator())
    refuse("random numbers of a generator", " other than the default one cannot be replayed yet");
  draws_.push_back({seed, first, false});
}

void Recorder::wrote_nothing(const Array& array) {
  const auto found = known_.find(array.storage.get());
  if (found != known_.end()) found->second.settled = false;
}

void Recorder::forgets(Storage* storage) { known_.erase(storage); }

void Recorder::check_node(const Node& node) const {
  if (!node.is_leaf() && node.number < first_node_)
    refuse("backward()",
           " reaches operations from before the compiled function: compile the function that does "
           "both, or detach what it is given");
}

void Recorder::result(Tensor& tensor) {
  if (needs_grad(tensor) && !tensor.is_leaf()) {
    trace_.differentiable.push_back(static_cast<int>(trace_.results.size()));
    differentiable_.push_back(TensorRef(&tensor));
  }
  trace_.results.push_back(window(tensor, true));
}

void Recorder::backward() {
  if (differentiable_.empty()) return;
  settle_gradients();
  trace_.forward_steps = trace_.steps.size();
  goes_back_ = true;
  std::vector<Tensor*> roots, targets;
  std::vector<TensorRef> weights;
  for (size_t i = 0; i < differentiable_.size(); ++i) {
    roots.push_back(differentiable_[i].get());
    Array ones;
    {
      const Quiet quiet;
      ones = Array::empty_like_layout(*roots.back(), roots.back()->dtype);
      versant::fill(ones, Scalar::of(1.0));
    }
    Buffer buffer;
    buffer.origin = Buffer::Origin::Incoming;
    buffer.index = static_cast<int>(i);
    known_.emplace(ones.storage.get(),
                   Known{static_cast<int>(trace_.buffers.size()), ones.storage->version, true, true});
    trace_.buffers.push_back(std::move(buffer));
    trace_.incoming.push_back(window(ones, true));
    weights.push_back(Tensor::make(std::move(ones)));
    held_.push_back(weights.back());
  }
  const size_t n_captured = trace_.captured.size();
  const auto add_target = [&](Tensor& tensor, int argument, int captured) {
    if (!needs_grad(tensor) || std::find(targets.begin(), targets.end(), &tensor) != targets.end()) return;
    targets.push_back(&tensor);
    Outgoing& out = trace_.outgoing.emplace_back();
    out.argument = argument;
    out.captured = captured;
  };
  for (size_t i = 0; i < arguments_.size(); ++i) add_target(*arguments_[i], static_cast<int>(i), -1);
  for (size_t i = 0; i < n_captured; ++i) add_target(*trace_.captured[i].tensor, -1, static_cast<int>(i));
  engine::Options options;
  options.keep_graph = true;
  modes.tracing = true;
  std::vector<TensorRef> found;
  try {
    found = engine::gradients(roots, weights, targets, options);
  } catch (const Error& error) {
    modes.tracing = false;
    if (error.kind() != ErrorKind::Runtime) throw;
    // The function went that way itself, and what was saved is gone. Results say so if they are asked.
    trace_.steps.resize(trace_.forward_steps);
    trace_.incoming.clear();
    trace_.outgoing.clear();
    trace_.freed = true;
    return;
  }
  modes.tracing = false;
  for (size_t s = trace_.forward_steps; s < trace_.steps.size(); ++s)
    if (trace_.steps[s].kind == Step::Kind::Host || trace_.steps[s].kind == Step::Kind::Read)
      refuse("a hook", " that reads values or calls back cannot be replayed behind a compiled function");
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i]) trace_.outgoing[i].window = window(*found[i], true);
}

int Recorder::argument(Tensor& tensor) {
  arguments_.push_back(TensorRef(&tensor));
  const int index = static_cast<int>(trace_.arguments.size());
  trace_.arguments.push_back(geometry_of(tensor));
  trace_.argument_gradients.push_back(needs_grad(tensor));
  Storage* const storage = tensor.storage.get();
  const auto found = known_.find(storage);
  if (found != known_.end()) {
    trace_.argument_buffers.push_back(found->second.buffer);
    return index;
  }
  Buffer buffer;
  buffer.origin = Buffer::Origin::Argument;
  buffer.index = index;
  const int number = static_cast<int>(trace_.buffers.size());
  trace_.buffers.push_back(std::move(buffer));
  trace_.argument_buffers.push_back(number);
  known_.emplace(storage, Known{number, storage->version, true, true});
  return index;
}

void Recorder::host(void* object, const char* name) {
  Step& step = add(Step::Kind::Host, name);
  step.index = static_cast<int>(trace_.hosts.size());
  trace_.hosts.push_back(object);
  for (auto& [storage, entry] : known_) entry.settled = false;  // it may have changed what it reached
}

void Recorder::host_outputs(std::span<Tensor* const> outputs) {
  Step& step = trace_.steps.back();
  for (Tensor* tensor : outputs) {
    step.out.push_back(window(*tensor, false));
    writes(*tensor);
  }
}

void Recorder::apply(std::function<std::vector<TensorRef>(std::span<const TensorRef>)> body, const char* name,
                     std::span<Tensor* const> inputs, std::span<Tensor* const> outputs, uint64_t offset) {
  std::vector<Window> in, out;
  for (Tensor* tensor : inputs) {
    reaches(*tensor);
    in.push_back(window(*tensor, true));
  }
  for (Tensor* tensor : outputs) {
    out.push_back(window(*tensor, false));
    writes(*tensor);
  }
  Step& step = add(Step::Kind::Apply, name);
  step.in = std::move(in);
  step.out = std::move(out);
  step.body = std::move(body);
  step.block = offset - offset_;
}

void Recorder::call(std::function<void(std::span<const Array>)> action, const char* name,
                    std::span<const Array* const> reads, std::span<const Array* const> writes) {
  std::vector<Window> in, out;
  for (const Array* array : reads) in.push_back(window(*array, true));
  for (const Array* array : writes) {
    out.push_back(window(*array, false));
    this->writes(*array);
  }
  Step& step = add(Step::Kind::Call, name);
  step.in = std::move(in);
  step.out = std::move(out);
  step.action = std::move(action);
}

// Moves readings to where their values are known, so that as little as possible is done before a replay turns
// out to go another way; what cannot be undone must not stand before a reading at all.
void Recorder::read_early() {
  std::vector<Step> steps;
  size_t earliest = 0;  // readings keep their order
  for (Step& step : trace_.steps) {
    if (step.kind != Step::Kind::Read) {
      steps.push_back(std::move(step));
      continue;
    }
    size_t at = earliest;
    for (size_t s = steps.size(); s-- > earliest;) {
      const bool writes = std::any_of(steps[s].out.begin(), steps[s].out.end(), [&](const Window& window) {
        return window.buffer == step.in[0].buffer;
      });
      if (!writes) continue;
      at = s + 1;
      break;
    }
    for (size_t s = 0; s < at; ++s)
      if (steps[s].kind == Step::Kind::Host)
        fail(ErrorKind::Runtime, "[compile] ", step.where, ": reads a value that depends on ", steps[s].name,
             ", which a replay cannot take back if the value is another one; return the tensor instead");
    earliest = at + 1;
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(at), std::move(step));
  }
  trace_.steps = std::move(steps);
}

Trace Recorder::finish() {
  for (const Captured& captured : trace_.captured)
    if (!captured.tensor->is_leaf() || needs_grad(*captured.tensor) == captured.requires_grad)
      continue;
    else
      fail(ErrorKind::Runtime, "[compile] requires_grad of ", describe(*captured.tensor),
           " is changed, which a replay would not repeat; set it back at the end, or outside");
  if (!goes_back_) {
    settle_gradients();
    trace_.forward_steps = trace_.steps.size();
  }
  for (const Draw& draw : draws_)
    if (!draw.used) fail(ErrorKind::Runtime, "[compile] a random operation cannot be replayed yet");
  trace_.blocks = default_generator().offset - offset_;
  if (!goes_back_) {
    read_early();
    trace_.forward_steps = trace_.steps.size();
  }
  fuse(trace_);
  return std::move(trace_);
}

}  // namespace versant::trace

namespace versant {

void note_empty_write(const Array& array) {
  if (modes.tracing) trace::recorder->wrote_nothing(array);
}

}  // namespace versant
