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
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "machine/action.h"
#include "machine/node.h"
#include "machine/primitive.h"
#include "machine/program.h"
#include "machine/random.h"
#include "machine/transforms/levels.h"
#include "machine/watch.h"

namespace versant::trace {

struct Window {
  int buffer = -1;    // -1: a number stands here
  Array array;        // geometry only: no storage, and `data` counts bytes from the start of the buffer
  int64_t bytes = 0;  // of the whole buffer
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
    SetData,      // of tensor `index`: window in[0]
    RequireGrad,  // of tensor `index`: `truth`
  };

  // One of the steps that a fused step was.
  struct Part {
    std::string name, where, module, of_name, of;
    int back;
  };
  // The part that made an output, and which of the part's own outputs it was.
  struct Maker {
    size_t part, output;
  };

  Kind kind = Kind::Program;
  std::string name, where;
  std::string module;         // the path of the module that ran, or that made what `of` is
  int back = 0;               // on a way back through the tape, of which order the gradient is ...
  std::string of_name, of;    // ... from this op, of this line
  std::vector<Part> parts;    // of fused steps
  std::vector<Maker> makers;  // ... of each output
  // Of fused steps: programs over the same inputs, whose outputs are values that no output lets on about.
  // See Note [Hidden values].
  std::vector<std::shared_ptr<const Program>> probes;
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
  int stream = -1;     // of random numbers, which the step draws from
  uint64_t block = 0;  // ... counted from where the stream stood at first, or when the way back began
  bool drawn_going_back = false;
  bool seeded = false;  // `seed` and `block` are where the stream stands, for it was seeded before
  uint64_t seed = 0;
  uint64_t stand = 0;  // blocks that were drawn from the default generator until the step was done
  bool loops = false;  // Apply: a branch or loop over tensors, or its way back
  int64_t drawn = -1;  // Apply: blocks drawn in the trace, where replays may draw another number

  Scalar number;       // Fill, Read
  bool truth = false;  // Read: whether it is 0 is all that counts
  bool pure = false;   // Host: it has no effects but its result
  int index = -1;      // Host: of the object; SetGradient, SetData, RequireGrad: of the tensor
  std::function<std::vector<TensorRef>(std::span<const TensorRef>)> body;
  std::function<void(std::span<const Array>)> action;

  // Whether what follows depends on a value: the one read, or the size of output 0.
  bool reads() const { return kind == Kind::Read || (kind == Kind::Primitive && primitive->sized()); }
};

// A tensor that the function reached, and what is assumed of it.
struct Captured {
  TensorRef tensor;
  int argument = -1;         // it is this argument, `tensor` is none
  bool bound = false;        // its memory is read: geometry must be the same
  int shares = -1;           // its memory is that of this captured tensor ...
  int shares_argument = -1;  // ... or of this argument; else it is nobody's
  bool needs_grad = false;
  uint64_t hooks = 0;  // which there are on its gradient
  Array geometry;
  bool touches_gradient = false;
  bool reads_gradient = false;  // before it is replaced: it must be there, or not, as it was
  bool had_gradient = false;
  Array gradient;
};

// A stream of random numbers that the function draws from.
struct Stream {
  Generator* generator = nullptr;
  Generator first;      // where it stood
  bool seeded = false;  // it was seeded meanwhile and stands at `last` in the end
  Generator last;
  uint64_t blocks = 0;      // drawn, or else passed over
  uint64_t back_first = 0;  // where it stood when the way back began
  uint64_t back_blocks = 0;
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
  std::vector<int> argument_tensors;     // the first argument that is the same tensor
  std::vector<TensorRef> argument_is;    // the function reaches it otherwise too: the one that it must be
  std::vector<Captured> captured;
  std::vector<Window> results;
  std::vector<Window> result_gradients;  // of each result; buffer -1: none
  std::vector<bool> result_leaves;       // results that begin to require gradients
  std::vector<bool> result_dialects;     // results of the type TensorHooks::dialect_type
  // Results that take part in gradients, by their place in `results`, and how: steps from `forward_steps` on
  // compute the gradients that go out from those that come in.
  std::vector<int> differentiable;
  size_t forward_steps = 0;
  std::vector<Step> plain;  // those until then before steps were fused, if values are read among them
  bool freed = false;       // the function went back from them itself: the way is gone
  std::vector<Window> incoming;
  std::vector<Outgoing> outgoing;
  std::vector<void*> hosts;  // objects of the host, owned by it
  std::vector<Stream> streams;
};

