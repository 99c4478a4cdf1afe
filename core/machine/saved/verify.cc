// Note [Untrusted runs]
// A file may hold anything, so nothing in it runs before all of this is known:
//
// * Bytes become steps only where they name what this version has (trace_bytes.cc): dtypes, micro-ops,
//   primitives, actions. Sizes, strides and places multiply without overflow.
// * Every window lies inside of its buffer. Of buffers that a call brings along (arguments, constants,
//   tensors and their gradients) the least size is known: `Plan::fits` compares tensors with the geometry
//   that stands here. Buffers that primitives make are as large as the result that the file claims, which is
//   compared with the true one before anybody uses it (check_geometry). All others are made as large as
//   their largest window.
// * Nobody reads a buffer before it was written, or writes a constant.
// * Programs, products, copies and fills are checked here for what their loops rely on. Primitives and
//   actions say themselves, beside their loops, which claims they admit; those that say nothing are refused.
//   Indices stand in the values of tensors: primitives that rely on them check them before each run.
// * Branches go on from each other's buffers only where they read the same, and agree on how large these are.
//
// A program that passes may still be slow or ask for more memory than there is; the latter raises.
#include <algorithm>

#include "machine/action.h"
#include "machine/call.h"
#include "machine/fuse.h"
#include "machine/matmul.h"
#include "machine/saved/bytes.h"
#include "machine/saved/program.h"
#include "machine/saved/update.h"
#include "machine/slots.h"

namespace versant::saved {

using trace::Buffer;
using trace::Captured;
using trace::extent;
using trace::Step;
using trace::Stream;
using trace::Trace;
using trace::Window;

namespace {

bool same_place(const Window& a, const Window& b) {
  return a.buffer == b.buffer && a.array.data == b.array.data && trace::same_geometry(a.array, b.array);
}

bool broadcasts(const Dims& from, const Dims& to) {
  const int lead = to.size() - from.size();
  if (lead < 0) return false;
  for (int d = 0; d < from.size(); ++d)
    if (from[d] != to[lead + d] && from[d] != 1) return false;
  return true;
}

bool stored_as(DType dtype, Compute compute) {
  return (dtype == DType::Float32 && compute == Compute::F32) ||
         (dtype == DType::Float64 && compute == Compute::F64);
}

// Whether an array is row by row and of `numel` elements, or one number everywhere.
bool flat(const Array& array, int64_t numel) {
  return (array.contiguous && array.numel == numel) || is_uniform(array);
}

// What is known of the buffers of one trace.
struct Room {
  std::vector<int64_t> limits;  // bytes that a buffer has at least; -1: it is made as large as needed
  std::vector<int64_t> bytes;   // the largest window
};

class Verifier {
 public:
  explicit Verifier(Trace& trace) : t(trace) {
    const size_t n = t.buffers.size();
    room.limits.assign(n, -1);
    room.bytes.assign(n, 0);
    arguments();
    captured();
    streams();
    for (size_t b = 0; b < n; ++b) buffer(b);
    known_ = room.limits;
    const auto readings = [](const std::vector<Step>& steps) {
      return std::count_if(steps.begin(), steps.end(), [](const Step& step) { return step.reads(); });
    };
    if (readings(t.plain) != readings(t.steps)) damaged("fused and unfused steps read different values");
    run(t.steps);
    if (!t.plain.empty()) run(t.plain);  // whose buffers other branches go on with
  }
  Room room;

 private:
  void arguments() {
    const size_t n = t.arguments.size();
    if (t.argument_buffers.size() != n || t.argument_tensors.size() != n)
      damaged("arguments and their buffers differ in number");
    for (const int b : t.argument_buffers)
      if (b < 0 || static_cast<size_t>(b) >= t.buffers.size()) damaged("there is no buffer ", b);
  }

  bool is_argument(int i) const { return i >= 0 && static_cast<size_t>(i) < t.arguments.size(); }

  void captured() {
    for (const Captured& c : t.captured) {
      if (c.argument != -1 && !is_argument(c.argument)) damaged("there is no argument ", c.argument);
      if (c.shares != -1 && (c.shares < 0 || static_cast<size_t>(c.shares) >= t.captured.size()))
        damaged("there is no captured tensor ", c.shares);
      if (c.shares_argument != -1 && !is_argument(c.shares_argument))
        damaged("there is no argument ", c.shares_argument);
    }
  }

