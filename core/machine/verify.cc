#include "machine/verify.h"

#include <algorithm>
#include <map>

#include "machine/kernels.h"
#include "machine/prepared.h"

namespace versant::trace {

bool verifying = false;

namespace {

using Kind = Step::Kind;
using Origin = Buffer::Origin;

constexpr int64_t kAlignment = 64;

std::string buffer_name(int buffer) { return text("%", buffer); }

// Whether a step changes what stands for a captured tensor.
bool sets(const Step& step) {
  return step.kind == Kind::SetGradient || step.kind == Kind::SetData || step.kind == Kind::RequireGrad;
}

// One walk over a trace.
class Verifier {
 public:
  Verifier(const Trace& trace, const char* pass) : trace_(trace), pass_(pass) {}

  void run(bool with_lifetimes) {
    tables();
    there_.resize(trace_.buffers.size());
    for (size_t b = 0; b < there_.size(); ++b)
      there_[b] = trace_.buffers[b].origin != Origin::Fresh && trace_.buffers[b].origin != Origin::Incoming;
    if (trace_.forward_steps > trace_.steps.size()) fault("has more forward steps than steps");
    for (size_t s = 0; s < trace_.steps.size(); ++s) {
      if (s == trace_.forward_steps) between();
      step_ = &trace_.steps[s];
      number_ = s;
      kind(*step_);
      for (size_t k = 0; k < step_->in.size(); ++k) {
        // In place over memory that may be new.
        if (k == 0 && step_->in_place)
          inside(step_->in[0]);
        else
          read(step_->in[k]);
      }
      for (const Window& window : step_->out) write(window);
    }
    step_ = nullptr;
    if (trace_.forward_steps == trace_.steps.size()) between();
    for (const Outgoing& out : trace_.outgoing)
      if (out.window.buffer >= 0) read(out.window);
    if (with_lifetimes) lifetimes();
  }

 private:
  template <typename... Words>
  [[noreturn]] void fault(const Words&... words) const {
    if (!step_) fail(ErrorKind::Runtime, "[compile] after ", pass_, ": the trace ", words...);
    fail(ErrorKind::Runtime, "[compile] after ", pass_, ": step ", number_, ", ", step_->name,
         step_->where.empty() ? "" : " of " + step_->where, ", ", words...);
  }
  template <typename... Words>
  void expect(bool holds, const Words&... words) const {
    if (!holds) fault(words...);
  }

  bool is_buffer(int b) const { return b >= 0 && static_cast<size_t>(b) < trace_.buffers.size(); }
  bool is_captured(int c) const { return c >= 0 && static_cast<size_t>(c) < trace_.captured.size(); }
  bool is_argument(int a) const { return a >= 0 && static_cast<size_t>(a) < trace_.arguments.size(); }

  void tables() const {
    const size_t n = trace_.arguments.size();
    expect(trace_.argument_buffers.size() == n && trace_.argument_gradients.size() == n &&
               trace_.argument_tensors.size() == n && trace_.argument_is.size() == n,
           "says different numbers of arguments");
    for (const int b : trace_.argument_buffers) expect(is_buffer(b), "has an argument without a buffer");
    for (const Buffer& buffer : trace_.buffers) {
      const bool fits = buffer.origin == Origin::Argument   ? is_argument(buffer.index)
                        : buffer.origin == Origin::Captured ? is_captured(buffer.index)
                        : buffer.origin == Origin::Gradient ? is_captured(buffer.index)
                        : buffer.origin == Origin::Fixed    ? static_cast<bool>(buffer.storage)
                        : buffer.origin == Origin::Incoming
                            ? static_cast<size_t>(buffer.index) <
                                  std::max(trace_.incoming.size(), trace_.differentiable.size())
                            : true;
      expect(fits, "has a buffer of a tensor that it does not have, ", buffer.index);
    }
    for (size_t c = 0; c < trace_.captured.size(); ++c) {
      const Captured& captured = trace_.captured[c];
      expect(captured.argument < 0 || is_argument(captured.argument), "captures an argument that is none");
      expect(captured.shares < 0 || (is_captured(captured.shares) && captured.shares != static_cast<int>(c)),
             "captures a tensor that shares memory with none");
      expect(captured.shares_argument < 0 || is_argument(captured.shares_argument),
             "captures a tensor that shares memory with no argument");
    }
    const size_t results = trace_.results.size();
    expect(trace_.result_gradients.size() == results && trace_.result_leaves.size() == results &&
               trace_.result_dialects.size() == results,
           "says different numbers of results");
    int before = -1;
    for (const int k : trace_.differentiable) {
      expect(k > before && static_cast<size_t>(k) < results, "takes gradients of result ", k,
             ", which is not there");
      before = k;
    }
    // Behind those of results come sums, of tensors that a body of a loop reaches.
    expect(trace_.incoming.empty() || trace_.incoming.size() >= trace_.differentiable.size(),
           "has not one incoming gradient for each differentiable result");
    for (size_t k = 0; k < trace_.incoming.size(); ++k) {
      const int b = trace_.incoming[k].buffer;
      expect(is_buffer(b) && trace_.buffers[static_cast<size_t>(b)].origin == Origin::Incoming &&
                 trace_.buffers[static_cast<size_t>(b)].index == static_cast<int>(k),
             "has an incoming gradient ", k, " of another result");
    }
    for (const Outgoing& out : trace_.outgoing)
      expect(out.argument >= 0 ? is_argument(out.argument) && out.captured < 0 : is_captured(out.captured),
             "has a gradient that goes to no tensor");
  }

