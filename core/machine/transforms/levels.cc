#include "machine/transforms/levels.h"

#include <algorithm>
#include <utility>

#include "machine/node.h"
#include "machine/ops.h"
#include "machine/tape.h"
#include "machine/transforms/hidden.h"

namespace versant {

using transforms::Level;

namespace {

struct State {
  std::vector<Level> levels;
  std::vector<bool> hidden;  // of the levels, by number
  int visible = 0;
};
State& state() {
  static thread_local State one;
  return one;
}

Level& level_at(int number) { return state().levels[static_cast<size_t>(number) - 1]; }

void set_visible(int visible) {
  state().visible = visible;
  modes.transforming = visible > 0;
}

void unlink(Wrapped& wrapped) {
  wrapped.before->after = wrapped.after;
  if (wrapped.after) wrapped.after->before = wrapped.before;
}

void attach(Tensor& tensor, Wrapped::Kind kind, int level, TensorRef value, TensorRef tangent) {
  auto* wrapped = new Wrapped{kind, level, std::move(value), std::move(tangent), &tensor};
  Wrapped& head = *level_at(level).head;
  wrapped->before = &head;
  wrapped->after = head.after;
  if (head.after) head.after->before = wrapped;
  head.after = wrapped;
  tensor.wrapped.reset(wrapped);
}

// What a tensor shows of a batch: the first sample, or zeros where there is none.
Array first_sample(const Tensor& samples) {
  Dims sizes = samples.sizes, strides = samples.strides;
  const int64_t count = sizes[0];
  sizes.erase(0);
  strides.erase(0);
  if (count == 0) return Array::full(sizes, samples.dtype, Scalar::of_int(0));
  return static_cast<const Array&>(samples).view(std::move(sizes), std::move(strides));
}

}  // namespace

void WrappedPart::reset(Wrapped* wrapped) {
  if (Wrapped* const old = std::exchange(wrapped_, wrapped)) {
    unlink(*old);
    delete old;
  }
}

namespace transforms {

int enter(Wrapped::Kind kind, int64_t size, Randomness randomness) {
  State& s = state();
  s.levels.push_back({kind, size, randomness, std::make_unique<Wrapped>(), {}, s.visible});
  set_visible(static_cast<int>(s.levels.size()));
  return s.visible;
}

void leave() {
  State& s = state();
  while (Wrapped* const left = s.levels.back().head->after) {
    Tensor& tensor = *left->owner;
    const TensorRef held = left->value;
    static_cast<Array&>(tensor) = *held;
    tensor.node = held->node;
    tensor.output_nr = held->output_nr;
    tensor.taped = held->taped;
    tape::follow(*held, tensor);
    if (held->wrapped)
      attach(tensor, held->wrapped->kind, held->wrapped->level, held->wrapped->value, held->wrapped->tangent);
    else
      tensor.wrapped.reset(nullptr);
  }
  const int before = s.levels.back().before;
  s.levels.pop_back();
  set_visible(before);
}

int depth() { return state().visible; }
void show(int visible) { set_visible(visible); }
Level& level(int number) { return level_at(number); }

Lowered::Lowered(int visible) : before_(state().visible) { set_visible(visible); }
Lowered::~Lowered() { set_visible(before_); }

int level_of(std::span<Tensor* const> tensors) {
  int most = 0;
  for (const Tensor* tensor : tensors) most = std::max(most, level_of(*tensor));
  return most;
}

TensorRef make_batch(TensorRef samples, int level) {
  TensorRef tensor = Tensor::make(first_sample(*samples));
  tensor->inference = samples->inference;
  attach(*tensor, Wrapped::Kind::Batch, level, std::move(samples), {});
  return tensor;
}

TensorRef make_dual(TensorRef value, TensorRef tangent, int level) {
  if (!tangent) return value;
  TensorRef tensor = Tensor::make(*value);
  tensor->inference = value->inference;
  attach(*tensor, Wrapped::Kind::Dual, level, std::move(value), std::move(tangent));
  return tensor;
}

void wrap_as(Tensor& tensor, const Tensor& like) {
  const Wrapped& held = *like.wrapped;
  attach(tensor, held.kind, held.level, held.value, held.tangent);
}

void become_batch(Tensor& tensor, TensorRef samples, int level) {
  static_cast<Array&>(tensor) = first_sample(*samples);
  attach(tensor, Wrapped::Kind::Batch, level, std::move(samples), {});
}

void become_dual(Tensor& tensor, TensorRef tangent, int level) {
  TensorRef value = Tensor::make(tensor);
  value->inference = tensor.inference;
  if (tensor.wrapped) wrap_as(*value, tensor);
  value->node = std::exchange(tensor.node, {});
  value->output_nr = tensor.output_nr;
  value->taped = tensor.taped;
  value->view = std::exchange(tensor.view, nullptr);
  attach(tensor, Wrapped::Kind::Dual, level, std::move(value), std::move(tangent));
}

namespace {

// Rebuilds `wrapped`, which lies further in than a change to what it holds, around the changed parts. `axis`:
// where its samples lie now.
TensorRef rebuilt(const Wrapped& wrapped, TensorRef value, TensorRef tangent, int axis) {
  if (wrapped.kind == Wrapped::Kind::Dual)
    return make_dual(std::move(value), std::move(tangent), wrapped.level);
  return make_batch(axis == 0 ? value : ops::move_axis(*value, axis, 0), wrapped.level);
}

}  // namespace

TensorRef samples_at(Tensor& tensor, int at) {
  const int own = level_of(tensor);
  if (own == at) return tensor.wrapped->value;
  if (own < at) {
    Dims sizes = tensor.sizes;
    sizes.insert(0, level(at).size);
    return ops::expand(tensor, sizes);
  }
  const Lowered lowered(own - 1);
  const Wrapped& outer = *tensor.wrapped;
  return rebuilt(outer, samples_at(*outer.value, at),
                 outer.tangent ? samples_at(*outer.tangent, at) : nullptr, 1);
}

TensorRef batch_at(Tensor& samples, int at) {
  const int own = level_of(samples);
  if (own < at) return make_batch(TensorRef(&samples), at);
  const Lowered lowered(own - 1);
  const Wrapped& outer = *samples.wrapped;
  if (outer.kind == Wrapped::Kind::Dual)
    return make_dual(batch_at(*outer.value, at), outer.tangent ? batch_at(*outer.tangent, at) : nullptr, own);
  // The samples of the level further in lie in front of those of this one.
  return make_batch(batch_at(*ops::move_axis(*outer.value, 1, 0), at), own);
}

TensorRef value_at(Tensor& tensor, int at) {
  const int own = level_of(tensor);
  if (own < at) return TensorRef(&tensor);
  if (own == at) return tensor.wrapped->value;
  const Lowered lowered(own - 1);
  const Wrapped& outer = *tensor.wrapped;
  return rebuilt(outer, value_at(*outer.value, at), outer.tangent ? value_at(*outer.tangent, at) : nullptr,
                 0);
}

TensorRef tangent_at(Tensor& tensor, int at) {
  const int own = level_of(tensor);
  if (own < at) return {};
  if (own == at) return tensor.wrapped->tangent;
  const Lowered lowered(own - 1);
  const Wrapped& outer = *tensor.wrapped;
  TensorRef tangent = tangent_at(*outer.value, at);
  if (!tangent) return {};
  return rebuilt(outer, std::move(tangent), outer.tangent ? tangent_at(*outer.tangent, at) : nullptr, 0);
}

TensorRef dual_at(Tensor& value, Tensor* tangent, int at) {
  if (!tangent) return TensorRef(&value);
  const int own = std::max(level_of(value), level_of(*tangent));
  if (own < at) return make_dual(TensorRef(&value), TensorRef(tangent), at);
  const Lowered lowered(own - 1);
  const bool batch = level(own).kind == Wrapped::Kind::Batch;
  if (batch) return make_batch(dual_at(*samples_at(value, own), samples_at(*tangent, own).get(), at), own);
  const TensorRef inner = value_at(value, own), inner_tangent = value_at(*tangent, own);
  const TensorRef slope = tangent_at(value, own), slope_tangent = tangent_at(*tangent, own);
  TensorRef outer;
  if (slope || slope_tangent) {
    const TensorRef zero = slope ? slope : ops::zeros(value.sizes, value.dtype);
    outer = dual_at(*zero, slope_tangent.get(), at);
  }
  return make_dual(dual_at(*inner, inner_tangent.get(), at), std::move(outer), own);
}

TensorRef spread_as(Tensor& tensor, const Tensor& like) {
  TensorRef result(&tensor);
  for (int at = 1; at <= depth(); ++at) {
    if (level(at).kind != Wrapped::Kind::Batch || !has_level(like, at) || has_level(*result, at)) continue;
    const TensorRef samples = samples_at(*result, at);
    result = batch_at(*ops::clone(*samples), at);
  }
  return result;
}

bool has_level(const Tensor& tensor, int at) {
  for (const Tensor* t = &tensor; t->wrapped; t = t->wrapped->value.get())
    if (t->wrapped->level == at) return true;
  return false;
}

bool has_batch(const Tensor& tensor) {
  for (const Tensor* t = &tensor; t->wrapped; t = t->wrapped->value.get())
    if (t->wrapped->kind == Wrapped::Kind::Batch) return true;
  return false;
}

Hidden::Hidden(int level) : level_(level) {
  std::vector<bool>& hidden = state().hidden;
  if (hidden.size() <= static_cast<size_t>(level)) hidden.resize(static_cast<size_t>(level) + 1);
  before_ = hidden[static_cast<size_t>(level)];
  hidden[static_cast<size_t>(level)] = true;
}
Hidden::~Hidden() { state().hidden[static_cast<size_t>(level_)] = before_; }

namespace {
bool is_shown_batch(int at) {
  const std::vector<bool>& hidden = state().hidden;
  return level(at).kind == Wrapped::Kind::Batch &&
         !(static_cast<size_t>(at) < hidden.size() && hidden[static_cast<size_t>(at)]);
}
}  // namespace

TensorRef spread(Tensor& tensor) {
  TensorRef result(&tensor);
  for (int at = 1; at <= depth(); ++at)
    if (is_shown_batch(at) && !has_level(*result, at)) result = batch_at(*samples_at(*result, at), at);
  return result;
}

void check_readable(const Tensor& tensor, const char* what) {
  if (has_batch(tensor))
    fail(ErrorKind::Runtime, "[", what,
         "] vmap: this tensor stands for the values of many samples, which differ; Python cannot read one of "
         "them. "
         "Use where() in the place of branches on values, and read results outside of vmap");
}

Tensor& innermost(Tensor& tensor) {
  Tensor* t = &tensor;
  while (t->wrapped) t = t->wrapped->value.get();
  return *t;
}

uint64_t copies_to_draw() {
  uint64_t copies = 1;
  for (int at = 1; at <= depth(); ++at) {
    const Level& one = level(at);
    if (!is_shown_batch(at) || one.randomness == Randomness::Same) continue;
    if (one.randomness == Randomness::Error)
      fail(ErrorKind::Runtime,
           "[vmap] a random op was called inside vmap; say randomness='different' for other numbers in each "
           "sample, or 'same' for the same in all");
    copies *= static_cast<uint64_t>(std::max<int64_t>(one.size, 1));
  }
  return copies;
}

void note_draw(uint64_t seed, uint64_t first) {
  for (int at = 1; at <= depth(); ++at)
    if (level(at).kind == Wrapped::Kind::Batch) level(at).draws.push_back({seed, first});
}

}  // namespace transforms
}  // namespace versant
