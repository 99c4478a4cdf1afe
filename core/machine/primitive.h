// Structured primitives: one class per op that is not elementwise.
//
// A primitive says its name, computes its outputs from arrays, and states its gradient as ops over tensors
// (so that gradients of gradients are recorded like any other op). `apply` is the only door: it runs,
// records, and marks views.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "machine/node.h"

namespace versant {

// The arguments of a primitive that are not tensors. Each primitive says what stands where.
struct Attributes {
  Dims ints;
  std::array<double, 2> floats{};
};

constexpr int kMaxPrimitiveOutputs = 3;

// One run: reads `in`, fills `out[0 .. n_outputs)`.
// Works on the first result of a primitive piece by piece, while the pieces are in the cache. See Note
// [Followers] in prepared.cc.
class Follower {
 public:
  virtual ~Follower() = default;
  // Once, before the first piece, with the lock held: where the result lies.
  virtual void begin(const Array& out) = 0;
  // Elements [first, end) of its memory are there. On any thread, each element once.
  virtual void follow(int64_t first, int64_t end) = 0;
};

struct Run {
  Run(std::span<const Array* const> in, const Attributes& attributes) : in(in), attributes(attributes) {}

  std::span<const Array* const> in;
  const Attributes& attributes;
  Array out[kMaxPrimitiveOutputs];
  int n_outputs = 1;
  // In place: out[0] is in[0] and already holds it; otherwise primitives that update a copy start with
  // `start_copy`.
  bool in_place = false;
  Follower* follower = nullptr;  // of primitives that lead

  // out[0] as a fresh copy of in[0], unless the run is in place.
  void start_copy();
};

class PrimitiveNode;

// One backward step of a primitive. Inputs and outputs are there only if `saves` asked for them.
class Vjp {
 public:
  Vjp(const PrimitiveNode& node, Grads outputs, Grads inputs, uint64_t wanted,
      std::span<Tensor* const> sums = {})
      : node_(node), outputs_(outputs), inputs_(inputs), wanted_(wanted), sums_(sums) {}
  const Attributes& attributes() const;
  // Gradient of output k; an empty reference is a zero.
  const TensorRef& grad(int k = 0) const { return outputs_[k]; }
  bool needs(int input) const;
  TensorRef input(int i) const;
  TensorRef output(int k = 0) const;
  const Dims& input_sizes(int i) const;  // of an input that needs a gradient
  DType input_dtype(int i) const;
  const Dims& output_sizes(int k = 0) const;
  int n_inputs() const;
  void set(int input, TensorRef gradient) { inputs_[input] = std::move(gradient); }
  // What has already arrived for an input, in its shape and dtype, or null. A primitive that `adds` may add
  // the gradient to it, with the same bits as an addition apart, instead of setting it.
  Tensor* sum(int input) const {
    const auto i = static_cast<size_t>(input);
    return i < sums_.size() ? sums_[i] : nullptr;
  }

 private:
  const PrimitiveNode& node_;
  Grads outputs_, inputs_;
  uint64_t wanted_;
  std::span<Tensor* const> sums_;
};

struct Saves {
  uint32_t inputs = 0, outputs = 0;  // bit masks
};

// A run that a saved program claims: geometry of what goes in and comes out, and attributes, all of them
// anything at all. See Note [Untrusted runs] in saved/verify.cc.
struct Claim {
  std::span<const Array*const> in, out;
  const Attributes& attributes;
  bool in_place = false;

