// Values that Python reads while a trace is made: what follows depends on them.
#include <algorithm>
#include <iterator>

#include "machine/trace.h"
#include "machine/verify.h"

namespace versant::trace {

void Recorder::read(const Array& array, Scalar value, bool truth) {
  settle_gradients();
  Window source = window(array, true);
  const Buffer& buffer = trace_.buffers[static_cast<size_t>(source.buffer)];
  if (buffer.origin == Buffer::Origin::Fixed && !buffer.written) return;  // a constant
  Step& step = add(Step::Kind::Read, truth ? "truth" : "value");
  step.in.push_back(std::move(source));
  step.number = value;
  step.truth = truth;
}

void Recorder::read_all(const Array& array) {
  constexpr int64_t kMost = 256;
  if (array.numel > kMost)
    refuse(text("a list of ", array.numel, " values"), " is read: return the tensor, or use ops of tensors");
  for (int64_t i = 0; i < array.numel; ++i) {
    int64_t offset = 0, rest = i;
    for (int d = array.rank(); d-- > 0; rest /= array.sizes[d])
      offset += rest % array.sizes[d] * array.strides[d];
    item(array.view(Dims{}, Dims{}, offset));
  }
}

void Recorder::gives_away(const Array& array) {
  refuse(describe(array),
         " gives its memory to Python, as numpy() does, which a replay cannot follow: use ops of tensors or "
         "item(), or do it outside");
}

namespace {
[[noreturn]] void refuse_reading(const Step& reading, const Step& host) {
  fail(ErrorKind::Runtime, "[compile] ", reading.where, ": reads a value behind ", host.name,
       ", which may have changed it and which a replay cannot take back if the value is another one: read it "
       "before, or return the tensor instead");
}
}  // namespace

bool Recorder::leaves(const Step& host, int buffer) const {
  const auto changed = changed_.find(host.index);
  if (changed == changed_.end() ||
      trace_.buffers[static_cast<size_t>(buffer)].origin != Buffer::Origin::Argument)
    return false;
  for (size_t i = 0; i < arguments_.size(); ++i) {
    if (trace_.argument_buffers[i] != buffer) continue;
    if (trace_.argument_is[i]) return false;
    for (const Window& window : host.in)
      if (window.buffer < 0 && window.number.i == static_cast<int64_t>(i)) return false;
    for (const TensorRef& tensor : changed->second)
      if (tensor->storage.get() == arguments_[i]->storage.get()) return false;
  }
  return true;
}

// Moves readings to where their values are known, so that as little as possible is done before a replay turns
// out to go another way; what cannot be undone must not stand before a reading at all.
void Recorder::read_early() {
  trace_.forward_steps = trace_.steps.size();
  const std::vector<Step> before = verifying ? trace_.steps : std::vector<Step>();
  std::vector<Step> steps;
  size_t earliest = 0;  // readings keep their order
  for (Step& step : trace_.steps) {
    if (!step.reads()) {
      steps.push_back(std::move(step));
      continue;
    }
    std::vector<size_t> makers;  // steps that the value needs, from the last one back
    std::vector<int> passed;     // calls of the host that leave the arguments which it needs as they are
    const size_t at = place_of_reading(step, steps, earliest, makers, passed);
    for (size_t s = at; s-- > 0;)
      if (steps[s].kind == Step::Kind::Host && !steps[s].pure) refuse_reading(step, steps[s]);
    // So it stays: replays are only for tensors that share memory as these do.
    for (const int host : passed)
      for (const TensorRef& tensor : changed_.at(host)) reaches(*tensor);
    std::vector<Step> moved;
    for (const size_t m : makers) {
      moved.insert(moved.begin(), std::move(steps[m]));
      steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(m));
    }
    moved.push_back(std::move(step));
    earliest = at + moved.size();
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(at), std::make_move_iterator(moved.begin()),
                 std::make_move_iterator(moved.end()));
  }
  trace_.steps = std::move(steps);
  if (verifying) verify_order(before, trace_.steps, "moving readings");
}

// Where a reading can stand, and what has to come along to there.
size_t Recorder::place_of_reading(const Step& reading, const std::vector<Step>& steps, size_t earliest,
                                  std::vector<size_t>& makers, std::vector<int>& passed) const {
  // Others can reach these buffers, and calls of the host may change them; `set`: others that they may
  // change.
  std::vector<bool> reached, set(trace_.buffers.size());
  for (const Buffer& buffer : trace_.buffers)
    reached.push_back(buffer.origin != Buffer::Origin::Fresh && buffer.origin != Buffer::Origin::Fixed);
  for (const Step& step : steps)
    if (step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::SetData)
      for (const Window& window : step.in)
        if (window.buffer >= 0)
          reached[static_cast<size_t>(window.buffer)] = set[static_cast<size_t>(window.buffer)] = true;
  std::vector<int> needed;
  const auto need = [&](const Step& step) {
    for (const Window& window : step.in)
      if (window.buffer >= 0) needed.push_back(window.buffer);
  };
  const auto makes = [&](const Step& step) {
    return std::any_of(step.out.begin(), step.out.end(), [&](const Window& window) {
      return std::find(needed.begin(), needed.end(), window.buffer) != needed.end();
    });
  };
  const auto movable = [&](size_t s) {
    const Step& step = steps[s];
    if (step.kind != Step::Kind::Program && step.kind != Step::Kind::Copy && step.kind != Step::Kind::Fill &&
        (step.kind != Step::Kind::Primitive || step.in_place || step.stream >= 0 || step.reads()))
      return false;
    // It makes new memory, which no step before it has seen.
    const auto sees = [&](const Step& before, int buffer) {
      const auto names = [buffer](const Window& window) { return window.buffer == buffer; };
      return std::any_of(before.in.begin(), before.in.end(), names) ||
             (&before != &step && std::any_of(before.out.begin(), before.out.end(), names));
    };
    for (const Window& window : step.out) {
      if (reached[static_cast<size_t>(window.buffer)]) return false;
      for (size_t before = 0; before <= s; ++before)
        if (sees(steps[before], window.buffer)) return false;
    }
    return true;
  };
  need(reading);
  size_t at = steps.size();
  std::vector<size_t> along;
  for (size_t s = steps.size(); s-- > earliest;) {
    const Step& step = steps[s];
    if (makes(step)) {
      if (!movable(s)) break;
      along.push_back(s);
      need(step);
      continue;
    }
    if (step.kind == Step::Kind::Host && !step.pure) {
      const auto may_change = [&](int b) {
        const auto buffer = static_cast<size_t>(b);
        return reached[buffer] && (set[buffer] || !leaves(step, b));
      };
      if (std::any_of(needed.begin(), needed.end(), may_change)) break;
      if (std::any_of(needed.begin(), needed.end(), [&](int b) { return reached[static_cast<size_t>(b)]; }))
        passed.push_back(step.index);
      // What the value needs comes before the call.
      at = s;
      makers = along;
      continue;
    }
    if (along.empty()) at = s;
  }
  return at;
}

}  // namespace versant::trace
