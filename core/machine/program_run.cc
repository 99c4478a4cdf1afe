// Running tile programs: over arrays in one piece, over strided ones, and with sums taken in passing.
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "machine/code/routine.h"
#include "machine/cpu.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/program.h"
#include "machine/reduce_tree.h"
#include "machine/tile_space.h"
#include "machine/trace.h"
#include "machine/watch.h"

namespace versant {

namespace {

constexpr int64_t kTile = 256;       // elements of a tile, of four bytes twice as many: a dozen fit in L1
constexpr int64_t kLongTile = 4096;  // when no intermediate tile is needed
constexpr int64_t kShortRow = 64;    // shorter rows are gathered several to a tile
constexpr int64_t kSlotBytes = kTile * 8;
constexpr int kStackSlots = 16;
constexpr int64_t kParallelWork = 32768;  // instructions times elements worth a second thread
constexpr int64_t kUnlockWork = 200000;   // ... worth giving the bookkeeping lock up

bool stored_as(DType dtype, Compute compute) {
  return (dtype == DType::Float32 && compute == Compute::F32) ||
         (dtype == DType::Float64 && compute == Compute::F64) ||
         (dtype == DType::Int64 && compute == Compute::I64);
}
int64_t compute_bytes(Compute compute) { return compute == Compute::F32 ? 4 : 8; }

// One operand seen from the index space.
struct Lane {
  char* data;
  const int64_t* strides;  // coalesced, in elements
  int64_t item;            // bytes of an element
  DType dtype;
  Micro rounding;  // applied after the load when `rounds`
  bool rounds = false;
  bool direct;   // stored in the compute type
  bool flat;     // contiguous over the whole index space
  bool uniform;  // one value everywhere
};

class TileRun {
 public:
  // alone: on the calling thread, which does not hold the lock.
  TileRun(const Program& whole, Compute compute, std::span<const Operand> inputs,
          std::span<const Array* const> outputs, DType common, bool alone = false)
      : whole_(whole),
        program_(&whole.for_compute(compute)),
        compute_(static_cast<int>(compute)),
        alone_(alone),
        inputs_(inputs),
        outputs_(outputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      Lane& lane = lanes_[i];
      const Array* array = inputs[i].array;
      lane.uniform = array == nullptr;
      lane.flat = false;
      if (!array) continue;
      set(lane, *array, compute);
      if (array->dtype != common && common == DType::BFloat16)
        lane.rounding = Micro::RoundBF16, lane.rounds = true;
      if (array->dtype != common && common == DType::Float16)
        lane.rounding = Micro::RoundF16, lane.rounds = true;
      if (lane.rounds) lane.direct = false;
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      set(lanes_[inputs.size() + k], *outputs[k], compute);
      for (size_t i = 0; i < inputs.size(); ++i)
        aliased_ |= inputs[i].array && inputs[i].array->data == outputs[k]->data;
    }
  }

  // Everything contiguous, of the same number of elements, in one tile.
  void run_small(int64_t n) {
    choose_routine(n);
    Scratch scratch(*this);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Lane& lane = lanes_[i];
      if (lane.uniform)
        fill_scalar(scratch, i, inputs_[i].scalar, n);
      else
        load(scratch, i, lane, lane.data, 1, n, 0);
    }
    fill_constants(scratch, n);
    void* direct[Program::kMaxOutputs];
    for (size_t k = 0; k < outputs_.size(); ++k) direct[k] = output(k).direct ? output(k).data : nullptr;
    execute(scratch, direct, n);
    for (size_t k = 0; k < outputs_.size(); ++k)
      if (!written_[k]) store(output(k), output(k).data, 1, result(scratch, k), n);
  }

