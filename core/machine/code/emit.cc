// Registers and instructions: a linear scan over the scheduled values, which writes the code as it goes.
#include "machine/code/emit.h"

#include <algorithm>
#include <array>
#include <bit>

#include "machine/code/assembler.h"

namespace versant::code {

namespace {

constexpr int kMostVectors = 32, kMasks = 8;
constexpr int kKeptFree = 2;             // registers that are not given to numbers
constexpr int kFree = -1, kNumber = -2;  // what a register holds, else a value
constexpr Gpr kBases[] = {rdx, rcx, r8, r9, r10, rbx, r12, r13, r14, r15};
constexpr Gpr kPassing = r11;

bool is_saved(Gpr reg) { return reg == rbx || reg >= r12; }
bool is_constant(Kind kind) { return kind == Kind::Number || kind == Kind::Uniform; }

class Emitter {
 public:
  explicit Emitter(const Formula& formula)
      : formula_(formula),
        values_(formula.values),
        wide_(formula.compute == Compute::F64),
        avx512_(formula.vector_bytes == 64),
        vectors_(avx512_ ? kMostVectors : 16),
        order_(schedule(formula, vectors_ * 3 / 4)),
        code_(formula.vector_bytes) {}

  std::vector<std::uint8_t> run() {
    find_uses();
    find_places();
    keep_numbers();
    prologue();
    const std::size_t loop = code_.here();
    for (now_ = 0; now_ < end(); ++now_) {
      if (!instruction(order_[static_cast<std::size_t>(now_)])) return {};
    }
    for (const Formula::Store& store : formula_.stores) {
      const int from = in_register(store.value);
      code_.vector({1, 0, 0x11, false}, from, 0, memory(store.place));
      used(store.value);
      unpin();
    }
    code_.add(rax, formula_.vector_bytes);
    code_.compare(rax, rsi);
    code_.jump_below(loop);
    epilogue();
    return finish();
  }

 private:
  // --- what is used where

  int end() const { return static_cast<int>(order_.size()); }