  void streams() {
    if (t.streams.empty() || t.streams[0].generator != &default_generator())
      damaged("the first stream of random numbers is not the default one");
  }

  void buffer(size_t b) {
    Buffer& buffer = t.buffers[b];
    const auto i = static_cast<size_t>(buffer.index);
    int64_t& limit = room.limits[b];
    switch (buffer.origin) {
      case Buffer::Origin::Fresh:
        return;
      case Buffer::Origin::Fixed:
        limit = static_cast<int64_t>(buffer.storage->bytes);
        return;
      case Buffer::Origin::Argument:
        if (!is_argument(buffer.index) || t.argument_buffers[i] != static_cast<int>(b))
          damaged("buffer ", b, " is of no argument");
        limit = 0;
        for (size_t k = 0; k < t.arguments.size(); ++k)
          if (t.argument_buffers[k] == static_cast<int>(b)) limit = std::max(limit, extent(t.arguments[k]));
        for (const Captured& c : t.captured)
          if (c.bound && c.shares_argument == buffer.index) limit = std::max(limit, extent(c.geometry));
        return;
      case Buffer::Origin::Captured:
        if (i >= t.captured.size() || !t.captured[i].bound) damaged("buffer ", b, " is of no tensor");
        limit = extent(t.captured[i].geometry);
        for (const Captured& c : t.captured)
          if (c.bound && c.shares == buffer.index) limit = std::max(limit, extent(c.geometry));
        return;
      case Buffer::Origin::Gradient:
        if (i >= t.captured.size() || !t.captured[i].reads_gradient || !t.captured[i].had_gradient)
          damaged("buffer ", b, " is of no gradient");
        limit = extent(t.captured[i].gradient);
        return;
      default:
        damaged("buffer ", b, " has no origin");
    }
  }

  // --- steps

  void run(std::vector<Step>& steps) {
    room.limits = known_;
    written_.clear();
    for (const Buffer& buffer : t.buffers) written_.push_back(buffer.origin != Buffer::Origin::Fresh);
    std::vector<Step> checked;
    for (Step& step : steps) {
      what_ = step.name;
      for (const Window& in : step.in) {
        // What is changed in place need not be anything yet: random numbers write all of it.
        const bool fills = step.in_place && &in == &step.in[0];
        if (in.buffer >= 0)
          input(in, fills);
        else if (in.buffer != -1 || step.kind != Step::Kind::Program)
          wrong("an input is no array");
      }
      for (const Window& out : step.out)
        if (out.buffer < 0 || static_cast<size_t>(out.buffer) >= t.buffers.size())
          wrong("there is no output");
      check(step);
      for (const Window& out : step.out) output(step, out);
      if (step.kind == Step::Kind::Primitive && step.primitive->trusts_values()) {
        Step& check = checked.emplace_back();
        check.kind = Step::Kind::Call;
        check.name = "check_values";
        check.stand = step.stand;
        check.in = step.in;
        check.action = [primitive = step.primitive, attributes = step.attributes](
                           std::span<const Array> arrays) { primitive->check_values(arrays, attributes); };
      }
      checked.push_back(std::move(step));
    }
    steps = std::move(checked);
    what_ = "result";
    for (const Window& window : t.results) {
      if (window.buffer < 0) wrong("it is no array");
      input(window, false);
    }
  }

  [[noreturn]] void wrong(const auto&... parts) const { damaged("step '", what_, "': ", parts...); }

  void within(const Window& window, const char* what) {
    const auto b = static_cast<size_t>(window.buffer);
    const int64_t bytes = extent(window.array);
    if (room.limits[b] >= 0 && bytes > room.limits[b])
      wrong(what, ", ", describe(window.array), ", reaches beyond its memory of ", room.limits[b], " bytes");
    room.bytes[b] = std::max(room.bytes[b], bytes);
  }

