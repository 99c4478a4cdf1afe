// Note [Fusing]
// A group is a set of elementwise steps over one index space; it runs where its last member stood. Steps join
// an open group when they share memory with it, and a group is closed before a step that would see the
// difference: one that reads or writes what the group writes, or writes what it reads. Micro-ops round one by
// one, and only values of the compute type pass from member to member, so the bits are those of the steps.
#include "machine/fuse.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "machine/hidden_values.h"
#include "machine/kernels.h"

namespace versant::trace {

namespace {

constexpr size_t kMostCode = 56;     // instructions of a group: their tiles fit in the first cache
constexpr int64_t kLarge = 1 << 16;  // elements of a value that memory is too slow for
constexpr int64_t kTotal = 1 << 13;  // elements of a sum that is taken in passing
constexpr size_t kMostTotals = 2;
constexpr size_t kMostWaiting = 24;  // values of a group that somebody may still read: most will join it
constexpr size_t kMostInputs = Program::kMaxInputs, kMostOutputs = Program::kMaxOutputs;

bool same_window(const Window& a, const Window& b) {
  return a.buffer == b.buffer && a.array.data == b.array.data && a.array.dtype == b.array.dtype &&
         a.array.sizes == b.array.sizes && a.array.strides == b.array.strides;
}

bool same_scalar(const Scalar& a, const Scalar& b) {
  if (a.kind != b.kind) return false;
  return a.is_whole() ? a.i == b.i : std::memcmp(&a.f, &b.f, sizeof a.f) == 0;
}

bool stored_as(DType dtype, Compute compute) {
  return (dtype == DType::Float32 && compute == Compute::F32) ||
         (dtype == DType::Float64 && compute == Compute::F64) ||
         (dtype == DType::Int64 && compute == Compute::I64);
}

bool fusible(const Step& step) {
  if (step.kind != Step::Kind::Program || step.out.empty()) return false;
  if (step.compute == Compute::I64 && step.program->divides) return false;
  for (const Window& in : step.in)
    if (in.buffer < 0 && in.number.is_complex()) return false;
  for (const Window& out : step.out) {
    if (out.array.sizes != step.out[0].array.sizes) return false;
    // The parts of a complex array are two windows on one buffer.
    for (const Window& other : step.out)
      if (&other != &out && other.buffer == out.buffer) return false;
    for (const Window& in : step.in)
      if (in.buffer == out.buffer && !same_window(in, out)) return false;
  }
  return true;
}

// Whether a window is row by row and of `numel` elements, or one number everywhere.
bool flat(const Window& window, int64_t numel) {
  return window.buffer < 0 || (window.array.contiguous && window.array.numel == numel) ||
         is_uniform(window.array);
}

// The sum or mean of all elements, of a large array.
bool is_total(const Step& step) {
  if (step.kind != Step::Kind::Primitive || step.in.size() != 1 || step.out.size() != 1) return false;
  const Array &from = step.in[0].array, &to = step.out[0].array;
  return (std::strcmp(step.primitive->name(), "sum") == 0 ||
          std::strcmp(step.primitive->name(), "mean") == 0) &&
         to.numel == 1 && from.numel >= kTotal && from.contiguous && from.dtype == to.dtype &&
         (to.dtype == DType::Float32 || to.dtype == DType::Float64) &&
         step.attributes.ints[2] == static_cast<int64_t>(to.dtype);
}

// The program that a group has become, as it grows.
class Group {
 public:
  explicit Group(const Step& first) : first_(first) { append(first); }

  Compute compute() const { return first_.compute; }
  bool reads(int buffer) const { return has(in_, buffer); }
  bool writes(int buffer) const { return has(out_, buffer) || has(totals_, buffer); }
  // Whether `step` must not change places with the group.
  bool conflicts(const Step& step) const {
    for (const Window& window : step.in)
      if (window.buffer >= 0 && writes(window.buffer)) return true;
    for (const Window& window : step.out)
      if (writes(window.buffer) || reads(window.buffer)) return true;
    return false;
  }
  bool shares(const Step& step) const {
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows)
        if (window.buffer >= 0 && (writes(window.buffer) || reads(window.buffer))) return true;
    return false;
  }

