// The memory of one replay, and one step over it.
#pragma once

#include <algorithm>
#include <memory>

#include "machine/trace.h"

namespace versant::trace {

// The bytes from the start of its buffer to the end of a window's array.
int64_t extent(const Array& array);
// The elements of a step with totals.
int64_t numel_of(const Step& step);
// Raises unless result k of a step has the geometry that it had in the trace.
void check_geometry(const Step& step, size_t k, const Array& result);

inline bool same_geometry(const Array& now, const Array& then) {
  return now.dtype == then.dtype && now.sizes == then.sizes && now.strides == then.strides;
}
inline int64_t bytes_into_storage(const Array& array) {
  return static_cast<char*>(array.data) - static_cast<char*>(array.storage->data);
}
inline bool at_same_place(const Array& now, const Array& then) {
  return same_geometry(now, then) && bytes_into_storage(now) == reinterpret_cast<int64_t>(then.data);
}

// The memory of one replay.
class Slots {
 public:
  explicit Slots(size_t n) : storages_(n) {}

  Ref<Storage>& operator[](int buffer) { return storages_[static_cast<size_t>(buffer)]; }

  // The array that a window is now, without a storage where there is none.
  Array look(const Window& window) const {
    Array array = window.array;
    array.storage = storages_[static_cast<size_t>(window.buffer)];
    if (array.storage)
      array.data = static_cast<char*>(array.storage->data) + reinterpret_cast<int64_t>(window.array.data);
    return array;
  }
  // The same; memory is made where there is none.
  Array at(const Window& window) {
    Ref<Storage>& storage = storages_[static_cast<size_t>(window.buffer)];
    if (!storage)
      storage = Storage::allocate(static_cast<size_t>(std::max(window.bytes, extent(window.array))));
    Array array = window.array;
    array.storage = storage;
    array.data = static_cast<char*>(storage->data) + reinterpret_cast<int64_t>(window.array.data);
    return array;
  }

 private:
  std::vector<Ref<Storage>> storages_;
};

inline Tensor& tensor_of(const Captured& captured, std::span<Tensor* const> arguments) {
  return captured.argument >= 0 ? *arguments[static_cast<size_t>(captured.argument)] : *captured.tensor;
}

// A loop drew another number of blocks than in the trace; steps that drew from `block` on come later.
struct Shift {
  int stream;
  bool going_back;
  uint64_t block;
  int64_t by;
};

// Where the generators of a plan stand: when the call began, and when its way back did.
struct Stands {
  explicit Stands(const Trace& trace) {
    for (const Stream& stream : trace.streams) first.push_back(*stream.generator);
    back = first;
  }
  // What a step draws from, there where it stood in the trace.
  Generator of(const Step& step) const {
    if (step.seeded) return {step.seed, step.block};
    Generator at = (step.drawn_going_back ? back : first)[static_cast<size_t>(step.stream)];
    at.offset += step.block + shifted(step.stream, step.block, step.drawn_going_back);
    return at;
  }
  // What to add to an offset that counts `block` blocks.
  uint64_t shifted(int stream, uint64_t block, bool going_back = false) const {
    int64_t by = 0;
    for (const Shift& shift : shifts)
      if (shift.stream == stream && shift.going_back == going_back && shift.block <= block) by += shift.by;
    return static_cast<uint64_t>(by);
  }
  // Takes down what a step with a number of draws of its own has drawn.
  void drew(const Step& step, const Generator& now) const {
    if (step.drawn < 0) return;
    const auto drawn = static_cast<uint64_t>(step.drawn);
    const auto by = static_cast<int64_t>(now.offset - of(step).offset - drawn);
    if (by != 0) shifts.push_back({step.stream, step.drawn_going_back, step.block + drawn, by});
  }
  std::vector<Generator> first, back;
  mutable std::vector<Shift> shifts;
};

// Gives a tensor other memory.
void set_data(Tensor& tensor, const Array& array);
// Tensors that a function made become the step's outputs.
void take_over(const Step& step, const std::vector<TensorRef>& made, Slots& slots);
// Tells the watcher of a step, which ran together with others; look(window) is the array that it is now.
template <typename Look>
void report(const Step& step, size_t together, bool undoable, Look look,
            const watch::Looks* looks = nullptr) {
  if (step.kind >= Step::Kind::SetGradient) return;
  std::vector<Array> arrays;
  arrays.reserve(step.in.size() + step.out.size());
  std::vector<Operand> in;
  std::vector<const Array*> out;
  for (const Window& window : step.in) {
    if (window.buffer < 0)
      in.push_back({nullptr, window.number});
    else
      in.push_back({&arrays.emplace_back(look(window)), {}});
  }
  for (const Window& window : step.out)
    if (Array array = look(window); array.storage) out.push_back(&arrays.emplace_back(std::move(array)));
  watch::watcher->ran({step.name.c_str(), in, out, step.program, &step, together, undoable, looks});
}
// Tells the watcher of values that a step is about to hide.
template <typename Look>
void report_hidden(const Step& step, bool undoable, Look look) {
  for (const auto& program : step.probes) {
    std::vector<Array> arrays, results;
    arrays.reserve(step.in.size());
    std::vector<Operand> in;
    for (const Window& window : step.in)
      in.push_back(window.buffer < 0 ? Operand{nullptr, window.number}
                                     : Operand{&arrays.emplace_back(look(window)), {}});
    const DType dtype = step.compute == Compute::F64 ? DType::Float64 : DType::Float32;
    // Steps whose outputs are totals alone have their index space from an input.
    const Window* like = &step.out[0];
    if (step.divisors.size() == step.out.size())
      for (const Window& window : step.in)
        if (window.buffer >= 0 && window.array.numel > like->array.numel) like = &window;
    const Dims& sizes = like->array.sizes;
    for (size_t k = 0; k < program->outputs.size(); ++k) results.push_back(Array::empty(sizes, dtype));
    std::vector<const Array*> out;
    for (const Array& result : results) out.push_back(&result);
    watch::Looks looks;
    {
      const watch::Unwatched quiet;
      const watch::Asked ask(&looks);
      run_program(*program, step.compute, in, out, sizes, step.common, step.name.c_str());
    }
    watch::watcher->ran({step.name.c_str(), in, out, program.get(), &step, 1, undoable, &looks});
  }
}
// Tells the watcher whether a replay is taken back; attempt() is whether it came to its end.
template <typename Attempt>
auto told(Attempt attempt) {
  if (!modes.watching) [[likely]]
    return attempt();
  watch::Watcher& watcher = *watch::watcher;
  watcher.replay_begins();
  try {
    const auto ended = attempt();
    watcher.replay_ends(!ended);
    return ended;
  } catch (const watch::Again&) {
    watcher.replay_ends(true);
    throw;
  } catch (...) {
    watcher.replay_ends(false);
    throw;
  }
}
// Runs a step whose actions are its own affair: the watcher is told of it afterwards.
template <typename Run>
void run_quietly(Run run) {
  if (modes.watching) [[unlikely]]
    watch::watcher->begins();
  const watch::Unwatched quiet;
  run();
}
// Any step but those that Branches::run_slowly takes itself.
void run_step(const Trace& trace, const Step& step, Slots& slots, const Stands& stands);

class Plan;
// Gives results their history: a node whose backward replays the rest of the trace.
void attach_history(const std::shared_ptr<const Plan>& plan, Slots slots, const Stands& stands,
                    std::span<Tensor* const> arguments, std::span<const TensorRef> results);

}  // namespace versant::trace
