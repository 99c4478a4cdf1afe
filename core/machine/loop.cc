#include "machine/loop.h"

#include <algorithm>
#include <deque>
#include <limits>

#include "machine/engine.h"
#include "machine/ops.h"
#include "machine/tape.h"
#include "machine/watch.h"

namespace versant::trace {

namespace {

// What one run of a loop left for its way back.
struct Tape {
  struct Turn {
    int body;
    Ref<Node> node;  // of the replay of the body; none where no gradient flows
  };
  std::vector<Turn> turns;
};

// A tensor of one byte that keeps a tape alive.
TensorRef tensor_of(std::unique_ptr<Tape> tape) {
  Tape* const owned = tape.release();
  Array array;
  array.storage = Storage::wrap(
      owned, 1, [](void* owner) { delete static_cast<Tape*>(owner); }, owned);
  array.data = owned;
  array.numel = 1;
  array.dtype = DType::UInt8;
  array.sizes = Dims{1};
  array.strides = Dims{1};
  return Tensor::make(std::move(array));
}
Tape& tape_of(const Tensor& tensor) { return *static_cast<Tape*>(tensor.storage->owner); }

// The array over a storage of its own that begins `offset` bytes before it, as it did in the trace.
Array begin_at(const Array& array, int64_t offset) {
  if (bytes_into_storage(array) == offset) return array;
  Array placed = array;
  Ref<Storage> held = array.storage;
  char* const start = static_cast<char*>(array.data) - offset;
  const int64_t rest = static_cast<char*>(held->data) + held->bytes - start;
  Storage* const owner = held.release();
  placed.storage = Storage::wrap(
      start, static_cast<size_t>(rest), [](void* s) { Ref<Storage>::steal(static_cast<Storage*>(s)); },
      owner);
  return placed;
}

Array along_first(const Array& array, int64_t index) {
  Dims sizes, strides;
  for (int d = 1; d < array.rank(); ++d) {
    sizes.push_back(array.sizes[d]);
    strides.push_back(array.strides[d]);
  }
  return array.view(sizes, strides, index * array.strides[0]);
}

// An array for one turn each of arrays like `one`.
Array stack_of(int64_t n, const Array& one) {
  Dims sizes{n};
  for (int d = 0; d < one.rank(); ++d) sizes.push_back(one.sizes[d]);
  return Array::empty(sizes, one.dtype);
}

Array filled(const Array& like, double value) {
  Array array = Array::empty_like_layout(like, like.dtype);
  fill(array, is_complex(like.dtype) ? Scalar::of_complex(value, value) : Scalar::of(value));
  return array;
}

// Results of loops lie row by row in memory of their own, as every replay's will.
class Results {
 public:
  explicit Results(std::span<const TensorRef> inputs) {
    for (const TensorRef& input : inputs) taken_.push_back(input->storage.get());
  }
  void add(Array array) {
    Storage* const storage = array.storage.get();
    const bool own = array.contiguous && array.data == storage->data && !storage->release &&
                     std::find(taken_.begin(), taken_.end(), storage) == taken_.end();
    if (!own) {
      Array copy = Array::empty(array.sizes, array.dtype);
      copy_into(copy, array);
      array = std::move(copy);
    }
    taken_.push_back(array.storage.get());
    made.push_back(Tensor::make(std::move(array)));
  }
  std::vector<TensorRef> made;

 private:
  std::vector<Storage*> taken_;
};

// One run of a loop.
class Run {
 public:
  Run(const Loop& loop, std::span<const TensorRef> inputs) : loop_(loop), inputs_(inputs) {
    for (size_t b = 0; b < loop.bodies.size(); ++b) {
      auto& found = reached_.emplace_back();
      const Body& body = *loop.bodies[b];
      for (size_t i = 0; i < loop.reached[b].size(); ++i)
        found.push_back(operand(body, body.n_operands + i, *inputs[static_cast<size_t>(loop.reached[b][i])]));
    }
  }

