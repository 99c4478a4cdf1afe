#include "machine/code/formula.h"

#include <bit>
#include <utility>

namespace versant::code {

namespace {

thread_local Formula* recording = nullptr;

// A truth table over three leaves, of which these are the columns.
constexpr std::uint8_t kColumns[3] = {0xf0, 0xcc, 0xaa};

struct Logic {
  Id leaves[3];
  int count = 0;
  std::uint8_t table = 0;
};

// The column of a leaf, which may be new; 0 where there is no room.
std::uint8_t column(Logic& logic, Id leaf) {
  for (int k = 0; k < logic.count; ++k)
    if (logic.leaves[k] == leaf) return kColumns[k];
  if (logic.count == 3) return 0;
  logic.leaves[logic.count] = leaf;
  return kColumns[logic.count++];
}

// What `table` gives of the columns x, y, z.
std::uint8_t compose(std::uint8_t table, std::uint8_t x, std::uint8_t y, std::uint8_t z) {
  int result = 0;
  for (int row = 0; row < 8; ++row) {
    const int index = (x >> row & 1) << 2 | (y >> row & 1) << 1 | (z >> row & 1);
    result |= (table >> index & 1) << row;
  }
  return static_cast<std::uint8_t>(result);
}

}  // namespace

int operands_of(const Value& value) {
  switch (value.kind) {
    case Kind::Number:
    case Kind::Input:
    case Kind::Uniform:
      return 0;
    case Kind::Sqrt:
    case Kind::Round:
    case Kind::ShiftLeft:
    case Kind::ShiftRight:
    case Kind::ShiftRightSigned:
    case Kind::ToNumber:
      return 1;
    case Kind::MultiplyAdd:
    case Kind::Choose:
      return 3;
    case Kind::Logic:
      return value.bits == 2 ? 2 : 3;  // the number of leaves
    default:
      return 2;
  }
}

bool is_truth(Kind kind) {
  return kind == Kind::Compare || kind == Kind::TruthAnd || kind == Kind::TruthOr || kind == Kind::TruthXor;
}

Formula& Formula::current() { return *recording; }
Formula::Recording::Recording(Formula& formula) : before_(std::exchange(recording, &formula)) {}
Formula::Recording::~Recording() { recording = before_; }

Id Formula::bits(std::uint64_t value) { return add({Kind::Number, 0, {0, 0, 0}, value}); }

Id Formula::number(double value) {
  return bits(compute == Compute::F32 ? std::bit_cast<std::uint32_t>(static_cast<float>(value))
                                      : std::bit_cast<std::uint64_t>(value));
}

Id Formula::find(const Value& value) {
  if (table_.size() < 2 * values.size() + 2) {
    table_.assign(2 * table_.size() + 256, 0);
    const std::vector<Value> all = std::exchange(values, {});
    for (const Value& old : all) find(old);
  }
  std::uint64_t hash = value.bits * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(value.kind);
  for (const Id id : value.at) hash = (hash ^ id) * 0x9e3779b97f4a7c15U;
  hash = (hash ^ value.immediate) * 0x9e3779b97f4a7c15U;
  for (std::size_t at = (hash >> 32) % table_.size();; at = (at + 1) % table_.size()) {
    if (table_[at] == 0) {
      values.push_back(value);
      table_[at] = static_cast<Id>(values.size());
      return static_cast<Id>(values.size() - 1);
    }
    if (values[table_[at] - 1U] == value) return static_cast<Id>(table_[at] - 1);
  }
}

// Whether a value is another one with its sign changed.
bool Formula::is_negation(Id id, Id* of) const {
  const Value& value = values[id];
  if (value.kind != Kind::Logic || value.bits != 2 || value.immediate != (kColumns[0] ^ kColumns[1]))
    return false;
  for (int k = 0; k < 2; ++k) {
    const Value& other = values[value.at[1 - k]];
    if (other.kind != Kind::Number || other.bits != sign()) continue;
    *of = value.at[k];
    return true;
  }
  return false;
}

Id Formula::add(const Value& given) {
  Value value = given;
  if (value.kind == Kind::Logic && vector_bytes == 64) {
    // Operands that are logic themselves are taken apart where three leaves are enough: first both, then one.
    const int count = operands_of(value);
    for (int apart = (1 << count) - 1; apart >= 0; --apart) {
      Logic logic;
      std::uint8_t columns[3] = {0, 0, 0};
      bool fits = true;
      for (int k = 0; k < count && fits; ++k) {
        const Value& operand = values[value.at[k]];
        if ((apart >> k & 1) == 0) {
          columns[k] = column(logic, value.at[k]);
          fits = columns[k] != 0;
        } else if (operand.kind != Kind::Logic) {
          fits = false;
        } else {
          std::uint8_t inner[3] = {0, 0, 0};
          for (int j = 0; j < operands_of(operand) && fits; ++j) {
            inner[j] = column(logic, operand.at[j]);
            fits = inner[j] != 0;
          }
          columns[k] = compose(operand.immediate, inner[0], inner[1], inner[2]);
        }
      }
      if (!fits) continue;
      const std::uint8_t table = compose(value.immediate, columns[0], columns[1], columns[2]);
      for (int k = 0; k < logic.count; ++k)
        if (table == kColumns[k]) return logic.leaves[k];
      if (logic.count == 1) logic.leaves[logic.count++] = logic.leaves[0];
      value = {Kind::Logic, table, {0, 0, 0}, static_cast<std::uint64_t>(logic.count)};
      for (int k = 0; k < logic.count; ++k) value.at[k] = logic.leaves[k];
      break;
    }
  } else if (value.kind == Kind::MultiplyAdd) {
    for (int k = 0; k < 3; ++k)
      if (is_negation(value.at[k], &value.at[k])) value.immediate ^= k < 2 ? kNegateProduct : kNegateAddend;
  } else if (value.kind == Kind::Choose) {
    // The smaller or the larger of two numbers is one instruction.
    const Value& truth = values[value.at[0]];
    if (value.at[1] == value.at[2]) return value.at[1];
    if (truth.kind == Kind::Compare) {
      const bool straight = truth.at[0] == value.at[1] && truth.at[1] == value.at[2];
      const bool crossed = truth.at[1] == value.at[1] && truth.at[0] == value.at[2];
      if ((straight && truth.immediate == kLt) || (crossed && truth.immediate == kGt))
        value = {Kind::Min, 0, {value.at[1], value.at[2], 0}};
      else if ((straight && truth.immediate == kGt) || (crossed && truth.immediate == kLt))
        value = {Kind::Max, 0, {value.at[1], value.at[2], 0}};
    }
  } else if (value.kind == Kind::Compare && value.immediate == kNe) {
    // Truth that became a number and is truth again.
    const Id one = number(1), zero = number(0);
    const Value& left = values[value.at[0]];
    if (left.kind == Kind::Choose && left.at[1] == one && left.at[2] == zero && value.at[1] == zero)
      return left.at[0];
  }
  return find(value);
}

Formula Formula::paired() const {
  Formula pair(compute, vector_bytes);
  pair.vectors = 2;
  for (int turn = 0; turn < 2; ++turn) {
    const int offset = turn * vector_bytes;
    std::vector<Id> moved;
    for (Value value : values) {
      if (value.kind == Kind::Input) value.bits = static_cast<std::uint64_t>(offset);
      for (int k = 0; k < operands_of(value); ++k) value.at[k] = moved[value.at[k]];
      moved.push_back(pair.find(value));
    }
    for (const Store& store : stores) pair.stores.push_back({moved[store.value], store.place, offset});
  }
  return pair;
}

}  // namespace versant::code
