// Gradients in a trace: those that tensors keep, and the way back from results.
#include <algorithm>

#include "machine/engine.h"
#include "machine/trace.h"

namespace versant::trace {

void Recorder::touches_gradient(Tensor& tensor, bool reads) {
  if (is_new(tensor)) return;
  const int index = tensor_index(tensor);
  pending_.push_back({index, place_of_call(), through_});
  Captured& captured = trace_.captured[static_cast<size_t>(index)];
  if (captured.touches_gradient) return;
  captured.touches_gradient = true;
  captured.reads_gradient = reads;
  // Where it is replaced, whatever was there goes: no tensor is its own gradient.
  gradients_[static_cast<size_t>(index)] = reads ? tensor.grad.get() : &tensor;
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
  std::vector<Pending> pending = std::move(pending_);
  pending_.clear();
  for (Pending& entry : pending) {
    const Tensor& tensor = *trace_.captured[static_cast<size_t>(entry.tensor)].tensor;
    const auto found = tensor.grad ? known_.find(tensor.grad->storage.get()) : known_.end();
    const bool filled = !tensor.grad || tensor.grad->storage->epoch != epoch_ ||
                        (found != known_.end() && found->second.filled);
    if (filled)
      settle_gradient(entry);
    else
      pending_.push_back(std::move(entry));  // the step that fills it comes next
  }
}

void Recorder::settle_gradient(const Pending& pending) {
  const auto i = static_cast<size_t>(pending.tensor);
  Tensor& tensor = *trace_.captured[i].tensor;
  if (tensor.grad.get() == gradients_[i]) return;
  gradients_[i] = tensor.grad.get();
  std::vector<Window> in;
  if (tensor.grad) {
    own(*tensor.grad);
    held_.push_back(tensor.grad);
    in.push_back(window(*tensor.grad, true));
  }
  Step& step = add(Step::Kind::SetGradient, "gradient");
  step.where = pending.where;
  step.back = pending.through ? pending.through->order : 0;
  if (pending.through) {
    step.of_name = pending.through->name;
    step.of = pending.through->where;
    step.module = pending.through->module;
  }
  step.in = std::move(in);
  step.index = pending.tensor;
}

void Recorder::settle_flags() {
  const auto check = [](Tensor& tensor, const Ref<Node>& before) {
    if (needs_grad(tensor) && !tensor.is_leaf() && tensor.node.get() != before.get())
      fail(ErrorKind::Runtime, "[compile] a tensor from before the call, ", describe(tensor),
           ", is changed in place and becomes part of a graph, which cannot be replayed: change a clone() of "
           "it and return that");
  };
  for (size_t i = 0; i < arguments_.size(); ++i) check(*arguments_[i], argument_nodes_[i]);
  for (size_t i = 0; i < trace_.captured.size(); ++i) {
    Tensor& tensor = *trace_.captured[i].tensor;
    check(tensor, nodes_[i]);
    if (needs_grad(tensor) == trace_.captured[i].needs_grad) continue;
    Step& step = add(Step::Kind::RequireGrad, "requires_grad");
    step.index = static_cast<int>(i);
    step.truth = !trace_.captured[i].needs_grad;
  }
}

void Recorder::backward(bool continued) {
  if (differentiable_.empty()) return;
  settle_gradients();
  settle_flags();
  read_early();
  goes_back_ = true;
  for (Stream& stream : trace_.streams) {
    stream.last = *stream.generator;
    stream.blocks = stream.last.offset - stream.first.offset;
    stream.back_first = stream.last.offset;
  }
  std::vector<Tensor*> roots, targets;
  std::vector<TensorRef> weights;
  const auto add_root = [&](Tensor& root) {
    roots.push_back(&root);
    Array ones;
    {
      const Quiet quiet;
      ones = Array::empty_like_layout(root, root.dtype);
      versant::fill(ones, Scalar::of(1.0));
    }
    Buffer buffer;
    buffer.origin = Buffer::Origin::Incoming;
    buffer.index = static_cast<int>(trace_.incoming.size());
    known_.emplace(ones.storage.get(),
                   Known{static_cast<int>(trace_.buffers.size()), ones.storage->version, true, true});
    trace_.buffers.push_back(std::move(buffer));
    trace_.incoming.push_back(window(ones, true));
    weights.push_back(Tensor::make(std::move(ones)));
    held_.push_back(weights.back());
  };
  for (const TensorRef& result : differentiable_) add_root(*result);
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
  for (size_t i = 0; continued && i < targets.size(); ++i)
    if (trace_.outgoing[i].captured >= 0) add_root(*targets[i]);
  engine::Options options;
  options.keep_graph = true;
  options.stop = true;
  modes.tracing = true;
  std::vector<TensorRef> found;
  try {
    found = engine::gradients(roots, weights, targets, options);
  } catch (const Error& error) {
    modes.tracing = false;
    if (error.kind() != ErrorKind::Runtime || continued) throw;
    // The function went that way itself, and what was saved is gone. Results say so if they are asked.
    trace_.steps.resize(trace_.forward_steps);
    trace_.incoming.clear();
    trace_.outgoing.clear();
    trace_.freed = true;
    return;
  }
  modes.tracing = false;
  for (size_t s = trace_.forward_steps; s < trace_.steps.size(); ++s)
    if (trace_.steps[s].kind == Step::Kind::Host || trace_.steps[s].reads())
      refuse("a hook", " that reads values or calls back cannot be replayed behind a compiled function");
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i]) trace_.outgoing[i].window = window(*found[i], true);
}

}  // namespace versant::trace