  // Runs a body; its results as arrays, and its turn on the tape.
  std::vector<Array> turn(int b, std::span<const Array> operands, Tape* tape) const {
    const auto index = static_cast<size_t>(b);
    const Body& body = *loop_.bodies[index];
    std::vector<TensorRef> held;
    std::vector<Tensor*> arguments;
    for (size_t i = 0; i < operands.size(); ++i) held.push_back(operand(body, i, operands[i]));
    for (const TensorRef& tensor : held) arguments.push_back(tensor.get());
    for (const TensorRef& tensor : reached_[index]) arguments.push_back(tensor.get());
    std::vector<TensorRef> results;
    if (body.branches.run(arguments, results) < 0)
      fail(ErrorKind::Runtime, "[", loop_.name, "] its body cannot be replayed");
    if (tape) {
      const auto& differentiable = body.trace().differentiable;
      Ref<Node> node;
      if (!differentiable.empty()) node = results[static_cast<size_t>(differentiable[0])]->node;
      tape->turns.push_back({b, std::move(node)});
    }
    // They were told from the last to the first: see run_loop in compiler/loops.py.
    std::vector<Array> arrays;
    for (size_t k = results.size(); k-- > 0;) arrays.push_back(*results[k]);
    return arrays;
  }

  Array carried(int i) const {
    return inputs_[static_cast<size_t>(loop_.first_operand() + i)]->to_contiguous();
  }
  const Array& walked(int i) const { return *inputs_[static_cast<size_t>(loop_.n_carried + i)]; }

 private:
  // An array as operand i of a body, with the flag and the place in memory that the trace assumes.
  static TensorRef operand(const Body& body, size_t i, const Array& array) {
    const Trace& trace = body.trace();
    TensorRef tensor = Tensor::make(begin_at(array, reinterpret_cast<int64_t>(trace.arguments[i].data)));
    if (trace.argument_gradients[i] && !trace.differentiable.empty()) set_requires_grad(*tensor, true);
    return tensor;
  }