  void input(const Window& window, bool fills) {
    const auto b = static_cast<size_t>(window.buffer);
    if (b >= t.buffers.size()) wrong("there is no buffer ", b);
    if (!written_[b] && !fills && window.array.numel > 0) wrong("an input was never written");
    within(window, "an input");
  }

  // Whether the step takes the memory of its results from whoever computes them.
  static bool is_given(const Step& step) {
    return (step.kind == Step::Kind::Primitive && !step.in_place) || step.kind == Step::Kind::Apply;
  }

  void output(const Step& step, const Window& window) {
    const auto b = static_cast<size_t>(window.buffer);
    const Buffer& buffer = t.buffers[b];
    if (buffer.origin == Buffer::Origin::Fixed) wrong("a constant is written");
    if (is_given(step)) {
      if (buffer.origin != Buffer::Origin::Fresh || written_[b]) wrong("a result has no memory of its own");
      room.limits[b] = extent(window.array);
    }
    within(window, "an output");
    written_[b] = true;
  }

  void check(Step& step) {
    switch (step.kind) {
      case Step::Kind::Program:
        return program(step);
      case Step::Kind::Primitive:
        return primitive(step);
      case Step::Kind::Multiply:
        return multiply(step);
      case Step::Kind::Copy:
        if (step.in.size() != 1 || step.out.size() != 1 ||
            !broadcasts(step.in[0].array.sizes, step.out[0].array.sizes))
          wrong("its arrays do not fit");
        return;
      case Step::Kind::Fill:
        if (!step.in.empty() || step.out.size() != 1) wrong("it fills one array");
        return;
      case Step::Kind::Read:
        if (step.in.size() != 1 || !step.out.empty() || step.in[0].array.numel != 1)
          wrong("it reads one number");
        return;
      case Step::Kind::Apply:
        return call(step);
      case Step::Kind::Call:
        return action(step);
      case Step::Kind::SetGradient:
      case Step::Kind::SetData:
        if (!step.out.empty() || step.in.size() > 1 ||
            (step.in.empty() && step.kind == Step::Kind::SetData) || step.index < 0 ||
            static_cast<size_t>(step.index) >= t.captured.size() ||
            t.captured[static_cast<size_t>(step.index)].argument >= 0)
          wrong("there is no tensor ", step.index);
        return;
      default:
        wrong("there is no such step");
    }
  }

  void program(const Step& step) {
    const versant::Program& program = *step.program;
    if (step.out.empty() || step.in.size() != static_cast<size_t>(program.n_inputs) ||
        step.out.size() != program.outputs.size())
      wrong("its arrays and its registers differ in number");
    if (!program.supported[static_cast<size_t>(step.compute)]) wrong("it has no kernels for its type");
    if (is_complex(step.common)) wrong("it computes complex numbers");
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        if (window.buffer < 0 ? window.number.is_complex() : is_complex(window.array.dtype))
          wrong("it computes complex numbers");
    if (!step.divisors.empty()) return totals(step);
    for (const Window& out : step.out)
      if (out.array.sizes != step.out[0].array.sizes) wrong("its outputs differ in shape");
    for (const Window& in : step.in)
      if (in.buffer >= 0 && !broadcasts(in.array.sizes, step.out[0].array.sizes))
        wrong("an input of shape ", in.array.sizes, " does not fit outputs of shape ",
              step.out[0].array.sizes);
  }

  void totals(const Step& step) {
    if (step.divisors.size() > step.out.size()) wrong("it has more totals than outputs");
    const size_t stored = step.out.size() - step.divisors.size();
    const int64_t numel = trace::numel_of(step);
    for (const Window& in : step.in)
      if (in.buffer >= 0 && !flat(in.array, numel)) wrong("an input is not row by row");
    for (size_t k = 0; k < step.out.size(); ++k) {
      const Array& out = step.out[k].array;
      if (k < stored ? !out.contiguous || out.numel != numel
                     : out.numel != 1 || !stored_as(out.dtype, step.compute))
        wrong("output ", k, " does not fit");
    }
  }

