// What runs in Python while a function is traced: which functions of users, by whatever way they were
// reached, which objects they held, and what they asked of the world outside.
#include <cstring>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "face.h"
#include "frames.h"
#include "machine/node.h"

namespace versant::face {

namespace {

// Seen on the thread that traces, of which there is one.
struct Ran {
  Object known;      // the set of code that need not be told of
  Object followed;   // followed(type): whether objects of a class are
  Object trusted;    // trusted(module): whether functions in it are not followed
  Object readers;    // builtin functions whose calls are told, as keys of a dict
  Object functions;  // a list of those whose code is not known
  Object closures;   // ... and of weak references to others that have cells
  Object objects;    // a list of weak references, or objects that have none
  Object asked;      // a list of the readers that were called
  Object seed;       // the code by which Python's generators are seeded
  std::unordered_set<PyCodeObject*> codes, aside;  // aside: those that others ran, see is_aside
  std::unordered_set<PyObject*> held;  // objects that were there before the call keep their places
  std::unordered_map<PyTypeObject*, bool> types;
  Py_tracefunc before = nullptr;  // somebody else's profiler
  Object before_object;

  void call(PyFrameObject* frame, PyCodeObject* code);
  void leave(PyFrameObject* frame, PyCodeObject* code);
  void ask(PyFrameObject* frame, PyCodeObject* code, PyObject* function);
  void hold(PyObject* object);
  bool trusts(PyObject* function) const;
};

std::unique_ptr<Ran> current;

bool append(const Object& list, PyObject* item) { return PyList_Append(list.get(), item) == 0; }

// A weak reference to an object, or the object where it has none.
Object weakly(PyObject* object) {
  Object reference(PyWeakref_NewRef(object, nullptr));
  if (reference) return reference;
  PyErr_Clear();
  return Object::share(object);
}

// Whether code runs for somebody else than the function that is traced: what finds modules, writes logs or
// clears up.
bool is_aside(PyFrameObject* frame, PyCodeObject* code) {
  if (PyUnicode_CompareWithASCIIString(code->co_name, "__del__") == 0) return true;
  static const char* const others[] = {"importlib/", "importlib._", "logging/", "warnings.py"};
  for (Object back(reinterpret_cast<PyObject*>(PyFrame_GetBack(frame))); back;) {
    auto* const outer = reinterpret_cast<PyFrameObject*>(back.get());
    const Object ran(reinterpret_cast<PyObject*>(PyFrame_GetCode(outer)));
    const char* file = PyUnicode_AsUTF8(reinterpret_cast<PyCodeObject*>(ran.get())->co_filename);
    if (!file) PyErr_Clear();
    for (const char* other : others)
      if (file && std::strstr(file, other)) return true;
    back = Object(reinterpret_cast<PyObject*>(PyFrame_GetBack(outer)));
  }
  return false;
}

// The system's random numbers count whoever asks for them: a generator without a seed.
void Ran::ask(PyFrameObject* frame, PyCodeObject* code, PyObject* function) {
  PyObject* const name = PyDict_GetItem(readers.get(), function);
  if (!name) return;
  const bool draws = PyUnicode_CompareWithASCIIString(name, "posix.urandom") == 0;
  if (draws ? !is_aside(frame, code) : !aside.contains(code)) append(asked, name);
}

void Ran::call(PyFrameObject* frame, PyCodeObject* code) {
  if (reinterpret_cast<PyObject*>(code) == seed.get() && !is_aside(frame, code)) {
    const Object locals(PyFrame_GetLocals(frame));
    const Object given(locals ? PyMapping_GetItemString(locals.get(), "a") : nullptr);
    const Object name(PyUnicode_FromString("random.Random()"));
    if (given.get() == Py_None && name) append(asked, name.get());
    PyErr_Clear();
  }
  if (!codes.insert(code).second) return;
  Py_INCREF(code);  // its place stays taken
  PyObject* const function = function_in(frame);
  if (!function || !PyFunction_Check(function) || is_aside(frame, code) || trusts(function)) {
    aside.insert(code);
    return;
  }
  const int found = PySet_Contains(known.get(), reinterpret_cast<PyObject*>(code));
  if (found == 0) append(functions, function);
  if (found == 1 && PyFunction_GET_CLOSURE(function)) append(closures, weakly(function).get());
}

bool Ran::trusts(PyObject* function) const {
  PyObject* const name = PyDict_GetItemString(PyFunction_GET_GLOBALS(function), "__name__");
  const Object answer(PyObject_CallOneArg(trusted.get(), name ? name : Py_None));
  return answer && answer.get() == Py_True;
}

void Ran::leave(PyFrameObject* frame, PyCodeObject* code) {
  if (!(code->co_flags & CO_OPTIMIZED) || aside.contains(code)) return;  // variables of a module or a class
  const Object locals(PyFrame_GetLocals(frame));
  const Object values(locals ? PyMapping_Values(locals.get()) : nullptr);
  if (!values) return;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values.get()); ++i) hold(PyList_GET_ITEM(values.get(), i));
}

