// Elementwise ops by their names, for rules that are written here.
#include <unordered_map>

#include "machine/elementwise.h"

namespace versant {

namespace {
std::unordered_map<std::string, ElementwiseOp*>& registry() {
  static std::unordered_map<std::string, ElementwiseOp*> map;
  return map;
}
}  // namespace

// The first op of a name: its complex form bears the same one.
void register_elementwise(ElementwiseOp* op) { registry().emplace(op->name, op); }

ElementwiseOp* find_elementwise(const std::string& name) {
  auto found = registry().find(name);
  return found == registry().end() ? nullptr : found->second;
}

const Derivative& derivative_of(ElementwiseOp& op, int input) {
  if (!op.ready) elementwise_hooks.build_forward(op);
  if (op.derivatives[input].kind == Derivative::Kind::Unknown) elementwise_hooks.build_derivative(op, input);
  return op.derivatives[input];
}

NamedOp::NamedOp(const char* name) : name_(name) {}

ElementwiseOp& NamedOp::operator*() const {
  if (!op_) op_ = find_elementwise(name_);
  if (!op_ && elementwise_hooks.open) {
    elementwise_hooks.open(name_);
    op_ = find_elementwise(name_);
  }
  if (!op_) fail(ErrorKind::Runtime, "[", name_, "] the op table has no such record");
  return *op_;
}

}  // namespace versant
