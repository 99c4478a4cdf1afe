// Named actions: what a trace takes as one step, does again, and a saved program can name.
#pragma once

#include <span>
#include <string_view>

#include "machine/primitive.h"

namespace versant::trace {

struct Action {
  // `run` gets first the arrays that the action reads, then those it writes; `admits` is as of primitives.
  using Run = void (*)(std::span<const Array> arrays, const Attributes& attributes);
  using Admits = bool (*)(const Claim& claim);
  Action(const char* name, Run run, Admits admits);

  const char* name;
  Run run;
  Admits admits;
};

// The action of that name; null when there is none.
const Action* find_action(std::string_view name);

// An action with its attributes, as a step holds it.
struct BoundAction {
  const Action* action = nullptr;
  Attributes attributes;
  void operator()(std::span<const Array> arrays) const { action->run(arrays, attributes); }
};

}  // namespace versant::trace