// The geometry of an array, without its memory.
Array geometry_of(const Array& array);
// The user's line that runs; empty where none does.
std::string place_of_call();
// Ends a trace with an error that names the user's line.
[[noreturn]] void refuse(const std::string& what, const char* why);

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
  // All values are read one by one, or else memory is given to the host, which nobody can follow.
  void read_all(const Array& array);
  void gives_away(const Array& array);
  void reaches(Tensor& tensor);
  // The gradient of a tensor is about to be read, or replaced.
  void touches_gradient(Tensor& tensor, bool reads);
  // What stands for memory, or requires_grad, is about to be changed.
  void touches(Tensor& tensor);
  // `.data` of a tensor was set.
  void sets_data(Tensor& tensor);
  // `generator`: which the step may draw from, and `offset`, where it stood.
  Step& apply(std::function<std::vector<TensorRef>(std::span<const TensorRef>)> body, const char* name,
              std::span<Tensor* const> inputs, std::span<Tensor* const> outputs, Generator& generator,
              const Generator& before);
  void call(std::function<void(std::span<const Array>)> action, const char* name,
            std::span<const Array* const> reads, std::span<const Array* const> writes);
  void constant(const Array& array);  // made from data of the host
  void draws(Generator& generator, uint64_t seed, uint64_t first);
  // A generator was seeded, or its state was set.
  void seeds(Generator& generator, const Generator& before);
  // The state of a generator is given away; it may be restored.
  void gives_state(const Generator& generator) { states_.push_back(generator.offset); }
  void forgets(Storage* storage);
  void wrote_nothing(const Array& array);

  // --- what the host says
  // `reached`: the function may reach the tensor otherwise too.
  int argument(Tensor& tensor, bool reached);
  // `pure`: the call has no effects but its result. `changed`: all older tensors that it may change, where
  // that is known.
  void host(void* object, const char* name, std::span<Tensor* const> inputs, bool pure,
            const std::vector<TensorRef>* changed = nullptr);
  // What the last call gave back.
  void host_outputs(std::span<Tensor* const> outputs);
  void result(Tensor& tensor);
  // Traces the way back from the results that have a history, to arguments and captured tensors. `continued`:
  // gradients of captured tensors are added to sums that come in, in their order, behind those of results.
  void backward(bool continued = false);
  // Steps for gradients that changed since the last one.
  void settle_gradients();
  // Steps belong to the way back from this node's op until the pass is over: see WayBack.
  void goes_through(const Node& node);
  // Raises for a node that was recorded before the trace: replays would go back through it for ever.
  void check_node(const Node& node) const;
  uint32_t number() const { return epoch_; }
  // Whether the tensor was made during the trace, perhaps over older memory.
  bool is_new(const Tensor& tensor) const { return tensor.epoch == static_cast<uint16_t>(epoch_); }
  // Whether it is an argument or was made during the trace, so that replays have another one.
  bool is_of_the_call(const Tensor& tensor) const { return is_new(tensor) || argument_of(tensor) >= 0; }
  // Whether the trace uses a tensor that was there before it.
  bool knows(const Tensor& tensor) const {
    return argument_of(tensor) >= 0 || tensors_.contains(const_cast<Tensor*>(&tensor));
  }
  // Whether the way back from the results is being traced, which is no call of the user's.
  bool goes_back() const { return goes_back_; }
  Trace finish();
  // Objects of the host that no trace took along.
  const std::vector<void*>& hosts() const { return trace_.hosts; }

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
  // What is about to be written or given away is no constant: it becomes a copy of one.
  void own(const Array& array);
  // Whether it needed one when the trace began, as far as that can still be seen.
  bool needs_grad_outside(Tensor& tensor) const;
  int tensor_index(Tensor& tensor);
  void read_early();
  size_t place_of_reading(const Step& reading, const std::vector<Step>& steps, size_t earliest,
                          std::vector<size_t>& makers, std::vector<int>& passed) const;
  // Whether a call of the host leaves a buffer as it is, which was there before it.
  bool leaves(const Step& host, int buffer) const;
  int argument_of(const Tensor& tensor) const;
  int stream_of(Generator& generator, const Generator& before);
  void settle_flags();
  // The op from which a way back comes, its line and its module.
  struct Through {
    std::string name, where, module;
    int order = 1;  // of the gradient
  };
  struct Pending {
    int tensor;
    std::string where;
    std::optional<Through> through;
  };
  void settle_gradient(const Pending& pending);

  friend class WayBack;
  std::optional<Through> through_;  // a way back is being gone, now from this op

  const uint32_t epoch_before_;  // of the trace in which this one is made
  uint32_t epoch_;
  uint64_t first_node_;
  bool taping_ = modes.taping;  // a tape recorded already when the trace began
  bool goes_back_ = false;
  Trace trace_;
  std::unordered_map<Storage*, Known> known_;
  std::unordered_map<Storage*, int> reached_;      // storage -> captured tensor
  std::unordered_map<Tensor*, int> tensors_;       // captured tensor -> its index
  std::vector<Tensor*> gradients_;                 // the last settled gradients of captured tensors
  std::vector<Pending> pending_;                   // tensors whose gradients may have changed, and where
  std::vector<Ref<Node>> nodes_, argument_nodes_;  // of captured tensors and arguments, as they were
  std::vector<TensorRef> held_;
  std::vector<Ref<Storage>> held_memory_;  // older storages, so that no other comes to stand in their place
  std::vector<TensorRef> arguments_, differentiable_;
  std::unordered_map<int, std::vector<TensorRef>> changed_;  // by calls of the host, by their index
  struct Draw {
    int stream;
    uint64_t seed, first;
    bool going_back;
    bool used;  // a step was found that takes it; the way back may take it again
  };
  std::vector<Draw> draws_;
  std::vector<uint64_t> states_;  // offsets of generators that were asked for, perhaps to be restored
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

