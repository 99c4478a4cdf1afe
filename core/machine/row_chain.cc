#include "machine/row_chain.h"

#include <algorithm>
#include <map>
#include <memory>

#include "machine/fuse.h"
#include "machine/matmul.h"
#include "machine/program.h"
#include "machine/slots.h"
#include "machine/verify.h"

namespace versant::trace {

namespace {

constexpr int64_t kFewestRows = 128;        // of a product: each thread packs the other matrix
constexpr int64_t kFewestTurned = 32;       // of one whose left matrix is turned, the gradient of a weight
constexpr int64_t kMostElements = 1 << 17;  // of an array: larger ones scale as they are
constexpr int64_t kMostWeights = 1 << 15;   // elements of a matrix that every row is multiplied with
constexpr double kWorthwhile = 8e5;         // work of a chain that threads share
constexpr int64_t kSmallPlan = 16 << 20;    // bytes that a plan holds at most, whose steps change places

bool is_wide(DType dtype) { return dtype == DType::Float32 || dtype == DType::Float64; }

// Multiply-adds, or about as much as so many.
double work_of(const Step& step) {
  if (step.kind == Step::Kind::Multiply) {
    const Array &a = step.in[0].array, &c = step.out[0].array;
    const int64_t depth = a.sizes[a.rank() - (step.attributes.ints[0] ? 2 : 1)];
    return static_cast<double>(c.numel) * static_cast<double>(depth);
  }
  return 4.0 * static_cast<double>(step.out[0].array.numel) * static_cast<double>(step.program->work + 1);
}

std::optional<RowForm> form_of_product(const Step& step, int64_t rows) {
  const Array &a = step.in[0].array, &b = step.in[1].array, &c = step.out[0].array;
  const bool turned = step.attributes.ints[0] != 0;
  if (!is_wide(c.dtype) || a.dtype != c.dtype || b.dtype != c.dtype || b.rank() != 2 ||
      rows < (turned ? kFewestTurned : kFewestRows) || b.numel > kMostWeights || c.numel == 0 ||
      (turned && a.rank() != 2))
    return {};
  const int64_t width = c.sizes[c.rank() - 1];
  if (width == 0 || c.numel / width != rows) return {};
  const auto cut = [](const Array& array) {
    Rows rows{false, 0, 0};
    if (array.rank() == 2)
      rows.pitch = array.strides[0];
    else if (array.contiguous)
      rows.pitch = array.sizes[array.rank() - 1];
    return rows;
  };
  RowForm form;
  // Columns of a turned matrix lie apart from each other as rows do, but not in pieces.
  form.windows = {turned ? Rows{} : cut(a), Rows{}};
  if (step.in.size() > 2) {
    const Array& bias = step.in[2].array;
    if (!bias.contiguous || bias.dtype != c.dtype || !c.contiguous) return {};
    form.windows.push_back(Rows{});
  }
  form.windows.push_back(cut(c));
  Rows& of_a = form.windows.front();
  of_a.whole = of_a.pitch == 0;  // turned, or one row, again and again
  if ((of_a.whole && a.rank() != 2) || form.windows.back().pitch == 0) return {};
  return form;
}

std::optional<RowForm> form_of_program(const Step& step, int64_t rows) {
  const Array& like = step.out[0].array;
  if (!step.divisors.empty() || (step.compute != Compute::F32 && step.compute != Compute::F64) ||
      like.numel == 0 || like.numel % rows != 0)
    return {};
  RowForm form;
  const auto cut_flat = [&](const Window& window, bool written) {
    const Array& array = window.array;
    if (!written && (window.buffer < 0 || is_uniform(array))) return form.windows.push_back(Rows{}), true;
    if (!array.contiguous || array.numel != like.numel) return false;
    form.windows.push_back({false, like.numel / rows, like.numel / rows});
    return true;
  };
  const auto cut_matrix = [&](const Window& window, bool written) {
    const Array& array = window.array;
    const bool lies =
        window.buffer >= 0 && array.rank() == 2 && array.sizes[0] == rows && array.strides[0] != 0;
    if (written && !lies) return false;
    form.windows.push_back(lies ? Rows{false, array.strides[0], 0} : Rows{});
    return true;
  };
  const auto cut = [&](auto by) {
    form.windows.clear();
    return std::all_of(step.in.begin(), step.in.end(), [&](const Window& w) { return by(w, false); }) &&
           std::all_of(step.out.begin(), step.out.end(), [&](const Window& w) { return by(w, true); });
  };
  form.flat = true;
  if (cut(cut_flat)) return form;
  form.flat = false;
  if (like.rank() == 2 && like.sizes[0] == rows && cut(cut_matrix)) return form;
  return {};
}

// The rows that a step has by itself.
int64_t rows_of(const Step& step) {
  const Array& like = step.out[0].array;
  return like.rank() == 0 || like.numel == 0                    ? 0
         : like.rank() == 1 && step.kind == Step::Kind::Program ? like.numel
                                                                : like.numel / like.sizes[like.rank() - 1];
}

bool may_begin(const Step& step) {
  return (step.kind == Step::Kind::Multiply || step.kind == Step::Kind::Program) && !step.out.empty() &&
         row_form(step, rows_of(step));
}

// A chain as it grows: which steps may follow.
class Growing {
 public:
  explicit Growing(int64_t rows) : rows_(rows) {}