  // Between the way there and the way back.
  void between() {
    step_ = nullptr;
    for (const Window& window : trace_.results) {
      expect(window.buffer >= 0, "has a result without a buffer");
      read(window);
    }
    for (const Window& window : trace_.result_gradients)
      if (window.buffer >= 0) read(window);
    for (const Window& window : trace_.incoming) {
      inside(window);
      there_[static_cast<size_t>(window.buffer)] = true;
    }
  }

  void inside(const Window& window) const {
    expect(is_buffer(window.buffer), "names the buffer ", buffer_name(window.buffer), ", which is not there");
    const Array& array = window.array;
    int64_t numel = 1;
    for (const int64_t size : array.sizes) numel *= size;
    expect(array.sizes.size() == array.strides.size() && numel == array.numel, "has a window on ",
           buffer_name(window.buffer), " of another size than it says");
    const int64_t bytes = window.bytes;
    const bool fits =
        std::all_of(array.strides.begin(), array.strides.end(), [](int64_t s) { return s >= 0; });
    expect(fits && reinterpret_cast<int64_t>(array.data) >= 0 && extent(array) <= bytes, "has a window on ",
           buffer_name(window.buffer), " that ends at byte ", extent(array), " of ", bytes);
  }
  void read(const Window& window) const {
    if (window.buffer == -1 && step_ && (step_->kind == Kind::Program || step_->kind == Kind::Host)) return;
    inside(window);
    expect(window.array.numel == 0 || there_[static_cast<size_t>(window.buffer)], "reads ",
           buffer_name(window.buffer), ", which nobody has written");
  }
  void write(const Window& window) {
    inside(window);
    const bool adds = step_->kind == Kind::Multiply && step_->attributes.ints[2] != 0;
    if (adds) read(window);
    there_[static_cast<size_t>(window.buffer)] = true;
  }