  void find_uses() {
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

  // The bases of memory, and the constants behind the code.
  void find_places() {
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

  // Registers that the other values leave free keep the numbers that are used most.
  void keep_numbers() {
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
    std::stable_sort(numbers.begin(), numbers.end(),
                     [&](Id x, Id y) { return uses_[x].size() > uses_[y].size(); });
    const int room = std::clamp(vectors_ - kKeptFree - most, 0, static_cast<int>(numbers.size()));
    kept_.assign(numbers.begin(), numbers.begin() + room);
  }

  // --- the frame of the function

  void prologue() {
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
    code_.shift_left(rsi, avx512_ ? 6 : 5);
    code_.align(32);
  }

  void epilogue() {
    code_.leave_vectors();
    code_.move(rsp, rbp);
    code_.pop(rbp);
    for (std::size_t k = places_.size(); k-- > 0;)
      if (is_saved(kBases[k])) code_.pop(kBases[k]);
    code_.ret();
  }

  std::vector<std::uint8_t> finish() {
    const std::size_t item = wide_ ? 8 : 4;
    return code_.finish(constants_, item, avx512_ ? 1 : static_cast<std::size_t>(formula_.vector_bytes) / item);
  }

  // --- where values are

  Gpr base_of(int place) const {
    const auto found = std::find(places_.begin(), places_.end(), place);
    return found == places_.end() ? kPassing : kBases[found - places_.begin()];
  }
  Place memory(int place) {
    const Gpr base = base_of(place);
    if (base == kPassing) code_.load(kPassing, rdi, 8 * place);
    return Place::memory(base, 0, true);
  }
  // Where a value lies that is in no register.
  Place home(Id v) {
    if (values_[v].kind == Kind::Input) return memory(values_[v].at[0]);
    if (!is_constant(values_[v].kind)) return Place::memory(rsp, slot_[v], false);
    return values_[v].kind == Kind::Number ? Place::constant(pool_[v], avx512_)
                                           : Place::memory(rsp, slot_[v], false, avx512_);
  }

  bool is_last_use(Id v) const {
    return next_[v] + 1U >= uses_[v].size() &&
           (in_mask(v) || reg_[v] < 0 || holds_at(reg_[v]) != kNumber);
  }
  bool in_mask(Id v) const { return avx512_ && is_truth(values_[v].kind); }
  int holds_at(int reg) const { return holds_[static_cast<std::size_t>(reg)]; }

  // A register that nothing holds, or whose value is needed last of all; that value is put away.
  int free_register() {
    int best = -1, farthest = -1;
    for (int r = 0; r < vectors_; ++r) {
      const int held = holds_at(r);
      if (held == kFree) return r;
      if (held == kNumber || pinned_[static_cast<std::size_t>(r)]) continue;
      const auto v = static_cast<std::size_t>(held);
      const int next = uses_[v][static_cast<std::size_t>(next_[v])];
      if (next > farthest) best = r, farthest = next;
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
  int new_register(Id v) {
    const int reg = free_register();
    holds_[static_cast<std::size_t>(reg)] = v;
    reg_[v] = reg;
    pinned_[static_cast<std::size_t>(reg)] = true;
    return reg;
  }
  Opcode broadcast() const { return wide_ ? Opcode{2, 1, 0x19, true} : Opcode{2, 1, 0x18, false}; }
  void load_from_home(int reg, Id v) {
    Place place = home(v);
    if (place.repeated) {
      place.repeated = false;
      code_.vector(broadcast(), reg, 0, place);
    } else {
      code_.vector({1, 0, 0x10, false}, reg, 0, place);
    }
  }
  int in_register(Id v) {
    if (reg_[v] < 0) load_from_home(new_register(v), v);
    pinned_[static_cast<std::size_t>(reg_[v])] = true;
    return reg_[v];
  }
  // Whether an operand is better read from memory in passing.
  bool stays_in_memory(Id v) const {
    return reg_[v] < 0 && (is_constant(values_[v].kind) || next_[v] + 1U >= uses_[v].size());
  }
  Place operand(Id v) { return stays_in_memory(v) ? home(v) : Place::reg(in_register(v)); }

  void unpin() { pinned_.fill(false); }
  // One use of a value is over.
  void used(Id v) {
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
  void use_all(const Value& value) {
    for (int k = 0; k < operands_of(value); ++k) {
      const bool repeated = (k > 0 && value.at[k] == value.at[0]) || (k > 1 && value.at[k] == value.at[1]);
      if (!repeated) used(value.at[k]);
    }
    unpin();
  }

  // --- instructions

  bool instruction(Id v) {
    const Value& value = values_[v];
    if (in_mask(v)) return mask_instruction(v, value);
    if (!avx512_ && wide_ && (value.kind == Kind::ToNumber || value.kind == Kind::ShiftRightSigned)) return false;
    switch (value.kind) {
      case Kind::MultiplyAdd:
        multiply_add(v, value);
        break;
      case Kind::Logic:
        logic(v, value);
        break;
      case Kind::Choose:
        choose(v, value);
        break;
      case Kind::Sqrt:
        unary(v, value, {1, prefix(), 0x51, wide_});
        break;
      case Kind::Round:
        unary(v, value, {3, 1, static_cast<std::uint8_t>(wide_ ? 0x09 : 0x08), wide_}, 8 | value.immediate);
        break;
      case Kind::ToNumber:
        unary(v, value, wide_ ? Opcode{1, 2, 0xe6, true} : Opcode{1, 0, 0x5b, false});
        break;
      case Kind::ShiftLeft:
      case Kind::ShiftRight:
      case Kind::ShiftRightSigned:
        shift(v, value);
        break;
      case Kind::Compare:
        compare(v, value);
        break;
      default:
        binary(v, value);
    }
    return true;
  }

  std::uint8_t prefix() const { return wide_ ? 1 : 0; }

  void binary(Id v, const Value& value) {
    Id a = value.at[0], b = value.at[1];
    Opcode op{1, prefix(), 0, wide_};
    bool commutes = false;
    switch (value.kind) {
      case Kind::Add:
        op.code = 0x58, commutes = true;
        break;
      case Kind::Mul:
        op.code = 0x59, commutes = true;
        break;
      case Kind::Sub:
        op.code = 0x5c;
        break;
      case Kind::Min:
        op.code = 0x5d;
        break;
      case Kind::Div:
        op.code = 0x5e;
        break;
      case Kind::Max:
        op.code = 0x5f;
        break;
      case Kind::AddInt:
        op = {1, 1, static_cast<std::uint8_t>(wide_ ? 0xd4 : 0xfe), wide_}, commutes = true;
        break;
      case Kind::TruthAnd:
        op = {1, 0, 0x54, false}, commutes = true;
        break;
      case Kind::TruthOr:
        op = {1, 0, 0x56, false}, commutes = true;
        break;
      case Kind::TruthXor:
        op = {1, 0, 0x57, false}, commutes = true;
        break;
      default:  // SubInt
        op = {1, 1, static_cast<std::uint8_t>(wide_ ? 0xfb : 0xfa), wide_};
    }
    if (commutes && stays_in_memory(a) && !stays_in_memory(b)) std::swap(a, b);
    const int first = in_register(a);
    const Place second = operand(b);
    use_all(value);
    code_.vector(op, new_register(v), first, second);
    unpin();
  }

  void unary(Id v, const Value& value, Opcode op) {
    const Place from = operand(value.at[0]);
    use_all(value);
    code_.vector(op, new_register(v), 0, from);
    unpin();
  }
  void unary(Id v, const Value& value, Opcode op, int immediate) {
    const Place from = operand(value.at[0]);
    use_all(value);
    code_.vector(op, new_register(v), 0, from, static_cast<std::uint8_t>(immediate));
    unpin();
  }

  void shift(Id v, const Value& value) {
    const bool is_signed = value.kind == Kind::ShiftRightSigned;
    const int digit = value.kind == Kind::ShiftLeft ? 6 : is_signed ? 4 : 2;
    const Place from = avx512_ ? operand(value.at[0]) : Place::reg(in_register(value.at[0]));
    use_all(value);
    const int to = new_register(v);
    code_.vector({1, 1, static_cast<std::uint8_t>(wide_ && !is_signed ? 0x73 : 0x72), wide_}, digit, to, from,
                 value.immediate);
    unpin();
  }

  // Readies three operands of an instruction that overwrites one of them: at most one stays in memory. Gives
  // the position of the operand in whose place the result goes, which holds `v` from then on.
  int overwrite(Id v, const Value& value, Place* places) {
    int in_memory = -1;
    for (int k = 0; k < 3; ++k) {
      if (stays_in_memory(value.at[k]) && in_memory < 0)
        in_memory = k;
      else
        places[k] = Place::reg(in_register(value.at[k]));
    }
    int over = -1;
    for (int k = 0; k < 3; ++k)
      if (k != in_memory && is_last_use(value.at[k])) over = k;
    if (over >= 0) {
      if (in_memory >= 0) places[in_memory] = home(value.at[in_memory]);
      const int reg = places[over].number;
      use_all(value);
      holds_[static_cast<std::size_t>(reg)] = v;
      reg_[v] = reg;
      return over;
    }
    // Nothing ends here: what is in memory is loaded into the register of the result, else one is copied.
    const int reg = new_register(v);
    over = in_memory >= 0 ? in_memory : 2;
    if (in_memory >= 0)
      load_from_home(reg, value.at[in_memory]);
    else
      code_.vector({1, 0, 0x28, false}, reg, 0, places[2]);
    places[over] = Place::reg(reg);
    use_all(value);
    return over;
  }

  void multiply_add(Id v, const Value& value) {
    Place places[3];
    const int over = overwrite(v, value, places);
    const bool minus = (value.immediate & kNegateProduct) != 0, less = (value.immediate & kNegateAddend) != 0;
    const auto code = [&](int form) {
      return Opcode{2, 1, static_cast<std::uint8_t>(form + (less ? 2 : 0) + (minus ? 4 : 0)), wide_};
    };
    const int to = places[over].number;
    const bool addend_in_memory = places[2].in != Place::In::Register;
    if (over == 2) {  // to = a * b + to
      const int first = places[0].in == Place::In::Register ? 0 : 1;
      code_.vector(code(0xb8), to, places[first].number, places[1 - first]);
    } else if (addend_in_memory || places[1 - over].in == Place::In::Register) {  // to = other * to + c
      code_.vector(code(0xa8), to, places[1 - over].number, places[2]);
    } else {  // to = to * other + c
      code_.vector(code(0x98), to, places[2].number, places[1 - over]);
    }
    unpin();
  }

  // The truth table over leaves in another order.
  static std::uint8_t reordered(std::uint8_t table, const int* order) {
    int result = 0;
    for (int row = 0; row < 8; ++row) {
      int index = 0;
      for (int k = 0; k < 3; ++k) index |= (row >> (2 - k) & 1) << (2 - order[k]);
      result |= (table >> index & 1) << row;
    }
    return static_cast<std::uint8_t>(result);
  }

  void logic(Id v, const Value& value) {
    const Opcode ternary{3, 1, 0x25, wide_};
    if (value.bits == 2) {
      Id a = value.at[0], b = value.at[1];
      std::uint8_t code = 0;
      bool commutes = true;
      if (value.immediate == 0xc0) code = 0x54;
      if (value.immediate == 0xfc) code = 0x56;
      if (value.immediate == 0x3c) code = 0x57;
      if (value.immediate == 0x0c) code = 0x55, commutes = false;  // ~a & b
      if (value.immediate == 0x30) code = 0x55, commutes = false, std::swap(a, b);
      if (commutes && stays_in_memory(a) && !stays_in_memory(b)) std::swap(a, b);
      if (code != 0) {
        const int first = in_register(a);
        const Place second = operand(b);
        use_all(value);
        code_.vector({1, prefix(), code, wide_}, new_register(v), first, second);
        return unpin();
      }
      // Other functions of two: the first leaf stands twice.
      const int first = in_register(value.at[0]), second = in_register(value.at[1]);
      const int to = new_register(v);
      code_.vector({1, 0, 0x28, false}, to, 0, Place::reg(first));
      code_.vector(ternary, to, second, Place::reg(second), value.immediate);
      return use_all(value);
    }
    Place places[3];
    int order[3] = {overwrite(v, value, places), 0, 0};
    order[1] = order[0] == 0 ? 1 : 0;
    order[2] = 3 - order[0] - order[1];
    if (places[order[1]].in != Place::In::Register) std::swap(order[1], order[2]);
    code_.vector(ternary, places[order[0]].number, places[order[1]].number, places[order[2]],
                 reordered(value.immediate, order));
    unpin();
  }

  void compare(Id v, const Value& value) {
    const int first = in_register(value.at[0]);
    const Place second = operand(value.at[1]);
    use_all(value);
    code_.vector({1, prefix(), 0xc2, wide_}, new_register(v), first, second, value.immediate);
    unpin();
  }

  // With truths in vectors.
  void choose_by_vector(Id v, const Value& value) {
    const int truth = in_register(value.at[0]);
    const Value zero{Kind::Number};
    const bool no_is_zero = values_[value.at[2]] == zero;
    if (no_is_zero || values_[value.at[1]] == zero) {
      const Place other = operand(value.at[no_is_zero ? 1 : 2]);
      use_all(value);
      code_.vector({1, 0, static_cast<std::uint8_t>(no_is_zero ? 0x54 : 0x55), false}, new_register(v), truth, other);
      return unpin();
    }
    const int other = in_register(value.at[2]);
    const Place chosen = operand(value.at[1]);
    use_all(value);
    code_.vector({3, 1, static_cast<std::uint8_t>(wide_ ? 0x4b : 0x4a), false}, new_register(v), other, chosen,
                 static_cast<std::uint8_t>(truth << 4));
    unpin();
  }

  void choose(Id v, const Value& value) {
    if (!avx512_) return choose_by_vector(v, value);
    const int mask = reg_[value.at[0]];
    const Id yes = value.at[1], no = value.at[2];
    if (values_[no] == Value{Kind::Number}) {
      Place from = operand(yes);
      use_all(value);
      const Opcode op = from.repeated ? broadcast() : Opcode{1, prefix(), 0x10, wide_};
      from.repeated = false;
      code_.vector(op, new_register(v), 0, from, mask, true);
      return unpin();
    }
    // blend: to = mask ? the last operand : the one before
    const int other = in_register(no);
    const Place source = operand(yes);
    use_all(value);
    code_.vector({2, 1, 0x65, wide_}, new_register(v), other, source, mask);
    unpin();
  }

  bool mask_instruction(Id v, const Value& value) {
    int x = 0;
    Place y;
    const bool compares = value.kind == Kind::Compare;
    if (compares) {
      x = in_register(value.at[0]);
      y = operand(value.at[1]);
    } else {
      x = reg_[value.at[0]];
      y = Place::reg(reg_[value.at[1]]);
    }
    use_all(value);
    int to = 1;
    while (to < kMasks && masks_[static_cast<std::size_t>(to)] != kFree) ++to;
    if (to == kMasks) return false;
    masks_[static_cast<std::size_t>(to)] = v;
    reg_[v] = to;
    if (compares)
      code_.vector({1, prefix(), 0xc2, wide_}, to, x, y, value.immediate);
    else
      code_.masks(value.kind == Kind::TruthAnd ? 0x41 : value.kind == Kind::TruthOr ? 0x45 : 0x47, to, x,
                  y.number);
    return true;
  }

  const Formula& formula_;
  const std::vector<Value>& values_;
  const bool wide_;    // 64-bit elements
  const bool avx512_;  // or AVX2: truths are vectors of ones and zeros, constants are whole vectors
  const int vectors_;
  const std::vector<Id> order_;
  Assembler code_;
  int now_ = 0;

  std::vector<std::vector<int>> uses_;  // of each value: positions in the order, those of stores at the end
  std::vector<int> next_;               // how many of them are over
  std::vector<int> reg_;                // the register of a value, or its mask; -1: none
  std::vector<int> slot_;               // its place in the frame; -1: none
  std::vector<int> pool_;
  std::vector<std::uint64_t> constants_;
  std::vector<int> places_;  // that have a base register
  std::vector<Id> uniforms_, kept_;
  std::array<int, kMostVectors> holds_{};
  std::array<bool, kMostVectors> pinned_{};
  std::array<int, kMasks> masks_{};
  int frame_ = 0;
};

}  // namespace

std::vector<std::uint8_t> emit(const Formula& formula) { return Emitter(formula).run(); }

}  // namespace versant::code
