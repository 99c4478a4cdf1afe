// Note [Sparing memory]
// A training step holds the most when its way back begins: the values that the way back reads are all there,
// and the first gradients of parameters come. Two passes lower that peak, and neither changes a bit:
//
//   * A step whose results are larger than what it would keep alive is put off until somebody needs them. So
//     the gradients of large weights are computed at the end, when the values of the way back are gone.
//   * A value that is read early and again behind the peak, cheap to compute from what is there anyway, is
//     computed a second time right before it is read again: activations, and normalised rows and channels.
//
// Values are computed twice only until the peak is more than a quarter lower.
#include "machine/spare.h"

#include <algorithm>
#include <cstring>

#include "machine/fuse.h"
#include "machine/norm_moments.h"
#include "machine/slots.h"

namespace versant::trace {

namespace {

constexpr int64_t kWorthwhile = 16 << 20;  // bytes of a peak that is worth lowering
constexpr int64_t kLarge = 1 << 18;        // bytes of a value that is worth sparing
constexpr double kGoal = 0.72;             // of the peak before
constexpr double kLeastWorth = 0.2;        // bytes for each element and instruction that is done again
constexpr int kMostChanges = 256;

// What is alive where: the buffers of the steps before the results are there.
class Lives {
 public:
  explicit Lives(const Trace& trace) : trace_(&trace) {
    const size_t n = trace.buffers.size();
    bytes.assign(n, 0);
    first.assign(n, trace.forward_steps);
    last.assign(n, 0);
    stays = outliving(trace);
    for (size_t s = trace.forward_steps; s < trace.steps.size(); ++s)
      visit(trace.steps[s], [&](const Window& window, bool) { stays[at(window)] = true; });
    for (size_t s = 0; s < trace.forward_steps; ++s) {
      visit(trace.steps[s], [&](const Window& window, bool) {
        const size_t b = at(window);
        bytes[b] = std::max(bytes[b], extent(window.array));
        first[b] = std::min(first[b], s);
        last[b] = s;
      });
    }
    std::vector<int64_t> change(trace.forward_steps + 1, 0);
    for (size_t b = 0; b < n; ++b) {
      if (!fresh(b) || first[b] == trace.forward_steps) continue;
      change[first[b]] += bytes[b];
      if (!stays[b]) change[last[b] + 1] -= bytes[b];
    }
    held.assign(trace.forward_steps, 0);
    int64_t now = 0;
    for (size_t s = 0; s < trace.forward_steps; ++s) {
      now += change[s];
      held[s] = now;
      if (now > held[peak]) peak = s;
    }
  }

  static size_t at(const Window& window) { return static_cast<size_t>(window.buffer); }
  template <typename Visit>
  static void visit(const Step& step, Visit visit) {
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        if (window.buffer >= 0) visit(window, windows == &step.out);
  }
  static bool touches(const Step& step, size_t buffer) {
    bool found = false;
    visit(step, [&](const Window& window, bool) { found |= at(window) == buffer; });
    return found;
  }
  static bool writes(const Step& step, size_t buffer) {
    return std::any_of(step.out.begin(), step.out.end(),
                       [&](const Window& window) { return at(window) == buffer; });
  }
  bool fresh(size_t buffer) const { return trace_->buffers[buffer].origin == Buffer::Origin::Fresh; }
  // Whether keeping the buffer until `step` costs nothing.
  bool there_until(size_t buffer, size_t step) const {
    return !fresh(buffer) || stays[buffer] || last[buffer] >= step || bytes[buffer] < kLarge;
  }

  std::vector<int64_t> bytes;
  std::vector<size_t> first, last;  // steps that touch a buffer
  std::vector<bool> stays;          // it outlives the steps
  std::vector<int64_t> held;        // bytes of fresh buffers during each step
  size_t peak = 0;