  void counts(size_t least, size_t most, size_t outputs) const {
    expect(step_->in.size() >= least && step_->in.size() <= most && step_->out.size() == outputs, "has ",
           step_->in.size(), " inputs and ", step_->out.size(), " outputs");
  }
  void kind(const Step& step) const {
    switch (step.kind) {
      case Kind::Program:
        return program(step);
      case Kind::Primitive:
        expect(step.primitive && !step.out.empty() && step.out.size() <= size_t{kMaxPrimitiveOutputs},
               "is no primitive, or has no output");
        if (step.in_place)
          expect(!step.in.empty() && step.in[0].buffer == step.out[0].buffer,
                 "runs in place over another buffer");
        if (step.random >= 0)
          expect(step.attributes.ints.size() > step.random + 1 && step.stream >= 0,
                 "draws random numbers of no stream");
        break;
      case Kind::Multiply:
        counts(2, 3, 1);
        expect(step.attributes.ints.size() == 3, "does not say how it multiplies");
        break;
      case Kind::Copy:
        counts(1, 1, 1);
        break;
      case Kind::Fill:
        counts(0, 0, 1);
        break;
      case Kind::Read:
        counts(1, 1, 0);
        expect(step.in[0].array.numel == 1, "reads a value that is not one");
        break;
      case Kind::Host:
        expect(step.index >= 0 && static_cast<size_t>(step.index) < trace_.hosts.size(),
               "calls back into nothing");
        for (const Window& window : step.in)
          expect(window.buffer >= 0 || is_argument(static_cast<int>(window.number.as_int())),
                 "is given an argument that is none");
        break;
      case Kind::Apply:
        expect(static_cast<bool>(step.body), "applies nothing");
        break;
      case Kind::Call:
        expect(static_cast<bool>(step.action), "calls nothing");
        break;
      case Kind::SetGradient:
        counts(0, 1, 0);
        break;
      case Kind::SetData:
        counts(1, 1, 0);
        break;
      case Kind::RequireGrad:
        counts(0, 0, 0);
        break;
    }
    if (sets(step))
      expect(is_captured(step.index), "changes the tensor ", step.index, ", which was not captured");
    expect(step.stream >= -1 && step.stream < static_cast<int>(trace_.streams.size()), "draws from stream ",
           step.stream, ", which is not there");
  }

  void program(const Step& step) const {
    expect(step.program != nullptr && (!step.owned || step.owned.get() == step.program), "has no program");
    const Program& program = *step.program;
    expect(static_cast<size_t>(program.n_inputs) == step.in.size() &&
               program.outputs.size() == step.out.size() && !step.out.empty() &&
               step.divisors.size() <= step.out.size(),
           "has a program of ", program.n_inputs, " inputs and ", program.outputs.size(), " outputs for ",
           step.in.size(), " and ", step.out.size());
    registers(program);
    if (program.joined) registers(*program.joined);
    const size_t stored = step.out.size() - step.divisors.size();
    const Dims* space = stored ? &step.out[0].array.sizes : nullptr;
    for (size_t k = 0; k < step.out.size(); ++k) {
      const Array& out = step.out[k].array;
      expect(k >= stored ? out.numel == 1 : out.sizes == *space, "writes arrays of different sizes");
      for (size_t other = 0; other < k; ++other)
        expect(step.out[other].buffer != step.out[k].buffer ||
                   step.out[other].array.data != step.out[k].array.data,
               "writes ", buffer_name(step.out[k].buffer), " twice");
    }
    if (!space) return;
    for (const Window& window : step.in) {
      if (window.buffer < 0) continue;
      const Dims& sizes = window.array.sizes;
      bool fits = sizes.size() <= space->size();
      for (int d = 1; fits && d <= sizes.size(); ++d)
        fits = sizes[sizes.size() - d] == 1 || sizes[sizes.size() - d] == (*space)[space->size() - d];
      // Sums run over the elements one after the other, whatever the shape.
      expect(fits || !step.divisors.empty(), "reads ", describe(window.array),
             ", which does not spread over ", describe(step.out[0].array));
    }
  }
  void registers(const Program& program) const {
    const int first = program.first_result(), n = static_cast<int>(program.code.size());
    for (int i = 0; i < n; ++i) {
      const Instruction& instruction = program.code[static_cast<size_t>(i)];
      expect(super_number(instruction.micro) < kernels->n_supers, "has an unknown micro-op");
      const uint8_t operands[3] = {instruction.a, instruction.b, instruction.c};
      for (int k = 0; k < kernels->arity_of(instruction.micro); ++k)
        expect(operands[k] < first + i, "instruction ", i, " reads register ", int{operands[k]},
               ", which is not ready");
    }
    for (const uint8_t output : program.outputs)
      expect(output < first + n, "gives register ", int{output}, ", which does not exist");
  }