  const Loop& loop_;
  std::span<const TensorRef> inputs_;
  std::vector<std::vector<TensorRef>> reached_;
};

// What a turn was given.
struct Given {
  std::vector<Array> carry;
  Generator generator;
};

void breathe(int64_t turn) {
  if (turn % 1024 == 1023 && replay_hooks.breathe) replay_hooks.breathe();
}

// The results of a loop, and its tape where `keeps`.
std::vector<TensorRef> run(const Loop& loop, std::span<const TensorRef> inputs, bool keeps) {
  const GradMode off(false);
  const Run now(loop, inputs);
  auto tape = keeps ? std::make_unique<Tape>() : nullptr;
  std::vector<Array> carry, along;
  for (int i = 0; i < loop.n_carried; ++i) carry.push_back(now.carried(i));
  switch (loop.kind) {
    case Loop::Kind::Cond: {
      const int b = item(static_cast<const Array&>(*inputs[0]), true).i ? 0 : 1;
      carry = now.turn(loop.last.empty() ? b : loop.last[static_cast<size_t>(b)], carry, tape.get());
      break;
    }
    case Loop::Kind::While: {
      // How many turns back from the end take another body than all others.
      const size_t last = loop.cycle + 1 == loop.last.size() ? loop.cycle
                          : loop.last.empty()                ? 0
                                                             : std::numeric_limits<size_t>::max();
      std::deque<Given> given;  // of these
      for (int64_t t = 0; loop.length < 0 || t < loop.length; ++t) {
        breathe(t);
        const Array goes_on = now.turn(0, carry, nullptr)[0];
        if (!item(goes_on, true).i) break;
        if (tape && last > 0) {
          if (given.size() == last) given.pop_front();
          given.push_back({carry, default_generator()});
        }
        carry = now.turn(loop.body_of(loop.last.size()), carry, tape.get());
      }
      // Which turns are the last is known now. Watchers have seen them.
      const watch::Unwatched unwatched;
      const Generator after = default_generator();
      for (size_t behind = 0; behind < given.size(); ++behind) {
        const Given& turn = given[given.size() - 1 - behind];
        default_generator() = turn.generator;
        Tape again;
        now.turn(loop.body_of(behind), turn.carry, &again);
        tape->turns[tape->turns.size() - 1 - behind] = std::move(again.turns[0]);
      }
      default_generator() = after;
      break;
    }
    case Loop::Kind::Scan: {
      const auto n_carried = static_cast<size_t>(loop.n_carried);
      const auto& results = loop.turn().trace().results;
      for (size_t k = n_carried; k < results.size(); ++k)
        along.push_back(stack_of(loop.length, results[results.size() - 1 - k].array));
      for (int64_t n = 0; n < loop.length; ++n) {
        breathe(n);
        const int64_t t = loop.reverse ? loop.length - 1 - n : n;
        for (int i = 0; i < loop.n_walked; ++i)
          carry.push_back(along_first(now.walked(i), t).to_contiguous());
        carry = now.turn(loop.body_of(static_cast<size_t>(loop.length - 1 - n)), carry, tape.get());
        for (size_t k = 0; k < along.size(); ++k) copy_into(along_first(along[k], t), carry[n_carried + k]);
        carry.resize(n_carried);
      }
    }
  }
  Results results(inputs);
  for (auto* arrays : {&carry, &along})
    for (Array& array : *arrays) results.add(std::move(array));
  if (tape) results.made.push_back(tensor_of(std::move(tape)));
  return std::move(results.made);
}

// Whether a way leads from the results of a body to its operand or reached tensor i.
bool leads_to(const Body& body, size_t i) {
  const Trace& trace = body.trace();
  for (const Outgoing& out : trace.outgoing) {
    if (out.argument != static_cast<int>(i) || out.window.buffer < 0) continue;
    // A sum that nothing was added to is the one that came in.
    const Buffer& buffer = trace.buffers[static_cast<size_t>(out.window.buffer)];
    return i < body.n_operands || buffer.origin != Buffer::Origin::Incoming ||
           static_cast<size_t>(buffer.index) < trace.differentiable.size();
  }
  return false;
}

// Which inputs of the loop get a gradient.
std::vector<bool> ways_back(const Loop& loop, size_t n_inputs) {
  std::vector<bool> found(n_inputs);
  std::vector<int> used = loop.last;
  if (used.empty()) used = loop.kind == Loop::Kind::Cond ? std::vector<int>{0, 1} : std::vector{loop.given()};
  for (const int index : used) {
    const auto b = static_cast<size_t>(index);
    const Body& body = *loop.bodies[b];
    if (body.trace().differentiable.empty()) continue;
    for (size_t i = 0; i < body.n_operands; ++i)
      if (leads_to(body, i)) found[static_cast<size_t>(loop.first_operand()) + i] = true;
    for (size_t i = 0; i < loop.reached[b].size(); ++i)
      if (leads_to(body, body.n_operands + i)) found[static_cast<size_t>(loop.reached[b][i])] = true;
  }
  return found;
}

// The way back through one turn: the gradients of its operands from those of its results; sums of reached
// tensors, by input of the loop, are continued.
std::vector<TensorRef> turn_back(const Loop& loop, const Tape::Turn& turn, std::span<const TensorRef> grads,
                                 std::vector<TensorRef>& sums) {
  const Body& body = *loop.bodies[static_cast<size_t>(turn.body)];
  const Trace& trace = body.trace();
  std::vector<TensorRef> operands(body.n_operands);
  if (!turn.node) return operands;
  const auto& reached = loop.reached[static_cast<size_t>(turn.body)];
  std::vector<TensorRef> incoming, outgoing(trace.outgoing.size());
  for (const int k : trace.differentiable)
    incoming.push_back(grads[trace.results.size() - 1 - static_cast<size_t>(k)]);
  for (const Outgoing& out : trace.outgoing)
    if (const auto i = static_cast<size_t>(out.argument); i >= body.n_operands)
      incoming.push_back(sums[static_cast<size_t>(reached[i - body.n_operands])]);
  for (size_t k = 0; k < trace.incoming.size(); ++k)
    if (!incoming[k]) incoming[k] = Tensor::make(filled(trace.incoming[k].array, -0.0));
  turn.node->backward(incoming, outgoing, ~uint64_t{0});
  for (size_t k = 0; k < outgoing.size(); ++k) {
    const auto i = static_cast<size_t>(trace.outgoing[k].argument);
    (i < body.n_operands ? operands[i] : sums[static_cast<size_t>(reached[i - body.n_operands])]) =
        std::move(outgoing[k]);
  }
  return operands;
}

// The gradients of the inputs that have one, in order, from those of the results and the sums so far.
std::vector<TensorRef> go_back(const Loop& loop, const std::vector<bool>& ways,
                               std::span<const TensorRef> inputs, const Tape& tape,
                               std::vector<TensorRef> grads, std::vector<TensorRef> sums,
                               std::span<const TensorRef> taken) {
  const GradMode off(false);
  const auto n_carried = static_cast<size_t>(loop.n_carried), n_walked = static_cast<size_t>(loop.n_walked);
  std::vector<Array> along(n_walked);
  for (size_t i = 0; i < n_walked; ++i)
    if (ways[n_carried + i]) along[i] = filled(inputs[n_carried + i]->to_contiguous(), 0.0);
  for (size_t n = tape.turns.size(); n-- > 0;) {
    const auto count = static_cast<int64_t>(n);
    const int64_t t = loop.reverse ? loop.length - 1 - count : count;
    std::vector<TensorRef> of_turn = grads;
    if (loop.kind == Loop::Kind::Scan)
      for (size_t k = n_carried; k < grads.size(); ++k)
        if (grads[k]) of_turn[k] = Tensor::make(along_first(*grads[k], t));
    std::vector<TensorRef> operands = turn_back(loop, tape.turns[n], of_turn, sums);
    for (size_t i = 0; i < n_walked; ++i)
      if (along[i].storage && operands[n_carried + i])
        copy_into(along_first(along[i], t), *operands[n_carried + i]);
    if (loop.kind == Loop::Kind::Cond)
      grads = std::move(operands);
    else
      std::move(operands.begin(), operands.begin() + loop.n_carried, grads.begin());
  }
  Results results(taken);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!ways[i]) continue;
    const size_t operand = i - static_cast<size_t>(loop.first_operand());
    if (i >= static_cast<size_t>(loop.first_operand()) && operand < n_carried)
      results.add(grads[operand] ? Array(*grads[operand]) : filled(inputs[i]->to_contiguous(), 0.0));
    else if (operand < n_carried + n_walked)
      results.add(std::move(along[operand - n_carried]));
    else
      results.add(sums[i] ? Array(*sums[i]) : filled(inputs[i]->to_contiguous(), 0.0));
  }
  return std::move(results.made);
}