  // Leaves of the sums over blocks of 1024 elements: leaves[k] has one for each block.
  void run_summed(int64_t numel, std::span<char* const> leaves) {
    constexpr int64_t kBlock = kReductionBlock;
    const int64_t blocks = (numel + kBlock - 1) / kBlock;
    const int64_t item = compute_bytes(static_cast<Compute>(compute_));
    const ReduceRows rows = kernels->reduce_rows[static_cast<int>(Reduction::Sum)][compute_];
    Space space;
    space.rank = 1;
    space.sizes[0] = numel;
    for (size_t k = 0; k < inputs_.size() + outputs_.size(); ++k) {
      space.strides[k][0] = 1;
      lanes_[k].strides = space.strides[k];
      lanes_[k].flat = true;
      lanes_[k].uniform |= k < inputs_.size() && inputs_[k].array && is_uniform(*inputs_[k].array);
    }
    streams_ = stream_results(numel);
    choose_routine(numel);
    watch::Looks* const looks = ask();
    const bool unlock = numel * (whole_.work + 1) >= kUnlockWork;
    std::vector<Ref<Storage>> held;
    for (const Operand& input : inputs_)
      if (input.array) held.push_back(input.array->storage);
    for (const Array* output : outputs_) held.push_back(output->storage);
    Unlocked unlocked(unlock);
    const int64_t grain = std::max<int64_t>(1, kParallelWork / (kBlock * (whole_.work + 1)));
    const int64_t tile = slot_elements();
    parallel_for(blocks, grain, [&](int64_t begin, int64_t end) {
      TileRun self = *this;
      Scratch scratch(self);
      watch::Glances glances(looks);
      self.fill_uniform(scratch, std::min(tile, numel));
      std::unique_ptr<char, typename Scratch::Free> values(
          static_cast<char*>(std::aligned_alloc(64, leaves.size() * kBlock * 8)));
      if (!values) throw std::bad_alloc();
      for (int64_t b = begin; b < end; ++b) {
        const int64_t count = std::min(kBlock, numel - b * kBlock);
        for (int64_t done = 0; done < count; done += tile) {
          const int64_t n = std::min(tile, count - done);
          self.run_tile(scratch, space, b * kBlock + done, n);
          glances.wrote(b * kBlock + done, n);
          for (size_t k = 0; k < leaves.size(); ++k)
            std::memcpy(values.get() + static_cast<int64_t>(k) * kBlock * 8 + done * item,
                        self.result(scratch, outputs_.size() + k), static_cast<size_t>(n * item));
        }
        for (size_t k = 0; k < leaves.size(); ++k)
          rows({leaves[k] + b * item, values.get() + static_cast<int64_t>(k) * kBlock * 8, 0, 1, count,
                nullptr, 0});
      }
      if (streams_) kernels->end_stream();
    });
  }