  void lifetimes() {
    std::vector<bool> kept(trace_.buffers.size());
    for (size_t b = 0; b < kept.size(); ++b) kept[b] = trace_.buffers[b].origin != Origin::Fresh;
    const auto keep = [&](const Window& window) {
      if (window.buffer >= 0) kept[static_cast<size_t>(window.buffer)] = true;
    };
    std::vector<int> last(kept.size(), -1);
    for (size_t s = 0; s < trace_.steps.size(); ++s) {
      const Step& step = trace_.steps[s];
      for (const auto* windows : {&step.in, &step.out})
        for (const Window& window : *windows) {
          if (window.buffer >= 0) last[static_cast<size_t>(window.buffer)] = static_cast<int>(s);
          if (step.kind == Kind::SetGradient || step.kind == Kind::SetData) keep(window);
        }
    }
    for (const auto* windows : {&trace_.results, &trace_.result_gradients})
      for (const Window& window : *windows) keep(window);
    for (const Outgoing& out : trace_.outgoing) keep(out.window);
    std::vector<bool> given(kept.size(), false);
    for (size_t s = 0; s < trace_.steps.size(); ++s) {
      step_ = &trace_.steps[s];
      number_ = s;
      for (const int b : step_->last) {
        expect(is_buffer(b), "gives back ", buffer_name(b), ", which is not there");
        const auto at = static_cast<size_t>(b);
        expect(!kept[at], "gives back ", buffer_name(b), ", which is not its own");
        expect(!given[at], "gives back ", buffer_name(b), " again");
        expect(last[at] == static_cast<int>(s), "gives back ", buffer_name(b),
               last[at] < static_cast<int>(s) ? ", which it does not touch" : ", which is used afterwards");
        given[at] = true;
      }
    }
    for (size_t b = 0; b < kept.size(); ++b) {
      if (kept[b] || given[b] || last[b] < 0) continue;
      number_ = static_cast<size_t>(last[b]);
      step_ = &trace_.steps[number_];
      fault("does not give back ", buffer_name(static_cast<int>(b)));
    }
  }

  const Trace& trace_;
  const char* pass_;
  const Step* step_ = nullptr;  // null: the fault is the whole trace's
  size_t number_ = 0;
  std::vector<bool> there_;
};

// What happens to one buffer: who reads it between one write and the next.
using History = std::vector<std::pair<std::string, std::vector<std::string>>>;

std::map<int, History> histories(const std::vector<Step>& steps) {
  std::map<int, History> all;
  const auto of = [&](int buffer) -> History& {
    History& history = all[buffer];
    if (history.empty()) history.emplace_back();
    return history;
  };
  for (const Step& step : steps) {
    const std::string name = step.name + " of " + step.where;
    for (const Window& window : step.in)
      if (window.buffer >= 0) of(window.buffer).back().second.push_back(name);
    for (const Window& window : step.out) of(window.buffer).push_back({name, {}});
  }
  for (auto& [buffer, history] : all)
    for (auto& [writer, readers] : history) std::sort(readers.begin(), readers.end());
  return all;
}

class LayoutVerifier {
 public:
  LayoutVerifier(const Trace& trace, const Layout& layout) : trace_(trace), layout_(layout) {}

  void run() {
    const size_t n = trace_.buffers.size();
    if (layout_.offsets.size() != n || layout_.extents.size() != n ||
        layout_.chains.size() != trace_.steps.size() || layout_.allocated.size() != trace_.steps.size() ||
        layout_.inherited.size() != trace_.steps.size())
      fault(0, "the plan is of another trace");
    begins_.assign(n, -1);
    ends_.assign(n, -1);
    std::vector<int> memory(n, 0);  // how often it was given any
    for (size_t s = 0; s < trace_.forward_steps; ++s) {
      const Step& step = trace_.steps[s];
      for (const int b : layout_.allocated[s]) is_buffer(s, b);
      for (const auto& [heir, from] : layout_.inherited[s]) is_buffer(s, heir), is_buffer(s, from);
      for (const int b : layout_.allocated[s]) ++memory[static_cast<size_t>(b)];
      for (const auto& [heir, from] : layout_.inherited[s]) {
        ++memory[static_cast<size_t>(heir)];
        writes_over(s, heir, from);
      }
      for (const auto* windows : {&step.in, &step.out})
        for (const Window& window : *windows)
          if (window.buffer >= 0) touch(s, window);
      for (const Window& window : step.out) {
        const auto b = static_cast<size_t>(window.buffer);
        if (begins_[b] != static_cast<int>(s) || trace_.buffers[b].origin != Origin::Fresh) continue;
        const bool made = step.kind == Kind::Host || step.kind == Kind::Apply ||
                          (step.kind == Kind::Primitive && !step.in_place);
        const int times = memory[b] + in_arena(window.buffer) + made;
        if (times != 1)
          fault(s, times ? "gives memory twice to " : "writes without memory ", buffer_name(window.buffer));
      }
    }
    for (size_t b = 0; b < n; ++b)
      if (in_arena(static_cast<int>(b))) stays_inside(b);
    for (size_t a = 0; a < n; ++a)
      for (size_t b = 0; b < a; ++b)
        if (in_arena(static_cast<int>(a)) && in_arena(static_cast<int>(b))) apart(a, b);
  }

