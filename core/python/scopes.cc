// Which module runs, and which one ran when a node of the tape was made, while somebody observes.
//
// A module runs in its call, and in its other methods, which are found among the frames.
// Nodes are numbered in the order in which they are made, so a list of the numbers from which on another
// module ran says of every node where it comes from, and nodes need no field for it.
#include <algorithm>
#include <unordered_map>
#include <vector>

#include "face.h"
#include "frames.h"
#include "machine/node.h"
#include "watch.h"

namespace versant::face {

namespace {

constexpr size_t kMost = 1 << 16;  // entries that are kept

struct Scope {
  Object root, module;  // the outermost module that runs, and the innermost; none outside of modules
  bool operator==(const Scope& other) const {
    return root.get() == other.root.get() && module.get() == other.module.get();
  }
};
struct Call {
  Scope scope;
  const void* frame;  // that calls the module
};
struct Entry {
  uint64_t number;  // nodes from this one on
  Scope scope;
};

// Never destroyed: a thread may end after the interpreter.
thread_local std::vector<Call>& calls = *new std::vector<Call>;
thread_local std::vector<Entry>& entries = *new std::vector<Entry>;
std::vector<PyObject*> module_classes;

// A function of versant.nn.paths; borrowed.
PyObject* of_paths(const char* name) {
  const Object module(checked(PyImport_ImportModule("versant.nn.paths")));
  return checked(PyObject_GetAttrString(module.get(), name)).release();
}

std::string path_of(const Scope& scope) {
  if (!scope.module) return {};  // before versant.nn is imported for it
  static PyObject* const path = of_paths("path_of");
  const Object found(
      checked(PyObject_CallFunctionObjArgs(path, scope.root.get(), scope.module.get(), nullptr)));
  const char* text = PyUnicode_AsUTF8(found.get());
  if (!text) throw HostError{};
  return text;
}

bool holds(PyObject* root, PyObject* module) {
  static PyObject* const holds = of_paths("holds");
  return checked(PyObject_CallFunctionObjArgs(holds, root, module, nullptr)).get() == Py_True;
}

bool is_module_class(PyTypeObject* type) {
  thread_local std::unordered_map<PyTypeObject*, bool>& known = *new std::unordered_map<PyTypeObject*, bool>;
  const auto [found, is_new] = known.try_emplace(type, false);
  if (is_new) {
    Py_INCREF(type);  // its place stays taken
    for (PyObject* base : module_classes)
      found->second |= PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(base)) != 0;
  }
  return found->second;
}

// The modules that run now. A method that calls another module counts as the outermost one if that is a part
// of its object.
Scope scope_now() {
  const bool called = !calls.empty();
  const Methods methods = methods_that_run(called ? calls.back().frame : nullptr,
                                           called ? calls.front().frame : nullptr, is_module_class);
  Scope now;
  if (called) now = calls.back().scope;
  if (methods.innermost) now.module = Object::share(methods.innermost);
  if (!called && methods.outermost) now.root = Object::share(methods.outermost);
  if (called && methods.outermost && methods.outermost != now.root.get() &&
      holds(methods.outermost, now.module.get()))
    now.root = Object::share(methods.outermost);
  return now;
}

std::string module_here() { return path_of(scope_now()); }

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

void made(uint64_t number) {
  const Scope now = scope_now();
  if (entries.empty() ? static_cast<bool>(now.module) : !(entries.back().scope == now)) note(number, now);
}

void made_for(uint64_t number, uint64_t of) {
  const Scope* const found = scope_of(of);
  if (found && found->module) note(number, Scope(*found));
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
    add(scope_now());
    for (const Call& call : calls) add(call.scope);
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) add(entry->scope);
    return list.release();
  });
}

PyObject* current_scope(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    const Scope now = scope_now();
    if (!now.module) Py_RETURN_NONE;
    return Py_BuildValue("OO", now.root.get(), now.module.get());
  });
}

PyObject* enter_scope(PyObject*, PyObject* scope) {
  PyObject *root, *module;
  if (scope == Py_None || !PyArg_ParseTuple(scope, "OO", &root, &module)) {
    if (PyErr_Occurred()) return nullptr;
    Py_RETURN_FALSE;
  }
  calls.push_back({{Object::share(root), Object::share(module)}, frame_here()});
  Py_RETURN_TRUE;
}

PyObject* leave_scope(PyObject*, PyObject*) {
  leave_module();
  Py_RETURN_NONE;
}

PyObject* module_class(PyObject*, PyObject* kind) {
  module_classes.push_back(Py_NewRef(kind));
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"current_scope", current_scope, METH_NOARGS, "(root, module): the modules that run, or None."},
    {"enter_scope", enter_scope, METH_O, "Goes back to what current_scope() gave: whether it was a scope."},
    {"leave_scope", leave_scope, METH_NOARGS, "Ends what enter_scope began."},
    {"module_class", module_class, METH_O, "Objects of the class are modules: their methods have scopes."},
    {"module_scope", module_scope, METH_NOARGS, "The path of the module that runs, while somebody observes."},
    {"root_modules", root_modules, METH_NOARGS, "The outermost modules that ran lately, the last one first."},
    {},
};

}  // namespace

void enter_module(PyObject* module) {
  Object root = calls.empty() ? Object::share(module) : calls.front().scope.root;
  calls.push_back({{std::move(root), Object::share(module)}, frame_here()});
}

void leave_module() {
  if (!calls.empty()) calls.pop_back();
}

PyObject* current_module() { return scope_now().module.get(); }

PyObject* module_of_node(uint64_t number) {
  const Scope* const scope = scope_of(number);
  return scope ? scope->module.get() : nullptr;
}

void forget_modules() {
  if (calls.empty()) entries.clear();
}

bool init_scopes(PyObject* module) {
  location_hooks.made = made;
  location_hooks.module_here = module_here;
  location_hooks.module_of = module_of;
  location_hooks.made_for = made_for;
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace versant::face
