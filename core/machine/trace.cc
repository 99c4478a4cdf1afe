#include "machine/trace.h"

#include <algorithm>
#include <cstring>

#include "machine/engine.h"
#include "machine/fuse.h"
#include "machine/row_chain.h"
#include "machine/simplify.h"
#include "machine/spare.h"
#include "machine/verify.h"

namespace versant::trace {

Recorder* recorder = nullptr;

namespace {

uint32_t epochs = 0;

uint64_t hooks_of(const Tensor& tensor) {
  return tensor.node && tensor.node->hooks && hook_table_hooks.signature
             ? hook_table_hooks.signature(tensor.node->hooks)
             : 0;
}

// A number that is none in the 16 bits of a tensor's epoch either.
uint32_t next_epoch() {
  if (static_cast<uint16_t>(++epochs) == 0) ++epochs;
  return epochs;
}

}  // namespace

std::string place_of_call() {
  if (!location_hooks.here) return {};
  const Location at = location_hooks.here();
  if (!at.code) return {};
  std::string text = location_hooks.describe(at);
  location_hooks.release(at.code);
  return text;
}

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

void refuse(const std::string& what, const char* why) {
  const std::string where = place_of_call();
  fail(ErrorKind::Runtime, "[compile] ", where.empty() ? "" : where + ": ", what, why);
}

Recorder::Recorder()
    : epoch_before_(Storage::current_epoch), epoch_(next_epoch()), first_node_(Node::next()) {
  Storage::current_epoch = epoch_;
  stream_of(default_generator(), default_generator());
}
Recorder::~Recorder() { Storage::current_epoch = epoch_before_; }

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
  if (!fresh) held_memory_.push_back(array.storage);
  Buffer buffer;
  if (!fresh) {
    const auto reached = reached_.find(storage);
    if (reached != reached_.end()) {
      buffer.origin = Buffer::Origin::Captured;
      buffer.index = reached->second;
      trace_.captured[static_cast<size_t>(reached->second)].bound = true;
    } else {
      refuse(describe(array), " was there before the call and is reached in a way that cannot be followed");
    }
  }
  const int number = static_cast<int>(trace_.buffers.size());
  trace_.buffers.push_back(std::move(buffer));
  return known_.emplace(storage, Known{number, storage->version, true, !fresh}).first->second;
}

Window Recorder::window(const Array& array, bool reads) {
  const Known& entry = known(array);
  if (reads && !entry.filled && array.numel > 0)
    refuse(
        describe(array),
        " was made by an operation that cannot be replayed: make it of tensors, or outside and pass it as an "
        "argument");
  Window window;
  window.buffer = entry.buffer;
  window.array = geometry_of(array);
  window.bytes = static_cast<int64_t>(array.storage->bytes);
  return window;
}

void Recorder::writes(const Array& array) {
  Known& entry = known(array);
  entry.filled = true;
  entry.settled = false;
  trace_.buffers[static_cast<size_t>(entry.buffer)].written = true;
}

void Recorder::own(const Array& array) {
  const auto found = known_.find(array.storage.get());
  if (found == known_.end()) return;
  const int constant = found->second.buffer;
  if (trace_.buffers[static_cast<size_t>(constant)].origin != Buffer::Origin::Fixed) return;
  if (array.storage->release)
    refuse(
        describe(array),
        " shares its memory with an array, which replays would not write: make a copy with versant.tensor()");
  Window source;
  source.buffer = constant;
  const int64_t bytes = static_cast<int64_t>(array.storage->bytes);
  source.array.numel = bytes;
  source.array.dtype = DType::UInt8;
  source.array.contiguous = true;
  source.array.sizes = Dims{bytes};
  source.array.strides = Dims{1};
  source.bytes = bytes;
  Window target = source;
  target.buffer = found->second.buffer = static_cast<int>(trace_.buffers.size());
  trace_.buffers.emplace_back().written = true;
  Step& step = add(Step::Kind::Copy, "copy");
  step.in.push_back(std::move(source));
  step.out.push_back(std::move(target));
}

