// One op over all samples of a batch: how primitives state their rule for vmap.
#pragma once

#include <initializer_list>

#include "machine/primitive.h"

namespace versant {

// The inputs of a primitive of which some have a batch, which lies along axis 0 of what they hold. A rule
// sets every output with the batch along its axis 0 and returns true, or returns false to be called sample by
// sample. "Logical" is the shape of one sample.
class Batch {
 public:
  Batch(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes, int level);

  const Attributes& attributes() const { return attributes_; }
  int64_t size() const { return size_; }
  int count() const { return static_cast<int>(inputs_.size()); }
  bool has(int i) const { return has_[i]; }
  bool any_of(std::initializer_list<int> inputs) const;
  const Dims& sizes(int i) const { return logical_[i]; }
  int rank(int i) const { return logical_[i].size(); }
  // What input i holds: with the batch if it has one.
  Tensor& held(int i) const { return *held_[i]; }
  // With the batch in any case, repeated where it has none.
  Tensor& whole(int i);
  // What it holds with axes of size 1 behind the batch, up to a logical rank, for broadcasting.
  TensorRef aligned(int i, int rank) const;
  // The batch and the axis after it as one; `unfolded` is the inverse.
  TensorRef folded(int i);
  TensorRef unfolded(Tensor& x) const;

  void set(int output, TensorRef samples) { outputs_.tensor[output] = std::move(samples); }
  // Sets the outputs of `primitive` over these.
  void set_all(Outputs outputs) { outputs_ = std::move(outputs); }

  // Rules of many primitives: the same over whole inputs, with leading axes that do not matter ...
  bool leading();
  bool leading(const Attributes& attributes);
  // ... or with the axes that stand in these places of `ints` one further ...
  bool shifted(std::initializer_list<int> places);
  // ... or where the first two of `ints` are masks of reduced and kept axes ...
  bool reduced();
  // ... or where the first axis of all inputs and outputs counts samples already.
  bool folds();

  Outputs take() && { return std::move(outputs_); }

 private:
  std::vector<Tensor*> all_whole();

  const Primitive& primitive_;
  const Attributes& attributes_;
  int64_t size_;
  std::vector<Tensor*> inputs_;
  std::vector<TensorRef> held_, whole_;
  std::vector<bool> has_;
  std::vector<Dims> logical_;
  Outputs outputs_;
};

namespace transforms {

// Whether a call of the primitive is a transform's.
bool concerns(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes);
Outputs apply(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes);
void apply_in_place(const Primitive& primitive, std::span<Tensor* const> inputs,
                    const Attributes& attributes);

}  // namespace transforms
}  // namespace versant