  void multiply(const Step& step) {
    const Dims& how = step.attributes.ints;
    if (step.in.size() < 2 || step.in.size() > 3 || step.out.size() != 1 || how.size() != 3)
      wrong("it multiplies two arrays");
    const Array &x = step.in[0].array, &y = step.in[1].array, &to = step.out[0].array;
    const int rx = x.rank(), ry = y.rank(), rank = to.rank();
    if (rx < 2 || ry < 2 || rx > rank || ry > rank) wrong("its arrays have too few axes");
    if (x.dtype != to.dtype || y.dtype != to.dtype || to.dtype == DType::Bool) wrong("its dtypes differ");
    const bool tx = how[0] != 0, ty = how[1] != 0, add = how[2] != 0;
    const int64_t inner = x.sizes[tx ? rx - 2 : rx - 1];
    if (x.sizes[tx ? rx - 1 : rx - 2] != to.sizes[rank - 2] || inner != y.sizes[ty ? ry - 1 : ry - 2] ||
        y.sizes[ty ? ry - 2 : ry - 1] != to.sizes[rank - 1])
      wrong("its shapes do not fit: ", x.sizes, " @ ", y.sizes, " -> ", to.sizes);
    Dims lead_x = x.sizes, lead_y = y.sizes, lead = to.sizes;
    lead_x.resize(rx - 2);
    lead_y.resize(ry - 2);
    lead.resize(rank - 2);
    if (!broadcasts(lead_x, lead) || !broadcasts(lead_y, lead) || (ry == 2 && lead_x != lead))
      wrong("its batches do not fit: ", x.sizes, " @ ", y.sizes, " -> ", to.sizes);
    if (step.in.size() > 2) {
      const Array& bias = step.in[2].array;
      if (bias.rank() != 1 || bias.sizes[0] != to.sizes[rank - 1] || bias.dtype != to.dtype ||
          !to.contiguous || !is_floating(to.dtype) || add)
        wrong("its bias does not fit");
    }
    if (add && (inner > kAddedDepth || (to.dtype != DType::Float32 && to.dtype != DType::Float64)))
      wrong("it cannot add");
  }

  Claim claim(const Step& step) {
    in_.clear();
    out_.clear();
    for (const Window& window : step.in) in_.push_back(&window.array);
    for (const Window& window : step.out) out_.push_back(&window.array);
    return {in_, out_, step.attributes, step.in_place};
  }

  bool is_stream(int stream) const { return stream >= 0 && static_cast<size_t>(stream) < t.streams.size(); }

  void primitive(Step& step) {
    const Primitive& primitive = *step.primitive;
    if (step.in.empty() && step.in_place) wrong("there is nothing to change in place");
    if (step.in_place && (step.out.size() != 1 || !same_place(step.in[0], step.out[0]) || primitive.sized()))
      wrong("what it changes in place is not what it reads");
    if (!primitive.admits(claim(step)))
      wrong("the primitive does not admit these shapes, or cannot be saved");
    if (step.random < 0) return;
    if (!is_stream(step.stream) || primitive.draws_at(step.attributes) != step.random ||
        step.random + 1 >= step.attributes.ints.size())
      wrong("it draws from no stream");
  }

  void call(const Step& step) {
    if (step.body.target<UpdateAgain>()) {  // the function checks its tensors
      if (!step.in.empty() || !step.out.empty()) wrong("an update takes tensors of its own");
      return;
    }
    const auto& again = *step.body.target<CallAgain>();
    if (again.places() != step.in.size())
      wrong("it takes ", again.places(), " tensors, not ", step.in.size());
    if (!is_stream(step.stream)) wrong("it draws from no stream");
  }

  void action(const Step& step) {
    const auto& bound = *step.action.target<trace::BoundAction>();
    if (!bound.action->admits(claim(step))) wrong("the action does not admit these shapes");
  }