  // Takes the total of a value in.
  bool add_total(const Step& step) {
    const int64_t numel = first_.out[0].array.numel;
    if (totals_.size() == kMostTotals || writes(step.out[0].buffer) || reads(step.out[0].buffer) ||
        step.in[0].array.numel != numel || !stored_as(step.in[0].array.dtype, first_.compute) ||
        !std::all_of(in_.begin(), in_.end(), [&](const Window& w) { return flat(w, numel); }) ||
        !std::all_of(out_.begin(), out_.end(), [&](const Window& w) { return flat(w, numel); }))
      return false;
    for (size_t k = 0; k < out_.size(); ++k) {
      if (!same_window(out_[k], step.in[0])) continue;
      totals_.push_back(step.out[0]);
      total_values_.push_back(values_[k]);
      divisors_.push_back(std::strcmp(step.primitive->name(), "mean") == 0 ? static_cast<double>(numel)
                                                                           : 1.0);
      name_ += "+" + step.name;
      total_makers_.push_back({steps_.size(), 0});
      steps_.push_back(step);
      return true;
    }
    return false;
  }
  // The steps that joined, as they were.
  const std::vector<Step>& steps() const { return steps_; }

  // Takes the step in, if it fits; `needed` as in `finished`.
  template <typename Needed>
  bool add(const Step& step, Needed needed) {
    if (members_ > 0 && !may_join(step)) return false;
    Group before = *this;
    if (append(step)) {
      size_t written = 0;
      for (const Window& out : out_) written += needed(out.buffer);
      if (written <= kMostWaiting) return true;
    }
    *this = std::move(before);
    return false;
  }

  const std::vector<Window>& in() const { return in_; }
  const std::vector<Window>& out() const { return out_; }

  // The same group with some of its inputs computed anew from `maker`, which made them; null when it gets too
  // large. Both run over one index space and in one type.
  std::optional<Group> computing(const Group& maker, const std::vector<int>& buffers) const {
    if (first_.compute != maker.first_.compute || first_.common != maker.first_.common ||
        first_.out[0].array.sizes != maker.first_.out[0].array.sizes)
      return {};
    Group made = maker;
    made.steps_ = steps_;
    made.parts_ = maker.parts_;
    made.totals_ = totals_;
    made.total_makers_ = total_makers_;
    made.divisors_ = divisors_;
    made.first_ = first_;
    made.name_ = name_;
    made.members_ = std::max<size_t>(members_, 2);
    made.out_.clear();
    made.values_.clear();
    for (size_t k = 0; k < maker.out_.size(); ++k) {
      if (std::find(buffers.begin(), buffers.end(), maker.out_[k].buffer) == buffers.end()) continue;
      made.out_.push_back(maker.out_[k]);
      made.values_.push_back(maker.values_[k]);
    }
    std::vector<int> inputs, constants;
    for (const Window& window : in_) {
      if (std::find(buffers.begin(), buffers.end(), window.buffer) != buffers.end())
        for (const Window& known : made.out_)
          if (known.buffer == window.buffer && !same_window(known, window)) return {};
      inputs.push_back(made.input(window));
    }
    for (const Scalar& scalar : constants_) constants.push_back(made.constant(scalar));
    const int shift = static_cast<int>(made.code_.size());
    const auto moved = [&](int value) {
      return value >= kResults     ? value + shift
             : value >= kConstants ? constants[static_cast<size_t>(value - kConstants)]
                                   : inputs[static_cast<size_t>(value)];
    };
    for (size_t i = 0; i < code_.size(); ++i) {
      made.code_.push_back(code_[i]);
      made.operands_.push_back({moved(operands_[i][0]), moved(operands_[i][1]), moved(operands_[i][2])});
    }
    for (const int value : parts_) made.parts_.push_back(moved(value));
    made.out_ = out_;
    made.makers_ = makers_;
    made.values_.clear();
    for (const int value : values_) made.values_.push_back(moved(value));
    made.total_values_.clear();
    for (const int value : total_values_) made.total_values_.push_back(moved(value));
    if (!totals_.empty())
      for (const Window& window : made.in_)
        if (!flat(window, first_.out[0].array.numel)) return {};
    if (made.in_.size() > kMostInputs || made.code_.size() > kMostCode ||
        made.in_.size() + made.constants_.size() + made.code_.size() >= 250)
      return {};
    return made;
  }

