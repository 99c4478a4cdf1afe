#include "machine/action.h"

#include <vector>

namespace versant::trace {

namespace {
// Filled while the program starts.
std::vector<const Action*>& actions() {
  static std::vector<const Action*> all;
  return all;
}
}  // namespace

Action::Action(const char* name, Run run, Admits admits) : name(name), run(run), admits(admits) {
  actions().push_back(this);
}

const Action* find_action(std::string_view name) {
  for (const Action* action : actions())
    if (action->name == name) return action;
  return nullptr;
}

}  // namespace versant::trace