  void run_general(const Dims& sizes_in) {
    Space space;
    const int n_lanes = static_cast<int>(inputs_.size() + outputs_.size());
    Dims sizes = sizes_in;
    Dims strides[Program::kMaxInputs + Program::kMaxOutputs];
    for (size_t i = 0; i < inputs_.size(); ++i)
      strides[i] = inputs_[i].array
                       ? broadcast_strides(inputs_[i].array->sizes, inputs_[i].array->strides, sizes)
                       : Dims(sizes.size(), 0);
    for (size_t k = 0; k < outputs_.size(); ++k) strides[inputs_.size() + k] = outputs_[k]->strides;
    if (!outputs_[0]->contiguous) sort_axes(sizes, n_lanes, strides, static_cast<int>(inputs_.size()));
    coalesce(sizes, n_lanes, space, strides);

    int64_t total = 1;
    for (int d = 0; d < space.rank; ++d) total *= space.sizes[d];
    bool plain = true, single = program_->code.size() == 1 && program_->constants.empty();
    for (int k = 0; k < n_lanes; ++k) {
      Lane& lane = lanes_[k];
      lane.strides = space.strides[k];
      int64_t expected = 1;
      bool flat = true, uniform = true;
      for (int d = space.rank - 1; d >= 0; --d) {
        flat &= lane.strides[d] == expected;
        uniform &= lane.strides[d] == 0;
        expected *= space.sizes[d];
      }
      lane.flat = flat;
      lane.uniform |= uniform && static_cast<size_t>(k) < inputs_.size();
      plain &= lane.uniform || (lane.flat && lane.direct);
      single &= !lane.uniform;
    }

    streams_ = stream_results(total);
    choose_routine(total);
    // What needs no tile runs over more elements at a time.
    plain &= !streams_ && (routine_ ? !routine_->has_tiles() : single);
    const int64_t tile = plain ? kLongTile : slot_elements();
    const int64_t row = space.sizes[space.rank - 1];
    const bool by_row = space.rank == 1 || row >= kShortRow;
    const int64_t span = by_row ? row : total;  // tiles do not cross a multiple of this
    const int64_t tiles_per_span = (span + tile - 1) / tile;
    const int64_t tiles = (total / span) * tiles_per_span;
    const int64_t weight = whole_.work + 1;
    const int64_t grain = std::max<int64_t>(1, kParallelWork / (std::min(tile, span) * weight));

    watch::Looks* const looks = ask();
    // Meanwhile another thread may free what a tensor or a node holds.
    const bool unlock = !alone_ && total * weight >= kUnlockWork;
    std::vector<Ref<Storage>> held;
    if (unlock) {
      for (const Operand& input : inputs_)
        if (input.array) held.push_back(input.array->storage);
      for (const Array* output : outputs_) held.push_back(output->storage);
    }
    Unlocked unlocked(unlock);
    const auto run = [&](int64_t begin, int64_t end) {
      TileRun self = *this;
      Scratch scratch(self);
      watch::Glances glances(looks);
      self.fill_uniform(scratch, std::min(tile, span));
      for (int64_t t = begin; t < end; ++t) {
        const int64_t at = t % tiles_per_span * tile, n = std::min(tile, span - at);
        self.run_tile(scratch, space, t / tiles_per_span * span + at, n);
        glances.wrote(t / tiles_per_span * span + at, n);
      }
      if (streams_) kernels->end_stream();
    };
    if (alone_)
      run(0, tiles);
    else
      parallel_for(tiles, grain, run);
  }

 private:
  // Registers of one thread and the tiles behind them. Inputs and constants get tiles only when they need
  // one.
  struct Scratch {
    explicit Scratch(const TileRun& run) {
      const int wanted =
          run.routine_
              ? static_cast<int>(run.inputs_.size() + run.whole_.outputs.size()) + run.routine_->n_tiles()
              : static_cast<int>(run.inputs_.size() + run.program_->constants.size()) + run.program_->n_slots;
      if (wanted <= kStackSlots) {
        tiles = stack;
      } else {
        heap.reset(static_cast<char*>(std::aligned_alloc(64, wanted * kSlotBytes)));
        if (!heap) throw std::bad_alloc();
        tiles = heap.get();
      }
    }
    char* tile(int k) { return tiles + k * kSlotBytes; }

    struct Free {
      void operator()(char* p) const { std::free(p); }
    };
    const void* reg[Program::kMaxRegisters + 1];  // of a routine, the place that is read or written
    char* tiles;
    std::unique_ptr<char, Free> heap;
    alignas(64) char stack[kStackSlots * kSlotBytes];
  };

  int64_t slot_elements() const { return kSlotBytes / compute_bytes(static_cast<Compute>(compute_)); }
  Lane& output(size_t k) { return lanes_[inputs_.size() + k]; }

  static void set(Lane& lane, const Array& array, Compute compute) {
    lane.data = array.as<char>();
    lane.item = itemsize(array.dtype);
    lane.dtype = array.dtype;
    lane.direct = stored_as(array.dtype, compute);
    lane.uniform = false;
    lane.flat = false;
    lane.rounds = false;
  }

