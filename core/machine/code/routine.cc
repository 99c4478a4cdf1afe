#include "machine/code/routine.h"

#include <algorithm>

#include "machine/program.h"

namespace versant::code {

namespace {

constexpr std::size_t kLong = 48;  // values of a formula from which two vectors a turn are faster than one

}  // namespace

// Makes one routine: rounds of a piece of code and of the kernels that read what it computed.
class Maker {
 public:
  Maker(const Program& program, const Form& form, int vector_bytes)
      : program_(program),
        form_(form),
        vector_bytes_(vector_bytes),
        first_(program.first_result()),
        routine_(new Routine) {}

  std::unique_ptr<const Routine> run() {
    if (!make_steps() || !worth()) return nullptr;
    routine_->n_tiles_ = next_place_ - program_.n_inputs - static_cast<int>(program_.outputs.size());
    routine_->n_places_ = next_place_;
    routine_->uniform_ = form_.uniform;
    routine_->lanes_ = vector_bytes_ / (form_.compute == Compute::F32 ? 4 : 8);
    routine_->room_ = std::make_unique<Room>(bytes_);
    const auto* const begin = static_cast<const std::uint8_t*>(routine_->room_->begin());
    if (!begin) return nullptr;
    const auto at = [&](std::size_t start) {
      return reinterpret_cast<Function>(reinterpret_cast<std::uintptr_t>(begin) + start);
    };
    for (std::size_t s = 0; s < routine_->steps_.size(); ++s) {
      Routine::Step& step = routine_->steps_[s];
      if (step.kernel) continue;
      step.code = at(starts_[s].code);
      if (starts_[s].pairs > 0) step.pairs = at(starts_[s].pairs);
    }
    return std::move(routine_);
  }

  // The bytes of a program without calls.
  std::vector<std::uint8_t> bytes(bool paired) {
    if (!make_steps() || routine_->steps_.size() != 1) return {};
    if (!paired) return bytes_;
    const auto start = static_cast<std::ptrdiff_t>(starts_[0].pairs);
    return start == 0 ? std::vector<std::uint8_t>{} : std::vector(bytes_.begin() + start, bytes_.end());
  }

 private:
  bool make_steps() {
    const std::size_t registers = static_cast<std::size_t>(first_) + program_.code.size();
    place_.assign(registers, -1);
    for (int k = 0; k < program_.n_inputs; ++k) place_[static_cast<std::size_t>(k)] = k;
    next_place_ = program_.n_inputs + static_cast<int>(program_.outputs.size());
    find_needed();
    place_constants();
    done_.assign(program_.code.size(), false);
    while (true) {
      const std::vector<int> calls = ready_calls();
      if (!piece(calls)) return false;
      if (calls.empty()) break;
      for (const int i : calls) call(i);
    }
    return next_place_ <= Routine::kMaxPlaces;
  }

  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  const Instruction& instruction(int i) const { return program_.code[index(i)]; }
  MicroFormula formula_of(int i) const { return kernels->formula_of(instruction(i).micro, form_.compute); }
  template <class Visit>
  void for_operands(int i, Visit visit) const {
    const std::uint8_t operands[3] = {instruction(i).a, instruction(i).b, instruction(i).c};
    for (int k = 0; k < kernels->arity_of(instruction(i).micro); ++k) visit(int{operands[k]});
  }

  void find_needed() {
    needed_.assign(program_.code.size(), false);
    for (const std::uint8_t output : program_.outputs)
      if (output >= first_) needed_[index(output - first_)] = true;
    for (int i = static_cast<int>(program_.code.size()) - 1; i >= 0; --i)
      if (needed_[index(i)])
        for_operands(i, [&](int r) {
          if (r >= first_) needed_[index(r - first_)] = true;
        });
  }

  // Kernels read constants from tiles.
  void place_constants() {
    for (int i = 0; i < static_cast<int>(program_.code.size()); ++i) {
      if (!needed_[index(i)] || formula_of(i)) continue;
      for_operands(i, [&](int r) {
        if (r < program_.n_inputs || r >= first_ || place_[index(r)] >= 0) return;
        place_[index(r)] = next_place_++;
        routine_->constants_.push_back(static_cast<std::uint8_t>(r - program_.n_inputs));
      });
    }
  }

  // The kernels whose operands take no other kernel first.
  std::vector<int> ready_calls() const {
    std::vector<bool> waits(program_.code.size(), false);
    std::vector<int> calls;
    for (int i = 0; i < static_cast<int>(program_.code.size()); ++i) {
      if (!needed_[index(i)] || done_[index(i)]) continue;
      bool waiting = false;
      for_operands(i, [&](int r) { waiting |= r >= first_ && waits[index(r - first_)]; });
      const bool called = !formula_of(i);
      if (called && !waiting) calls.push_back(i);
      waits[index(i)] = waiting || called;
    }
    return calls;
  }