Step& Recorder::add(Step::Kind kind, const char* name) {
  Step& step = trace_.steps.emplace_back();
  step.kind = kind;
  step.name = name;
  step.where = place_of_call();
  step.back = through_ ? through_->order : 0;
  if (through_) {
    step.of_name = through_->name;
    step.of = through_->where;
    step.module = through_->module;
  } else if (location_hooks.module_here) {
    step.module = location_hooks.module_here();
  }
  step.stand = default_generator().offset - trace_.streams[0].first.offset;
  return step;
}

void Recorder::program(const Program& program, Compute compute, std::span<const Operand> inputs,
                       std::span<const Array* const> outputs, DType common, const char* op) {
  settle_gradients();
  for (const Array* output : outputs) own(*output);
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
  settle_gradients();
  if (run.in_place) own(run.out[0]);
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
  const int at = primitive.draws_at(run.attributes);
  if (at < 0) return;
  for (Draw& draw : draws_) {
    if (static_cast<uint64_t>(step.attributes.ints[at]) != draw.seed ||
        static_cast<uint64_t>(step.attributes.ints[at + 1]) != draw.first)
      continue;
    const Stream& stream = trace_.streams[static_cast<size_t>(draw.stream)];
    draw.used = true;
    step.random = at;
    step.stream = draw.stream;
    step.drawn_going_back = draw.going_back;
    step.block = draw.first - (draw.going_back ? stream.back_first : stream.first.offset);
    break;
  }
}

