// Which steps of a plan run together: row chains, elementwise steps behind a primitive, lists of
// micro-kernels.
#include <algorithm>

#include "machine/code/routine.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/prepared.h"
#include "machine/scratch.h"
#include "machine/tiles.h"

namespace versant::trace {

namespace {

constexpr size_t kAlign = 64;
constexpr int64_t kPieced =
    1 << 18;  // bytes of a result that is worth following: more than lies in the arena

}  // namespace

void Prepared::plan_chains() {
  for (const RowChain& found : find_row_chains(trace_)) {
    Chain& chain = chains_.emplace_back();
    chain.steps = found;
    for (size_t s = found.begin; s < found.end; ++s) {
      const Step& step = trace_.steps[s];
      chain_of_[s] = static_cast<int>(chains_.size()) - 1;
      chain.forms.push_back(*row_form(step, found.rows));
      chain.scratch = std::max(chain.scratch, row_scratch(step, found.rows));
      for (size_t k = 0; k < step.in.size(); ++k)
        if (chain.forms.back().windows[k].whole) chain.whole.push_back(step.in[k].buffer);
    }
  }
}

// Note [Followers]
// A primitive that goes over large memory piece by piece (Primitive::leads) lets an elementwise step that
// comes next work on each piece of its result while it is in the cache. The bits are those of the steps one
// by one. Both have their memory before they begin: nothing that the step writes may be read by the
// primitive, and of the primitive's results the step reads the first one only. Whoever watches has the steps
// run one by one.
void Prepared::plan_followers() {
  for (size_t s = 0; s + 1 < trace_.forward_steps; ++s) {
    const Step &leader = trace_.steps[s], &step = trace_.steps[s + 1];
    if (leader.kind != Step::Kind::Primitive || !leader.primitive->leads() || leader.in_place ||
        step.kind != Step::Kind::Program || !step.divisors.empty() || step.compute == Compute::I64)
      continue;
    const Array& made = leader.out[0].array;
    if (made.bytes() <= kPieced || extent(made) != static_cast<int64_t>(made.bytes())) continue;
    RowForm form;
    form.flat = true;
    const auto cut = [&](const Window& window, bool written) {
      const Array& array = window.array;
      const bool number = !written && (window.buffer < 0 || is_uniform(array));
      form.windows.push_back(number ? Rows{} : Rows{false, 1, 1});
      if (window.buffer < 0) return true;
      const auto is_it = [&](const Window& other) { return other.buffer == window.buffer; };
      if (written ? std::any_of(leader.in.begin(), leader.in.end(), is_it)
                  : std::any_of(leader.out.begin() + 1, leader.out.end(), is_it))
        return false;
      return number ? !is_it(leader.out[0]) : array.sizes == made.sizes && array.strides == made.strides;
    };
    if (std::all_of(step.in.begin(), step.in.end(), [&](const Window& w) { return cut(w, false); }) &&
        std::all_of(step.out.begin(), step.out.end(), [&](const Window& w) { return cut(w, true); }))
      followers_.emplace(s, std::move(form));
  }
}

bool Prepared::fits_batch(size_t s) const {
  const Step& step = trace_.steps[s];
  const auto in_place = [&](const Window& w) { return w.buffer < 0 || in_arena(w.buffer); };
  return !ready_[s].micros.empty() && ready_[s].places.empty() && !leaves_work_[s] && allocated_[s].empty() &&
         inherited_[s].empty() && std::all_of(step.in.begin(), step.in.end(), in_place) &&
         std::all_of(step.out.begin(), step.out.end(), in_place);
}

void Prepared::plan_batches() {
  const size_t n = trace_.steps.size();
  leaves_work_.assign(n, false);
  batch_at_.assign(n, -1);
  for (size_t s = 0; s < n; ++s) {
    const Step& step = trace_.steps[s];
    leaves_work_[s] =
        std::any_of(step.out.begin(), step.out.end(),
                    [&](const Window& w) {
                      return trace_.buffers[static_cast<size_t>(w.buffer)].origin != Buffer::Origin::Fresh;
                    }) ||
        !std::all_of(step.last.begin(), step.last.end(), [&](int b) { return in_arena(b); });
  }
  for (size_t s = 0; s < trace_.forward_steps; ++s) {
    Batch batch{s, {}};
    for (; batch.end < trace_.forward_steps && fits_batch(batch.end); ++batch.end)
      batch.micros.insert(batch.micros.end(), ready_[batch.end].micros.begin(),
                          ready_[batch.end].micros.end());
    if (batch.end < s + 2) continue;
    batch_at_[s] = static_cast<int>(batches_.size());
    s = batch.end - 1;
    batches_.push_back(std::move(batch));
  }
}

// Threads find routines only, which are made here.
static const code::Routine* prepare_routine(const Step& step, std::span<const Array* const> arrays) {
  code::Form form{step.compute, 0};
  for (size_t k = 0; k < step.in.size(); ++k)
    form.uniform |= uint32_t{!arrays[k] || is_uniform(*arrays[k])} << k;
  return step.program->routines.get(*step.program, form, step.out[0].array.numel * step.program->work);
}

// Whether a routine can work on rows of a step where they lie: all of them have whole vectors.
static bool runs_in_place(const code::Routine& routine, const Step& step, const RowForm& form,
                          std::span<const Array* const> arrays) {
  if (!form.flat || routine.has_tiles()) return false;
  const size_t n_in = step.in.size();
  for (size_t k = 0; k < arrays.size(); ++k) {
    const Rows& rows = form.windows[k];
    if (rows.whole || rows.width % routine.lanes() != 0 || compute_of(arrays[k]->dtype) != step.compute ||
        stored_dtype(step.compute) != arrays[k]->dtype)
      return false;
    for (size_t i = 0; k >= n_in && i < n_in; ++i)
      if (arrays[i]->data == arrays[k]->data && !routine.writes_last(k - n_in)) return false;
  }
  return true;
}

static void run_routine(const code::Routine& routine, const RowForm& form, const Array* const* arrays,
                        int64_t begin, int64_t end) {
  void* places[code::Routine::kMaxPlaces];
  const int64_t width = form.windows[0].width;
  for (size_t k = 0; k < form.windows.size(); ++k)
    places[k] = arrays[k]->as<char>() + begin * width * static_cast<int64_t>(itemsize(arrays[k]->dtype));
  routine.run(places, (end - begin) * width);
}

// The elementwise step behind a primitive that leads.
class Prepared::Followed final : public Follower {
 public:
  Followed(Prepared& prepared, size_t step, const RowForm& form)
      : prepared_(prepared), at_(step), step_(prepared.trace_.steps[step]), form_(form) {}