  bool stream_results(int64_t numel) {
    bool fits = !aliased_ && !program_->code.empty();
    for (size_t k = 0; k < outputs_.size(); ++k) {
      const Lane& lane = output(k);
      const int64_t bytes = numel * lane.item;
      fits = fits && lane.flat && lane.direct && bytes >= kStreamBytes && bytes >= stream_bytes();
    }
    return fits;
  }

  // Who is to look at what is written, as far as that lies in the caches.
  watch::Looks* ask() const {
    watch::Looks* const looks = alone_ ? nullptr : std::exchange(watch::asked, nullptr);
    return looks && !streams_ && looks->begin(outputs_) ? looks : nullptr;
  }

  // Tiles for what is the same everywhere.
  void fill_uniform(Scratch& scratch, int64_t longest) {
    longest = std::min(longest, slot_elements());  // longer ones have no kernel that reads past the first
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Lane& lane = lanes_[i];
      if (!lane.uniform) continue;
      if (!inputs_[i].array)
        fill_scalar(scratch, i, inputs_[i].scalar, longest);
      else
        load(scratch, i, lane, lane.data, 0, longest, 0);
    }
    fill_constants(scratch, longest);
  }
  void fill_constants(Scratch& scratch, int64_t n) {
    if (routine_) {
      const size_t first = inputs_.size() + whole_.outputs.size();
      for (size_t k = 0; k < routine_->constants().size(); ++k)
        fill_scalar(scratch, first + k, whole_.constants[routine_->constants()[k]], n);
    } else {
      for (size_t c = 0; c < program_->constants.size(); ++c)
        fill_scalar(scratch, inputs_.size() + c, program_->constants[c], n);
    }
  }

  void fill_scalar(Scratch& scratch, size_t reg, Scalar scalar, int64_t n) {
    char* tile = scratch.tile(static_cast<int>(reg));
    scratch.reg[reg] = tile;
    if (compute_ == static_cast<int>(Compute::F32)) {
      std::fill_n(reinterpret_cast<float*>(tile), n, static_cast<float>(scalar.as_double()));
    } else if (compute_ == static_cast<int>(Compute::F64)) {
      std::fill_n(reinterpret_cast<double*>(tile), n, scalar.as_double());
    } else {
      std::fill_n(reinterpret_cast<int64_t*>(tile), n, scalar.as_int());
    }
  }

  // Points register `reg` at n elements: straight into memory when it is stored in the compute type, else
  // into a tile.
  void load(Scratch& scratch, size_t reg, const Lane& lane, const char* from, int64_t stride, int64_t n,
            int64_t done) {
    if (lane.direct && stride == 1 && done == 0) {
      scratch.reg[reg] = from;
      return;
    }
    load_into_tile(scratch, reg, lane, from, stride, n, done);
  }
  void load_into_tile(Scratch& scratch, size_t reg, const Lane& lane, const char* from, int64_t stride,
                      int64_t n, int64_t done) {
    char* tile = scratch.tile(static_cast<int>(reg));
    scratch.reg[reg] = tile;
    char* to = tile + done * compute_bytes(static_cast<Compute>(compute_));
    kernels->load_of(lane.dtype, static_cast<Compute>(compute_))(to, from, stride, n);
    if (lane.rounds) kernels->micro[static_cast<int>(lane.rounding)][compute_](to, to, nullptr, nullptr, n);
  }
  void store(const Lane& lane, char* to, int64_t stride, const void* from, int64_t n) {
    kernels->store_of(lane.dtype, static_cast<Compute>(compute_))(to, stride, from, n);
  }

  // Runs the instructions over n elements. Results go straight to `direct[k]` where given.
  void execute(Scratch& scratch, void* const* direct, int64_t n) {
    if (routine_) return execute_routine(scratch, direct, n);
    const int first = program_->first_result();
    const int n_code = static_cast<int>(program_->code.size());
    const int fixed = first;
    const size_t n_outputs = outputs_.size();
    for (size_t k = 0; k < n_outputs; ++k) written_[k] = false;
    for (int i = 0; i < n_code; ++i) {
      const Instruction& instruction = program_->code[i];
      void* to = scratch.tile(fixed + program_->slot[i]);
      // While an output shares memory with an input, only the last instruction may write it directly.
      if (!aliased_ || i + 1 == n_code) {
        for (size_t k = 0; k < n_outputs; ++k) {
          if (program_->outputs[k] == first + i && direct[k]) {
            to = direct[k];
            written_[k] = true;
            break;
          }
        }
      }
      kernels->micro[static_cast<int>(instruction.micro)][compute_](
          to, scratch.reg[instruction.a], scratch.reg[instruction.b], scratch.reg[instruction.c], n);
      scratch.reg[first + i] = to;
    }
  }

  // The same in machine code. What leaves a part of a vector is computed apart, between tiles.
  void execute_routine(Scratch& scratch, void* const* direct, int64_t n) {
    const size_t n_inputs = inputs_.size(), n_outputs = whole_.outputs.size();
    void* places[code::Routine::kMaxPlaces];
    for (size_t i = 0; i < n_inputs; ++i) places[i] = const_cast<void*>(scratch.reg[i]);
    for (size_t p = n_inputs; p < n_inputs + n_outputs + static_cast<size_t>(routine_->n_tiles()); ++p)
      places[p] = scratch.tile(static_cast<int>(p));
    for (size_t k = 0; k < n_outputs; ++k) {
      // While an output shares memory with an input, only the last step may write it directly.
      written_[k] = k < outputs_.size() && direct[k] && (!aliased_ || routine_->writes_last(k));
      if (written_[k]) places[n_inputs + k] = direct[k];
      scratch.reg[n_inputs + k] = places[n_inputs + k];
    }
    const int64_t rest = n % routine_->lanes(), whole = n - rest;
    if (whole > 0) routine_->run(places, whole);
    if (rest == 0) return;
    const int64_t done = whole * compute_bytes(static_cast<Compute>(compute_));
    const auto left = static_cast<size_t>(rest * compute_bytes(static_cast<Compute>(compute_)));
    for (size_t p = 0; p < n_inputs + n_outputs; ++p) {
      if (p < n_inputs && lanes_[p].uniform) continue;
      char* const tile = scratch.tile(static_cast<int>(p));
      char* const from = static_cast<char*>(places[p]) + done;
      const bool in_tile = places[p] == tile;
      if (!in_tile && p < n_inputs) std::memcpy(tile, from, left);
      places[p] = in_tile ? from : tile;
    }
    routine_->run(places, rest);
    for (size_t k = 0; k < n_outputs; ++k)
      if (written_[k]) std::memcpy(static_cast<char*>(direct[k]) + done, places[n_inputs + k], left);
  }

  // Where the values of an output are that was not written directly.
  const void* result(const Scratch& scratch, size_t k) const {
    return routine_ ? scratch.reg[inputs_.size() + k] : scratch.reg[program_->outputs[k]];
  }

  // Once it is known which operands are uniform.
  void choose_routine(int64_t numel) {
    code::Form form{static_cast<Compute>(compute_), 0};
    for (size_t i = 0; i < inputs_.size(); ++i) form.uniform |= uint32_t{lanes_[i].uniform} << i;
    routine_ = alone_ ? whole_.routines.find(form) : whole_.routines.get(whole_, form, numel * whole_.work);
  }

  void run_tile(Scratch& scratch, const Space& space, int64_t p, int64_t n) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Lane& lane = lanes_[i];
      if (lane.uniform) continue;
      if (lane.flat) {
        load(scratch, i, lane, lane.data + p * lane.item, 1, n, 0);
        continue;
      }
      for_rows(space, lane.strides, p, n, [&](int64_t offset, int64_t stride, int64_t count, int64_t done) {
        const char* from = lane.data + offset * lane.item;
        if (count == n)
          load(scratch, i, lane, from, stride, count, done);
        else
          load_into_tile(scratch, i, lane, from, stride, count, done);
      });
    }
    void* direct[Program::kMaxOutputs];
    for (size_t k = 0; k < outputs_.size(); ++k) {
      const Lane& lane = output(k);
      direct[k] = nullptr;
      if (!lane.direct || streams_) continue;
      if (lane.flat) {
        direct[k] = lane.data + p * lane.item;
      } else {
        for_rows(space, lane.strides, p, n, [&](int64_t offset, int64_t stride, int64_t count, int64_t) {
          if (count == n && stride == 1) direct[k] = lane.data + offset * lane.item;
        });
      }
    }
    execute(scratch, direct, n);
    for (size_t k = 0; k < outputs_.size(); ++k) {
      if (written_[k]) continue;
      const Lane& lane = output(k);
      const char* from = static_cast<const char*>(result(scratch, k));
      if (lane.flat) {
        char* const to = lane.data + p * lane.item;
        if (streams_ && reinterpret_cast<uintptr_t>(to) % 64 == 0)
          kernels->stream(to, from, n * lane.item);
        else
          store(lane, to, 1, from, n);
        continue;
      }
      const int64_t bytes = compute_bytes(static_cast<Compute>(compute_));
      for_rows(space, lane.strides, p, n, [&](int64_t offset, int64_t stride, int64_t count, int64_t done) {
        store(lane, lane.data + offset * lane.item, stride, from + done * bytes, count);
      });
    }
  }

  const Program& whole_;
  const Program* program_;
  const code::Routine* routine_ = nullptr;  // of the whole program
  int compute_;
  bool alone_;
  std::span<const Operand> inputs_;
  std::span<const Array* const> outputs_;
  Lane lanes_[Program::kMaxInputs + Program::kMaxOutputs];
  bool aliased_ = false;
  bool streams_ = false;  // results lie in one piece, in the compute type, and are too large for the caches
  bool written_[Program::kMaxOutputs];
};