 private:
  template <typename... Words>
  [[noreturn]] void fault(size_t s, const Words&... words) const {
    if (s >= trace_.steps.size()) fail(ErrorKind::Runtime, "[compile] after planning: ", words...);
    const Step& step = trace_.steps[s];
    fail(ErrorKind::Runtime, "[compile] after planning: step ", s, ", ", step.name,
         step.where.empty() ? "" : " of " + step.where, ", ", words...);
  }

  void is_buffer(size_t s, int buffer) const {
    if (buffer < 0 || static_cast<size_t>(buffer) >= trace_.buffers.size())
      fault(s, "plans memory for ", buffer_name(buffer), ", which is not there");
  }
  bool in_arena(int buffer) const { return layout_.offsets[static_cast<size_t>(buffer)] >= 0; }

  void touch(size_t s, const Window& window) {
    const auto b = static_cast<size_t>(window.buffer);
    if (begins_[b] < 0) begins_[b] = static_cast<int>(s);
    ends_[b] = static_cast<int>(s);
    if (extent(window.array) > layout_.extents[b])
      fault(s, "has a window that ends behind its buffer ", buffer_name(window.buffer));
  }

  void stays_inside(size_t b) const {
    const int buffer = static_cast<int>(b);
    const auto s = static_cast<size_t>(std::max(begins_[b], 0));
    if (trace_.buffers[b].origin != Origin::Fresh)
      fault(s, "puts ", buffer_name(buffer), " into the arena, which is not fresh");
    if (layout_.offsets[b] % kAlignment != 0)
      fault(s, "puts ", buffer_name(buffer), " at ", layout_.offsets[b], ", which is not aligned");
    if (layout_.offsets[b] + layout_.extents[b] > layout_.arena_bytes)
      fault(s, "puts ", buffer_name(buffer), " across the end of the arena");
    const auto is = [buffer](const Window& window) { return window.buffer == buffer; };
    bool outlives = std::any_of(trace_.results.begin(), trace_.results.end(), is) ||
                    std::any_of(trace_.result_gradients.begin(), trace_.result_gradients.end(), is);
    for (const Outgoing& out : trace_.outgoing) outlives |= is(out.window);
    for (size_t t = 0; t < trace_.steps.size(); ++t) {
      const Step& step = trace_.steps[t];
      const bool seen =
          step.kind == Kind::Host || step.kind == Kind::SetGradient || step.kind == Kind::SetData;
      outlives |= (seen || t >= trace_.forward_steps) && std::any_of(step.in.begin(), step.in.end(), is);
    }
    if (outlives) fault(s, "puts ", buffer_name(buffer), " into the arena, which others see afterwards");
  }

  // Two buffers of the arena.
  void apart(size_t a, size_t b) const {
    if (begins_[a] < 0 || begins_[b] < 0) return;
    if (begins_[a] < begins_[b] || (begins_[a] == begins_[b] && a < b)) std::swap(a, b);
    // `a` comes later, or at the same time.
    const int64_t from_a = layout_.offsets[a], from_b = layout_.offsets[b];
    if (from_a + layout_.extents[a] <= from_b || from_b + layout_.extents[b] <= from_a) return;
    if (ends_[b] < begins_[a]) {
      if (same_chain(ends_[b], begins_[a]) && !descends(static_cast<int>(a), static_cast<int>(b)))
        fault(static_cast<size_t>(begins_[a]), "puts ", buffer_name(static_cast<int>(a)), " over ",
              buffer_name(static_cast<int>(b)), ", which other rows of the chain still use");
      return;
    }
    if (ends_[b] > begins_[a] || begins_[a] == begins_[b])
      fault(static_cast<size_t>(begins_[a]), "puts ", buffer_name(static_cast<int>(a)), " over ",
            buffer_name(static_cast<int>(b)), ", which is still used");
    writes_over(static_cast<size_t>(begins_[a]), static_cast<int>(a), static_cast<int>(b));
    if (from_a != from_b)
      fault(static_cast<size_t>(begins_[a]), "puts ", buffer_name(static_cast<int>(a)), " across ",
            buffer_name(static_cast<int>(b)));
  }

