#include "machine/transforms/batching.h"

#include <algorithm>

#include "machine/inplace.h"
#include "machine/ops.h"
#include "machine/trace.h"
#include "machine/transforms/forward.h"
#include "machine/transforms/levels.h"

namespace versant {

Batch::Batch(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes,
             int level)
    : primitive_(primitive),
      attributes_(attributes),
      size_(transforms::level(level).size),
      inputs_(inputs.begin(), inputs.end()),
      whole_(inputs.size()) {
  for (Tensor* input : inputs) {
    const bool has = transforms::level_of(*input) == level;
    has_.push_back(has);
    held_.push_back(has ? input->wrapped->value : TensorRef(input));
    logical_.push_back(input->sizes);
  }
}

bool Batch::any_of(std::initializer_list<int> inputs) const {
  return std::any_of(inputs.begin(), inputs.end(), [&](int i) { return i < count() && has_[i]; });
}

Tensor& Batch::whole(int i) {
  if (has_[i]) return *held_[i];
  if (!whole_[i]) {
    Dims sizes = logical_[i];
    sizes.insert(0, size_);
    whole_[i] = ops::expand(*held_[i], sizes);
  }
  return *whole_[i];
}

TensorRef Batch::aligned(int i, int to) const {
  if (!has_[i] || rank(i) >= to) return held_[i];
  Dims sizes = held_[i]->sizes;
  for (int d = rank(i); d < to; ++d) sizes.insert(1, 1);
  return ops::view(*held_[i], sizes);
}

TensorRef Batch::folded(int i) {
  Dims sizes = logical_[i];
  sizes[0] *= size_;
  return ops::reshape(whole(i), sizes);
}

TensorRef Batch::unfolded(Tensor& x) const {
  Dims sizes = x.sizes;
  sizes[0] /= std::max<int64_t>(size_, 1);
  sizes.insert(0, size_);
  return ops::view(x, sizes);
}

std::vector<Tensor*> Batch::all_whole() {
  std::vector<Tensor*> all;
  for (int i = 0; i < count(); ++i) all.push_back(&whole(i));
  return all;
}

bool Batch::leading() { return leading(attributes_); }

bool Batch::leading(const Attributes& attributes) {
  const std::vector<Tensor*> all = all_whole();
  set_all(versant::apply(primitive_, all, attributes));
  return true;
}

bool Batch::shifted(std::initializer_list<int> places) {
  for (const Dims& sizes : logical_)
    if (sizes.empty()) return false;  // an axis of a number is none of an array's
  Attributes a = attributes_;
  for (const int place : places) ++a.ints[place];
  return leading(a);
}

bool Batch::reduced() {
  Attributes a = attributes_;
  for (const int place : {0, 1})
    a.ints[place] = static_cast<int64_t>(static_cast<uint64_t>(a.ints[place]) << 1);
  return leading(a);
}

bool Batch::folds() {
  if (size_ == 0) return false;
  std::vector<TensorRef> all;
  std::vector<Tensor*> inputs;
  for (int i = 0; i < count(); ++i) {
    if (logical_[i].empty()) return false;
    inputs.push_back(all.emplace_back(folded(i)).get());
  }
  Outputs out = versant::apply(primitive_, inputs, attributes_);
  for (TensorRef& tensor : out.tensor)
    if (tensor) tensor = unfolded(*tensor);
  set_all(std::move(out));
  return true;
}

namespace transforms {

namespace {

// Whether blocks of random numbers that start there were given out under a level, for each sample its own.
bool drawn_under(const Primitive& primitive, const Attributes& attributes, const Level& level) {
  const int at = primitive.draws_at(attributes);
  if (at < 0 || level.kind != Wrapped::Kind::Batch || level.randomness != Randomness::Different) return false;
  return std::any_of(level.draws.begin(), level.draws.end(), [&](const Level::Draw& draw) {
    return draw.seed == static_cast<uint64_t>(attributes.ints[at]) &&
           draw.first == static_cast<uint64_t>(attributes.ints[at + 1]);
  });
}

// The level by whose rule a primitive is done; 0 for none.
int level_for(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes) {
  const int most = level_of(inputs);
  if (primitive.draws_at(attributes) >= 0)
    for (int at = depth(); at > most; --at)
      if (drawn_under(primitive, attributes, level(at))) return at;
  return most;
}

void check_sized(const Primitive& primitive) {
  if (primitive.sized())
    fail(ErrorKind::Runtime, "[", primitive.name(),
         "] vmap: the size of the result depends on values, which differ between samples; use where() or a "
         "fixed size");
}

std::vector<int> ranks_of(const Batch& batch) {
  std::vector<int> ranks;
  for (int i = 0; i < batch.count(); ++i) ranks.push_back(batch.rank(i));
  return ranks;
}

// Checks the values of every sample; arrays may have batches of further levels in front.
void check_all(const Primitive& primitive, std::span<const Array> arrays, const std::vector<int>& ranks,
               const Attributes& attributes) {
  // Walks the leading axes of one input at a time: the values of indices are checked by themselves.
  for (size_t i = 0; i < arrays.size(); ++i) {
    const int lead = arrays[i].rank() - ranks[i];
    if (lead <= 0 || is_floating(arrays[i].dtype)) continue;
    std::vector<Array> sample;
    for (size_t k = 0; k < arrays.size(); ++k) {
      Array one = arrays[k];
      while (one.rank() > ranks[k]) {
        Dims sizes = one.sizes, strides = one.strides;
        if (sizes[0] == 0) return;
        sizes.erase(0);
        strides.erase(0);
        one = one.view(std::move(sizes), std::move(strides));
      }
      sample.push_back(std::move(one));
    }
    int64_t samples = 1;
    for (int d = 0; d < lead; ++d) samples *= arrays[i].sizes[d];
    Dims sizes = sample[i].sizes, strides = sample[i].strides;
    for (int64_t s = 0; s < samples; ++s) {
      int64_t at = 0, rest = s;
      for (int d = lead - 1; d >= 0; --d) {
        at += rest % arrays[i].sizes[d] * arrays[i].strides[d];
        rest /= arrays[i].sizes[d];
      }
      sample[i] = arrays[i].view(sizes, strides, at);
      primitive.check_values(sample, attributes);
    }
  }
}

// Sample by sample, and stacked.
Outputs one_by_one(const Primitive& primitive, const Batch& batch, const Attributes& attributes) {
  if (batch.size() == 0)
    fail(ErrorKind::Runtime, "[", primitive.name(), "] vmap over no samples is not supported for this op");
  std::vector<TensorRef> parts[kMaxPrimitiveOutputs];
  for (int64_t s = 0; s < batch.size(); ++s) {
    std::vector<TensorRef> sample;
    std::vector<Tensor*> inputs;
    for (int i = 0; i < batch.count(); ++i) {
      sample.push_back(batch.has(i) ? ops::select(batch.held(i), 0, s) : TensorRef(&batch.held(i)));
      inputs.push_back(sample.back().get());
    }
    Outputs out = versant::apply(primitive, inputs, attributes);
    for (int k = 0; k < kMaxPrimitiveOutputs; ++k)
      if (out.tensor[k]) parts[k].push_back(std::move(out.tensor[k]));
  }
  Outputs result;
  for (int k = 0; k < kMaxPrimitiveOutputs; ++k) {
    if (parts[k].empty()) continue;
    std::vector<Tensor*> list;
    for (const TensorRef& part : parts[k]) list.push_back(part.get());
    result.tensor[k] = ops::stack(list, 0);
  }
  return result;
}

// What a caller checked of the sample that it saw holds for all of them.
void check_samples(const Primitive& primitive, const Batch& batch, const Attributes& attributes) {
  std::vector<TensorRef> held;
  std::vector<const Array*> read;
  for (int i = 0; i < batch.count(); ++i) {
    held.push_back(TensorRef(&innermost(batch.held(i))));
    trace::reach({held.back().get()});
    read.push_back(held.back().get());
  }
  trace::perform(primitive.name(), read, {},
                 [&primitive, attributes, ranks = ranks_of(batch)](std::span<const Array> arrays) {
                   check_all(primitive, arrays, ranks, attributes);
                 });
}

// The outputs of all samples, along axis 0.
Outputs over_samples(const Primitive& primitive, std::span<Tensor* const> inputs,
                     const Attributes& attributes, int at) {
  check_sized(primitive);
  Batch batch(primitive, inputs, attributes, at);
  if (primitive.trusts_values()) check_samples(primitive, batch, attributes);
  // Random numbers that were not drawn for each sample are the same in all of them.
  const bool same = primitive.draws_at(attributes) >= 0 && !drawn_under(primitive, attributes, level(at));
  if (!same && primitive.batch(batch)) return std::move(batch).take();
  return one_by_one(primitive, batch, attributes);
}

// Makes `self` hold a batch, if nobody else can tell.
void give_batch(Tensor& self, const char* op, int at) {
  if (!self.unshared())
    fail(ErrorKind::Runtime, "[", op,
         "] vmap: a tensor without a batch cannot take values that differ between samples in place; it holds "
         "one of shape ",
         self.sizes, ". Use the form that is not in place, or make the tensor from a batched one");
  Dims sizes = self.sizes;
  sizes.insert(0, level(at).size);
  become_batch(self, ops::clone(*ops::expand(*Tensor::make(self), sizes)), at);
}

// Writes a result of `apply` to a tensor that holds a batch or a dual at level `at`.
void write(Tensor& self, Tensor& result, int at) {
  Wrapped& into = *self.wrapped;
  if (into.kind == Wrapped::Kind::Batch) {
    const TensorRef samples = samples_at(result, at);
    return ops::copy_(*into.value, Input(*samples));
  }
  const TensorRef value = value_at(result, at), tangent = tangent_at(result, at);
  if (tangent && !self.view) into.tangent = spread_as(*into.tangent, *tangent);
  ops::copy_(*into.value, Input(*value));
  ops::copy_(*into.tangent, tangent ? Input(*tangent) : Input(Scalar::of_int(0)));
}

}  // namespace

void write_in_place(Tensor& self, Tensor& result, const char* op, int at) {
  if (!has_level(self, at)) {
    if (level(at).kind == Wrapped::Kind::Batch) {
      give_batch(self, op, at);
    } else {
      if (!tangent_at(result, at)) return ops::copy_(self, Input(*value_at(result, at)));
      give_tangent(self, at);
    }
  }
  const Lowered lowered(at - 1);
  write(self, result, at);
}

bool concerns(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes) {
  return level_for(primitive, inputs, attributes) > 0;
}

Outputs apply(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes) {
  const int at = level_for(primitive, inputs, attributes);
  const Lowered lowered(at - 1);
  Outputs out;
  if (level(at).kind == Wrapped::Kind::Dual) {
    out = push(primitive, inputs, attributes, at);
  } else {
    out = over_samples(primitive, inputs, attributes, at);
    for (TensorRef& tensor : out.tensor)
      if (tensor) tensor = make_batch(std::move(tensor), at);
  }
  // The tape follows what is held; the view itself is remembered for changes in place that give it a
  // derivative.
  if (primitive.is_view() && out.tensor[0]->wrapped && !out.tensor[0]->view && inputs[0]->wrapped)
    mark_view(*out.tensor[0], *inputs[0]);
  return out;
}

// Random numbers in the place of what a tensor held.
void fill_randomly(const Primitive& primitive, Tensor& self, const Attributes& attributes, int at) {
  Level& outer = level(at);
  if (outer.kind == Wrapped::Kind::Batch && !has_level(self, at)) {
    // A tensor that was made for them, and that nobody has written to, takes those of all samples.
    if (self.wrapped || self.view || self.storage->refs != 1 || self.storage->version != 0)
      fail(
          ErrorKind::Runtime, "[", primitive.name(),
          "] vmap: a tensor without a batch cannot take random numbers that differ between samples in place");
    Dims sizes = self.sizes;
    sizes.insert(0, outer.size);
    become_batch(self, ops::empty(sizes, self.dtype), at);
  }
  const bool same = outer.kind == Wrapped::Kind::Batch && !drawn_under(primitive, attributes, outer);
  const Lowered lowered(at - 1);
  Wrapped& into = *self.wrapped;
  if (same) {
    const TensorRef one = ops::empty(self.sizes, self.dtype);
    Tensor* const inputs[] = {one.get()};
    versant::apply_in_place(primitive, inputs, attributes);
    return ops::copy_(*into.value, Input(*one));
  }
  Tensor* const inputs[] = {into.value.get()};
  versant::apply_in_place(primitive, inputs, attributes);
  if (into.tangent) ops::copy_(*into.tangent, Input(Scalar::of_int(0)));
}

void apply_in_place(const Primitive& primitive, std::span<Tensor* const> inputs,
                    const Attributes& attributes) {
  const int at = level_for(primitive, inputs, attributes);
  Tensor& self = *inputs[0];
  if (primitive.draws_at(attributes) >= 0 && inputs.size() == 1)
    return fill_randomly(primitive, self, attributes, at);
  const Outputs out = transforms::apply(primitive, inputs, attributes);
  write_in_place(self, *out.tensor[0], primitive.name(), at);
}

}  // namespace transforms
}  // namespace versant