  bool add(const Step& step) {
    const std::optional<RowForm> form = row_form(step, rows_);
    if (!form) return false;
    std::map<int, Use> after = uses_;
    size_t k = 0;
    for (const auto* windows : {&step.in, &step.out})
      for (const Window& window : *windows) {
        const Rows& rows = form->windows[k++];
        if (window.buffer >= 0 && !meet(after[window.buffer], window, rows, windows == &step.out))
          return false;
      }
    uses_ = std::move(after);
    work += work_of(step);
    return true;
  }

  double work = 0;

 private:
  // What steps of the chain do with a buffer: rows stand at the same places for all of them.
  struct Use {
    bool read_whole = false, written = false;
    int64_t pitch = 0, base = 0;  // in bytes
  };

  static bool meet(Use& use, const Window& window, const Rows& rows, bool writes) {
    if (rows.whole) {
      use.read_whole = true;
      return !use.written && !writes;
    }
    const auto item = static_cast<int64_t>(itemsize(window.array.dtype));
    const int64_t pitch = rows.pitch * item, offset = reinterpret_cast<int64_t>(window.array.data);
    int64_t width = rows.width;
    if (width == 0) {
      const Array& array = window.array;
      width = 1 + (array.sizes[array.rank() - 1] - 1) * array.strides[array.rank() - 1];
    }
    if (pitch <= 0 || offset % pitch + width * item > pitch) return false;
    if (use.pitch != 0 && (use.pitch != pitch || use.base != offset / pitch)) return false;
    use.pitch = pitch;
    use.base = offset / pitch;
    use.written |= writes;
    return !(use.written && use.read_whole);
  }

  int64_t rows_;
  std::map<int, Use> uses_;
};

}  // namespace

std::optional<RowForm> row_form(const Step& step, int64_t rows) {
  if (rows < 2) return {};
  for (const auto* windows : {&step.in, &step.out})
    for (const Window& window : *windows)
      if (window.buffer >= 0 && window.array.numel > kMostElements) return {};
  if (step.kind == Step::Kind::Multiply) return form_of_product(step, rows);
  if (step.kind == Step::Kind::Program && !step.out.empty()) return form_of_program(step, rows);
  return {};
}

std::vector<RowChain> find_row_chains(const Trace& trace) {
  std::vector<RowChain> chains;
  for (size_t s = 0; s < trace.forward_steps;) {
    const Step& first = trace.steps[s];
    RowChain chain{s, s, may_begin(first) ? rows_of(first) : 0};
    Growing growing(chain.rows);
    while (chain.end < trace.forward_steps && chain.rows > 1 && growing.add(trace.steps[chain.end]))
      ++chain.end;
    if (chain.end - chain.begin >= 2 && growing.work >= kWorthwhile) {
      chains.push_back(chain);
      s = chain.end;
    } else {
      ++s;
    }
  }
  return chains;
}

namespace {

// Which steps must stand before which.
class Dependences {
 public:
  explicit Dependences(const Trace& trace) : before_(trace.forward_steps, 0), after_(trace.forward_steps) {
    std::map<int, std::pair<size_t, std::vector<size_t>>> buffers;  // last writer, readers since
    std::vector<size_t> since;                                      // steps since the last fixed one
    std::vector<size_t> raising;                                    // since the last step that lasts
    size_t lasting = kNone;
    size_t fixed = kNone;
    for (size_t s = 0; s < trace.forward_steps; ++s) {
      const Step& step = trace.steps[s];
      for (const Window& in : step.in) {
        if (in.buffer < 0) continue;
        auto& [writer, readers] = buffers.try_emplace(in.buffer, kNone, std::vector<size_t>{}).first->second;
        follow(writer, s);
        readers.push_back(s);
      }
      for (const Window& out : step.out) {
        auto& [writer, readers] = buffers.try_emplace(out.buffer, kNone, std::vector<size_t>{}).first->second;
        follow(writer, s);
        for (const size_t reader : readers) follow(reader, s);
        readers.clear();
        writer = s;
      }
      follow(fixed, s);
      if (stays_in_place(step)) {
        for (const size_t other : since) follow(other, s);
        since.clear();
        raising.clear();
        lasting = kNone;
        fixed = s;
        continue;
      }
      since.push_back(s);
      // What may raise finds what lasts as it was left.
      const bool raises = step.kind == Step::Kind::Primitive;
      const bool lasts =
          step.kind == Step::Kind::SetGradient ||
          std::any_of(step.out.begin(), step.out.end(), [&](const Window& window) {
            return trace.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh;
          });
      if (raises || lasts) follow(lasting, s);
      if (lasts) {
        for (const size_t other : raising) follow(other, s);
        raising.clear();
        lasting = s;
      }
      if (raises) raising.push_back(s);
    }
  }