void Recorder::multiply(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
                        const Array* bias, bool add) {
  settle_gradients();
  own(c);
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

void Recorder::copy(const Array& to, const Array& from) {
  settle_gradients();
  own(to);
  Window source = window(from, true), target = window(to, false);
  writes(to);
  Step& step = add(Step::Kind::Copy, "copy");
  step.in.push_back(std::move(source));
  step.out.push_back(std::move(target));
}

void Recorder::fill(const Array& to, Scalar value) {
  settle_gradients();
  own(to);
  Window target = window(to, false);
  writes(to);
  Step& step = add(Step::Kind::Fill, "fill");
  step.out.push_back(std::move(target));
  step.number = value;
}

int Recorder::argument_of(const Tensor& tensor) const {
  for (size_t i = 0; i < arguments_.size(); ++i)
    if (arguments_[i].get() == &tensor) return static_cast<int>(i);
  return -1;
}

bool Recorder::needs_grad_outside(Tensor& tensor) const {
  if (!needs_grad(tensor) || (tensor.taped && !taping_)) return false;
  // Watched by a tape that started meanwhile.
  return !tensor.node->is_leaf() || static_cast<LeafNode*>(tensor.node.get())->watched_at < first_node_;
}

int Recorder::tensor_index(Tensor& tensor) {
  const auto found = tensors_.find(&tensor);
  if (found != tensors_.end()) return found->second;
  const int index = static_cast<int>(trace_.captured.size());
  Captured captured;
  captured.tensor = TensorRef(&tensor);
  captured.argument = argument_of(tensor);
  captured.geometry = geometry_of(tensor);
  captured.needs_grad = needs_grad_outside(tensor);
  captured.hooks = hooks_of(tensor);
  trace_.captured.push_back(std::move(captured));
  gradients_.push_back(nullptr);
  nodes_.push_back(tensor.node);
  tensors_.emplace(&tensor, index);
  return index;
}

void Recorder::touches(Tensor& tensor) {
  if (!is_new(tensor)) tensor_index(tensor);
}

void Recorder::reaches(Tensor& tensor) {
  Storage* const storage = tensor.storage.get();
  if (storage->epoch == epoch_ || is_new(tensor) || argument_of(tensor) >= 0) return;
  if (storage->epoch > epoch_)
    refuse(describe(tensor), " was made in a body of cond, while_loop or scan and is no result of it");
  const int index = tensor_index(tensor);
  Captured& captured = trace_.captured[static_cast<size_t>(index)];
  if (captured.bound) return;
  captured.bound = true;
  if (const auto reached = reached_.find(storage); reached != reached_.end()) {
    captured.shares = reached->second;
  } else if (const auto found = known_.find(storage); found != known_.end()) {
    const Buffer& buffer = trace_.buffers[static_cast<size_t>(found->second.buffer)];
    if (buffer.origin == Buffer::Origin::Argument) captured.shares_argument = buffer.index;
  } else {
    reached_.emplace(storage, index);
  }
}

void Recorder::sets_data(Tensor& tensor) {
  if (is_new(tensor)) return;
  own(tensor);
  Window source = window(tensor, true);
  Step& step = add(Step::Kind::SetData, "data");
  step.in.push_back(std::move(source));
  step.index = tensor_index(tensor);
}

void Recorder::constant(const Array& array) {
  Buffer buffer;
  buffer.origin = Buffer::Origin::Fixed;
  const Quiet quiet;
  // The trace keeps the data as they were, in a storage that is none of the trace's.
  buffer.storage = Storage::allocate(array.storage->bytes);
  buffer.storage->epoch = 0;
  std::memcpy(buffer.storage->data, array.storage->data, array.storage->bytes);
  known_.insert_or_assign(array.storage.get(),
                          Known{static_cast<int>(trace_.buffers.size()), array.storage->version, true, true});
  trace_.buffers.push_back(std::move(buffer));
}

int Recorder::stream_of(Generator& generator, const Generator& before) {
  for (size_t i = 0; i < trace_.streams.size(); ++i)
    if (trace_.streams[i].generator == &generator) return static_cast<int>(i);
  Stream& stream = trace_.streams.emplace_back();
  stream.generator = &generator;
  stream.first = before;
  stream.back_first = before.offset;
  if (&generator != &default_generator() && replay_hooks.hold)
    trace_.hosts.push_back(replay_hooks.hold(generator));
  return static_cast<int>(trace_.streams.size()) - 1;
}

void Recorder::draws(Generator& generator, uint64_t seed, uint64_t first) {
  const int index = stream_of(generator, {seed, first});
  const Stream& stream = trace_.streams[static_cast<size_t>(index)];
  if (stream.seeded) return;  // a constant
  // Where a state was restored, the same numbers are drawn again.
  const bool back = goes_back_ && first >= stream.back_first;
  const bool known = std::any_of(draws_.begin(), draws_.end(), [&](const Draw& draw) {
    return draw.stream == index && draw.seed == seed && draw.first == first;
  });
  if (!known) draws_.push_back({index, seed, first, back, false});
}

void Recorder::seeds(Generator& generator, const Generator& before) {
  Stream& stream = trace_.streams[static_cast<size_t>(stream_of(generator, before))];
  if (generator.seed == stream.first.seed && generator.offset >= stream.first.offset && !stream.seeded &&
      std::find(states_.begin(), states_.end(), generator.offset) != states_.end())
    return;
  if (goes_back_) refuse("a seed", " that is set behind a compiled function cannot be replayed");
  stream.seeded = true;
}

void Recorder::wrote_nothing(const Array& array) {
  const auto found = known_.find(array.storage.get());
  if (found != known_.end()) found->second.settled = false;
}

void Recorder::forgets(Storage* storage) { known_.erase(storage); }

void Recorder::goes_through(const Node& node) {
  const bool known = node.where.code && location_hooks.describe && !node.is_leaf();
  through_.emplace();
  if (!known) return;
  *through_ = {node.name(), location_hooks.describe(node.where), "", node.order + 1};
  if (location_hooks.module_of) through_->module = location_hooks.module_of(node.number);
}

void Recorder::check_node(const Node& node) const {
  if (!node.is_leaf() && node.number < first_node_)
    refuse("backward()",
           " reaches operations from before the compiled function: compile the function that does "
           "both, or detach what it is given");
}

void Recorder::result(Tensor& tensor) {
  own(tensor);
  if (needs_grad(tensor) && !tensor.is_leaf()) {
    trace_.differentiable.push_back(static_cast<int>(trace_.results.size()));
    differentiable_.push_back(TensorRef(&tensor));
  }
  trace_.results.push_back(window(tensor, true));
  trace_.result_leaves.push_back(needs_grad(tensor) && tensor.is_leaf() && is_new(tensor));
  trace_.result_dialects.push_back(tensor.type && tensor.type == tensor_hooks.dialect_type);
  Window& gradient = trace_.result_gradients.emplace_back();
  if (tensor.grad && is_new(tensor)) gradient = window(*tensor.grad, true);
}

int Recorder::argument(Tensor& tensor, bool reached) {
  const int index = static_cast<int>(trace_.arguments.size());
  arguments_.push_back(TensorRef(&tensor));
  argument_nodes_.push_back(tensor.node);
  trace_.arguments.push_back(geometry_of(tensor));
  trace_.argument_gradients.push_back(needs_grad(tensor));
  trace_.argument_tensors.push_back(argument_of(tensor));
  trace_.argument_is.push_back(reached ? TensorRef(&tensor) : TensorRef());
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

void Recorder::host(void* object, const char* name, std::span<Tensor* const> inputs, bool pure,
                    const std::vector<TensorRef>* changed) {
  trace_.hosts.push_back(object);
  settle_gradients();
  std::vector<Window> in;
  for (Tensor* tensor : inputs) {
    const int argument = argument_of(*tensor);  // given as it is, with its gradient
    if (argument >= 0)
      in.emplace_back().number = Scalar::of_int(argument);
    else
      in.push_back(window(*tensor, true));
  }
  Step& step = add(Step::Kind::Host, name);
  step.in = std::move(in);
  step.index = static_cast<int>(trace_.hosts.size()) - 1;
  step.stream = 0;
  step.block = step.stand;
  step.pure = pure;
  step.truth = modes.grad;
  if (changed) changed_.emplace(step.index, *changed);
  if (pure) return;
  for (auto& [storage, entry] : known_) entry.settled = false;  // it may have changed what it reached
}

void Recorder::host_outputs(std::span<Tensor* const> outputs) {
  Step& step = trace_.steps.back();
  for (Tensor* tensor : outputs) {
    step.out.push_back(window(*tensor, false));
    writes(*tensor);
  }
}

Step& Recorder::apply(std::function<std::vector<TensorRef>(std::span<const TensorRef>)> body,
                      const char* name, std::span<Tensor* const> inputs, std::span<Tensor* const> outputs,
                      Generator& generator, const Generator& before) {
  settle_gradients();
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
  const int index = stream_of(generator, before);
  const Stream& stream = trace_.streams[static_cast<size_t>(index)];
  step.drawn_going_back = goes_back_ && before.offset >= stream.back_first;
  step.stream = index;
  step.seeded = stream.seeded;
  step.seed = before.seed;
  step.block = before.offset;
  if (!stream.seeded) step.block -= step.drawn_going_back ? stream.back_first : stream.first.offset;
  return step;
}

void Recorder::call(std::function<void(std::span<const Array>)> action, const char* name,
                    std::span<const Array* const> reads, std::span<const Array* const> writes) {
  settle_gradients();
  for (const Array* array : writes) own(*array);
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

Trace Recorder::finish() {
  if (!goes_back_) {
    settle_gradients();
    settle_flags();
    read_early();
  }
  for (const Draw& draw : draws_)
    if (!draw.used) fail(ErrorKind::Runtime, "[compile] a random operation cannot be replayed yet");
  for (Stream& stream : trace_.streams) {
    if (goes_back_) {
      stream.back_blocks = stream.generator->offset - stream.back_first;
    } else {
      stream.last = *stream.generator;
      stream.blocks = stream.last.offset - stream.first.offset;
    }
  }
  for (Captured& captured : trace_.captured)
    if (captured.argument >= 0) captured.tensor.reset();
  const auto forward = trace_.steps.begin() + static_cast<std::ptrdiff_t>(trace_.forward_steps);
  if (std::any_of(trace_.steps.begin(), forward, [](const Step& step) { return step.reads(); }))
    trace_.plain.assign(trace_.steps.begin(), forward);
  if (verifying) verify(trace_, "recording");
  simplify(trace_);
  if (verifying) verify(trace_, "simplifying");
  fuse(trace_);
  if (verifying) verify(trace_, "fusing");
  spare_memory(trace_);
  if (verifying) verify(trace_, "sparing memory");
  line_up_rows(trace_);
  plan_lifetimes(trace_);
  if (verifying) verify(trace_, "lining up rows", true);
  return std::exchange(trace_, {});
}

}  // namespace versant::trace

namespace versant {

void note_empty_write(const Array& array) {
  if (modes.tracing) trace::recorder->wrote_nothing(array);
}

}  // namespace versant