// The quick way for what fits one tile and needs no conversion: plain arrays of the compute type and of one
// shape, and numbers. Returns false, having done nothing, when something does not fit.
bool run_plain(const Program& program, Compute compute, std::span<const Operand> inputs, const Array& out) {
  constexpr int kTiles = 8;
  constexpr int kRegisters = 24;
  const int64_t n = out.numel;
  const int first = program.first_result();
  const int n_code = static_cast<int>(program.code.size());
  if (n > kTile || n_code == 0 || program.outputs.size() != 1 || first + n_code > kRegisters ||
      !out.contiguous || !stored_as(out.dtype, compute) || program.outputs[0] != first + n_code - 1)
    return false;
  int tiles = program.n_slots + static_cast<int>(program.constants.size());
  const void* reg[kRegisters];
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Array* array = inputs[i].array;
    if (!array) {
      ++tiles;
    } else if (array->dtype == out.dtype && array->contiguous && array->numel == n) {
      reg[i] = array->data;
    } else {
      return false;
    }
  }
  if (tiles > kTiles) return false;
  alignas(64) char stack[kTiles * kSlotBytes];
  int used = program.n_slots;
  auto put = [&](int r, const Scalar& scalar) {
    char* tile = stack + used++ * kSlotBytes;
    reg[r] = tile;
    if (compute == Compute::F32)
      std::fill_n(reinterpret_cast<float*>(tile), n, static_cast<float>(scalar.as_double()));
    else if (compute == Compute::F64)
      std::fill_n(reinterpret_cast<double*>(tile), n, scalar.as_double());
    else
      std::fill_n(reinterpret_cast<int64_t*>(tile), n, scalar.as_int());
  };
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].array) put(static_cast<int>(i), inputs[i].scalar);
  for (size_t c = 0; c < program.constants.size(); ++c)
    put(static_cast<int>(inputs.size() + c), program.constants[c]);
  for (int i = 0; i < n_code; ++i) {
    const Instruction& instruction = program.code[i];
    void* to = i + 1 == n_code ? out.data : stack + program.slot[i] * kSlotBytes;
    kernels->micro_of(instruction.micro, compute)(to, reg[instruction.a], reg[instruction.b],
                                                  reg[instruction.c], n);
    reg[first + i] = to;
  }
  return true;
}

