#include "machine/tape.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "machine/engine.h"
#include "machine/ops.h"
#include "machine/trace.h"
#include "machine/transforms/forward.h"
#include "machine/transforms/levels.h"

namespace versant {

namespace {

thread_local std::vector<Tape*> recorders;  // the tapes of this thread that record, in the order of starting
std::vector<Tape*> live;                    // tapes of which gradients may still be asked
uint64_t turn = 1;                          // grows whenever a tape starts or forgets

constexpr uint64_t kOpen = ~uint64_t{0};

LeafNode* leaf_of(const Edge& edge) {
  return edge.node && edge.node->is_leaf() ? static_cast<LeafNode*>(edge.node.get()) : nullptr;
}

}  // namespace

void tape::note(Node& node) {
  const Edge* edges = node.edges();
  for (int k = 0; k < node.n_edges; ++k) {
    Node* next = edges[k].node.get();
    if (!next || next->number != 0) continue;  // only leaves have the number 0
    auto& leaf = static_cast<LeafNode&>(*next);
    if (leaf.noted == turn) continue;
    const uint64_t before = std::exchange(leaf.noted, turn);
    for (Tape* tape : recorders) tape->note(leaf, before);
  }
}

void tape::follow(Tensor& from, Tensor& to) {
  for (Tape* tape : live) tape->follow(from, to);
}

void Tape::follow(Tensor& from, Tensor& to) {
  for (Watched& entry : watched_)
    if (entry.tensor.get() == &from) {
      if (LeafNode* leaf = leaf_of(entry.edge); leaf && leaf->leaf == &from) leaf->leaf = &to;
      entry.tensor = TensorRef(&to);
    }
}

Tape::~Tape() {
  if (recording_) stop();
  finish();
}

void Tape::start() {
  if (recording_) fail(ErrorKind::Value, "[GradientTape] the tape is already recording");
  recorders.push_back(this);
  started_ = ++turn;
  grad_before_ = modes.grad;
  modes.grad = !modes.inference;
  modes.taping = true;
  if (current_.first < current_.last) earlier_.push_back(current_);
  current_ = {Node::next(), kOpen};
  recording_ = true;
  if (!listed_) {
    live.push_back(this);
    listed_ = true;
  }
  if (!watched_.empty()) attach();
}

void Tape::stop() {
  if (!recording_) fail(ErrorKind::Value, "[GradientTape] the tape is not recording");
  if (recorders.back() == this)
    recorders.pop_back();
  else
    std::erase(recorders, this);
  modes.taping = !recorders.empty();
  modes.grad = grad_before_;
  current_.last = Node::next();
  recording_ = false;
  if (!watched_.empty()) detach();
}

void Tape::reset() {
  const bool goes_on = recording_;
  const bool before = grad_before_;
  if (goes_on) stop();
  finish();
  watched_.clear();
  read_.clear();
  current_ = {0, 0};
  earlier_.clear();
  used_ = false;
  if (!goes_on) return;
  start();
  grad_before_ = before;
}

// Watched tensors without a history get their leaves back, and lose them when no tape that records watches.
void Tape::attach() {
  for (Watched& entry : watched_) {
    if (!entry.ours) continue;
    auto& leaf = *leaf_of(entry.edge);
    if (leaf.watchers++ > 0 || entry.tensor->node) continue;
    leaf.leaf = entry.tensor.get();
    entry.tensor->node = entry.edge.node;
    entry.tensor->output_nr = 0;
    entry.tensor->taped = true;
  }
}

void Tape::detach() {
  for (Watched& entry : watched_) {
    if (!entry.ours) continue;
    auto& leaf = *leaf_of(entry.edge);
    if (--leaf.watchers > 0 || entry.tensor->node.get() != &leaf) continue;
    leaf.leaf = nullptr;
    entry.tensor->node.reset();
    entry.tensor->taped = false;
  }
}

// Of a tensor that stands for more, what its plain tensor goes through is recorded.
void Tape::watch(Tensor& shown) {
  if (!recording_) fail(ErrorKind::Value, "[watch] the tape is not recording");
  Tensor& tensor = transforms::innermost(shown);
  if (!is_differentiable(tensor.dtype)) return;
  for (const Watched& entry : watched_)
    if (entry.tensor.get() == &tensor) return;
  Watched entry;
  entry.tensor = TensorRef(&tensor);
  if (needs_grad(tensor)) {
    entry.edge = edge_of(tensor);
    const LeafNode* leaf = leaf_of(entry.edge);
    entry.ours = leaf && leaf->watched_at != 0;
    if (entry.ours) ++static_cast<LeafNode*>(entry.edge.node.get())->watchers;
  } else {
    if (tensor.inference)
      fail(ErrorKind::Runtime, "[watch] an inference tensor takes no part in gradients; clone() it");
    auto* leaf = new_node<LeafNode>(sizeof(LeafNode), &tensor);
    leaf->watched_at = Node::skip();
    leaf->watchers = 1;
    tensor.node = Ref<Node>(leaf);
    tensor.output_nr = 0;
    tensor.taped = true;
    entry.edge = Edge{tensor.node, 0};
    entry.ours = true;
  }
  watched_.push_back(std::move(entry));
}

void Tape::note(LeafNode& leaf, uint64_t before) {
  if (watches_accessed && leaf.watched_at == 0 && before < started_) read_.emplace_back(&leaf);
}

bool Tape::are_all_leaves(std::span<const Edge> sources) const {
  static uint64_t questions = 0;
  const uint64_t question = ++questions;
  for (const Edge& source : sources) {
    if (!source.node) continue;
    LeafNode* leaf = leaf_of(source);
    if (!leaf) return false;
    leaf->asked = question;
  }
  const auto asked = [&](const Node* node) {
    return node->is_leaf() && static_cast<const LeafNode*>(node)->asked == question;
  };
  return std::all_of(read_.begin(), read_.end(),
                     [&](const Ref<LeafNode>& leaf) { return asked(leaf.get()); }) &&
         std::all_of(watched_.begin(), watched_.end(),
                     [&](const Watched& entry) { return asked(entry.edge.node.get()); });
}

std::vector<TensorRef> Tape::watched() const {
  std::vector<TensorRef> found;
  const auto add = [&](Tensor* tensor) {
    const auto same = [&](const TensorRef& known) { return known.get() == tensor; };
    if (tensor && std::none_of(found.begin(), found.end(), same)) found.emplace_back(tensor);
  };
  for (const Watched& entry : watched_) add(entry.tensor.get());
  for (const Ref<LeafNode>& leaf : read_) add(leaf->leaf);
  return found;
}

bool Tape::holds(const Node& node) const {
  if (node.number >= current_.first && node.number < current_.last) return true;
  for (const NodeInterval& interval : earlier_)
    if (node.number >= interval.first && node.number < interval.last) return true;
  return false;
}

Edge Tape::way_to(Tensor& tensor) const {
  for (const Watched& entry : watched_)
    if (entry.tensor.get() == &tensor) return entry.edge;
  Edge edge = edge_of(tensor);
  if (!edge.node) return edge;
  if (const LeafNode* leaf = leaf_of(edge)) {
    const auto same = [&](const Watched& entry) { return entry.edge.node.get() == leaf; };
    const bool watched = std::any_of(watched_.begin(), watched_.end(), same);
    return watched || (watches_accessed && leaf->watched_at == 0) ? edge : Edge{};
  }
  return holds(*edge.node) ? edge : Edge{};
}

bool Tape::overlaps(NodeInterval interval) const {
  const auto meets = [&](const NodeInterval& own) {
    return own.first < interval.last && interval.first < own.last;
  };
  return meets(current_) || std::any_of(earlier_.begin(), earlier_.end(), meets);
}

bool Tape::overlaps(const Tape& other) const {
  return other.overlaps(current_) ||
         std::any_of(earlier_.begin(), earlier_.end(),
                     [&](const NodeInterval& interval) { return other.overlaps(interval); });
}

std::vector<TensorRef> Tape::gradients(std::span<Tensor* const> targets, std::span<const TensorRef> weights,
                                       std::span<Tensor* const> sources) {
  if (used_)
    fail(ErrorKind::Runtime,
         "[gradient] a non-persistent GradientTape can only be used to compute one set of gradients (or "
         "jacobians); use GradientTape(persistent=True)");
  if (recording_ && !persistent) stop();
  if (!listed_) fail(ErrorKind::Runtime, "[gradient] the tape has recorded nothing; use it in a with block");
  std::vector<TensorRef> found;
  if (modes.transforming && (transforms::level_of(targets) > 0 || transforms::level_of(sources) > 0)) {
    std::vector<TensorRef> outputs, with = {weights.begin(), weights.end()}, by;
    for (Tensor* target : targets) outputs.emplace_back(target);
    for (Tensor* source : sources) by.emplace_back(source);
    for (size_t i = 0; i < with.size(); ++i)
      if (!with[i]) with[i] = ops::full(targets[i]->sizes, targets[i]->dtype, Scalar::of(1.0));
    const auto plain = [&](std::span<const TensorRef> outs, std::span<const TensorRef> weighted,
                           std::span<const TensorRef> of, bool keep) {
      const auto pointers = [](std::span<const TensorRef> list) {
        std::vector<Tensor*> raw;
        for (const TensorRef& tensor : list) raw.push_back(tensor.get());
        return raw;
      };
      return plain_gradients(pointers(outs), weighted, pointers(of), keep);
    };
    found = transforms::pull(outputs, with, by, plain, false);
  } else {
    found = plain_gradients(targets, weights, sources, false);
  }
  if (!persistent) use_up();
  return found;
}

std::vector<TensorRef> Tape::plain_gradients(std::span<Tensor* const> targets,
                                             std::span<const TensorRef> weights,
                                             std::span<Tensor* const> sources, bool keep) {
  std::vector<TensorRef> found(sources.size());
  std::vector<Edge> roots, ends;
  std::vector<TensorRef> given;
  for (Tensor* source : sources) ends.push_back(way_to(*source));
  engine::Options options;
  options.create_graph = !recorders.empty();
  {
    const GradMode mode(options.create_graph);
    for (size_t i = 0; i < targets.size(); ++i) {
      Edge root = way_to(*targets[i]);
      if (!root.node) continue;
      TensorRef weight = weights[i];
      if (!weight) {
        weight = ops::full(targets[i]->sizes, targets[i]->dtype, Scalar::of(1.0));
      } else if (weight->sizes != targets[i]->sizes) {
        fail(ErrorKind::Shape, "[gradient] output_gradients has shape ", weight->sizes, ", the target ",
             targets[i]->sizes);
      }
      roots.push_back(std::move(root));
      given.push_back(std::move(weight));
    }
  }
  options.keep_graph = persistent || keep || std::any_of(live.begin(), live.end(), [&](const Tape* other) {
                         return other != this && overlaps(*other);
                       });
  options.within = this;
  options.whole = watches_accessed && hooked_leaves == 0 && are_all_leaves(ends);
  if (!roots.empty()) found = engine::gradients_along(roots, given, ends, options);
  if (options.keep_graph)
    for (const Edge& root : roots)
      if (!root.node->is_leaf()) roots_.push_back(root.node);
  return found;
}

void Tape::use_up() {
  if (recording_) stop();
  used_ = true;
  finish();
}

void Tape::finish() {
  if (!listed_) return;
  std::erase(live, this);
  listed_ = false;
  if (roots_.empty()) return;
  for (Tape* other : live) {
    if (!overlaps(*other)) continue;
    for (Ref<Node>& root : roots_) other->roots_.push_back(std::move(root));
    roots_.clear();
    return;
  }
  std::vector<Ref<Node>> queue = std::exchange(roots_, {});
  std::unordered_set<const Node*> seen;
  while (!queue.empty()) {
    const Ref<Node> node = std::move(queue.back());
    queue.pop_back();
    if (node->is_leaf() || !holds(*node) || !seen.insert(node.get()).second) continue;
    node->release_saved();
    for (int k = 0; k < node->n_edges; ++k)
      if (const Ref<Node>& next = node->edges()[k].node) queue.push_back(next);
  }
}

}  // namespace versant