class LoopNode final : public Node {
 public:
  LoopNode(uint32_t bytes, uint16_t n_edges) : Node(bytes, n_edges) { continues_sums = true; }

  static void attach(const std::shared_ptr<Loop>& loop, std::span<Tensor* const> inputs,
                     std::span<const TensorRef> results, TensorRef tape, const Generator& before,
                     RecordedBackward recorded, Restrict restrict) {
    const auto n = static_cast<uint16_t>(inputs.size());
    auto* node = new_node<LoopNode>(sizeof(LoopNode), n);
    const Ref<Node> held(node);
    node->loop_ = loop;
    node->tape_ = std::move(tape);
    node->before_ = before;
    node->recorded_ = std::move(recorded);
    node->restrict_ = std::move(restrict);
    node->ways_ = ways_back(*loop, inputs.size());
    for (Tensor* input : inputs) node->inputs_.emplace_back().keep(*input);
    // In the order in which single ops would give them: what is reached, what is carried and walked along,
    // each from its end.
    const int first = loop->first_operand(), walked = first + loop->n_carried;
    const int reached = walked + loop->n_walked, all = static_cast<int>(n);
    for (int i = reached; i < all; ++i) node->order_.push_back(i);
    for (int i = walked; i-- > first;) node->order_.push_back(i);
    for (int i = reached; i-- > walked;) node->order_.push_back(i);
    if (first) node->order_.push_back(0);
    for (const int i : node->order_) {
      const auto input = static_cast<size_t>(i);
      node->edges_.push_back(node->ways_[input] ? edge_of(*inputs[input]) : Edge{});
    }
    node->n_outputs = static_cast<uint16_t>(results.size());
    for (const TensorRef& result : results) node->infos_.push_back({result->sizes, result->dtype});
    node->output = node->infos_[0];
    if (modes.taping) tape::note(*node);
    for (size_t k = 0; k < results.size(); ++k)
      if (is_recorded(*loop, k)) set_history(*results[k], node, static_cast<uint32_t>(k));
  }

  // Whether result k of a loop has a history.
  static bool is_recorded(const Loop& loop, size_t k) {
    return std::any_of(loop.bodies.begin(), loop.bodies.end(), [&](const auto& body) {
      const auto& found = body->trace().differentiable;
      const auto place = static_cast<int>(body->trace().results.size() - 1 - k);
      return std::find(found.begin(), found.end(), place) != found.end();
    });
  }

  std::string name() const override {
    std::string name = loop_->name;
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
    return name + "Backward";
  }
  Edge* edges() override { return edges_.data(); }
  const OutputInfo& output_info(uint32_t nr) const override { return infos_[nr]; }
  bool continues(int edge) const override {
    return order_[static_cast<size_t>(edge)] >= loop_->first_operand() + loop_->n_carried + loop_->n_walked;
  }
  void release_saved() override {
    tape_.reset();
    inputs_.clear();
    recorded_ = nullptr;
    restrict_ = nullptr;
    released = true;
  }

