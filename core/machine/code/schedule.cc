// The order of a formula's instructions.
#include <algorithm>

#include "machine/code/emit.h"

namespace versant::code {

namespace {

// Cycles until a result is there, about.
int latency(const Value& value) {
  switch (value.kind) {
    case Kind::Div:
    case Kind::Sqrt:
      return 13;
    case Kind::Add:
    case Kind::Sub:
    case Kind::Mul:
    case Kind::MultiplyAdd:
    case Kind::Round:
    case Kind::ToNumber:
    case Kind::Compare:
      return 4;
    default:
      return 1;
  }
}

constexpr int kMasks = 5;  // in use, from which on comparisons wait

bool is_leaf(Kind kind) { return kind == Kind::Number || kind == Kind::Uniform || kind == Kind::Input; }

class Scheduler {
 public:
  Scheduler(const Formula& formula, int registers)
      : masks_(formula.vector_bytes == 64),
        values_(formula.values),
        registers_(registers),
        needed_(values_.size(), false) {
    for (const Formula::Store& store : formula.stores) needed_[store.value] = true;
    heights_.assign(values_.size(), 0);
    readers_.assign(values_.size(), 0);
    waits_.assign(values_.size(), 0);
    ready_at_.assign(values_.size(), 0);
    users_.resize(values_.size());
    for (const Formula::Store& store : formula.stores) ++readers_[store.value];
    for (std::size_t v = values_.size(); v-- > 0;) {
      if (!needed_[v]) continue;
      heights_[v] += latency(values_[v]);
      for_operands(static_cast<Id>(v), [&](Id operand) {
        needed_[operand] = true;
        heights_[operand] = std::max(heights_[operand], heights_[v]);
        ++readers_[operand];
        users_[operand].push_back(static_cast<Id>(v));
        waits_[v] += is_leaf(values_[operand].kind) ? 0 : 1;
      });
    }
  }

  std::vector<Id> run() {
    for (std::size_t v = 0; v < values_.size(); ++v)
      if (needed_[v] && !is_leaf(values_[v].kind) && waits_[v] == 0) ready_.push_back(static_cast<Id>(v));
    std::vector<Id> order;
    for (int now = 0; !ready_.empty();) {
      const std::size_t at = choose(now);
      const Id v = ready_[at];
      now = std::max(now, ready_at_[v]) + 1;
      ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(at));
      order.push_back(v);
      alive_ += growth(v);
      truths_ += is_truth(values_[v].kind) ? 1 : 0;
      for_operands(v, [&](Id operand) {
        if (--readers_[operand] == 0 && is_truth(values_[operand].kind)) --truths_;
      });
      for (const Id user : users_[v]) {
        ready_at_[user] = std::max(ready_at_[user], now - 1 + latency(values_[v]));
        if (--waits_[user] == 0) ready_.push_back(user);
      }
    }
    return order;
  }

 private:
  template <class Visit>
  void for_operands(Id v, Visit visit) const {
    const Value& value = values_[v];
    const int count = operands_of(value);
    for (int k = 0; k < count; ++k) {
      const bool repeated = (k > 0 && value.at[k] == value.at[0]) || (k > 1 && value.at[k] == value.at[1]);
      if (!repeated) visit(value.at[k]);
    }
  }

  bool takes_register(Kind kind) const { return !(masks_ && is_truth(kind)); }
  // By how many registers more are in use once `v` is computed.
  int growth(Id v) const {
    int change = takes_register(values_[v].kind) ? 1 : 0;
    for_operands(v, [&](Id operand) {
      const Kind kind = values_[operand].kind;
      if (readers_[operand] == 1 && takes_register(kind) && !is_leaf(kind)) --change;
    });
    return change;
  }

  // Whether it would take one of the few masks while others wait to be read.
  bool takes_last_mask(Id v) const { return masks_ && truths_ >= kMasks && values_[v].kind == Kind::Compare; }

  // Of what can start without waiting the highest; when registers run out, what frees some, and of those what
  // was recorded first.
  std::size_t choose(int now) const {
    const bool tight = alive_ >= registers_;
    std::size_t best = 0;
    for (std::size_t k = 1; k < ready_.size(); ++k) {
      const bool takes = takes_last_mask(ready_[k]);
      if (takes != takes_last_mask(ready_[best])) {
        if (!takes) best = k;
        continue;
      }
      if (tight ? better_when_tight(ready_[k], ready_[best]) : better(ready_[k], ready_[best], now)) best = k;
    }
    return best;
  }
  bool better(Id x, Id y, int now) const {
    const int wait_x = std::max(0, ready_at_[x] - now), wait_y = std::max(0, ready_at_[y] - now);
    if (wait_x != wait_y) return wait_x < wait_y;
    if (heights_[x] != heights_[y]) return heights_[x] > heights_[y];
    return x < y;
  }
  bool better_when_tight(Id x, Id y) const {
    const int grows_x = growth(x), grows_y = growth(y);
    return grows_x != grows_y ? grows_x < grows_y : x < y;
  }

  const bool masks_;  // truths have registers of their own
  const std::vector<Value>& values_;
  const int registers_;
  int alive_ = 0, truths_ = 0;
  std::vector<bool> needed_;
  std::vector<int> heights_, readers_, waits_, ready_at_;
  std::vector<std::vector<Id>> users_;
  std::vector<Id> ready_;
};

}  // namespace

std::vector<Id> schedule(const Formula& formula, int registers) {
  return Scheduler(formula, registers).run();
}

}  // namespace versant::code