  // The group as one step, if that is not too large; `needed` tells whether anybody reads a buffer
  // afterwards.
  template <typename Needed>
  std::optional<Step> finished(Needed needed) {
    if (members_ == 1 && totals_.empty()) {
      const bool read =
          std::any_of(out_.begin(), out_.end(), [&](const Window& w) { return needed(w.buffer); });
      Step same = first_;
      if (!read) same.out.clear();
      return same;
    }
    Step step = first_;
    auto program = std::make_shared<Program>();
    std::vector<Window> out;
    std::vector<int> registers;
    for (size_t k = 0; k < out_.size(); ++k) {
      if (!needed(out_[k].buffer)) continue;
      out.push_back(out_[k]);
      registers.push_back(values_[k]);
      step.makers.push_back(makers_[k]);
    }
    program->n_inputs = static_cast<int>(in_.size());
    program->constants = constants_;
    const int first = static_cast<int>(in_.size() + constants_.size());
    const auto place = [&](int value) {
      // Values: inputs from 0 on, constants from 1000, results from 2000.
      return static_cast<uint8_t>(value >= kResults     ? first + value - kResults
                                  : value >= kConstants ? static_cast<int>(in_.size()) + value - kConstants
                                                        : value);
    };
    for (const Instruction& wide : code_) {
      program->code.push_back(wide);
    }
    for (size_t i = 0; i < code_.size(); ++i) {
      Instruction& instruction = program->code[i];
      instruction.a = place(operands_[i][0]);
      instruction.b = place(operands_[i][1]);
      instruction.c = place(operands_[i][2]);
    }
    for (size_t k = 0; k < totals_.size(); ++k) {
      out.push_back(totals_[k]);
      registers.push_back(total_values_[k]);
      step.makers.push_back(total_makers_[k]);
    }
    step.divisors = divisors_;
    for (const int value : registers) program->outputs.push_back(place(value));
    if (program->outputs.empty()) {
      step.out.clear();
      return step;
    }
    if (program->outputs.size() > kMostOutputs) return {};
    if (step.compute != Compute::I64) {
      std::vector<uint8_t> asked;
      for (const int value : parts_) asked.push_back(place(value));
      step.probes = probes_of(*program, asked);
    }
    trim(*program);
    program->finish();
    step.owned = program;
    step.program = program.get();
    step.in = in_;
    step.out = std::move(out);
    step.name = name_;
    for (const Step& part : steps_)
      step.parts.push_back({part.name, part.where, part.module, part.of_name, part.of, part.back});
    return step;
  }

 private:
  static constexpr int kConstants = 1000, kResults = 2000;

  static bool has(const std::vector<Window>& windows, int buffer) {
    return std::any_of(windows.begin(), windows.end(), [&](const Window& w) { return w.buffer == buffer; });
  }

  bool may_join(const Step& step) const {
    if (step.compute != first_.compute || step.common != first_.common ||
        step.out[0].array.sizes != first_.out[0].array.sizes || !shares(step))
      return false;
    if (!totals_.empty())
      for (const auto* windows : {&step.in, &step.out})
        for (const Window& window : *windows)
          if (!flat(window, first_.out[0].array.numel) || has(totals_, window.buffer)) return false;
    // What one member writes is seen by others as it was written, element for element.
    for (const auto* windows : {&step.in, &step.out}) {
      for (const Window& window : *windows) {
        if (window.buffer < 0) continue;
        for (const Window& written : out_)
          if (written.buffer == window.buffer &&
              (!same_window(written, window) || !stored_as(written.array.dtype, step.compute)))
            return false;
      }
    }
    for (const Window& written : step.out)
      for (const Window& read : in_)
        if (read.buffer == written.buffer && !same_window(read, written)) return false;
    for (const Window& written : step.out)
      for (const Window& read : step.in)
        if (read.buffer == written.buffer && !same_window(read, written)) return false;
    return true;
  }