  void backward(Grads outputs, Grads inputs, uint64_t) override {
    if (released)
      fail(ErrorKind::Runtime, "[backward] the values that ", name(),
           " saved were freed by an earlier backward; use backward(retain_graph=True) the first time");
    if (modes.grad) {
      if (!recorded_)
        refuse(text("gradients of gradients through ", loop_->name),
               " are not recorded: use scan, or take them outside of the compiled function");
      std::vector<TensorRef> found = recorded_(outputs);
      for (size_t e = 0; e < order_.size(); ++e) inputs[e] = std::move(found[static_cast<size_t>(order_[e])]);
      return;
    }
    if (modes.tracing && restrict_) restrict(outputs);
    // The step's inputs: the tape, the loop's inputs, then the gradients and sums that there are.
    std::vector<TensorRef> given{tape_};
    for (const Saved& saved : inputs_) given.push_back(saved.unpack(*this, nullptr));
    std::vector<bool> has_grad, has_sum(inputs_.size());
    for (const TensorRef& grad : outputs) {
      has_grad.push_back(static_cast<bool>(grad));
      if (grad) given.push_back(grad);
    }
    for (size_t i = 0; i < inputs_.size(); ++i)
      for (size_t e = 0; e < order_.size(); ++e)
        if (order_[e] == static_cast<int>(i) && inputs[e] && ways_[i]) {
          has_sum[i] = true;
          given.push_back(std::move(inputs[e]));
        }
    const auto again = [loop = std::shared_ptr<const Loop>(loop_), ways = ways_, has_grad,
                        has_sum](std::span<const TensorRef> given) {
      const size_t n = has_sum.size();
      size_t next = 1 + n;
      std::vector<TensorRef> grads(has_grad.size()), sums(n);
      for (size_t k = 0; k < grads.size(); ++k)
        if (has_grad[k]) grads[k] = given[next++];
      for (size_t i = 0; i < n; ++i)
        if (has_sum[i]) sums[i] = given[next++];
      return go_back(*loop, ways, given.subspan(1, n), tape_of(*given[0]), std::move(grads), std::move(sums),
                     given);
    };
    const Generator before = default_generator();
    std::vector<TensorRef> found;
    {
      const Quiet quiet;
      found = again(given);
    }
    if (modes.tracing) {
      std::vector<Tensor*> in, out;
      for (const TensorRef& tensor : given) in.push_back(tensor.get());
      for (const TensorRef& tensor : found) out.push_back(tensor.get());
      recorder->apply(again, (loop_->name + " back").c_str(), in, out, default_generator(), before).loops =
          true;
    }
    std::vector<TensorRef> of_inputs(inputs_.size());
    size_t next = 0;
    for (size_t i = 0; i < ways_.size(); ++i)
      if (ways_[i]) of_inputs[i] = std::move(found[next++]);
    for (size_t e = 0; e < order_.size(); ++e)
      if (ways_[static_cast<size_t>(order_[e])])
        inputs[e] = std::move(of_inputs[static_cast<size_t>(order_[e])]);
  }

 private:
  static constexpr size_t kMostRestricted = 16;

  // Where some results get no gradient, a turn must not go back from them: zeros there are not nothing (zero
  // times infinity is NaN). Its body is traced anew without them; and so are those of the turns before, until
  // what arrives at a turn has arrived at one behind it. A second pass from other results takes the
  // bodies that were given, and zeros.
  void restrict(Grads outputs) {
    std::vector<bool> arrives;
    for (const TensorRef& grad : outputs) arrives.push_back(static_cast<bool>(grad));
    const bool first = arrives_.empty();
    if (!first && (arrives == arrives_ || !is_restricted())) return;
    loop_->last.clear();
    if (first) {
      arrives_ = arrives;
      if (loop_->kind == Loop::Kind::Cond)
        restrict_branches();
      else
        restrict_turns();
      if (!is_restricted()) return;
    }
    ways_ = ways_back(*loop_, inputs_.size());
    run_again();
  }
  bool is_restricted() const { return !loop_->last.empty(); }

