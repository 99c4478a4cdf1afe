#include "machine/engine.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/tape.h"
#include "machine/trace.h"

namespace versant::engine {

namespace {

constexpr uint32_t kYieldEvery = 1024;  // nodes between two chances for other threads

uint64_t next_task = 1;
std::vector<uint64_t> active_tasks;

// A node with gradients waiting for it.
struct Entry {
  Ref<Node> node;
  TensorRef first;              // gradient of output 0
  std::vector<TensorRef> rest;  // of the other outputs
  bool owned = false;           // `first` is a sum that only we hold
  bool queued = false;
  bool needed = true;     // on a way to a target
  bool captured = false;  // some target is an output of this node
  uint32_t awaited = 0;   // edges still to come to a leaf with hooks

  TensorRef& grad(uint32_t nr) {
    if (nr == 0) return first;
    if (rest.size() < nr) rest.resize(nr);
    return rest[nr - 1];
  }
};

// Note [One pass]
// Edges lead from higher node numbers to lower ones, so the queued node with the highest number has received
// all of its gradients: a heap by number replaces counting consumers. A pass finds its entry for a node
// through two fields of the node; when another pass that is still active (a nested one, or one of another
// thread) holds those fields, it falls back to a map of its own.
class Task {
 public:
  explicit Task(Options options) : options_(options), id_(next_task++), outer_(innermost) {
    active_tasks.push_back(id_);
    std::swap(buffers_, spare_buffers);
    innermost = this;
  }
  ~Task() {
    std::erase(active_tasks, id_);
    if (recorded_.began.code) location_hooks.release(recorded_.began.code);
    buffers_.clear();
    std::swap(buffers_, spare_buffers);
    innermost = outer_;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  static const Task* running() { return innermost; }
  uint64_t id() const { return id_; }
  // Of each of the nodes: whether the pass comes to it.
  std::vector<bool> comes_to(std::span<const Edge> ends) const {
    std::unordered_set<Node*> found;
    std::vector<Node*> waiting;
    const auto visit = [&](Node* node) {
      if (node && found.insert(node).second) waiting.push_back(node);
    };
    for (const Edge& root : roots_) visit(root.node.get());
    while (!waiting.empty()) {
      Node* const node = waiting.back();
      waiting.pop_back();
      for (int k = 0; k < node->n_edges; ++k) visit(node->edges()[k].node.get());
    }
    std::vector<bool> result;
    for (const Edge& end : ends) {
      const bool needed = !needed_ || (end.node && needed_->contains(end.node.get()));
      result.push_back(end.node && found.contains(end.node.get()) && needed);
    }
    return result;
  }
  void begins_at(std::span<const Edge> roots) { roots_ = roots; }

  uint32_t slot_of(Node* node) {
    if (node->task == id_) return node->task_slot;
    if (!own_map_.empty()) {
      if (auto found = own_map_.find(node); found != own_map_.end()) return found->second;
    }
    const bool foreign =
        node->task != 0 && active_tasks.size() > 1 &&
        std::find(active_tasks.begin(), active_tasks.end(), node->task) != active_tasks.end();
    if (foreign) return own_map_[node] = new_slot(node);
    node->task = id_;
    return node->task_slot = new_slot(node);
  }

  // The targets are all leaves behind the roots: a pass as that of backward(), which keeps what arrives
  // there.
  void keep_leaves(std::span<const Edge> targets) {
    keeps_leaves_ = true;
    targets_ = targets;
    captured_.resize(targets.size());
  }

  // Hands `grad` to output `nr` of `node`.
  void deliver(Node* node, uint32_t nr, TensorRef grad) {
    if (keeps_leaves_ && !node->is_leaf() && !options_.within->holds(*node)) return;
    const uint32_t slot = slot_of(node);
    if (!entries_[slot].needed) {
      if (pruned_) return;
    }
    normalize(*node, nr, grad);
    Entry& entry = entries_[slot];
    TensorRef& sum = entry.grad(nr);
    if (!sum) {
      sum = std::move(grad);
    } else if (modes.composes()) {
      sum = ops::add(*sum, *grad);
    } else if ((nr == 0 && entry.owned) || (sum->refs == 1 && sum->storage->refs == 1 && sum->is_dense())) {
      ops::add_(*sum, *grad);
    } else {
      sum = ops::add(*sum, *grad);
      if (nr == 0) entry.owned = true;
    }
    if (!entry.queued) {
      entry.queued = true;
      if (node->is_leaf()) {
        leaves_.push_back(slot);
      } else {
        heap_.push_back({node->number, slot});
        std::push_heap(heap_.begin(), heap_.end());
      }
    }
  }

  // Restricts the pass to what leads to the targets and captures their gradients.
  void aim(std::span<const Edge> roots, std::span<const Edge> targets) {
    pruned_ = true;
    targets_ = targets;
    captured_.resize(targets.size());
    // Every node behind the roots, then from low numbers up: needed if a target or if an edge leads to a
    // needed one.
    std::vector<uint32_t>& found = buffers_.found;
    bool falling = true;  // the nodes were found by falling number, as along a chain
    bool hooked = false;  // somebody may ask where the pass comes to
    uint64_t last = ~uint64_t{0};
    auto visit = [&](Node* node) {
      const size_t before = entries_.size();
      const uint32_t slot = slot_of(node);
      if (entries_.size() == before) return;
      entries_[slot].needed = false;
      found.push_back(slot);
      hooked |= node->hooks != nullptr;
      falling &= node->number <= last;
      last = node->number;
    };
    for (const Edge& root : roots)
      if (root.node) visit(root.node.get());
    for (size_t i = 0; i < found.size(); ++i) {
      Node* node = entries_[found[i]].node.get();
      if (ends_at(*node)) continue;
      for (int k = 0; k < node->n_edges; ++k)
        if (Node* next = node->edges()[k].node.get()) visit(next);
    }
    const size_t reachable = entries_.size();
    for (const Edge& target : targets) {
      if (!target.node) continue;
      const uint32_t slot = slot_of(target.node.get());
      if (slot < reachable) entries_[slot].needed = entries_[slot].captured = true;
    }
    if (falling)
      std::reverse(found.begin(), found.end());
    else
      std::sort(found.begin(), found.end(),
                [&](uint32_t a, uint32_t b) { return entries_[a].node->number < entries_[b].node->number; });
    for (const uint32_t slot : found) {
      Node* node = entries_[slot].node.get();
      if (ends_at(*node)) continue;
      for (int k = 0; k < node->n_edges && !entries_[slot].needed; ++k)
        if (Node* next = node->edges()[k].node.get()) entries_[slot].needed = entries_[slot_of(next)].needed;
    }
    if (!hooked) return;
    needed_ = std::make_unique<std::unordered_set<Node*>>();
    for (const uint32_t slot : found)
      if (entries_[slot].needed) needed_->insert(entries_[slot].node.get());
  }

  // Counts the edges to every leaf with hooks, so that these run as soon as the leaf's gradient is whole and
  // may consume it. Other leaves get theirs at the end: nobody can tell.
  void await_hooked_leaves(std::span<const Edge> roots) {
    awaits_ = true;
    std::vector<uint32_t> found;
    auto visit = [&](Node* node) {
      const size_t before = entries_.size();
      const uint32_t slot = slot_of(node);
      if (entries_.size() > before) found.push_back(slot);
      if (node->is_leaf()) ++entries_[slot].awaited;
    };
    for (const Edge& root : roots)
      if (root.node) visit(root.node.get());
    for (size_t i = 0; i < found.size(); ++i) {
      Node* node = entries_[found[i]].node.get();
      for (int k = 0; k < node->n_edges; ++k)
        if (Node* next = node->edges()[k].node.get()) visit(next);
    }
  }

  // One edge to `node` is done with, whether or not it carried a gradient.
  void arrived(Node* node) {
    if (!node->is_leaf()) return;
    const uint32_t slot = slot_of(node);
    if (--entries_[slot].awaited == 0 && node->hooks && entries_[slot].queued) step(slot);
  }

  void run() {
    uint32_t steps = 0;
    while (!heap_.empty()) {
      const uint32_t slot = heap_.front().slot;
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.pop_back();
      step(slot);
      if (++steps % kYieldEvery == 0) Unlocked yield;
    }
    for (size_t i = 0; i < leaves_.size(); ++i)
      if (entries_[leaves_[i]].queued) step(leaves_[i]);
  }

  std::vector<TensorRef>& captured() { return captured_; }

 private:
  struct Queued {
    uint64_t number;
    uint32_t slot;
    bool operator<(const Queued& other) const { return number < other.number; }
  };

  // Whether no way leads on from that node.
  bool ends_at(const Node& node) const {
    if (options_.within && !options_.within->holds(node)) return true;
    return options_.stop && std::any_of(targets_.begin(), targets_.end(),
                                        [&](const Edge& target) { return target.node.get() == &node; });
  }

  uint32_t new_slot(Node* node) {
    uint32_t slot;
    if (!free_slots_.empty()) {
      slot = free_slots_.back();
      free_slots_.pop_back();
    } else {
      slot = static_cast<uint32_t>(entries_.size());
      entries_.emplace_back();
    }
    entries_[slot].node = Ref<Node>(node);
    return slot;
  }

  // Brings a gradient to the shape and dtype of the value it belongs to: broadcasting is undone here and
  // nowhere else.
  static void normalize(const Node& node, uint32_t nr, TensorRef& grad) {
    const OutputInfo& info = node.output_info(nr);
    if (grad->sizes != info.sizes) grad = ops::sum_to(*grad, info.sizes, node.name());
    if (grad->dtype != info.dtype) grad = ops::cast(*grad, info.dtype);
  }

  void step(uint32_t slot) {
    // The entry leaves its slot first: hooks may run another pass.
    Entry entry = std::move(entries_[slot]);
    entries_[slot] = Entry();
    Node& node = *entry.node;
    if (!pruned_) {
      if (node.task == id_)
        node.task = 0;
      else
        own_map_.erase(&node);
      free_slots_.push_back(slot);
    }
    const int n_outputs = node.n_outputs;
    if (n_outputs > 1) {
      many_outputs(entry, node);
      return;
    }
    execute(entry, node, {&entry.first, 1});
  }

  void many_outputs(Entry& entry, Node& node) {
    std::vector<TensorRef> grads(node.n_outputs);
    grads[0] = std::move(entry.first);
    for (size_t k = 0; k < entry.rest.size(); ++k) grads[k + 1] = std::move(entry.rest[k]);
    execute(entry, node, grads);
  }

  void execute(Entry& entry, Node& node, Grads grads) {
    if (modes.observed()) [[unlikely]] {
      if (modes.tracing && !entry.captured) trace::recorder->check_node(node);
      if (modes.tracing) trace::recorder->goes_through(node);
      watch::back = &node;
    }
    // Where a trace of the way back ends, hooks are run by the passes that replay it.
    const bool ends = modes.tracing && entry.captured && trace::recorder->goes_back();
    if (node.hooks && hook_table_hooks.run_pre && !ends) hook_table_hooks.run_pre(node.hooks, grads);
    if (keeps_leaves_ && node.is_leaf()) {
      for (size_t i = 0; i < targets_.size(); ++i)
        if (targets_[i].node.get() == &node) captured_[i] = grads[0];
      return;
    }
    if (entry.captured) {
      for (size_t i = 0; i < targets_.size(); ++i)
        if (targets_[i].node.get() == &node) captured_[i] = grads[targets_[i].nr];
      if (node.is_leaf() || ends_at(node)) return;
      bool onward = false;
      for (int k = 0; k < node.n_edges && !onward; ++k)
        if (Node* next = node.edges()[k].node.get()) onward = entries_[slot_of(next)].needed;
      if (!onward) return;
    }
    constexpr int kFew = 8;
    TensorRef few[kFew];
    std::vector<TensorRef> many;
    Grads inputs(few, node.n_edges);
    if (node.n_edges > kFew) {
      many.resize(node.n_edges);
      inputs = many;
    }
    uint64_t wanted = ~uint64_t{0};
    if (pruned_) {
      for (int k = 0; k < std::min<int>(node.n_edges, 64); ++k) {
        Node* next = node.edges()[k].node.get();
        if (next && !entries_[slot_of(next)].needed) wanted &= ~(uint64_t{1} << k);
      }
    }
    if (node.continues_sums && !modes.composes() && !node.hooks)
      for (int k = 0; k < node.n_edges; ++k)
        if (node.continues(k) && node.wants(k, wanted)) inputs[k] = take_sum(node.edges()[k]);
    std::optional<Records> records;
    if (modes.grad) [[unlikely]]
      records.emplace(*this, node);
    try {
      // Along a chain no sums wait anywhere.
      const bool waiting = !heap_.empty() || !leaves_.empty();
      if (waiting && node.adds() && !modes.composes() && !node.hooks && node.n_edges <= kFew) {
        Tensor* sums[kFew] = {};
        find_sums(node, sums);
        node.backward_adding(grads, inputs, wanted, {sums, node.n_edges});
      } else {
        node.backward(grads, inputs, wanted);
      }
      if (node.hooks && hook_table_hooks.run_post) {
        for (int k = 0; k < node.n_edges; ++k) {
          const Edge& edge = node.edges()[k];
          if (inputs[k] && edge.node) normalize(*edge.node, edge.nr, inputs[k]);
        }
        hook_table_hooks.run_post(node.hooks, node, inputs, grads);
      }
    } catch (const watch::Again&) {
      throw;
    } catch (...) {
      rethrow_with_line(node);
    }
    for (TensorRef& grad : grads) grad.reset();
    Edge* edges = node.edges();
    for (int k = 0; k < node.n_edges; ++k)
      if (inputs[k] && edges[k].node) deliver(edges[k].node.get(), edges[k].nr, std::move(inputs[k]));
    if (!options_.keep_graph) node.release_saved();
    if (awaits_) [[unlikely]] {
      for (int k = 0; k < node.n_edges; ++k)
        if (edges[k].node) arrived(edges[k].node.get());
    }
  }

  // An error on the way back names the line from which it comes.
  [[noreturn]] static void rethrow_with_line(const Node& node) {
    const std::string line = node.where.code && location_hooks.describe && !node.is_leaf()
                                 ? location_hooks.describe(node.where)
                                 : "";
    if (line.empty()) throw;
    const std::string note = text("in the gradient of ", node.name(), ", called at ", line);
    try {
      throw;
    } catch (const Error& error) {
      throw Error(error.kind(), text(error.what(), " (", note, ")"));
    } catch (const HostError&) {
      if (location_hooks.note) location_hooks.note(note);
      throw;
    }
  }

  // The sum that waits at an edge's end, which waits no more.
  TensorRef take_sum(const Edge& edge) {
    if (edge.node->task != id_) return {};
    Entry& entry = entries_[edge.node->task_slot];
    if (pruned_ && !entry.needed) return {};
    if (edge.nr == 0) entry.owned = false;
    return std::exchange(entry.grad(edge.nr), {});
  }

  // The sums that wait where the edges of `node` lead and that nobody else holds, each once.
  void find_sums(Node& node, Tensor** sums) {
    for (int k = 0; k < node.n_edges; ++k) {
      const Edge& edge = node.edges()[k];
      if (!edge.node || edge.node->task != id_) continue;
      Entry& entry = entries_[edge.node->task_slot];
      if (!entry.queued || (pruned_ && !entry.needed)) continue;
      Tensor* const sum = edge.nr == 0                   ? entry.first.get()
                          : edge.nr <= entry.rest.size() ? entry.rest[edge.nr - 1].get()
                                                         : nullptr;
      if (sum && sum->unshared() && std::find(sums, sums + k, sum) == sums + k) sums[k] = sum;
    }
  }

  // The memory of a pass, which the next one takes over.
  struct Buffers {
    std::vector<Entry> entries;
    std::vector<uint32_t> free_slots, leaves, found;
    std::vector<Queued> heap;

    void clear() {
      entries.clear();
      free_slots.clear();
      leaves.clear();
      found.clear();
      heap.clear();
      if (entries.capacity() > kMostSpare) *this = Buffers();
    }
  };
  static constexpr size_t kMostSpare = 4096;
  static thread_local Buffers spare_buffers;
  static constinit thread_local const Task* innermost VERSANT_TLS;

  Options options_;
  uint64_t id_;
  const Task* outer_;
  std::span<const Edge> roots_;
  std::unique_ptr<std::unordered_set<Node*>> needed_;  // of a pass that is restricted and meets hooks
  // Says whose gradient is computed while a way back is recorded.
  class Records {
   public:
    Records(Task& task, const Node& node) : before_(recorded) {
      Recorded& own = task.recorded_;
      if (!own.began.code && location_hooks.here) own.began = location_hooks.here();
      own.of = &node;
      recorded = &own;
    }
    ~Records() { recorded = before_; }
    Records(const Records&) = delete;

   private:
    const Recorded* before_;
  };

  Recorded recorded_;
  bool pruned_ = false;
  bool awaits_ = false;
  bool keeps_leaves_ = false;
  std::span<const Edge> targets_;
  std::vector<TensorRef> captured_;
  Buffers buffers_;
  std::vector<Entry>& entries_ = buffers_.entries;
  std::vector<uint32_t>& free_slots_ = buffers_.free_slots;
  std::vector<uint32_t>& leaves_ = buffers_.leaves;
  std::vector<Queued>& heap_ = buffers_.heap;
  std::unordered_map<Node*, uint32_t> own_map_;
};

thread_local Task::Buffers Task::spare_buffers;
constinit thread_local const Task* Task::innermost VERSANT_TLS = nullptr;

void start(Task& task, std::span<Tensor* const> roots, std::span<TensorRef> weights,
           std::span<const Edge> edges) {
  for (size_t i = 0; i < roots.size(); ++i) {
    Tensor& root = *roots[i];
    if (!edges[i].node) {
      fail(ErrorKind::Runtime, "[backward] element ", i,
           " of the tensors does not require grad and does not have a grad_fn");
    }
    TensorRef weight = i < weights.size() ? weights[i] : TensorRef();
    if (!weight) {
      if (root.numel != 1) {
        fail(ErrorKind::Runtime,
             "[backward] grad can be implicitly created only for scalar outputs, got shape ", root.sizes,
             "; pass gradient=");
      }
      if (is_complex(root.dtype))
        fail(ErrorKind::Runtime,
             "[backward] grad can be implicitly created only for real scalar outputs, got ", name(root.dtype),
             "; pass gradient=");
      weight = ops::full(root.sizes, root.dtype, Scalar::of(1.0));
    } else if (weight->sizes != root.sizes) {
      fail(ErrorKind::Shape, "[backward] the gradient has shape ", weight->sizes, ", the output ",
           root.sizes);
    }
    task.deliver(edges[i].node.get(), edges[i].nr, std::move(weight));
  }
}

std::vector<Edge> edges_of(std::span<Tensor* const> tensors) {
  std::vector<Edge> edges;
  for (Tensor* tensor : tensors) edges.push_back(edge_of(*tensor));
  return edges;
}

}  // namespace

void backward(std::span<Tensor* const> roots, std::span<TensorRef> weights, Options options) {
  GradMode mode(options.create_graph);
  const trace::WayBack back;
  const watch::WayBack watched;
  Task task(options);
  const std::vector<Edge> edges = edges_of(roots);
  if (hooked_leaves > 0) task.await_hooked_leaves(edges);
  task.begins_at(edges);
  start(task, roots, weights, edges);
  task.run();
}

std::vector<TensorRef> gradients(std::span<Tensor* const> roots, std::span<TensorRef> weights,
                                 std::span<Tensor* const> targets, Options options) {
  GradMode mode(options.create_graph);
  const trace::WayBack back;
  const watch::WayBack watched;
  Task task(options);
  const std::vector<Edge> edges = edges_of(roots);
  const std::vector<Edge> ends = edges_of(targets);
  task.aim(edges, ends);
  task.begins_at(edges);
  start(task, roots, weights, edges);
  task.run();
  return std::move(task.captured());
}

std::vector<TensorRef> gradients_along(std::span<const Edge> roots, std::span<TensorRef> weights,
                                       std::span<const Edge> targets, Options options) {
  GradMode mode(options.create_graph);
  const trace::WayBack back;
  const watch::WayBack watched;
  Task task(options);
  if (options.whole)
    task.keep_leaves(targets);
  else
    task.aim(roots, targets);
  task.begins_at(roots);
  for (size_t i = 0; i < roots.size(); ++i)
    task.deliver(roots[i].node.get(), roots[i].nr, std::move(weights[i]));
  task.run();
  return std::move(task.captured());
}

uint64_t running_pass() { return Task::running() ? Task::running()->id() : 0; }

std::vector<bool> will_come_to(std::span<Tensor* const> tensors) {
  if (!Task::running()) return std::vector<bool>(tensors.size(), false);
  return Task::running()->comes_to(edges_of(tensors));
}

void accumulate(Tensor& tensor, TensorRef grad) {
  if (modes.tracing) [[unlikely]]
    trace::recorder->touches_gradient(tensor, true);
  if (!tensor.grad) {
    // In the layout of the tensor, so that the two can be viewed alike.
    const bool ours = grad->refs == 1 && grad->storage->refs == 1;
    const bool alike = (grad->contiguous && tensor.contiguous) || grad->strides == tensor.strides;
    if (ours && alike && grad->is_dense()) {
      tensor.grad = std::move(grad);
    } else if (modes.grad) {
      tensor.grad = ops::clone(*grad);
    } else {
      tensor.grad = Tensor::make(Array::empty_like_layout(tensor, grad->dtype));
      copy_into(*tensor.grad, *grad);
    }
  } else if (modes.grad) {
    tensor.grad = ops::add(*tensor.grad, *grad);
  } else {
    const TensorRef sum = tensor.grad;  // another thread may drop it meanwhile
    ops::add_(*sum, *grad);
  }
}

void deposit(Tensor& tensor, TensorRef grad) {
  accumulate(tensor, std::move(grad));
  const Ref<Node> node = tensor.node;
  if (node && node->is_leaf() && node->hooks && hook_table_hooks.run_accumulated)
    hook_table_hooks.run_accumulated(node->hooks, tensor);
}

}  // namespace versant::engine