  bool same_chain(int s, int t) const {
    const int chain = layout_.chains[static_cast<size_t>(s)];
    return chain >= 0 && chain == layout_.chains[static_cast<size_t>(t)];
  }
  // Whether buffer `a` lies where `b` does because every step between wrote over what it read.
  bool descends(int a, int b) const {
    while (a != b && a >= 0) {
      const Step& step = trace_.steps[static_cast<size_t>(begins_[static_cast<size_t>(a)])];
      const int64_t offset = layout_.offsets[static_cast<size_t>(a)];
      const int heir = std::exchange(a, -1);
      for (const Window& window : step.in)
        if (window.buffer >= 0 && window.buffer != heir &&
            layout_.offsets[static_cast<size_t>(window.buffer)] == offset &&
            begins_[static_cast<size_t>(window.buffer)] < begins_[static_cast<size_t>(heir)])
          a = window.buffer;
    }
    return a == b;
  }

  // Whether step `s` may write `heir` where `from` lies.
  void writes_over(size_t s, int heir, int from) const {
    const Step& step = trace_.steps[s];
    const auto same = [](const Array& a, const Array& b) {
      return a.data == b.data && a.dtype == b.dtype && a.sizes == b.sizes && a.strides == b.strides;
    };
    const Window* out = nullptr;
    for (const Window& window : step.out)
      if (window.buffer == heir) out = &window;
    bool fits = step.kind == Kind::Program && out &&
                trace_.buffers[static_cast<size_t>(from)].origin == Origin::Fresh &&
                std::find(step.last.begin(), step.last.end(), from) != step.last.end();
    bool reads = false;
    for (const Window& window : step.in) {
      if (window.buffer != from) continue;
      reads = true;
      fits = fits && same(window.array, out->array);
    }
    for (const Window& window : step.out) fits = fits && window.buffer != from;
    if (!fits || !reads)
      fault(s, "writes ", buffer_name(heir), " over ", buffer_name(from), ", which it may not");
  }

  const Trace& trace_;
  const Layout& layout_;
  std::vector<int> begins_, ends_;  // of each buffer: steps that touch it first and last
};

}  // namespace

void verify(const Trace& trace, const char* pass, bool with_lifetimes) {
  Verifier(trace, pass).run(with_lifetimes);
}

void verify_order(const std::vector<Step>& before, const std::vector<Step>& after, const char* pass) {
  if (before.size() != after.size())
    fail(ErrorKind::Runtime, "[compile] after ", pass, ": ", before.size(), " steps became ", after.size());
  const auto then = histories(before), now = histories(after);
  for (const auto& [buffer, history] : then)
    if (const auto found = now.find(buffer); found == now.end() || found->second != history)
      fail(ErrorKind::Runtime, "[compile] after ", pass, ": ", buffer_name(buffer),
           " is read and written in another order");
  const auto names = [](const std::vector<Step>& steps, bool readings) {
    std::vector<std::string> found;
    for (const Step& step : steps)
      if (readings ? step.reads() : (step.kind == Kind::Host && !step.pure) || sets(step))
        found.push_back(step.name + " of " + step.where);
    return found;
  };
  for (const bool readings : {true, false})
    if (names(before, readings) != names(after, readings))
      fail(ErrorKind::Runtime, "[compile] after ", pass, ": ", readings ? "readings" : "calls of the host",
           " stand in another order");
}

void verify_layout(const Trace& trace, const Layout& layout) {
  LayoutVerifier(trace, layout).run();
  verify_chains(trace, layout);
}

}  // namespace versant::trace
