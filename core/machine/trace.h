// Traces: what the machine did while a function ran, as steps over buffers, so that it can be done again.
//
// Note [Traces]
// A trace stands below the tape: it sees the arrays that programs, primitives, copies and fills read and
// write, whoever asked for them (a user's line, a backward pass, an in-place op). A buffer is a storage; a
// window is an array on it. Buffers that were there before the trace are bound anew at every replay: those of
// arguments, of tensors that the function reached otherwise, and of their gradients.
//
// Everything that changes memory has to be seen. What is not is noticed: a step that reads a buffer which was
// made meanwhile and never written, or whose version is not the one that recorded writes account for, ends
// the trace with an error that names the place.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "machine/node.h"
#include "machine/primitive.h"
#include "machine/program.h"
#include "machine/random.h"

namespace versant::trace {

struct Window {
  int buffer = -1;  // -1: a number stands here
  Array array;      // geometry only: no storage, and `data` counts bytes from the start of the buffer
  Scalar number;
};

struct Buffer {
  enum class Origin : uint8_t {
    Fresh,     // made by a step
    Fixed,     // of a storage that was there: a constant
    Argument,  // of argument `index`
    Captured,  // of tensor `index` of the trace
    Gradient,  // of the gradient of tensor `index`
    Incoming,  // of the gradient of differentiable result `index`
  };
  Origin origin = Origin::Fresh;
  int index = -1;
  Ref<Storage> storage;  // Fixed
  bool written = false;
};

struct Step {
  enum class Kind : uint8_t {
    Program,
    Primitive,
    Multiply,     // attributes.ints: a turned, b turned, add; in: a, b, bias if there is one
    Copy,         // out[0] = in[0]
    Fill,         // out[0] = number
    Read,         // a value that Python saw: the trace holds where it is the same
    Host,         // calls back
    Apply,        // `body`, from tensors to new tensors
    Call,         // `action` over the arrays of in and out
    SetGradient,  // of tensor `index`: window in[0], or none
  };

  Kind kind = Kind::Program;
  std::string name, where;
  std::vector<Window> in, out;
  std::vector<int> last;  // fresh buffers that nobody needs after this step

  const Program* program = nullptr;
  std::shared_ptr<const Program> owned;  // of fused steps
  std::vector<double> divisors;          // the last results are totals, divided by these
  Compute compute = Compute::F32;
  DType common = DType::Float32;

  const Primitive* primitive = nullptr;
  Attributes attributes;
  bool in_place = false;
  int random = -1;     // attributes.ints[random, random + 1] are a generator's seed and the first block drawn
  uint64_t block = 0;  // ... counted from where the generator stood at first

  Scalar number;       // Fill, Read
  bool truth = false;  // Read: whether it is 0 is all that counts
  bool rows = false;   // Read: how many rows the array of in[0] has
  bool sized = false;  // Primitive: values decide how many rows the result has
  int index = -1;      // Host: of the object; SetGradient: of the tensor
  std::function<std::vector<TensorRef>(std::span<const TensorRef>)> body;
  std::function<void(std::span<const Array>)> action;
};

// A tensor that the function reached, and what is assumed of it.
struct Captured {
  TensorRef tensor;
  bool bound = false;  // its memory is read: geometry must be the same
  bool requires_grad = false;
  Array geometry;
  bool touches_gradient = false;
  bool drops_gradient = false;  // before anything else
  bool reads_gradient = false;  // before it is replaced: it must be there, or not, as it was
  bool had_gradient = false;
  Array gradient;
};

// Where a gradient of a result goes: to an argument, or else to a captured tensor.
struct Outgoing {
  int argument = -1, captured = -1;
  Window window;  // buffer -1: none flows
};

struct Trace {
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<Array> arguments;          // geometry; buffer of argument i:
  std::vector<int> argument_buffers;     // -1 when it is not used
  std::vector<bool> argument_gradients;  // requires_grad
  std::vector<Captured> captured;
  std::vector<Window> results;
  // Results that take part in gradients, by their place in `results`, and how: steps from `forward_steps` on
  // compute the gradients that go out from those that come in.
  std::vector<int> differentiable;
  size_t forward_steps = 0;
  bool freed = false;  // the function went back from them itself: the way is gone
  std::vector<Window> incoming;
  std::vector<Outgoing> outgoing;
  std::vector<void*> hosts;  // objects of the host, owned by it
  uint64_t blocks = 0;       // that were drawn from the default generator
};

class Recorder {
 public:
  Recorder();
  ~Recorder();