// Lives as long as a backward pass runs.
class WayBack {
 public:
  WayBack() {
    if (!modes.tracing) return;
    before_ = recorder->through_;
    recorder->through_.emplace();
  }
  ~WayBack() {
    if (modes.tracing) recorder->through_ = std::move(before_);
  }
  WayBack(const WayBack&) = delete;

 private:
  std::optional<Recorder::Through> before_;
};

// What replays ask of the host.
struct ReplayHooks {
  // An object of Step::Kind::Host; throws HostError.
  std::vector<TensorRef> (*call)(void* object, std::span<const TensorRef> inputs) = nullptr;
  // A new reference to the host's object of a generator.
  void* (*hold)(Generator& generator) = nullptr;
  // Lets other threads run and whoever waits interrupt what is running; throws HostError.
  void (*breathe)() = nullptr;
};
extern ReplayHooks replay_hooks;

// Calls action(arrays), first those it reads, then those it writes; a trace takes it as one step.
template <typename Action>
void perform(const char* name, std::span<const Array* const> reads, std::span<const Array* const> writes,
             Action action) {
  std::vector<Array> arrays;
  for (const auto& list : {reads, writes})
    for (const Array* array : list) arrays.push_back(*array);
  {
    const Quiet quiet;
    if (modes.watching) [[unlikely]]
      watch::around(name, watch::operands(reads), writes, [&] { action(std::span<const Array>(arrays)); });
    else
      action(std::span<const Array>(arrays));
  }
  if (modes.tracing) recorder->call(action, name, reads, writes);
}
// The same for a named action, which a saved program can repeat.
inline void perform(const Action& action, const Attributes& attributes, std::span<const Array* const> reads,
                    std::span<const Array* const> writes) {
  perform(action.name, reads, writes, BoundAction{&action, attributes});
}

}  // namespace versant::trace

namespace versant {

// The value of a tensor of one element; a trace sees where it comes from.
inline Scalar item(Tensor& tensor, bool truth = false) {
  if (tensor.wrapped) [[unlikely]]
    transforms::check_readable(tensor, "item");
  trace::reach({&tensor});
  return item(static_cast<const Array&>(tensor), truth);
}

}  // namespace versant