  Trace& t;
  std::vector<int64_t> known_;  // limits before the first step
  std::vector<bool> written_;
  std::vector<const Array*> in_, out_;
  std::string what_;
};

// Where a trace reads a value, and how many buffers are numbered until then.
struct Reading {
  size_t step, buffers;
};

std::vector<Reading> readings_of(const Trace& trace) {
  std::vector<Reading> readings;
  size_t buffers = 0;
  for (const int b : trace.argument_buffers) buffers = std::max(buffers, static_cast<size_t>(b + 1));
  for (size_t s = 0; s < trace.plain.size(); ++s) {
    const Step& step = trace.plain[s];
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        buffers = std::max(buffers, static_cast<size_t>(window.buffer + 1));
    if (step.reads()) readings.push_back({s, buffers});
  }
  return readings;
}

// Whether what one step has read can stand for what the other one does.
bool alike(const Step& a, const Step& b) {
  if (a.kind != b.kind || a.primitive != b.primitive) return false;
  if (a.kind == Step::Kind::Read) return true;
  const Array &x = a.out[0].array, &y = b.out[0].array;
  if (x.dtype != y.dtype || x.rank() != y.rank() || a.attributes.ints != b.attributes.ints ||
      a.in[0].array.rank() != b.in[0].array.rank() || a.in[0].array.dtype != b.in[0].array.dtype)
    return false;
  for (int d = 1; d < x.rank(); ++d)
    if (x.sizes[d] != y.sizes[d]) return false;
  return true;
}

// Whether no call reads what both steps have read.
bool parts(const Step& a, const Step& b) {
  if (a.kind != Step::Kind::Read) return a.out[0].array.sizes != b.out[0].array.sizes;
  if (a.truth && b.truth) return (a.number.as_double() != 0) != (b.number.as_double() != 0);
  return a.number.kind != b.number.kind || a.number.i != b.number.i;
}

// A call that parts from `from` at one of its readings may go on with the steps of `to`, which stand behind
// the same reading.
void check_parting(const Trace& from, const Room& had, const Trace& to, const Room& needs) {
  const std::vector<Reading> ours = readings_of(from), theirs = readings_of(to);
  for (size_t r = 0; r < ours.size() && r < theirs.size(); ++r) {
    const Step &a = from.plain[ours[r].step], &b = to.plain[theirs[r].step];
    if (ours[r].step != theirs[r].step || !alike(a, b))
      damaged("branches of one program read different values");
    for (size_t n = 0; n < ours[r].buffers && n < to.buffers.size(); ++n) {
      const int64_t has = had.limits[n];
      if (from.buffers[n].origin != to.buffers[n].origin || (has >= 0 && needs.bytes[n] > has))
        damaged("branches of one program differ in buffer ", n);
    }
    // Where they part, later numbers stand for other buffers.
    if (parts(a, b)) return;
  }
}

}  // namespace

void verify(Entry& entry) {
  if (entry.traces.empty() || entry.results.size() != entry.traces.size())
    damaged("branches and results differ in number");
  if (entry.names.size() != entry.traces[0].arguments.size()) damaged("inputs and names differ in number");
  std::vector<Room> rooms;
  std::vector<int64_t> bytes;
  for (Trace& trace : entry.traces) {
    trace.argument_gradients.assign(trace.arguments.size(), false);
    trace.argument_is.assign(trace.arguments.size(), {});
    trace.result_gradients.assign(trace.results.size(), {});
    trace.result_leaves.assign(trace.results.size(), false);
    trace.result_dialects.assign(trace.results.size(), false);
    rooms.push_back(Verifier(trace).room);
    trace.forward_steps = trace.steps.size();
    bytes.resize(std::max(bytes.size(), rooms.back().bytes.size()));
    for (size_t b = 0; b < rooms.back().bytes.size(); ++b)
      bytes[b] = std::max(bytes[b], rooms.back().bytes[b]);
  }
  for (size_t i = 0; i < rooms.size(); ++i)
    for (size_t j = 0; j < rooms.size(); ++j)
      if (i != j) check_parting(entry.traces[i], rooms[i], entry.traces[j], rooms[j]);
  for (Trace& trace : entry.traces) {
    for (auto* steps : {&trace.steps, &trace.plain})
      for (Step& step : *steps)
        for (auto* windows : {&step.in, &step.out})
          for (Window& window : *windows)
            if (window.buffer >= 0) window.bytes = bytes[static_cast<size_t>(window.buffer)];
    for (Window& window : trace.results) window.bytes = bytes[static_cast<size_t>(window.buffer)];
    trace::plan_lifetimes(trace);
  }
}

}  // namespace versant::saved
