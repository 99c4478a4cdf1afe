#include "machine/code/routines.h"

#include "machine/code/routine.h"

namespace versant::code {

std::atomic<Mode> mode{Mode::Hot};

namespace {

constexpr std::int64_t kHotWork = 2 << 20;  // micro-ops times elements
constexpr std::size_t kMostForms = 8;       // of one program

bool available(const Form& form) {
  return mode != Mode::Off && form.compute != Compute::I64 && kernels->code_bytes > 0;
}

}  // namespace

// Tests change the kernels in use.
struct Routines::Entry {
  Form form;
  const Kernels* kernels;
  std::unique_ptr<const Routine> routine;
  Entry* next;
};

const Routines::Entry* Routines::entry(const Form& form) const {
  for (const Entry* at = first_.load(std::memory_order_acquire); at; at = at->next)
    if (at->form == form && at->kernels == kernels) return at;
  return nullptr;
}

const Routine* Routines::find(const Form& form) const {
  if (!available(form)) return nullptr;
  const Entry* const found = entry(form);
  return found ? found->routine.get() : nullptr;
}

const Routine* Routines::get(const Program& program, const Form& form, std::int64_t work) const {
  if (!available(form)) return nullptr;
  if (const Entry* const found = entry(form)) return found->routine.get();
  work_ += work;
  if (mode == Mode::Hot && work_ < kHotWork) return nullptr;
  std::size_t forms = 0;
  for (const Entry* at = first_; at; at = at->next) ++forms;
  if (forms >= kMostForms) return nullptr;
  auto made = std::make_unique<Entry>(Entry{form, kernels, Routine::make(program, form), first_});
  first_.store(made.get(), std::memory_order_release);
  return made.release()->routine.get();
}

void Routines::clear() {
  for (Entry* at = first_.exchange(nullptr); at;) {
    const std::unique_ptr<Entry> entry(at);
    at = at->next;
  }
  work_ = 0;
}

}  // namespace versant::code