// Whether everything is in one piece, of one size, and fits a tile.
bool is_small(std::span<const Operand> inputs, std::span<const Array* const> outputs) {
  const int64_t numel = outputs[0]->numel;
  return numel <= kTile &&
         std::all_of(inputs.begin(), inputs.end(),
                     [&](const Operand& input) {
                       return !input.array || (input.array->contiguous && input.array->numel == numel);
                     }) &&
         std::all_of(outputs.begin(), outputs.end(), [](const Array* output) { return output->contiguous; });
}

}  // namespace

void run_program(const Program& whole, Compute compute, std::span<const Operand> inputs,
                 std::span<const Array* const> outputs, const Dims& sizes, DType common, const char* op) {
  const int64_t numel = outputs[0]->numel;
  if (numel == 0) return;
  if (modes.tracing) [[unlikely]] {
    {
      const trace::Quiet quiet;
      run_program(whole, compute, inputs, outputs, sizes, common, op);
    }
    return trace::recorder->program(whole, compute, inputs, outputs, common, op);
  }
  if (modes.watching) [[unlikely]]
    return watch::around(
        op, inputs, outputs, [&] { run_program(whole, compute, inputs, outputs, sizes, common, op); }, &whole,
        true);
  const Program& program = whole.for_compute(compute);
  const bool divides = program.divides && compute == Compute::I64;
  if (divides) integer_zero_division = false;
  if (run_plain(program, compute, inputs, *outputs[0])) {
    if (divides && integer_zero_division)
      fail(ErrorKind::ZeroDivision, "[", op, "] integer division by zero");
    return;
  }
  TileRun run(whole, compute, inputs, outputs, common);
  if (is_small(inputs, outputs))
    run.run_small(numel);
  else
    run.run_general(sizes);
  if (divides && integer_zero_division) fail(ErrorKind::ZeroDivision, "[", op, "] integer division by zero");
}