  int input(const Window& window) {
    for (size_t k = 0; k < out_.size(); ++k)
      if (out_[k].buffer == window.buffer) return values_[k];
    for (size_t i = 0; i < in_.size(); ++i)
      if (same_window(in_[i], window)) return static_cast<int>(i);
    in_.push_back(window);
    return static_cast<int>(in_.size()) - 1;
  }
  int constant(const Scalar& scalar) {
    for (size_t i = 0; i < constants_.size(); ++i)
      if (same_scalar(constants_[i], scalar)) return kConstants + static_cast<int>(i);
    constants_.push_back(scalar);
    return kConstants + static_cast<int>(constants_.size()) - 1;
  }

  bool append(const Step& step) {
    const Program& program = *step.program;
    std::vector<int> values;
    for (const Window& window : step.in)
      values.push_back(window.buffer < 0 ? constant(window.number) : input(window));
    for (const Scalar& scalar : program.constants) values.push_back(constant(scalar));
    for (const Instruction& instruction : program.code) {
      // Operands beyond the arity name the first one.
      const int arity = kernels->arity_of(instruction.micro), a = values[instruction.a];
      operands_.push_back({a, arity > 1 ? values[instruction.b] : a, arity > 2 ? values[instruction.c] : a});
      code_.push_back(instruction);
      values.push_back(kResults + static_cast<int>(code_.size()) - 1);
    }
    for (size_t k = 0; k < step.out.size(); ++k) {
      const int value = values[program.outputs[k]];
      if (value >= kResults) parts_.push_back(value);
      const auto found = std::find_if(out_.begin(), out_.end(),
                                      [&](const Window& w) { return w.buffer == step.out[k].buffer; });
      if (found != out_.end()) {
        values_[static_cast<size_t>(found - out_.begin())] = value;
        makers_[static_cast<size_t>(found - out_.begin())] = {steps_.size(), k};
      } else {
        out_.push_back(step.out[k]);
        values_.push_back(value);
        makers_.push_back({steps_.size(), k});
      }
    }
    steps_.push_back(step);
    if (members_++)
      name_ += "+" + step.name;
    else
      name_ = step.name;
    return members_ == 1 || (in_.size() <= kMostInputs && code_.size() <= kMostCode &&
                             in_.size() + constants_.size() + code_.size() < 250);
  }

  Step first_;
  std::string name_;
  size_t members_ = 0;
  std::vector<Window> in_, out_;
  std::vector<int> values_;  // of out_
  std::vector<int> parts_;   // results of the steps that joined
  std::vector<Step> steps_;
  std::vector<Window> totals_;
  std::vector<int> total_values_;
  std::vector<Step::Maker> makers_, total_makers_;  // of out_ and totals_: which of steps_
  std::vector<double> divisors_;
  std::vector<Scalar> constants_;
  std::vector<Instruction> code_;
  std::vector<std::array<int, 3>> operands_;
};

// Which step touches each buffer last, and whether it outlives them.
struct Uses {
  explicit Uses(const Trace& trace) : kept(outliving(trace)), last(trace.buffers.size(), 0) {
    for (size_t s = 0; s < trace.steps.size(); ++s)
      for (const auto* windows : {&trace.steps[s].in, &trace.steps[s].out})
        for (const Window& window : *windows)
          if (window.buffer >= 0) last[static_cast<size_t>(window.buffer)] = s;
  }
  std::vector<bool> kept;
  std::vector<size_t> last;
};

// A step of the new order: a group, or a step that is none.
struct Piece {
  std::optional<Group> group;
  Step step;

