// Plans made ready to run again and again: arrays stand at fixed places, and only what moved is set anew.
#pragma once

#include <map>
#include <memory>

#include "machine/kernels.h"
#include "machine/row_chain.h"
#include "machine/slots.h"
#include "machine/trace.h"
#include "machine/verify.h"

namespace versant::trace {

// Note [Prepared plans]
// Small fresh buffers that only programs, products, copies and calls write, and that nobody sees afterwards,
// lie in one arena that the plan keeps; large ones are taken from the allocator when they are first written
// and given back after their last use, so that a plan between two replays holds little. Elementwise steps
// write over inputs that nobody reads again. All others (arguments, captured tensors, results, what
// primitives return) are bound to storages: a binding sets the arrays and pointers that name the buffer.
// Small elementwise steps over plain arrays are calls of micro-kernels whose pointers are known beforehand,
// or of a routine once there is one.
class Prepared {
 public:
  explicit Prepared(const Trace& trace);
  ~Prepared();

  bool busy = false;  // a replay is running: another one takes the slow way

  // Binds a buffer that the replay brings along.
  void bind(int buffer, const Ref<Storage>& storage);
  // The storage of a buffer outside of the arena, null when it has none now.
  const Ref<Storage>& storage(int buffer) const { return storages_[static_cast<size_t>(buffer)]; }
  // Buffers that a replay binds at first, and those that are bound to nothing between replays.
  const std::vector<int>& brought() const { return brought_; }
  const std::vector<int>& passing() const { return passing_; }
  // Lets go of what is bound to a buffer.
  void release(int buffer) {
    if (storage(buffer)) bind(buffer, {});
  }
  // Whether after a step some memory counts a change, or is let go of.
  bool leaves_work(size_t step) const { return leaves_work_[step]; }
  // Runs a step, and all steps of the row chain that begins with it or the one that follows it; returns the
  // first step after them.
  size_t run(size_t step, const Stands& stands);
  // The first step after those of the row chain that begins with this one; runs the step alone.
  size_t end_of(size_t step) const;
  void run_alone(size_t step, const Stands& stands);
  // The array of a window, for whoever reads values or results.
  Array at(const Window& window);
  // The same, without a storage where nothing is bound.
  Array look(const Window& window) const;
  // Where everything lies, for whoever looks.
  Layout layout() const;

 private:
  struct Micro {
    MicroKernel kernel;
    const void *out, *a, *b, *c;
    int64_t n;
  };
  struct Ready {
    std::vector<Array> arrays;  // in, then out
    std::vector<Operand> operands;
    std::vector<const Array*> pointers;
    std::vector<Micro> micros;
    // The same for a routine, where vectors leave no rest.
    std::vector<const void*> places;
    code::Form form{};
  };
  struct Patch {
    Array* array;
    const void** pointer;
    int64_t offset;
  };

  struct Chain {
    RowChain steps;
    std::vector<RowForm> forms;
    std::vector<int> whole;  // buffers that every row reads whole
    size_t scratch = 0;      // bytes for each thread
  };

  class Followed;

  // Steps that are micro-kernels over numbers and the arena alone, with nothing to do between them.
  struct Batch {
    size_t end;
    std::vector<Micro> micros;
  };

  bool in_arena(int buffer) const { return offsets_[static_cast<size_t>(buffer)] >= 0; }
  void plan_chains();
  void plan_followers();
  void plan_batches();
  bool fits_batch(size_t step) const;
  void plan_arena();
  int dying_input(const Step& step, const Window& out, const std::vector<int>& taken,
                  const Chain* chain) const;
  void prepare(size_t step);
  void run_chain(const Chain& chain);
  void run_one(size_t step, const Stands& stands, Follower* follower = nullptr);
  // Memory of buffers that the step is the first to write.
  void make_room(size_t step);
  bool prepare_micros(const Step& step, Ready& ready);
  void allocate(int buffer);

  const Trace& trace_;
  std::vector<Ready> ready_;
  std::vector<int64_t> offsets_;  // of buffers in the arena; -1: elsewhere
  std::vector<int64_t> extents_;  // bytes of fresh buffers
  std::vector<Ref<Storage>> storages_;
  std::vector<std::vector<Patch>> patches_;
  std::vector<std::vector<int>> allocated_;  // by step: buffers elsewhere that it is the first to write
  std::vector<std::vector<std::pair<int, int>>>
      inherited_;  // by step: such buffers, and whose memory they take
  std::vector<Chain> chains_;
  std::vector<int> chain_of_;            // of each step; -1: none
  std::map<size_t, RowForm> followers_;  // by the step that leads: how the next one is cut into elements
  std::vector<Batch> batches_;
  std::vector<int> batch_at_;  // that begins with a step; -1: none
  std::vector<bool> leaves_work_;
  std::vector<int> brought_, passing_;
  Ref<Storage> arena_;
  int64_t tile_bytes_ = 0;
  std::vector<std::unique_ptr<char, void (*)(void*)>> tiles_;  // of numbers and intermediate values
};

}  // namespace versant::trace