void run_program_part(const Program& whole, Compute compute, std::span<const Operand> inputs,
                      std::span<const Array* const> outputs, const Dims& sizes, DType common) {
  const Program& program = whole.for_compute(compute);
  if (run_plain(program, compute, inputs, *outputs[0])) return;
  TileRun run(whole, compute, inputs, outputs, common, true);
  if (is_small(inputs, outputs))
    run.run_small(outputs[0]->numel);
  else
    run.run_general(sizes);
}

void run_program_summed(const Program& whole, Compute compute, std::span<const Operand> inputs,
                        std::span<const Array* const> outputs, std::span<const Total> totals, int64_t numel,
                        DType common, const char*) {
  const int64_t item = compute_bytes(compute), blocks = (numel + kReductionBlock - 1) / kReductionBlock;
  std::vector<char> room(totals.size() * static_cast<size_t>(blocks * item));
  std::vector<char*> leaves;
  for (size_t k = 0; k < totals.size(); ++k)
    leaves.push_back(room.data() + static_cast<int64_t>(k) * blocks * item);
  TileRun(whole, compute, inputs, outputs, common).run_summed(numel, leaves);
  for (size_t k = 0; k < totals.size(); ++k) {
    alignas(64) char levels[ReductionTree::kMaxLevels * 8];
    ReductionTree tree(Reduction::Sum, compute, 1, levels);
    for (int64_t b = 0; b < blocks; ++b) tree.push(leaves[k] + b * item);
    void* const to = totals[k].to->data;
    std::memcpy(to, tree.finish(), static_cast<size_t>(item));
    if (totals[k].divisor == 1) continue;
    if (compute == Compute::F32)
      *static_cast<float*>(to) /= static_cast<float>(totals[k].divisor);
    else
      *static_cast<double*>(to) /= totals[k].divisor;
  }
}

}  // namespace versant
