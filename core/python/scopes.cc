// Which module runs, and which one ran when a node of the tape was made, while somebody observes.
//
// Nodes are numbered in the order in which they are made, so a list of the numbers at which calls of modules
// began and ended says of every node where it comes from, and nodes need no field for it.
#include <algorithm>
#include <vector>

#include "face.h"
#include "machine/node.h"
#include "watch.h"

namespace versant::face {

namespace {

constexpr size_t kMost = 1 << 16;  // entries that are kept

struct Scope {
  Object root, module;  // the outermost module that runs, and the innermost; none outside of modules
};
struct Entry {
  uint64_t number;  // nodes from this one on
  Scope scope;
};

// Never destroyed: a thread may end after the interpreter.
thread_local std::vector<Scope>& scopes = *new std::vector<Scope>;
thread_local std::vector<Entry>& entries = *new std::vector<Entry>;

PyObject* path_function() {
  static PyObject* function = nullptr;
  if (!function) {
    const Object module(checked(PyImport_ImportModule("versant.nn.paths")));
    function = checked(PyObject_GetAttrString(module.get(), "path_of")).release();
  }
  return function;
}

std::string path_of(const Scope& scope) {
  if (!scope.module) return {};
  const Object path(
      checked(PyObject_CallFunctionObjArgs(path_function(), scope.root.get(), scope.module.get(), nullptr)));
  const char* text = PyUnicode_AsUTF8(path.get());
  if (!text) throw HostError{};
  return text;
}

std::string module_here() { return scopes.empty() ? std::string() : path_of(scopes.back()); }

const Scope* scope_of(uint64_t number) {
  const auto after = std::upper_bound(entries.begin(), entries.end(), number,
                                      [](uint64_t n, const Entry& entry) { return n < entry.number; });
  return after == entries.begin() ? nullptr : &std::prev(after)->scope;
}

std::string module_of(uint64_t number) {
  const Scope* const scope = scope_of(number);
  return scope ? path_of(*scope) : std::string();
}

void note(uint64_t number, const Scope& scope) {
  if (entries.size() == kMost) entries.erase(entries.begin(), entries.begin() + kMost / 2);
  if (!entries.empty() && entries.back().number == number)
    entries.back().scope = scope;
  else
    entries.push_back({number, scope});
}

Scope scope_here() { return scopes.empty() ? Scope() : scopes.back(); }

void note_scope() { note(Node::next(), scope_here()); }

void made_for(uint64_t number, uint64_t of) {
  const Scope* const found = scope_of(of);
  if (!found || !found->module) return;
  note(number, Scope(*found));
  note(number + 1, scope_here());
}

PyObject* module_scope(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* { return PyUnicode_FromString(module_here().c_str()); });
}

PyObject* root_modules(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    Object list(checked(PyList_New(0)));
    std::vector<PyObject*> seen;
    const auto add = [&](const Scope& scope) {
      if (!scope.root || std::find(seen.begin(), seen.end(), scope.root.get()) != seen.end()) return;
      seen.push_back(scope.root.get());
      if (PyList_Append(list.get(), scope.root.get()) < 0) throw HostError{};
    };
    for (const Scope& scope : scopes) add(scope);
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) add(entry->scope);
    return list.release();
  });
}

PyObject* current_scope(PyObject*, PyObject*) {
  if (scopes.empty()) Py_RETURN_NONE;
  return Py_BuildValue("OO", scopes.back().root.get(), scopes.back().module.get());
}

PyObject* enter_scope(PyObject*, PyObject* scope) {
  PyObject *root, *module;
  if (scope == Py_None || !PyArg_ParseTuple(scope, "OO", &root, &module)) {
    if (PyErr_Occurred()) return nullptr;
    Py_RETURN_FALSE;
  }
  scopes.push_back({Object::share(root), Object::share(module)});
  note_scope();
  Py_RETURN_TRUE;
}

PyObject* leave_scope(PyObject*, PyObject*) {
  leave_module();
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"current_scope", current_scope, METH_NOARGS, "(root, module): the modules that run, or None."},
    {"enter_scope", enter_scope, METH_O, "Goes back to what current_scope() gave: whether it was a scope."},
    {"leave_scope", leave_scope, METH_NOARGS, "Ends what enter_scope began."},
    {"module_scope", module_scope, METH_NOARGS, "The path of the module that runs, while somebody observes."},
    {"root_modules", root_modules, METH_NOARGS, "The outermost modules that ran lately, the last one first."},
    {},
};

}  // namespace

void enter_module(PyObject* module) {
  Object root = scopes.empty() ? Object::share(module) : scopes.front().root;
  scopes.push_back({std::move(root), Object::share(module)});
  note_scope();
}

void leave_module() {
  if (!scopes.empty()) scopes.pop_back();
  note_scope();
}

PyObject* current_module() { return scopes.empty() ? nullptr : scopes.back().module.get(); }

PyObject* module_of_node(uint64_t number) {
  const Scope* const scope = scope_of(number);
  return scope ? scope->module.get() : nullptr;
}

void forget_modules() {
  if (scopes.empty()) entries.clear();
}

bool init_scopes(PyObject* module) {
  location_hooks.module_here = module_here;
  location_hooks.module_of = module_of;
  location_hooks.made_for = made_for;
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace versant::face
