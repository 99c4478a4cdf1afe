#include "machine/code/registers.h"

#include <algorithm>

#include "machine/code/emit.h"

namespace versant::code {

namespace {

constexpr int kKeptFree = 2;  // registers that are not given to numbers
constexpr Gpr kBases[] = {rdx, rcx, r8, r9, r10, rbx, r12, r13, r14, r15};
constexpr Gpr kPassing = r11;

bool is_saved(Gpr reg) { return reg == rbx || reg >= r12; }
bool is_constant(Kind kind) { return kind == Kind::Number || kind == Kind::Uniform; }

}  // namespace

Registers::Registers(const Formula& formula)
    : formula_(formula),
      values_(formula.values),
      wide_(formula.compute == Compute::F64),
      avx512_(formula.vector_bytes == 64),
      vectors_(avx512_ ? kMostVectors : 16),
      // Two vectors in turns gain more by running apart than they lose by values that are put away.
      order_(schedule(formula, formula.vectors == 1 ? vectors_ * 3 / 4 : vectors_ * 11 / 8)),
      code_(formula.vector_bytes) {
  find_uses();
  find_places();
  keep_numbers();
}

void Registers::find_uses() {
  uses_.resize(values_.size());
  next_.assign(values_.size(), 0);
  for (int at = 0; at < end(); ++at) {
    const Value& value = values_[order_[static_cast<std::size_t>(at)]];
    for (int k = 0; k < operands_of(value); ++k)
      if (uses_[value.at[k]].empty() || uses_[value.at[k]].back() != at) uses_[value.at[k]].push_back(at);
  }
  int at = end();
  for (const Formula::Store& store : formula_.stores) uses_[store.value].push_back(at++);
  reg_.assign(values_.size(), -1);
  slot_.assign(values_.size(), -1);
  holds_.fill(kFree);
  masks_.fill(kFree);
}

void Registers::find_places() {
  pool_.assign(values_.size(), -1);
  const auto add = [&](int place) {
    if (base_of(place) == kPassing && places_.size() < std::size(kBases)) places_.push_back(place);
  };
  for (std::size_t v = 0; v < values_.size(); ++v) {
    if (uses_[v].empty()) continue;
    const Value& value = values_[v];
    if (value.kind == Kind::Input) add(value.at[0]);
    if (value.kind == Kind::Uniform) uniforms_.push_back(static_cast<Id>(v));
    if (value.kind == Kind::Number) {
      pool_[v] = static_cast<int>(constants_.size());
      constants_.push_back(value.bits);
    }
  }
  for (const Formula::Store& store : formula_.stores) add(store.place);
  const int each = avx512_ ? 8 : formula_.vector_bytes;
  frame_ = (static_cast<int>(uniforms_.size()) * each + 63) / 64 * 64;
  for (std::size_t k = 0; k < uniforms_.size(); ++k) slot_[uniforms_[k]] = static_cast<int>(k) * each;
}

void Registers::keep_numbers() {
  int alive = 0, most = 0;
  std::vector<Id> numbers;
  std::vector<int> last(static_cast<std::size_t>(end()) + formula_.stores.size() + 1, 0);
  std::vector<int> born(last.size(), 0);
  for (std::size_t v = 0; v < values_.size(); ++v) {
    if (uses_[v].empty() || in_mask(static_cast<Id>(v))) continue;
    if (is_constant(values_[v].kind)) {
      numbers.push_back(static_cast<Id>(v));
    } else {
      ++last[static_cast<std::size_t>(uses_[v].back())];
      if (values_[v].kind == Kind::Input) ++born[static_cast<std::size_t>(uses_[v].front())];
    }
  }
  for (int at = 0; at < end(); ++at) {
    alive += born[static_cast<std::size_t>(at)];
    alive += in_mask(order_[static_cast<std::size_t>(at)]) ? 0 : 1;
    most = std::max(most, alive);
    alive -= last[static_cast<std::size_t>(at)];
  }
  // Inputs that are only stored are all loaded before the first store.
  for (std::size_t at = static_cast<std::size_t>(end()); at < born.size(); ++at) alive += born[at];
  most = std::max(most, alive);
  std::stable_sort(numbers.begin(), numbers.end(),
                   [&](Id x, Id y) { return uses_[x].size() > uses_[y].size(); });
  const int room = std::clamp(vectors_ - kKeptFree - most, 0, static_cast<int>(numbers.size()));
  kept_.assign(numbers.begin(), numbers.begin() + room);
}

void Registers::prologue() {
  for (std::size_t k = 0; k < places_.size(); ++k)
    if (is_saved(kBases[k])) code_.push(kBases[k]);
  code_.push(rbp);
  code_.move(rbp, rsp);
  // Every value has room here, should it not fit the registers.
  code_.add(rsp, -(frame_ + 64 * static_cast<int>(order_.size())) - 64);
  code_.bits_and(rsp, -64);
  for (std::size_t k = 0; k < places_.size(); ++k) code_.load(kBases[k], rdi, 8 * places_[k]);
  for (const Id v : uniforms_) {
    code_.load(kPassing, rdi, 8 * values_[v].at[0]);
    if (avx512_) {
      code_.load(kPassing, kPassing, 0);
      code_.store(rsp, slot_[v], kPassing);
    } else {
      code_.vector(broadcast(), 0, 0, Place::memory(kPassing, 0, false));
      code_.vector({1, 0, 0x11, false}, 0, 0, Place::memory(rsp, slot_[v], false));
    }
  }
  int reg = vectors_;
  for (const Id v : kept_) {
    load_from_home(--reg, v);
    holds_[static_cast<std::size_t>(reg)] = kNumber;
    reg_[v] = reg;
  }
  code_.clear(rax);
  code_.shift_left(rsi, static_cast<std::uint8_t>((avx512_ ? 5 : 4) + formula_.vectors));
  code_.align(32);
}

void Registers::epilogue() {
  code_.leave_vectors();
  code_.move(rsp, rbp);
  code_.pop(rbp);
  for (std::size_t k = places_.size(); k-- > 0;)
    if (is_saved(kBases[k])) code_.pop(kBases[k]);
  code_.ret();
}

std::vector<std::uint8_t> Registers::finish() {
  const std::size_t item = wide_ ? 8 : 4;
  return code_.finish(constants_, item, avx512_ ? 1 : static_cast<std::size_t>(formula_.vector_bytes) / item);
}

Gpr Registers::base_of(int place) const {
  const auto found = std::find(places_.begin(), places_.end(), place);
  return found == places_.end() ? kPassing : kBases[found - places_.begin()];
}

Place Registers::memory(int place, int offset) {
  const Gpr base = base_of(place);
  if (base == kPassing) code_.load(kPassing, rdi, 8 * place);
  return Place::memory(base, offset, true);
}

Place Registers::home(Id v) {
  if (values_[v].kind == Kind::Input) return memory(values_[v].at[0], static_cast<int>(values_[v].bits));
  if (!is_constant(values_[v].kind)) return Place::memory(rsp, slot_[v], false);
  return values_[v].kind == Kind::Number ? Place::constant(pool_[v], avx512_)
                                         : Place::memory(rsp, slot_[v], false, avx512_);
}

bool Registers::is_last_use(Id v) const {
  return next_[v] + 1U >= uses_[v].size() && (in_mask(v) || reg_[v] < 0 || holds_at(reg_[v]) != kNumber);
}

int Registers::free_register() {
  int best = -1, farthest = -1;
  for (int r = 0; r < vectors_; ++r) {
    const int held = holds_at(r);
    if (held == kFree) return r;
    if (held == kNumber || pinned_[static_cast<std::size_t>(r)]) continue;
    const auto v = static_cast<std::size_t>(held);
    const int next = uses_[v][static_cast<std::size_t>(next_[v])];
    if (next > farthest) best = r, farthest = next;
  }
  if (best < 0) {
    crowded_ = true;
    return 0;
  }
  const auto v = static_cast<Id>(holds_at(best));
  if (values_[v].kind != Kind::Input && !is_constant(values_[v].kind) && slot_[v] < 0) {
    slot_[v] = frame_;
    frame_ += 64;
    code_.vector({1, 0, 0x11, false}, best, 0, Place::memory(rsp, slot_[v], false));
  }
  reg_[v] = -1;
  holds_[static_cast<std::size_t>(best)] = kFree;
  return best;
}

int Registers::new_register(Id v) {
  const int reg = free_register();
  holds_[static_cast<std::size_t>(reg)] = v;
  reg_[v] = reg;
  pinned_[static_cast<std::size_t>(reg)] = true;
  return reg;
}

void Registers::load_from_home(int reg, Id v) {
  Place place = home(v);
  if (place.repeated) {
    place.repeated = false;
    code_.vector(broadcast(), reg, 0, place);
  } else {
    code_.vector({1, 0, 0x10, false}, reg, 0, place);
  }
}

int Registers::in_register(Id v) {
  if (reg_[v] < 0) load_from_home(new_register(v), v);
  pinned_[static_cast<std::size_t>(reg_[v])] = true;
  return reg_[v];
}

bool Registers::stays_in_memory(Id v) const {
  return reg_[v] < 0 && (is_constant(values_[v].kind) || next_[v] + 1U >= uses_[v].size());
}

void Registers::used(Id v) {
  const bool last = is_last_use(v);
  ++next_[v];
  if (in_mask(v)) {
    if (last) masks_[static_cast<std::size_t>(reg_[v])] = kFree;
  } else if (reg_[v] >= 0 && holds_at(reg_[v]) != kNumber && (last || is_constant(values_[v].kind))) {
    // Numbers that were loaded in passing go at once.
    holds_[static_cast<std::size_t>(reg_[v])] = kFree;
    reg_[v] = -1;
  }
}

void Registers::use_all(const Value& value) {
  for (int k = 0; k < operands_of(value); ++k) {
    const bool repeated = (k > 0 && value.at[k] == value.at[0]) || (k > 1 && value.at[k] == value.at[1]);
    if (!repeated) used(value.at[k]);
  }
  unpin();
}

}  // namespace versant::code
