#include "machine/prepared.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "machine/code/routine.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/matmul.h"
#include "machine/parallel.h"
#include "machine/replay.h"
#include "machine/room.h"
#include "machine/scratch.h"

namespace versant::trace {

namespace {

constexpr int64_t kAlign = 64;
constexpr int64_t kSmall = 1 << 18;       // bytes of a buffer that lies in the arena
constexpr int64_t kMicroElements = 2048;  // of a step that runs as calls of micro-kernels
constexpr int64_t kMicroWork = 32768;     // ... times its instructions: no second thread is worth it

bool stored_as(DType dtype, Compute compute) {
  return (dtype == DType::Float32 && compute == Compute::F32) ||
         (dtype == DType::Float64 && compute == Compute::F64) ||
         (dtype == DType::Int64 && compute == Compute::I64);
}

template <size_t item>
void copy_elements(void* out, const void* a, const void*, const void*, std::ptrdiff_t n) {
  std::memcpy(out, a, static_cast<size_t>(n) * item);
}

// Whether the step says itself where its results lie.
bool writes_in_place(const Step& step) {
  return step.kind == Step::Kind::Program || step.kind == Step::Kind::Multiply ||
         step.kind == Step::Kind::Copy || step.kind == Step::Kind::Fill || step.kind == Step::Kind::Call ||
         step.in_place;
}

}  // namespace

int64_t extent(const Array& array) {
  int64_t last = -1;
  if (array.numel > 0) {
    last = 0;
    for (int d = 0; d < array.rank(); ++d) last += (array.sizes[d] - 1) * array.strides[d];
  }
  return reinterpret_cast<int64_t>(array.data) + (last + 1) * static_cast<int64_t>(itemsize(array.dtype));
}

int64_t numel_of(const Step& step) {
  int64_t most = 1;
  for (const auto* windows : {&step.in, &step.out})
    for (const Window& window : *windows)
      if (window.buffer >= 0) most = std::max(most, window.array.numel);
  return most;
}

Prepared::Prepared(const Trace& trace)
    : trace_(trace),
      ready_(trace.steps.size()),
      storages_(trace.buffers.size()),
      patches_(trace.buffers.size()),
      allocated_(trace.steps.size()),
      inherited_(trace.steps.size()),
      chain_of_(trace.steps.size(), -1) {
  plan_chains();
  plan_arena();
  plan_followers();
  for (size_t s = 0; s < trace.forward_steps; ++s) prepare(s);
  plan_batches();
  std::vector<bool> used(trace.buffers.size(), false);
  for (const Step& step : trace.steps)
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        if (window.buffer >= 0) used[static_cast<size_t>(window.buffer)] = true;
  for (size_t b = 0; b < trace.buffers.size(); ++b) {
    const Buffer::Origin origin = trace.buffers[b].origin;
    const auto buffer = static_cast<int>(b);
    if (origin == Buffer::Origin::Fixed)
      bind(buffer, trace.buffers[b].storage);
    else if (origin != Buffer::Origin::Fresh && origin != Buffer::Origin::Incoming)
      brought_.push_back(buffer);
    if (origin != Buffer::Origin::Fixed && origin != Buffer::Origin::Captured && used[b] && !in_arena(buffer))
      passing_.push_back(buffer);
  }
}
Prepared::~Prepared() = default;

void Prepared::plan_arena() {
  const size_t n = trace_.buffers.size();
  extents_.assign(n, 0);
  offsets_.assign(n, -1);
  std::vector<bool> fits(n), written(n, false);
  for (size_t b = 0; b < n; ++b) fits[b] = trace_.buffers[b].origin == Buffer::Origin::Fresh;
  const auto outlives = [&](const Window& window) {
    if (window.buffer >= 0) fits[static_cast<size_t>(window.buffer)] = false;
  };
  for (const auto* windows : {&trace_.results, &trace_.result_gradients})
    for (const Window& window : *windows) outlives(window);
  for (const Outgoing& out : trace_.outgoing) outlives(out.window);
  for (size_t s = 0; s < trace_.steps.size(); ++s) {
    const Step& step = trace_.steps[s];
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        if (window.buffer >= 0) {
          int64_t& most = extents_[static_cast<size_t>(window.buffer)];
          most = std::max({most, extent(window.array), window.bytes});
          if (s >= trace_.forward_steps) outlives(window);
        }
    if (step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::SetData ||
        step.kind == Step::Kind::Host)
      for (const Window& window : step.in) outlives(window);
    if (!writes_in_place(step))
      for (const Window& window : step.out) outlives(window);
  }
  GrowingRoom room;
  std::vector<int> ended;  // buffers that nobody needs after the step, or after the chain that it is in
  for (size_t s = 0; s < trace_.forward_steps; ++s) {
    const Step& step = trace_.steps[s];
    const Chain* const chain = chain_of_[s] < 0 ? nullptr : &chains_[static_cast<size_t>(chain_of_[s])];
    std::vector<int> taken;
    for (const Window& window : step.out) {
      const auto b = static_cast<size_t>(window.buffer);
      if (written[b] || trace_.buffers[b].origin != Buffer::Origin::Fresh) continue;
      written[b] = true;
      const int heir_of = fits[b] ? dying_input(step, window, taken, chain) : -1;
      if (heir_of >= 0) {
        taken.push_back(heir_of);
        if (in_arena(heir_of))
          offsets_[b] = offsets_[static_cast<size_t>(heir_of)];
        else
          inherited_[s].emplace_back(window.buffer, heir_of);
      } else if (fits[b] && extents_[b] <= kSmall)
        offsets_[b] = room.take((std::max<int64_t>(extents_[b], 1) + kAlign - 1) / kAlign * kAlign);
      else if (writes_in_place(step))
        allocated_[s].push_back(window.buffer);
    }
    for (const int b : step.last)
      if (in_arena(b) && std::find(taken.begin(), taken.end(), b) == taken.end()) ended.push_back(b);
    if (chain && s + 1 < chain->steps.end) continue;
    for (const int b : ended) {
      const auto at = static_cast<size_t>(b);
      room.give_back(offsets_[at], (std::max<int64_t>(extents_[at], 1) + kAlign - 1) / kAlign * kAlign);
    }
    ended.clear();
  }
  arena_ = Storage::allocate(static_cast<size_t>(std::max<int64_t>(room.end(), kAlign * 2)));
}

// An input of an elementwise step that nobody reads again and that lies as `out` does; -1 for none.
int Prepared::dying_input(const Step& step, const Window& out, const std::vector<int>& taken,
                          const Chain* chain) const {
  if (step.kind != Step::Kind::Program) return -1;
  for (const int b : step.last) {
    // Another thread may still read all of it.
    if (chain && std::find(chain->whole.begin(), chain->whole.end(), b) != chain->whole.end()) continue;
    const auto at = static_cast<size_t>(b);
    const bool ours =
        in_arena(b) || (trace_.buffers[at].origin == Buffer::Origin::Fresh && extents_[at] > kSmall);
    if (!ours || extents_[at] != extents_[static_cast<size_t>(out.buffer)] ||
        std::find(taken.begin(), taken.end(), b) != taken.end())
      continue;
    bool alike = false, only = true;
    for (const Window& in : step.in) {
      if (in.buffer != b) continue;
      only &= in.array.data == out.array.data && in.array.dtype == out.array.dtype &&
              in.array.sizes == out.array.sizes && in.array.strides == out.array.strides;
      alike = true;
    }
    for (const Window& other : step.out) only &= other.buffer != b;
    if (alike && only) return b;
  }
  return -1;
}

void Prepared::prepare(size_t s) {
  const Step& step = trace_.steps[s];
  Ready& ready = ready_[s];
  if (step.kind == Step::Kind::Host || step.kind == Step::Kind::SetGradient ||
      step.kind == Step::Kind::SetData || step.kind == Step::Kind::RequireGrad || step.reads() ||
      step.kind == Step::Kind::Apply)
    return;
  if (step.kind == Step::Kind::Program && chain_of_[s] < 0 && prepare_micros(step, ready)) return;
  size_t count = 0;
  for (const auto* windows : {&step.in, &step.out})
    for (const Window& window : *windows) count += window.buffer >= 0;
  ready.arrays.reserve(count);
  const auto place = [&](const Window& window) {
    Array& array = ready.arrays.emplace_back(window.array);
    const auto offset = reinterpret_cast<int64_t>(window.array.data);
    if (in_arena(window.buffer)) {
      array.storage = arena_;
      array.data = static_cast<char*>(arena_->data) + offsets_[static_cast<size_t>(window.buffer)] + offset;
    } else {
      patches_[static_cast<size_t>(window.buffer)].push_back({&array, nullptr, offset});
    }
    return &array;
  };
  for (const Window& window : step.in) {
    const Array* const array = window.buffer < 0 ? nullptr : place(window);
    ready.operands.push_back({array, window.number});
    ready.pointers.push_back(array);
  }
  for (const Window& window : step.out) {
    if (step.kind == Step::Kind::Primitive) continue;
    ready.pointers.push_back(place(window));
  }
}

bool Prepared::prepare_micros(const Step& step, Ready& ready) {
  const Program& program = step.program->for_compute(step.compute);
  const int64_t n = step.out[0].array.numel;
  if (!step.divisors.empty() || n > kMicroElements || n * (program.work + 1) > kMicroWork ||
      program.code.empty() || (program.divides && step.compute == Compute::I64))
    return false;
  bool aliased = false;
  for (const auto* windows : {&step.in, &step.out}) {
    for (const Window& window : *windows) {
      if (window.buffer < 0) {
        if (window.number.is_complex()) return false;
        continue;
      }
      if (!window.array.contiguous || window.array.numel != n || !stored_as(window.array.dtype, step.compute))
        return false;
      if (windows == &step.in)
        for (const Window& out : step.out) {
          aliased |= out.buffer == window.buffer;
          aliased |=
              in_arena(out.buffer) && in_arena(window.buffer) &&
              offsets_[static_cast<size_t>(out.buffer)] == offsets_[static_cast<size_t>(window.buffer)];
        }
    }
  }
  const int64_t item = step.compute == Compute::F32 ? 4 : 8;
  const int64_t stride = (n * item + kAlign - 1) / kAlign * kAlign;
  const int64_t n_tiles = static_cast<int64_t>(step.in.size() + program.constants.size()) + program.n_slots;
  const int64_t tile_bytes = std::max<int64_t>(1, n_tiles) * stride;
  tiles_.emplace_back(static_cast<char*>(std::aligned_alloc(kAlign, static_cast<size_t>(tile_bytes))),
                      std::free);
  tile_bytes_ += tile_bytes;
  char* next = tiles_.back().get();
  if (!next) throw std::bad_alloc();
  const auto tile_of = [&](const Scalar& number) {
    char* const tile = next;
    next += stride;
    if (step.compute == Compute::F32)
      std::fill_n(reinterpret_cast<float*>(tile), n, static_cast<float>(number.as_double()));
    else if (step.compute == Compute::F64)
      std::fill_n(reinterpret_cast<double*>(tile), n, number.as_double());
    else
      std::fill_n(reinterpret_cast<int64_t*>(tile), n, number.as_int());
    return tile;
  };
  // A register: memory that is known, or a window of a buffer that is bound later.
  struct Register {
    char* at = nullptr;
    const Window* window = nullptr;
  };
  std::vector<Register> registers;
  const auto of_window = [&](const Window& window) {
    Register reg;
    if (in_arena(window.buffer))
      reg.at = static_cast<char*>(arena_->data) + offsets_[static_cast<size_t>(window.buffer)] +
               reinterpret_cast<int64_t>(window.array.data);
    else
      reg.window = &window;
    return reg;
  };
  for (const Window& window : step.in)
    registers.push_back(window.buffer < 0 ? Register{tile_of(window.number), nullptr} : of_window(window));
  for (const Scalar& number : program.constants) registers.push_back({tile_of(number), nullptr});
  char* const slots = next;
  const int first = program.first_result();
  const int n_code = static_cast<int>(program.code.size());
  ready.micros.reserve(program.code.size() + step.out.size());
  const auto point = [&](const void*& pointer, const Register& reg) {
    pointer = reg.at;
    if (reg.window)
      patches_[static_cast<size_t>(reg.window->buffer)].push_back(
          {nullptr, &pointer, reinterpret_cast<int64_t>(reg.window->array.data)});
  };
  const auto add = [&](MicroKernel kernel, const Register& out, const Register& a, const Register& b,
                       const Register& c) {
    Micro& micro = ready.micros.emplace_back();
    micro.kernel = kernel;
    micro.n = n;
    point(micro.out, out);
    point(micro.a, a);
    point(micro.b, b);
    point(micro.c, c);
  };
  std::vector<bool> written(step.out.size(), false);
  for (int i = 0; i < n_code; ++i) {
    const Instruction& instruction = program.code[static_cast<size_t>(i)];
    Register to{slots + program.slot[static_cast<size_t>(i)] * stride, nullptr};
    if (!aliased || i + 1 == n_code) {
      for (size_t k = 0; k < step.out.size(); ++k) {
        if (program.outputs[k] != first + i) continue;
        to = of_window(step.out[k]);
        written[k] = true;
        break;
      }
    }
    add(kernels->micro_of(instruction.micro, step.compute), to, registers[instruction.a],
        registers[instruction.b], registers[instruction.c]);
    registers.push_back(to);
  }
  for (size_t k = 0; k < step.out.size(); ++k) {
    if (written[k]) continue;
    const Register& from = registers[program.outputs[k]];
    add(item == 4 ? copy_elements<4> : copy_elements<8>, of_window(step.out[k]), from, from, from);
  }
  if (kernels->code_bytes == 0 || n * item % kernels->code_bytes != 0 || n_code < 2) return true;
  ready.form.compute = step.compute;
  for (size_t k = 0; k < step.in.size(); ++k) ready.form.uniform |= uint32_t{step.in[k].buffer < 0} << k;
  ready.places.resize(step.in.size() + step.out.size());
  for (size_t k = 0; k < step.in.size(); ++k) point(ready.places[k], registers[k]);
  for (size_t k = 0; k < step.out.size(); ++k)
    point(ready.places[step.in.size() + k], of_window(step.out[k]));
  return true;
}

Layout Prepared::layout() const {
  std::vector<size_t> micros;
  for (const Ready& ready : ready_) micros.push_back(ready.micros.size());
  std::vector<int64_t> rows;
  for (const Chain& chain : chains_) rows.push_back(chain.steps.rows);
  return {offsets_,          extents_,  allocated_,      inherited_,
          std::move(micros), chain_of_, std::move(rows), static_cast<int64_t>(arena_->bytes),
          tile_bytes_};
}

void Prepared::bind(int buffer, const Ref<Storage>& storage) {
  Ref<Storage>& held = storages_[static_cast<size_t>(buffer)];
  if (held.get() == storage.get()) return;
  held = storage;
  char* const data = storage ? static_cast<char*>(storage->data) : nullptr;
  for (const Patch& patch : patches_[static_cast<size_t>(buffer)]) {
    if (patch.array) {
      patch.array->storage = storage;
      patch.array->data = data + patch.offset;
    } else {
      *patch.pointer = data + patch.offset;
    }
  }
}

void Prepared::allocate(int buffer) {
  bind(buffer, Storage::allocate(static_cast<size_t>(extents_[static_cast<size_t>(buffer)])));
}

Array Prepared::at(const Window& window) {
  Array array = window.array;
  const auto offset = reinterpret_cast<int64_t>(window.array.data);
  if (in_arena(window.buffer)) {
    array.storage = arena_;
    array.data = static_cast<char*>(arena_->data) + offsets_[static_cast<size_t>(window.buffer)] + offset;
    return array;
  }
  if (!storage(window.buffer)) allocate(window.buffer);
  array.storage = storage(window.buffer);
  array.data = static_cast<char*>(array.storage->data) + offset;
  return array;
}

Array Prepared::look(const Window& window) const {
  if (in_arena(window.buffer) || storage(window.buffer)) return const_cast<Prepared*>(this)->at(window);
  return window.array;
}

void Prepared::make_room(size_t s) {
  for (const int buffer : allocated_[s]) allocate(buffer);
  for (const auto& [heir, buffer] : inherited_[s]) bind(heir, storage(buffer));
}

size_t Prepared::end_of(size_t s) const {
  return chain_of_[s] < 0 ? s + 1 : chains_[static_cast<size_t>(chain_of_[s])].steps.end;
}

void Prepared::run_alone(size_t s, const Stands& stands) {
  make_room(s);
  run_one(s, stands);
}

void Prepared::run_one(size_t s, const Stands& stands, Follower* follower) {
  const Step& step = trace_.steps[s];
  Ready& ready = ready_[s];
  if (!ready.micros.empty()) {
    if (!ready.places.empty()) {
      const int64_t n = ready.micros[0].n;
      const code::Routine* const routine =
          step.program->routines.get(*step.program, ready.form, n * step.program->work);
      if (routine && !routine->has_tiles())
        return routine->run(const_cast<void* const*>(ready.places.data()), n);
    }
    for (const Micro& micro : ready.micros)
      micro.kernel(const_cast<void*>(micro.out), micro.a, micro.b, micro.c, micro.n);
    return;
  }
  const size_t n_in = step.in.size();
  switch (step.kind) {
    case Step::Kind::Program:
      if (!step.divisors.empty()) {
        const size_t stored = step.out.size() - step.divisors.size();
        std::vector<Total> totals;
        for (size_t k = 0; k < step.divisors.size(); ++k)
          totals.push_back({ready.pointers[n_in + stored + k], step.divisors[k]});
        return run_program_summed(*step.program, step.compute, ready.operands,
                                  {ready.pointers.data() + n_in, stored}, totals, numel_of(step), step.common,
                                  step.name.c_str());
      }
      return run_program(*step.program, step.compute, ready.operands,
                         {ready.pointers.data() + n_in, step.out.size()}, step.out[0].array.sizes,
                         step.common, step.name.c_str());
    case Step::Kind::Multiply: {
      const Dims& how = step.attributes.ints;
      return multiply(*ready.pointers[0], how[0] != 0, *ready.pointers[1], how[1] != 0, *ready.pointers[n_in],
                      n_in > 2 ? ready.pointers[2] : nullptr, how[2] != 0);
    }
    case Step::Kind::Copy:
      return copy_into(*ready.pointers[1], *ready.pointers[0]);
    case Step::Kind::Fill:
      return fill(*ready.pointers[0], step.number);
    case Step::Kind::Call:
      return step.action(ready.arrays);
    case Step::Kind::Primitive: {
      Attributes drawn;
      if (step.random >= 0) {
        drawn = step.attributes;
        const Generator from = stands.of(step);
        drawn.ints[step.random] = static_cast<int64_t>(from.seed);
        drawn.ints[step.random + 1] = static_cast<int64_t>(from.offset);
      }
      Run run({ready.pointers.data(), n_in}, step.random >= 0 ? drawn : step.attributes);
      run.in_place = step.in_place;
      run.follower = follower;
      if (step.in_place) run.out[0] = *ready.pointers[0];
      run_primitive(*step.primitive, run);
      if (step.in_place) return;
      for (size_t k = 0; k < step.out.size(); ++k) {
        check_geometry(step, k, run.out[k]);
        bind(step.out[k].buffer, run.out[k].storage);
      }
      return;
    }
    default: {
      std::vector<TensorRef> inputs;
      for (const Window& window : step.in) inputs.push_back(Tensor::make(at(window)));
      if (step.stream >= 0) *trace_.streams[static_cast<size_t>(step.stream)].generator = stands.of(step);
      const std::vector<TensorRef> made = step.body(inputs);
      if (step.stream >= 0) stands.drew(step, *trace_.streams[static_cast<size_t>(step.stream)].generator);
      for (size_t k = 0; k < step.out.size(); ++k) {
        if (k >= made.size()) fail(ErrorKind::Runtime, "[compile] ", step.name, " gave fewer results");
        check_geometry(step, k, *made[k]);
        bind(step.out[k].buffer, made[k]->storage);
      }
    }
  }
}

}  // namespace versant::trace