 private:
  const Trace* trace_;
};

bool is_primitive(const Step& step, const char* name) {
  return step.kind == Step::Kind::Primitive && std::strcmp(step.primitive->name(), name) == 0;
}

// What a step of the host changes cannot be seen.
bool hides(const Step& step) {
  return (step.kind == Step::Kind::Host && !step.pure) || step.kind == Step::Kind::SetData;
}

// Whether a step does nothing but make its results of what it reads.
bool only_makes(const Step& step) {
  return (step.kind == Step::Kind::Program || step.kind == Step::Kind::Multiply ||
          step.kind == Step::Kind::Primitive) &&
         !step.in_place && step.stream < 0 && !step.reads();
}

// Puts a step off to where its results are needed; false if that spares nothing.
bool put_off(Trace& trace, const Lives& lives, size_t s) {
  const Step& step = trace.steps[s];
  if (!only_makes(step)) return false;
  int64_t made = 0;
  for (const Window& out : step.out) {
    const size_t b = Lives::at(out);
    if (!lives.fresh(b) || lives.first[b] != s) return false;
    made += lives.bytes[b];
  }
  if (made < kLarge) return false;
  const auto meets = [&](const Step& other) {
    if (other.reads() || hides(other)) return true;
    bool found = false;
    Lives::visit(step, [&](const Window& window, bool written) {
      found |= written ? Lives::touches(other, Lives::at(window)) : Lives::writes(other, Lives::at(window));
    });
    return found;
  };
  size_t until = s + 1;
  while (until < trace.forward_steps && !meets(trace.steps[until])) ++until;
  if (lives.peak < s || lives.peak >= until) return false;
  int64_t kept = 0;  // what lives longer then
  std::vector<size_t> seen;
  for (const Window& in : step.in) {
    if (in.buffer < 0) continue;
    const size_t b = Lives::at(in);
    if (std::find(seen.begin(), seen.end(), b) != seen.end()) continue;
    seen.push_back(b);
    if (lives.fresh(b) && !lives.stays[b] && lives.last[b] + 1 < until) kept += lives.bytes[b];
  }
  if (kept + kLarge > made) return false;
  const auto from = trace.steps.begin() + static_cast<std::ptrdiff_t>(s);
  std::rotate(from, from + 1, trace.steps.begin() + static_cast<std::ptrdiff_t>(until));
  return true;
}

void put_off(Trace& trace) {
  int changes = 0;
  Lives lives(trace);
  for (size_t s = trace.forward_steps; s-- > 0 && changes < kMostChanges;) {
    if (s > lives.peak || !put_off(trace, lives, s)) continue;
    lives = Lives(trace);
    ++changes;
  }
}

// A value to compute again: the steps that made it, and the step before which it is needed.
struct Again {
  size_t buffer;
  std::vector<size_t> makers;
  size_t before;
  double worth;  // bytes for each element and instruction
};

// Whether `step` can be done again for the sake of output 0; what that costs.
bool cheap(const Step& step, double* cost) {
  const auto numel = static_cast<double>(step.out.empty() ? 0 : step.out[0].array.numel);
  if (step.kind == Step::Kind::Program && step.out.size() == 1 && step.divisors.empty()) {
    *cost += numel * (static_cast<double>(step.program->work) + 1);
    return true;
  }
  *cost += numel * 4;
  return is_primitive(step, "normalize_rows") || is_primitive(step, "normalize_channels");
}

// How buffer `b`, which is alive at the peak, could be computed again behind it.
bool plan_again(const Trace& trace, const Lives& lives, size_t b, Again& again) {
  const size_t peak = lives.peak;
  if (!lives.fresh(b) || lives.stays[b] || lives.bytes[b] < kLarge || lives.first[b] >= peak ||
      lives.last[b] <= peak || Lives::touches(trace.steps[peak], b))
    return false;
  again = {b, {}, 0, 0};
  double cost = 0;
  for (size_t s = lives.first[b]; s <= lives.last[b]; ++s) {
    const Step& step = trace.steps[s];
    if (!Lives::touches(step, b)) continue;
    if (s > peak && !again.before) again.before = s;
    if (!Lives::writes(step, b)) continue;
    if (s > peak || again.makers.size() == 2 || !cheap(step, &cost) || Lives::at(step.out[0]) != b)
      return false;
    again.makers.push_back(s);
  }
  // The first maker makes it anew, and all find what they read as it was.
  for (const size_t m : again.makers)
    for (const Window& in : trace.steps[m].in) {
      if (in.buffer < 0) continue;
      const size_t x = Lives::at(in);
      if (x == b) {
        if (m == again.makers[0]) return false;
        continue;
      }
      if (!lives.there_until(x, again.before)) return false;
      for (size_t s = m; s < again.before; ++s)
        if (Lives::writes(trace.steps[s], x) || hides(trace.steps[s])) return false;
    }
  again.worth = static_cast<double>(lives.bytes[b]) / cost;
  return true;
}

void compute_again(Trace& trace, const Again& again) {
  const auto fresh = [&] {
    trace.buffers.emplace_back().written = true;
    return static_cast<int>(trace.buffers.size()) - 1;
  };
  const int renewed = fresh();
  const auto rename = [&](Step& step) {
    for (auto* windows : {&step.in, &step.out})
      for (Window& window : *windows)
        if (window.buffer == static_cast<int>(again.buffer)) window.buffer = renewed;
  };
  std::vector<Step> steps;
  for (const size_t m : again.makers) {
    Step& step = steps.emplace_back(trace.steps[m]);
    if (is_primitive(step, "normalize_channels") && step.attributes.ints[1] == kOwnMoments) {
      step.attributes.ints[1] = kGivenInverse;
      step.in.insert(step.in.end(), step.out.begin() + 1, step.out.end());
    }
    rename(step);
    for (size_t k = 1; k < step.out.size(); ++k) step.out[k].buffer = fresh();
  }
  for (size_t s = again.before; s < trace.forward_steps; ++s) rename(trace.steps[s]);
  trace.forward_steps += steps.size();
  trace.steps.insert(trace.steps.begin() + static_cast<std::ptrdiff_t>(again.before), steps.begin(),
                     steps.end());
}

void compute_again(Trace& trace, int64_t goal) {
  for (int changes = 0; changes < kMostChanges; ++changes) {
    const Lives lives(trace);
    if (lives.held[lives.peak] <= goal) return;
    Again best{0, {}, 0, kLeastWorth};
    for (size_t b = 0; b < trace.buffers.size(); ++b) {
      Again again;
      if (plan_again(trace, lives, b, again) && again.worth > best.worth) best = std::move(again);
    }
    if (best.makers.empty()) return;
    compute_again(trace, best);
  }
}

}  // namespace

void spare_memory(Trace& trace) {
  if (trace.forward_steps == 0) return;
  const Lives lives(trace);
  const int64_t peak = lives.held[lives.peak];
  if (peak < kWorthwhile) return;
  put_off(trace);
  compute_again(trace, static_cast<int64_t>(kGoal * static_cast<double>(peak)));
}

}  // namespace versant::trace