  void begin(const Array& out) override {
    prepared_.bind(prepared_.trace_.steps[at_ - 1].out[0].buffer, out.storage);
    prepared_.make_room(at_);
    prepare_routine(step_, prepared_.ready_[at_].pointers);
  }
  void follow(int64_t first, int64_t end) override {
    run_rows(step_, form_, prepared_.ready_[at_].pointers.data(), first, end, nullptr);
  }

 private:
  Prepared& prepared_;
  size_t at_;
  const Step& step_;
  const RowForm& form_;
};

size_t Prepared::run(size_t s, const Stands& stands) {
  if (batch_at_[s] >= 0) {
    const Batch& batch = batches_[static_cast<size_t>(batch_at_[s])];
    for (const Micro& micro : batch.micros)
      micro.kernel(const_cast<void*>(micro.out), micro.a, micro.b, micro.c, micro.n);
    return batch.end;
  }
  if (const auto found = followers_.find(s); found != followers_.end()) {
    Followed follower(*this, s + 1, found->second);
    make_room(s);
    run_one(s, stands, &follower);
    return s + 2;
  }
  if (chain_of_[s] < 0) {
    make_room(s);
    run_one(s, stands);
    return s + 1;
  }
  const Chain& chain = chains_[static_cast<size_t>(chain_of_[s])];
  for (; s < chain.steps.end; ++s) make_room(s);
  run_chain(chain);
  return s;
}

void Prepared::run_chain(const Chain& chain) {
  const auto& [first, end, rows] = chain.steps;
  const int64_t lanes = std::min<int64_t>(num_threads(), rows / 2), share = (rows + lanes - 1) / lanes;
  const size_t each = (chain.scratch + kAlign - 1) / kAlign * kAlign;
  const Scratch scratch(each * static_cast<size_t>(lanes));
  std::vector<const code::Routine*> in_place(end - first, nullptr);
  for (size_t s = first; s < end; ++s) {
    const Step& step = trace_.steps[s];
    if (step.kind != Step::Kind::Program) continue;
    const code::Routine* const routine = prepare_routine(step, ready_[s].pointers);
    if (routine && runs_in_place(*routine, step, chain.forms[s - first], ready_[s].pointers))
      in_place[s - first] = routine;
  }
  const Unlocked unlocked;
  parallel_for(lanes, 1, [&](int64_t begin, int64_t stop) {
    for (int64_t lane = begin; lane < stop; ++lane) {
      const int64_t from = lane * share, to = std::min(rows, from + share);
      for (size_t s = first; s < end && from < to; ++s) {
        const RowForm& form = chain.forms[s - first];
        const Array* const* const arrays = ready_[s].pointers.data();
        if (const code::Routine* const routine = in_place[s - first])
          run_routine(*routine, form, arrays, from, to);
        else
          run_rows(trace_.steps[s], form, arrays, from, to,
                   scratch.data() + static_cast<size_t>(lane) * each);
      }
    }
  });
}

}  // namespace versant::trace