void Ran::hold(PyObject* object) {
  PyTypeObject* const type = Py_TYPE(object);
  if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || PyType_Check(object) || !held.insert(object).second)
    return;
  auto place = types.find(type);
  if (place == types.end()) {
    const Object answer(PyObject_CallOneArg(followed.get(), reinterpret_cast<PyObject*>(type)));
    Py_INCREF(type);
    place = types.emplace(type, answer && answer.get() == Py_True).first;
  }
  if (place->second) append(objects, weakly(object).get());
}

int on_event(PyObject*, PyFrameObject* frame, int what, PyObject* arg) {
  if (!current) return 0;
  if (current->before) {
    if (const int failed = current->before(current->before_object.get(), frame, what, arg)) return failed;
  }
  // What runs while the trace is paused is no part of it: replays do it again, or it is of ours.
  if (!modes.tracing || (what != PyTrace_CALL && what != PyTrace_RETURN && what != PyTrace_C_CALL)) return 0;
  PyCodeObject* const code = PyFrame_GetCode(frame);
  if (!is_ours(code)) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (what == PyTrace_CALL) current->call(frame, code);
    if (what == PyTrace_RETURN) current->leave(frame, code);
    if (what == PyTrace_C_CALL && PyCFunction_Check(arg)) current->ask(frame, code, arg);
    PyErr_Restore(type, value, traceback);
  }
  Py_DECREF(code);
  return 0;
}

void end() {
  if (!current) return;
  const std::unique_ptr<Ran> gone = std::move(current);
  PyEval_SetProfile(gone->before, gone->before_object.get());
  for (PyCodeObject* code : gone->codes) Py_DECREF(code);
  for (const auto& [type, followed] : gone->types) Py_DECREF(type);
}

PyObject* ran_begin(PyObject*, PyObject* args) {
  PyObject *known, *followed, *trusted, *readers, *seed;
  if (!PyArg_ParseTuple(args, "O!OOO!O", &PySet_Type, &known, &followed, &trusted, &PyDict_Type, &readers,
                        &seed))
    return nullptr;
  return guarded([&]() -> PyObject* {
    end();
    auto ran = std::make_unique<Ran>();
    ran->known = Object::share(known);
    ran->followed = Object::share(followed);
    ran->trusted = Object::share(trusted);
    ran->seed = Object::share(seed);
    ran->readers = Object::share(readers);
    for (Object* list : {&ran->functions, &ran->closures, &ran->objects, &ran->asked})
      *list = Object(checked(PyList_New(0)));
    const PyThreadState* const thread = PyThreadState_Get();
    ran->before = thread->c_profilefunc;
    if (thread->c_profileobj) ran->before_object = Object::share(thread->c_profileobj);
    current = std::move(ran);
    PyEval_SetProfile(on_event, nullptr);
    Py_RETURN_NONE;
  });
}

PyObject* ran_end(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    if (!current) return Py_BuildValue("[][][][]");
    const Object functions = std::move(current->functions), closures = std::move(current->closures),
                 objects = std::move(current->objects), asked = std::move(current->asked);
    end();
    return Py_BuildValue("OOOO", functions.get(), closures.get(), objects.get(), asked.get());
  });
}

// Hooks of auditing cannot be taken away, so this one costs next to nothing where nothing is traced.
int audit(const char* event, PyObject* args, void* look) {
  if (!modes.tracing) [[likely]]
    return 0;
  const Object answer(PyObject_CallFunction(static_cast<PyObject*>(look), "sO", event, args));
  return answer ? 0 : -1;
}

PyObject* trace_audit(PyObject*, PyObject* look) {
  return PySys_AddAuditHook(audit, Py_NewRef(look)) < 0 ? nullptr : Py_NewRef(Py_None);
}

}  // namespace

PyMethodDef ran_functions[] = {
    {"ran_begin", ran_begin, METH_VARARGS,
     "ran_begin(known, followed, trusted, readers, seed): from now on functions that run on this thread are "
     "noted."},
    {"ran_end", ran_end, METH_NOARGS,
     "(functions of unknown code, closures, objects that they held, readers called) since ran_begin."},
    {"trace_audit", trace_audit, METH_O,
     "trace_audit(look): look(event, args) of every event of auditing while something is traced."},
    {},
};

}  // namespace versant::face