  bool touches(int buffer, bool writes) const {
    const auto in = [buffer](const std::vector<Window>& windows) {
      return std::any_of(windows.begin(), windows.end(), [&](const Window& w) { return w.buffer == buffer; });
    };
    if (group) return in(writes ? group->out() : group->in());
    return in(writes ? step.out : step.in);
  }
};

// Large values that later groups read are computed anew there, if that spares writing them: arithmetic is
// cheaper than memory.
void compute_anew(std::vector<Piece>& pieces, const Uses& uses) {
  for (size_t m = 0; m < pieces.size(); ++m) {
    if (!pieces[m].group) continue;
    std::vector<int> buffers;
    std::vector<size_t> readers;
    for (const Window& window : pieces[m].group->out()) {
      // What is stored in another type is rounded there.
      if (uses.kept[static_cast<size_t>(window.buffer)] || window.array.numel < kLarge ||
          !stored_as(window.array.dtype, pieces[m].group->compute()))
        continue;
      std::vector<size_t> found;
      bool plain = true;
      for (size_t p = 0; p < pieces.size() && plain; ++p) {
        if (p != m && pieces[p].touches(window.buffer, true)) plain = false;
        if (p == m || !pieces[p].touches(window.buffer, false)) continue;
        plain &= p > m && pieces[p].group.has_value();
        found.push_back(p);
      }
      if (!plain || found.empty() || pieces[m].touches(window.buffer, false)) continue;
      buffers.push_back(window.buffer);
      readers.insert(readers.end(), found.begin(), found.end());
    }
    std::sort(readers.begin(), readers.end());
    readers.erase(std::unique(readers.begin(), readers.end()), readers.end());
    if (readers.empty() || readers.size() > 2) continue;
    // What the maker reads is still the same where the readers run, and they leave it alone.
    bool same = true;
    for (size_t p = m; p <= readers.back() && same; ++p)
      for (const Window& window : pieces[m].group->in()) same &= !pieces[p].touches(window.buffer, true);
    if (!same) continue;
    std::vector<std::optional<Group>> made;
    for (const size_t r : readers) {
      made.push_back(pieces[r].group->computing(*pieces[m].group, buffers));
      same &= made.back().has_value();
    }
    if (!same) continue;
    for (size_t i = 0; i < readers.size(); ++i) pieces[readers[i]].group = std::move(made[i]);
  }
}

std::vector<Step> fused(const Trace& trace, const Uses& uses, size_t begin, size_t end) {
  struct Open {
    Group group;
    size_t last;
  };
  std::vector<Open> open;
  std::vector<Piece> pieces;
  const auto close = [&](Open& entry) { pieces.push_back({std::move(entry.group), {}}); };
  for (size_t s = begin; s < end; ++s) {
    const Step& step = trace.steps[s];
    const bool joins = fusible(step);
    // The group that the step joins, if any: of those it shares with, the last.
    std::optional<size_t> into;
    if (joins) {
      for (size_t g = open.size(); g-- > 0 && !into;) {
        const auto needed = [&](int buffer) {
          return uses.kept[static_cast<size_t>(buffer)] || uses.last[static_cast<size_t>(buffer)] > s;
        };
        if (open[g].group.add(step, needed)) into = g;
      }
    }
    if (is_total(step)) {
      bool taken = false;
      for (size_t g = open.size(); g-- > 0 && !taken;) taken = open[g].group.add_total(step);
      if (taken) continue;
    }
    std::vector<Open> still;
    for (size_t g = 0; g < open.size(); ++g) {
      if (into && *into == g) continue;
      if (open[g].group.conflicts(step))
        close(open[g]);
      else
        still.push_back(std::move(open[g]));
    }
    if (into) {
      Open joined = std::move(open[*into]);
      joined.last = s;
      still.push_back(std::move(joined));
    } else if (joins) {
      still.push_back({Group(step), s});
    } else {
      // Calls of the host may look at anything. What may raise finds written what was written before.
      const bool shows = step.kind == Step::Kind::Host || step.kind == Step::Kind::SetGradient ||
                         step.kind == Step::Kind::SetData || step.reads();
      const bool raises = step.kind == Step::Kind::Primitive || step.kind == Step::Kind::Apply ||
                          step.kind == Step::Kind::Call;
      std::vector<Open> waiting;
      for (Open& entry : still) {
        const auto& out = entry.group.out();
        const bool lasts = std::any_of(out.begin(), out.end(), [&](const Window& window) {
          return trace.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh;
        });
        if (shows || (raises && lasts))
          close(entry);
        else
          waiting.push_back(std::move(entry));
      }
      still = std::move(waiting);
      pieces.push_back({{}, step});
    }
    open = std::move(still);
  }
  for (Open& entry : open) close(entry);
  compute_anew(pieces, uses);
  // From the end: what nobody behind a group reads need not be written.
  std::vector<bool> read(trace.buffers.size(), false);
  for (size_t s = end; s < trace.steps.size(); ++s)
    for (const auto* windows : {&trace.steps[s].in, &trace.steps[s].out})
      for (const Window& window : *windows)
        if (window.buffer >= 0) read[static_cast<size_t>(window.buffer)] = true;
  std::vector<Step> steps;
  for (size_t p = pieces.size(); p-- > 0;) {
    Piece& piece = pieces[p];
    const auto emit = [&](Step step, bool reads_what_it_writes) {
      // In-place primitives and additions read what they write.
      for (const auto* windows : {&step.in, &step.out})
        for (const Window& window : *windows)
          if (window.buffer >= 0 && (windows == &step.in || reads_what_it_writes))
            read[static_cast<size_t>(window.buffer)] = true;
      steps.push_back(std::move(step));
    };
    if (!piece.group) {
      emit(std::move(piece.step), true);
      continue;
    }
    std::optional<Step> whole = piece.group->finished([&](int buffer) {
      return uses.kept[static_cast<size_t>(buffer)] || read[static_cast<size_t>(buffer)];
    });
    if (!whole) {
      const std::vector<Step>& parts = piece.group->steps();
      for (size_t i = parts.size(); i-- > 0;) emit(parts[i], true);
    } else if (!whole->out.empty()) {
      emit(std::move(*whole), false);
    }
  }
  std::reverse(steps.begin(), steps.end());
  return steps;
}

}  // namespace