  bool ready(size_t s) const { return before_[s] == 0; }
  void done(size_t s) {
    for (const size_t next : after_[s]) --before_[next];
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  static bool stays_in_place(const Step& step) {
    const bool moves = step.kind == Step::Kind::Program || step.kind == Step::Kind::Multiply ||
                       step.kind == Step::Kind::Copy || step.kind == Step::Kind::Fill ||
                       step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::Primitive;
    return !moves || step.reads();
  }
  void follow(size_t first, size_t then) {
    if (first == kNone || first == then) return;
    after_[first].push_back(then);
    ++before_[then];
  }

  std::vector<size_t> before_;  // how many steps it still waits for
  std::vector<std::vector<size_t>> after_;
};

int64_t bytes_held(const Trace& trace) {
  std::vector<int64_t> bytes(trace.buffers.size(), 0);
  for (const Step& step : trace.steps)
    for (const Window& out : step.out) {
      int64_t& most = bytes[static_cast<size_t>(out.buffer)];
      most = std::max(most, extent(out.array));
    }
  int64_t sum = 0;
  for (const int64_t each : bytes) sum += each;
  return sum;
}

// Where an elementwise step replaces all of a value, the new value gets a buffer of its own: readers of the
// old one need not come before it.
void name_values(Trace& trace) {
  std::vector<bool> stays = outliving(trace), written(trace.buffers.size(), false);
  std::vector<int64_t> bytes(trace.buffers.size(), 0);
  std::vector<int> now(trace.buffers.size());
  for (size_t b = 0; b < now.size(); ++b) now[b] = static_cast<int>(b);
  for (size_t s = 0; s < trace.steps.size(); ++s)
    for (const auto* windows : {&trace.steps[s].in, &trace.steps[s].out})
      for (const Window& window : *windows) {
        if (window.buffer < 0) continue;
        const auto b = static_cast<size_t>(window.buffer);
        bytes[b] = std::max(bytes[b], extent(window.array));
        if (s >= trace.forward_steps) stays[b] = true;
      }
  for (size_t s = 0; s < trace.forward_steps; ++s) {
    Step& step = trace.steps[s];
    for (Window& in : step.in)
      if (in.buffer >= 0) in.buffer = now[static_cast<size_t>(in.buffer)];
    for (Window& out : step.out) {
      const auto b = static_cast<size_t>(out.buffer);
      const bool all = step.kind == Step::Kind::Program && out.array.contiguous &&
                       out.array.data == nullptr && extent(out.array) == bytes[b];
      if (all && written[b] && !stays[b]) {
        now[b] = static_cast<int>(trace.buffers.size());
        trace.buffers.emplace_back().written = true;
      }
      written[b] = true;
      out.buffer = now[b];
    }
  }
}

}  // namespace

void line_up_rows(Trace& trace) {
  const auto is_product = [](const Step& step) {
    return step.kind == Step::Kind::Multiply && row_form(step, rows_of(step)).has_value();
  };
  const auto end = trace.steps.begin() + static_cast<std::ptrdiff_t>(trace.forward_steps);
  if (std::count_if(trace.steps.begin(), end, is_product) < 2 || bytes_held(trace) > kSmallPlan) return;
  name_values(trace);
  const std::vector<Step> before = verifying ? trace.steps : std::vector<Step>{};
  Dependences dependences(trace);
  std::vector<size_t> order;
  std::vector<bool> taken(trace.forward_steps, false);
  std::optional<Growing> chain;
  size_t first = 0;  // steps before it are taken
  while (order.size() < trace.forward_steps) {
    while (taken[first]) ++first;
    size_t next = trace.forward_steps;
    for (size_t s = first; s < trace.forward_steps && chain; ++s)
      if (!taken[s] && dependences.ready(s) && chain->add(trace.steps[s])) {
        next = s;
        break;
      }
    if (next == trace.forward_steps) {
      // The chain ends: first what is in no chain, so that the next one finds all that it needs.
      chain.reset();
      std::optional<size_t> begins;
      for (size_t s = first; s < trace.forward_steps && next == trace.forward_steps; ++s) {
        if (taken[s] || !dependences.ready(s)) continue;
        if (!may_begin(trace.steps[s]))
          next = s;
        else if (!begins)
          begins = s;
      }
      if (next == trace.forward_steps) {
        next = *begins;
        chain.emplace(rows_of(trace.steps[next]));
        if (!chain->add(trace.steps[next])) chain.reset();
      }
    }
    taken[next] = true;
    dependences.done(next);
    order.push_back(next);
  }
  std::vector<Step> steps;
  for (const size_t s : order) steps.push_back(std::move(trace.steps[s]));
  std::move(steps.begin(), steps.end(), trace.steps.begin());
  if (verifying) verify_order(before, trace.steps, "lining up rows");
}

namespace {

// Rows of an array, without its storage: threads must not count references.
void fill_part(Array& part, const Array& array, const Rows& rows, bool flat, int64_t begin, int64_t end) {
  part.dtype = array.dtype;
  part.data = array.data;
  if (rows.whole) {
    part.numel = flat ? 1 : array.numel;
    if (flat) return;
    part.contiguous = array.contiguous;
    part.sizes = array.sizes;
    part.strides = array.strides;
    return;
  }
  part.data = array.as<char>() + begin * rows.pitch * static_cast<int64_t>(itemsize(array.dtype));
  if (flat) {
    part.numel = (end - begin) * rows.width;
    part.sizes = Dims{part.numel};
    part.strides = Dims{1};
    return;
  }
  const int last = array.rank() - 1;
  part.numel = (end - begin) * array.sizes[last];
  part.sizes = Dims{end - begin, array.sizes[last]};
  part.strides = Dims{rows.pitch, array.strides[last]};
  part.contiguous = is_contiguous(part.sizes, part.strides);
}

}  // namespace

void run_rows(const Step& step, const RowForm& form, const Array* const* arrays, int64_t begin, int64_t end,
              void* scratch) {
  const size_t n_in = step.in.size(), n = n_in + step.out.size();
  if (step.kind == Step::Kind::Multiply) {
    const Dims& how = step.attributes.ints;
    return multiply_rows(*arrays[0], how[0] != 0, *arrays[1], how[1] != 0, *arrays[n_in],
                         n_in > 2 ? arrays[2] : nullptr, how[2] != 0, begin, end, scratch);
  }
  constexpr size_t kMost = Program::kMaxInputs + Program::kMaxOutputs;
  alignas(Array) std::byte room[kMost * sizeof(Array)];
  Array* const parts = reinterpret_cast<Array*>(room);
  for (size_t k = 0; k < n; ++k) {
    auto* const part = new (&parts[k]) Array;
    if (!arrays[k]) continue;
    const bool shared = form.windows[k].whole && !form.flat;
    fill_part(*part, *arrays[k], form.windows[k], form.flat, begin, end);
    if (!shared || part->rank() < 2) continue;
    part->sizes[0] = 1;  // it is the same for all rows
    part->numel = part->sizes[1];
    part->contiguous = false;
  }
  struct Drop {
    Array* parts;
    size_t n;
    ~Drop() { std::destroy_n(parts, n); }
  } drop{parts, n};
  Operand operands[Program::kMaxInputs];
  const Array* outputs[Program::kMaxOutputs];
  for (size_t k = 0; k < n_in; ++k) operands[k] = {arrays[k] ? &parts[k] : nullptr, step.in[k].number};
  for (size_t k = n_in; k < n; ++k) outputs[k - n_in] = &parts[k];
  run_program_part(*step.program, step.compute, {operands, n_in}, {outputs, n - n_in}, parts[n_in].sizes,
                   step.common);
}

size_t row_scratch(const Step& step, int64_t rows) {
  if (step.kind != Step::Kind::Multiply) return 0;
  const Array& a = step.in[0].array;
  return multiply_rows_scratch(rows, step.out[0].array.sizes[step.out[0].array.rank() - 1],
                               a.sizes[a.rank() - (step.attributes.ints[0] ? 2 : 1)], itemsize(a.dtype));
}

}  // namespace versant::trace