  static bool covers(const std::vector<bool>& arrives, const Body& body) {
    const Trace& trace = body.trace();
    return std::all_of(trace.differentiable.begin(), trace.differentiable.end(),
                       [&](int k) { return arrives[trace.results.size() - 1 - static_cast<size_t>(k)]; });
  }

  // The body for gradients that arrive at these results.
  int body_for(int b, const std::vector<bool>& arrives) {
    if (covers(arrives, *loop_->bodies[static_cast<size_t>(b)])) return b;
    auto [body, reached] = restrict_(b, arrives);
    loop_->bodies.push_back(std::move(body));
    loop_->reached.push_back(std::move(reached));
    return static_cast<int>(loop_->bodies.size()) - 1;
  }

  void restrict_branches() {
    std::vector<int> found = {body_for(0, arrives_), body_for(1, arrives_)};
    if (found != std::vector<int>{0, 1}) loop_->last = std::move(found);
  }

  void restrict_turns() {
    std::vector<std::vector<bool>> arrives = {arrives_};
    std::vector<int> last;
    for (size_t n = 0; n < kMostRestricted; ++n) {
      last.push_back(body_for(loop_->given(), arrives.back()));
      const Body& body = *loop_->bodies[static_cast<size_t>(last.back())];
      std::vector<bool> before = arrives_;
      for (size_t i = 0; i < static_cast<size_t>(loop_->n_carried); ++i) before[i] = leads_to(body, i);
      const auto again = std::find(arrives.begin(), arrives.end(), before);
      if (again != arrives.end()) {
        loop_->cycle = static_cast<size_t>(again - arrives.begin());
        if (last != std::vector{loop_->given()}) loop_->last = std::move(last);
        return;
      }
      arrives.push_back(std::move(before));
    }
  }

  // Makes the tape of the bodies of now, doing once more what watchers have seen.
  void run_again() {
    const Quiet quiet;
    const watch::Unwatched unwatched;
    const Generator now = std::exchange(default_generator(), before_);
    std::vector<TensorRef> inputs;
    for (const Saved& saved : inputs_) inputs.push_back(saved.unpack(*this, nullptr));
    tape_of(*tape_) = std::move(tape_of(*run(*loop_, inputs, true).back()));
    default_generator() = now;
  }

  std::shared_ptr<Loop> loop_;
  TensorRef tape_;
  Generator before_;  // where it stood when the loop was run
  RecordedBackward recorded_;
  Restrict restrict_;
  std::vector<bool> arrives_;  // gradients of results in the first pass
  std::vector<Saved> inputs_;
  std::vector<bool> ways_;
  std::vector<int> order_;  // of each edge: the input
  std::vector<Edge> edges_;
  std::vector<OutputInfo> infos_;
};

}  // namespace

std::vector<TensorRef> run_loop(const std::shared_ptr<Loop>& loop, std::span<Tensor* const> inputs,
                                RecordedBackward recorded_backward, Restrict restrict) {
  const bool keeps =
      modes.grad && std::any_of(loop->bodies.begin(), loop->bodies.end(),
                                [](const auto& body) { return !body->trace().differentiable.empty(); });
  const auto again = [loop, keeps](std::span<const TensorRef> tensors) { return run(*loop, tensors, keeps); };
  const Generator before = default_generator();
  std::vector<TensorRef> results;
  {
    const Quiet quiet;
    std::vector<TensorRef> held;
    for (Tensor* input : inputs) held.push_back(TensorRef(input));
    results = again(held);
  }
  if (modes.tracing) {
    std::vector<Tensor*> outputs;
    for (const TensorRef& result : results) outputs.push_back(result.get());
    Step& step = recorder->apply(again, loop->name.c_str(), inputs, outputs, default_generator(), before);
    step.loops = true;
    step.drawn = static_cast<int64_t>(default_generator().offset - before.offset);
    const bool draws = std::any_of(loop->bodies.begin(), loop->bodies.end(),
                                   [](const auto& body) { return body->trace().streams[0].blocks > 0; });
    if (draws && step.seeded && loop->kind != Loop::Kind::Scan)
      refuse(loop->name, " draws random numbers behind a seed that the compiled function sets itself");
  }
  if (!keeps) return results;
  TensorRef tape = std::move(results.back());
  results.pop_back();
  LoopNode::attach(loop, inputs, results, std::move(tape), before, std::move(recorded_backward),
                   std::move(restrict));
  return results;
}

}  // namespace versant::trace