  bool counts(size_t inputs, size_t outputs, int ints) const {
    return in.size() == inputs && out.size() == outputs && attributes.ints.size() == ints;
  }
  // Whether attribute i is in [low, high].
  bool within(int i, int64_t low, int64_t high) const {
    return attributes.ints[i] >= low && attributes.ints[i] <= high;
  }
  // Whether attribute i is an axis of `x`; an array without axes counts as one of them.
  bool is_axis(int i, const Array& x) const { return within(i, 0, std::max(x.rank(), 1) - 1); }
  // Whether two inputs have the same shape and dtype.
  bool alike(size_t i, size_t j) const {
    return in[i]->sizes == in[j]->sizes && in[i]->dtype == in[j]->dtype;
  }
  // Whether input i is a row of so many numbers without gaps.
  bool is_row(size_t i, int64_t length, DType dtype) const {
    return in[i]->rank() == 1 && in[i]->sizes[0] == length && in[i]->dtype == dtype && in[i]->contiguous;
  }
  bool is_dtype(int i) const { return within(i, 0, static_cast<int64_t>(kDTypeCount) - 1); }
};

class Batch;  // transforms/batching.h

// In what a primitive is linear, for derivatives along a direction: in all inputs that can have derivatives
// together, the others (indices) being fixed; in all inputs, whatever their dtype; or in each of the first
// two by itself, with a third one added to the result.
enum class Linearity : uint8_t { None, Joint, All, Each };

class Primitive {
 public:
  Primitive();
  virtual ~Primitive() = default;
  Primitive(const Primitive&) = delete;
  Primitive& operator=(const Primitive&) = delete;
  virtual const char* name() const = 0;
  // Checks shapes and dtypes, allocates and computes. Long loops give the bookkeeping lock up (lock.h).
  virtual void run(Run& run) const = 0;
  // Whether `run` makes its first result piece by piece and lets a follower know.
  virtual bool leads() const { return false; }
  // What the gradient reads, given which inputs need one.
  virtual Saves saves(const Attributes&, uint32_t /*needing*/) const { return {}; }
  // Sets the gradient of every input that needs one; leaving it unset means zero.
  virtual void vjp(Vjp& vjp) const = 0;
  virtual bool adds() const { return false; }  // its vjp reads Vjp::sum
  virtual bool differentiable() const { return true; }
  virtual Linearity linearity(const Attributes&) const { return Linearity::None; }
  // Runs over all samples of a batch; false when it can only be run sample by sample.
  virtual bool batch(Batch&) const { return false; }
  // The output shares memory with input 0.
  virtual bool is_view() const { return false; }
  // Values decide how many rows the output has.
  virtual bool sized() const { return false; }
  // Sums of elements: complex inputs go through it part by part, and it never sees them.
  virtual bool by_parts() const { return false; }
  // Where among the ints of its attributes a seed and the first block drawn stand; -1: it draws nothing.
  virtual int draws_at(const Attributes&) const { return -1; }

  // The name in saved programs, which no other primitive has.
  virtual const char* saved_name() const { return name(); }
  // Whether `run` can be trusted with a claim: true when all that it does not check itself holds, but for the
  // values of tensors. Primitives that do not say so cannot be saved.
  virtual bool admits(const Claim&) const { return false; }
  // Whether `run` relies on the values of its inputs, as on indices that are in range. `check_values` raises
  // for others; it is called before every run of a saved program.
  virtual bool trusts_values() const { return false; }
  virtual void check_values(std::span<const Array>, const Attributes&) const {}
};

// The primitive that saved programs call by that name; null when there is none.
const Primitive* find_primitive(std::string_view saved_name);

struct Outputs {
  TensorRef tensor[kMaxPrimitiveOutputs];
  operator TensorRef() && { return std::move(tensor[0]); }
};

// What apply does to compute; complex inputs of sums go part by part.
void run_primitive(const Primitive& primitive, Run& run);

Outputs apply(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes = {});
inline Outputs apply(const Primitive& primitive, std::initializer_list<Tensor*> inputs,
                     const Attributes& attributes = {}) {
  return apply(primitive, std::span<Tensor* const>(inputs.begin(), inputs.size()), attributes);
}
// The same for a primitive of one output, not a view, that was computed already.
TensorRef record_result(const Primitive& primitive, std::span<Tensor* const> inputs,
                        const Attributes& attributes, Array result);
// Writes output 0 into input 0.
void apply_in_place(const Primitive& primitive, std::span<Tensor* const> inputs,
                    const Attributes& attributes);

}  // namespace versant