  // --- what the machine says while modes.tracing is set
  void program(const Program& program, Compute compute, std::span<const Operand> inputs,
               std::span<const Array* const> outputs, DType common, const char* op);
  void primitive(const Primitive& primitive, const Run& run);
  void multiply(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
                const Array* bias, bool add);
  void copy(const Array& to, const Array& from);
  void fill(const Array& to, Scalar value);
  void read(const Array& array, Scalar value, bool truth);
  void reaches(Tensor& tensor);
  // requires_grad of a tensor is about to be changed.
  void switches(Tensor& tensor) {
    if (tensor.node && tensor.node->number < first_node_) tensor_index(tensor);
  }
  // A tensor is about to be given other memory.
  [[noreturn]] void moves(const Tensor& tensor) const;
  // The gradient of a tensor is about to be read, or replaced.
  void touches_gradient(Tensor& tensor, bool reads);
  // `offset`: where the default generator stood.
  void apply(std::function<std::vector<TensorRef>(std::span<const TensorRef>)> body, const char* name,
             std::span<Tensor* const> inputs, std::span<Tensor* const> outputs, uint64_t offset);
  void call(std::function<void(std::span<const Array>)> action, const char* name,
            std::span<const Array* const> reads, std::span<const Array* const> writes);
  void constant(const Array& array);  // made from data of the host
  void draws(const Generator& generator, uint64_t seed, uint64_t first);
  void forgets(Storage* storage);
  void wrote_nothing(const Array& array);

  // --- what the host says
  int argument(Tensor& tensor);
  void host(void* object, const char* name);
  // Python is given the memory of an array: what it reads there cannot be told.
  [[noreturn]] void exposes(const Array& array, const char* how) const;
  // What the last call gave back.
  void host_outputs(std::span<Tensor* const> outputs);
  void result(Tensor& tensor);
  // Traces the way back from the results that have a history, to arguments and captured tensors.
  void backward();
  // Steps for gradients that changed since the last call.
  void settle_gradients();
  // Raises for a node that was recorded before the trace: replays would go back through it for ever.
  void check_node(const Node& node) const;
  // Whether the tensor was there before the trace.
  bool is_older(const Tensor& tensor) const { return tensor.storage->epoch != epoch_; }
  Trace finish();

 private:
  struct Known {
    int buffer;
    uint32_t version;
    bool settled;  // the version is exact; after a write it is taken from the storage at the next use
    bool filled;   // somebody wrote it, or it was there before
  };

  Window window(const Array& array, bool reads);
  Known& known(const Array& array);
  Step& add(Step::Kind kind, const char* name);
  void writes(const Array& array);
  int tensor_index(Tensor& tensor);
  void read_early();

  uint32_t epoch_;
  uint64_t first_node_;
  bool goes_back_ = false;
  Trace trace_;
  std::unordered_map<Storage*, Known> known_;
  std::unordered_map<Storage*, int> reached_;  // storage -> captured tensor
  std::unordered_map<Tensor*, int> tensors_;   // captured tensor -> its index
  std::vector<Tensor*> gradients_;             // the last settled gradients of captured tensors
  std::vector<TensorRef> held_;
  std::vector<TensorRef> arguments_, differentiable_;
  struct Draw {
    uint64_t seed, first;
    bool used;  // a step was found that takes it; the way back may take it again
  };
  std::vector<Draw> draws_;
  uint64_t offset_;  // of the default generator at first
};

extern Recorder* recorder;  // the one trace that is being made; only while modes.tracing is set on a thread

// Tells the recorder of tensors whose arrays are about to be read or written.
inline void reach(std::initializer_list<Tensor*> tensors) {
  if (modes.tracing) [[unlikely]]
    for (Tensor* tensor : tensors)
      if (tensor) recorder->reaches(*tensor);
}

// Suspends the trace: what runs inside is one step, or none.
class Quiet {
 public:
  Quiet() : before_(modes.tracing) { modes.tracing = false; }
  ~Quiet() { modes.tracing = before_; }
  Quiet(const Quiet&) = delete;

 private:
  bool before_;
};

// Calls action(arrays), first those it reads, then those it writes; a trace takes it as one step.
template <typename Action>
void perform(const char* name, std::span<const Array* const> reads, std::span<const Array* const> writes,
             Action action) {
  std::vector<Array> arrays;
  for (const auto& list : {reads, writes})
    for (const Array* array : list) arrays.push_back(*array);
  {
    const Quiet quiet;
    action(std::span<const Array>(arrays));
  }
  if (modes.tracing) recorder->call(action, name, reads, writes);
}

}  // namespace versant::trace