  // Code for what `calls` read, or for the rest where there are none.
  bool piece(const std::vector<int>& calls) {
    std::vector<bool> wanted(program_.code.size(), calls.empty());
    const auto want = [&](int r) {
      if (r >= first_) wanted[index(r - first_)] = true;
    };
    for (const int i : calls) for_operands(i, want);
    for (int i = static_cast<int>(program_.code.size()) - 1; i >= 0; --i) {
      wanted[index(i)] = wanted[index(i)] && needed_[index(i)] && !done_[index(i)];
      if (wanted[index(i)]) for_operands(i, want);
    }
    Formula formula(form_.compute, vector_bytes_);
    const Formula::Recording recording(formula);
    std::vector<int> ids(place_.size(), -1);
    const auto id_of = [&](int r) {
      int& id = ids[index(r)];
      if (id >= 0) return static_cast<Id>(id);
      if (r >= program_.n_inputs && r < first_)
        id = formula.number(program_.constants[index(r - program_.n_inputs)].as_double());
      else
        id =
            formula.add({r < program_.n_inputs && (form_.uniform >> r & 1) != 0 ? Kind::Uniform : Kind::Input,
                         0,
                         {static_cast<Id>(place_[index(r)]), 0, 0}});
      return static_cast<Id>(id);
    };
    for (int i = 0; i < static_cast<int>(program_.code.size()); ++i) {
      if (!wanted[index(i)]) continue;
      Id operands[3] = {0, 0, 0};
      int count = 0;
      for_operands(i, [&](int r) { operands[count++] = id_of(r); });
      ids[index(first_ + i)] = formula_of(i)(operands[0], operands[1], operands[2]);
      done_[index(i)] = true;
    }
    // What later pieces and kernels read goes into tiles. Outputs are stored where they are computed, those
    // of kernels at the end.
    for (int i = 0; i < static_cast<int>(program_.code.size()); ++i) {
      if (done_[index(i)] || !needed_[index(i)]) continue;
      for_operands(i, [&](int r) {
        if (r < first_ || ids[index(r)] < 0 || place_[index(r)] >= 0) return;
        place_[index(r)] = next_place_++;
        formula.stores.push_back({static_cast<Id>(ids[index(r)]), place_[index(r)]});
      });
    }
    for (std::size_t k = 0; k < program_.outputs.size(); ++k) {
      const int r = program_.outputs[k];
      const bool computed = ids[index(r)] >= 0 && r >= first_ && wanted[index(r - first_)];
      if (!computed && !(calls.empty() && !stored_[k])) continue;
      formula.stores.push_back({id_of(r), program_.n_inputs + static_cast<int>(k)});
      stored_[k] = true;
      if (calls.empty()) routine_->last_ |= 1U << k;
    }
    if (formula.stores.empty()) return true;
    const std::vector<std::uint8_t> code = emit(formula);
    if (code.empty()) return false;
    add_step({nullptr, nullptr, nullptr, 0, 0, 0, 0});
    starts_.back().code = append(code);
    if (formula.values.size() < kLong) return true;
    const std::vector<std::uint8_t> pairs = emit(formula.paired());
    if (!pairs.empty()) starts_.back().pairs = append(pairs);
    return true;
  }

  void call(int i) {
    int places[3] = {0, 0, 0};
    int count = 0;
    for_operands(i, [&](int r) { places[count++] = place_[index(r)]; });
    const int to = next_place_++;
    place_[index(first_ + i)] = to;
    done_[index(i)] = true;
    add_step({nullptr, nullptr, kernels->micro_of(instruction(i).micro, form_.compute), to, places[0],
              places[1], places[2]});
  }

  void add_step(const Routine::Step& step) {
    routine_->steps_.push_back(step);
    starts_.push_back({0, 0});
  }
  std::size_t append(const std::vector<std::uint8_t>& code) {
    bytes_.resize((bytes_.size() + 63) / 64 * 64, 0xcc);
    const std::size_t start = bytes_.size();
    bytes_.insert(bytes_.end(), code.begin(), code.end());
    return start;
  }

  // A call for each micro-op would be no gain.
  bool worth() const {
    const std::size_t before = program_.for_compute(form_.compute).code.size();
    return before > 1 && routine_->steps_.size() < before;
  }

  const Program& program_;
  const Form& form_;
  const int vector_bytes_;
  const int first_;
  std::unique_ptr<Routine> routine_;
  std::vector<int> place_;  // of registers in memory; -1: not there
  int next_place_ = 0;
  std::vector<bool> needed_, done_;
  bool stored_[Program::kMaxOutputs] = {};
  std::vector<std::uint8_t> bytes_;
  struct Start {
    std::size_t code, pairs;
  };
  std::vector<Start> starts_;  // of each step
};

std::unique_ptr<const Routine> Routine::make(const Program& program, const Form& form) {
  if (program.for_compute(form.compute).code.size() < 2) return nullptr;
  return Maker(program, form, kernels->code_bytes).run();
}

std::vector<std::uint8_t> code_of(const Program& program, const Form& form, int vector_bytes, bool paired) {
  return Maker(program, form, vector_bytes).bytes(paired);
}

void Routine::run(void* const* places, std::int64_t n) const {
  const std::int64_t vectors = (n + lanes_ - 1) / lanes_;
  for (const Step& step : steps_) {
    if (step.kernel)
      step.kernel(places[step.to], places[step.a], places[step.b], places[step.c], n);
    else
      run_code(step, places, vectors);
  }
}

void Routine::run_code(const Step& step, void* const* places, std::int64_t vectors) const {
  if (!step.pairs) return step.code(places, vectors);
  if (vectors > 1) step.pairs(places, vectors / 2);
  if (vectors % 2 == 0) return;
  // The last vector.
  void* moved[kMaxPlaces];
  const std::int64_t done = (vectors - 1) * kernels->code_bytes;
  for (int p = 0; p < n_places_; ++p)
    moved[p] = p < 32 && (uniform_ >> p & 1) != 0 ? places[p] : static_cast<char*>(places[p]) + done;
  step.code(moved, 1);
}

}  // namespace versant::code
