#include "machine/watch.h"

#include <cstring>

#include "machine/trace.h"

namespace versant::watch {

constinit thread_local Looks* asked __attribute__((tls_model("initial-exec"))) = nullptr;
constinit thread_local Offer offered __attribute__((tls_model("initial-exec")));
constinit thread_local Watcher* watcher VERSANT_TLS = nullptr;
constinit thread_local const Node* back VERSANT_TLS = nullptr;
constinit thread_local const trace::Step* host VERSANT_TLS = nullptr;

constinit thread_local bool runs_again VERSANT_TLS = false;

void clear_integers(std::span<const Array* const> arrays) {
  for (const Array* array : arrays)
    if (!is_differentiable(array->dtype) && array->contiguous)
      std::memset(array->data, 0, static_cast<size_t>(array->bytes()));
}

namespace {
std::string line_of(const Node& node) {
  return node.where.code && location_hooks.describe ? location_hooks.describe(node.where) : "";
}
}  // namespace

Place place(const Event& event) {
  const trace::Step* const step = event.step ? event.step : host;
  Place place;
  place.where = step ? step->where : trace::place_of_call();
  if (step) {
    place.module = step->module;
    place.back = step->back;
    place.of_name = step->of_name;
    place.of = step->of;
  }
  if (!event.step && back && !back->is_leaf()) {
    place.back = back->order + 1;
    place.of_name = back->name();
    place.of = line_of(*back);
    if (location_hooks.module_of) place.module = location_hooks.module_of(back->number);
  } else if (!event.step && location_hooks.module_here) {
    const std::string module = location_hooks.module_here();
    if (!step || !module.empty()) place.module = module;
  }
  return place;
}

}  // namespace versant::watch
