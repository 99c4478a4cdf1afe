// Note [Simplifying]
// What steps make of numbers and constants alone is computed while the trace is made ready, and is a constant
// then: the same code computes it, so the bits are the same. A step that has no effect but results which
// nobody reads is dropped. Steps that may raise stay.
#include "machine/simplify.h"

#include <algorithm>
#include <cstring>

#include "machine/fuse.h"
#include "machine/replay.h"
#include "machine/slots.h"

namespace versant::trace {

namespace {

constexpr int64_t kMostBytes = 4096;       // of a constant
constexpr int64_t kMostSource = 64 << 10;  // of one that a primitive makes of its attributes: eye, arange

// Whether a step only makes its results, and cannot fail.
bool is_pure(const Step& step) {
  if (step.out.empty()) return false;
  if (step.kind == Step::Kind::Program) return !(step.compute == Compute::I64 && step.program->divides);
  if (step.kind == Step::Kind::Primitive)
    return std::strcmp(step.primitive->name(), "sum") == 0 ||
           std::strcmp(step.primitive->name(), "mean") == 0;
  return step.kind == Step::Kind::Fill || step.kind == Step::Kind::Copy || step.kind == Step::Kind::Multiply;
}

// Whether a primitive makes its result of attributes alone, the same every time.
bool is_source(const Step& step) {
  return step.kind == Step::Kind::Primitive && step.in.empty() && !step.in_place &&
         step.primitive->draws_at(step.attributes) < 0 && !step.primitive->sized();
}

// How often each buffer is written.
std::vector<int> writers(const Trace& trace) {
  std::vector<int> count(trace.buffers.size(), 0);
  for (const Step& step : trace.steps)
    for (const Window& out : step.out) ++count[static_cast<size_t>(out.buffer)];
  return count;
}

void fold(Trace& trace) {
  std::vector<int> written = writers(trace);
  const std::vector<bool> stays = outliving(trace);
  Slots slots(trace.buffers.size());
  const auto is_constant = [&](const Window& window) {
    return window.buffer < 0 ||
           (trace.buffers[static_cast<size_t>(window.buffer)].origin == Buffer::Origin::Fixed &&
            written[static_cast<size_t>(window.buffer)] == 0);
  };
  int64_t most = kMostBytes;
  const auto may_become = [&](const Window& window) {
    const auto b = static_cast<size_t>(window.buffer);
    return trace.buffers[b].origin == Buffer::Origin::Fresh && written[b] == 1 && !stays[b] &&
           window.array.contiguous && window.array.data == nullptr && window.array.bytes() <= most;
  };
  const Stands stands(trace);
  std::vector<Step> steps;
  for (size_t s = 0; s < trace.steps.size(); ++s) {
    Step& step = trace.steps[s];
    const bool source = is_source(step);
    most = source ? kMostSource : kMostBytes;
    const bool simple = (step.kind == Step::Kind::Fill || step.kind == Step::Kind::Program) && is_pure(step);
    const bool known = s < trace.forward_steps && (source || simple) &&
                       std::all_of(step.in.begin(), step.in.end(), is_constant) &&
                       std::all_of(step.out.begin(), step.out.end(), may_become);
    if (!known) {
      steps.push_back(std::move(step));
      continue;
    }
    for (const Window& in : step.in)
      if (in.buffer >= 0) slots[in.buffer] = trace.buffers[static_cast<size_t>(in.buffer)].storage;
    run_step(trace, step, slots, stands);
    for (const Window& out : step.out) {
      Buffer& buffer = trace.buffers[static_cast<size_t>(out.buffer)];
      buffer.origin = Buffer::Origin::Fixed;
      buffer.storage = slots[out.buffer];
      buffer.storage->epoch = 0;  // it is none of the trace's
      written[static_cast<size_t>(out.buffer)] = 0;
    }
  }
  trace.forward_steps -= trace.steps.size() - steps.size();
  trace.steps = std::move(steps);
}

void drop_unread(Trace& trace) {
  std::vector<bool> read = outliving(trace);
  std::vector<Step> steps;
  size_t forward = trace.forward_steps;
  for (size_t s = trace.steps.size(); s-- > 0;) {
    Step& step = trace.steps[s];
    const bool useful = !is_pure(step) ||
                        std::any_of(step.out.begin(), step.out.end(),
                                    [&](const Window& out) { return read[static_cast<size_t>(out.buffer)]; });
    if (!useful) {
      forward -= s < trace.forward_steps;
      continue;
    }
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        if (window.buffer >= 0) read[static_cast<size_t>(window.buffer)] = true;
    steps.push_back(std::move(step));
  }
  std::reverse(steps.begin(), steps.end());
  trace.steps = std::move(steps);
  trace.forward_steps = forward;
}

}  // namespace

void simplify(Trace& trace) {
  // Branches share the buffers of what they have in common.
  if (trace.plain.empty()) fold(trace);
  drop_unread(trace);
}

}  // namespace versant::trace