std::vector<bool> outliving(const Trace& trace) {
  std::vector<bool> stays;
  for (const Buffer& buffer : trace.buffers) stays.push_back(buffer.origin != Buffer::Origin::Fresh);
  const auto stay = [&](const Window& window) {
    if (window.buffer >= 0) stays[static_cast<size_t>(window.buffer)] = true;
  };
  for (const auto* windows : {&trace.results, &trace.result_gradients})
    for (const Window& window : *windows) stay(window);
  for (const Outgoing& out : trace.outgoing) stay(out.window);
  // What a tensor was given stays in use, and may be written again.
  for (const Step& step : trace.steps)
    if (step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::SetData)
      for (const Window& window : step.in) stay(window);
  return stays;
}

void fuse(Trace& trace) {
  const Uses uses(trace);
  std::vector<Step> steps = fused(trace, uses, 0, trace.forward_steps);
  const size_t forward = steps.size();
  for (Step& step : fused(trace, uses, trace.forward_steps, trace.steps.size()))
    steps.push_back(std::move(step));
  trace.steps = std::move(steps);
  trace.forward_steps = forward;
}

void plan_lifetimes(Trace& trace) {
  const Uses uses(trace);
  for (Step& step : trace.steps) step.last.clear();
  for (size_t b = 0; b < uses.last.size(); ++b) {
    if (uses.kept[b] || trace.steps.empty()) continue;
    Step& step = trace.steps[uses.last[b]];
    const auto is = [b](const Window& window) { return window.buffer == static_cast<int>(b); };
    if (std::any_of(step.in.begin(), step.in.end(), is) || std::any_of(step.out.begin(), step.out.end(), is))
      step.last.push_back(static_cast<int>(b));
  }
}

}  // namespace versant::trace
