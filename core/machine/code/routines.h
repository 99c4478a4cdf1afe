// Which programs have routines, and where a program keeps its own. See Note [Machine code] in routine.h.
#pragma once

#include <atomic>
#include <cstdint>

#include "machine/micro.h"

namespace versant {
struct Program;
}

namespace versant::code {

class Routine;

// Which programs get routines: none, those that have done much work, or all.
enum class Mode : std::uint8_t { Off, Hot, Always };
extern std::atomic<Mode> mode;

// What a routine is made for.
struct Form {
  Compute compute;
  std::uint32_t uniform;  // by input: whether it is one number everywhere

  bool operator==(const Form&) const = default;
};

// The routines of a program. Copies of a program begin with none.
class Routines {
 public:
  Routines() = default;
  Routines(const Routines&) {}
  Routines& operator=(const Routines&) {
    clear();
    return *this;
  }
  ~Routines() { clear(); }

  // Under the bookkeeping lock; `work` is added to what the program has done. Null: run tiles.
  const Routine* get(const Program& program, const Form& form, std::int64_t work) const;
  // What there is; any thread may ask.
  const Routine* find(const Form& form) const;
  void clear();

 private:
  struct Entry;
  const Entry* entry(const Form& form) const;
  mutable std::atomic<Entry*> first_{nullptr};
  mutable std::int64_t work_ = 0;
};

}  // namespace versant::code
