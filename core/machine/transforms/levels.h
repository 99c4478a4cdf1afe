// Transforms inside the machine: batches of samples (vmap) and forward derivatives (jvp).
//
// Note [Tensors that stand for more]
// Inside a transform some tensors stand for more than they show. Under vmap a tensor shows one sample and
// stands for all of them; under jvp it shows a value and stands for that and its derivative along a
// direction. Such a tensor is an ordinary one, with the shape, dtype and memory of what it shows (of the
// first sample), and a `Wrapped` beside it that holds the whole. What it holds may itself be wrapped by a
// transform further out: transforms nest as levels, numbered from 1, and a tensor is wrapped by the levels it
// depends on, the innermost outside.
//
// Every op reaches arrays through `apply` or `apply_in_place` (primitive.h, elementwise.h). There one bit of
// `modes` says whether a transform is under way. If so and an input is wrapped, the op is done by the rule of
// the innermost level among its inputs, as ops over what the inputs hold. Those meet the level below in the
// same way, and in the end plain tensors, which the tape and traces record as usual. So neither the tape nor
// the compiler knows of transforms, and each of the three nests in the others.
//
// A batch keeps its samples along axis 0. Gradients of a function inside vmap are per sample because what
// they are taken by is spread over all samples first (`spread`): samples do not meet, so the gradient of the
// sum over them has the gradient of each in its row.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "machine/random.h"
#include "machine/tensor.h"

namespace versant {

struct Wrapped {
  enum class Kind : uint8_t { Batch, Dual };

  Kind kind = Kind::Batch;
  int level = 0;
  TensorRef value;    // Batch: the samples, along axis 0. Dual: the value
  TensorRef tangent;  // Dual: its derivative, of the same shape
  // The wrapped tensors of a level are a list, so that none outlives it. Its head has no owner.
  Tensor* owner = nullptr;
  Wrapped *before = nullptr, *after = nullptr;

  static void* operator new(size_t bytes) { return pool::allocate(bytes); }
  static void operator delete(void* block, size_t bytes) { pool::deallocate(block, bytes); }
};

namespace transforms {

// What random numbers are under vmap: refused, the same in all samples, or other ones in each.
enum class Randomness : uint8_t { Error, Same, Different };

struct Level {
  Wrapped::Kind kind;
  int64_t size;  // samples
  Randomness randomness;
  std::unique_ptr<Wrapped> head;  // of the list of what it wraps
  struct Draw {
    uint64_t seed, first;
  };
  std::vector<Draw> draws;  // taken under this level for all samples
  int before = 0;           // how many levels were visible when it was opened
};

// Opens a level and returns its number.
int enter(Wrapped::Kind kind, int64_t size = 0, Randomness randomness = Randomness::Error);
// Closes the innermost level. Tensors that it wrapped and that are still there become what they held: a batch
// the tensor of all samples, a dual its value.
void leave();
// How many levels are open, those hidden by a rule under way not counted.
int depth();
Level& level(int number);

void show(int visible);  // hides the levels above

// Hides levels above `visible` while a rule runs.
class Lowered {
 public:
  explicit Lowered(int visible);
  ~Lowered();
  Lowered(const Lowered&) = delete;

 private:
  int before_;
};

inline int level_of(const Tensor& tensor) { return tensor.wrapped ? tensor.wrapped->level : 0; }
int level_of(std::span<Tensor* const> tensors);  // the innermost

TensorRef make_batch(TensorRef samples, int level);
// A null tangent stands for zeros.
TensorRef make_dual(TensorRef value, TensorRef tangent, int level);
// Lets a plain tensor stand for what `like` stands for.
void wrap_as(Tensor& tensor, const Tensor& like);
// Makes `tensor` itself the wrapped one.
void become_batch(Tensor& tensor, TensorRef samples, int level);
void become_dual(Tensor& tensor, TensorRef tangent, int level);

// What `tensor` holds at `level`, below what it holds further in: all samples (repeated where it has no batch
// there), the value, the derivative (null where it has none).
TensorRef samples_at(Tensor& tensor, int level);
TensorRef value_at(Tensor& tensor, int level);
TensorRef tangent_at(Tensor& tensor, int level);
// The inverse: wraps at `level`, below what `tensor` holds further in.
TensorRef batch_at(Tensor& samples, int level);
TensorRef dual_at(Tensor& value, Tensor* tangent, int level);
// `tensor` with a batch at every open level of vmap.
TensorRef spread(Tensor& tensor);
// A copy with a batch wherever `like` has one, to be written to.
TensorRef spread_as(Tensor& tensor, const Tensor& like);
bool has_level(const Tensor& tensor, int level);
bool has_batch(const Tensor& tensor);
// The plain tensor inside, of all samples and without derivatives.
Tensor& innermost(Tensor& tensor);

// Raises where Python asks for the value of a tensor that stands for those of many samples.
void check_readable(const Tensor& tensor, const char* what);
// A gradient that came in as a wrapped tensor passes through ops and not through fused kernels.
inline bool is_wrapped(const TensorRef& tensor) { return tensor && tensor->wrapped; }

// Called where a generator gives out blocks of random numbers: how many times as many to take, for each of
// the samples of the open batches its own. Raises where a batch refuses random numbers.
uint64_t copies_to_draw();
void note_draw(uint64_t seed, uint64_t first);

}  // namespace transforms
}  // namespace versant
