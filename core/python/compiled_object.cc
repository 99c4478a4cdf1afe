// The quick way into compiled functions: what a call has to be like for a replay is compared here, without a
// line of Python. Everything else goes to the slow way, `Compiled._call`.
#include <cstring>
#include <vector>

#include "face.h"
#include "machine/promote.h"
#include "machine/replay.h"
#include "machine/trace.h"
#include "structmember.h"
#include "watch.h"

namespace versant::face {

namespace {

// An entry of a dict, a list, or a cell, the size of a container, or all that is in one, as it was; a part
// of a function, the class of an object, the value of a context variable.
struct Fact {
  enum class Kind : uint8_t { Dict, List, Cell, Size, Attribute, Items, Array, Function, Class, Context };
  Kind kind;
  // No value: the key is missing. Items: a tuple of them; Array: the bytes, with (format, shape) as key.
  Object holder, key, value;
  Py_ssize_t index = 0;  // List: the place; Size: the number of items; Function: code, defaults, by keyword

  bool holds() const {
    PyObject* now = nullptr;
    switch (kind) {
      case Kind::Dict:
        now = PyDict_GetItemWithError(holder.get(), key.get());
        if (!now && PyErr_Occurred()) {
          PyErr_Clear();
          return false;
        }
        break;
      case Kind::List:
        if (index < PyList_GET_SIZE(holder.get())) now = PyList_GET_ITEM(holder.get(), index);
        break;
      case Kind::Cell:
        now = PyCell_GET(holder.get());
        break;
      case Kind::Attribute: {
        const Object attribute(PyObject_GetAttr(holder.get(), key.get()));
        if (!attribute) PyErr_Clear();
        return is_same(attribute.get());
      }
      case Kind::Size: {
        const Py_ssize_t size =
            PyList_Check(holder.get()) ? PyList_GET_SIZE(holder.get()) : PyDict_GET_SIZE(holder.get());
        return size == index;
      }
      case Kind::Function:  // read as attributes they would be reported to hooks of auditing
        now = index == 0   ? PyFunction_GET_CODE(holder.get())
              : index == 1 ? PyFunction_GET_DEFAULTS(holder.get())
                           : PyFunction_GET_KW_DEFAULTS(holder.get());
        return (now ? now : Py_None) == value.get();
      case Kind::Class:
        return reinterpret_cast<PyObject*>(Py_TYPE(holder.get())) == value.get();
      case Kind::Context: {
        PyObject* found = nullptr;
        if (PyContextVar_Get(holder.get(), nullptr, &found) < 0) PyErr_Clear();
        const Object set(found);
        return set ? is_same(set.get()) : !value;
      }
      case Kind::Items:
        return same_items();
      case Kind::Array:
        return same_array();
    }
    return is_same(now);
  }

  bool same_items() const {
    const Object iterator(PyObject_GetIter(holder.get()));
    const Py_ssize_t n = PyTuple_GET_SIZE(value.get());
    bool same = static_cast<bool>(iterator);
    for (Py_ssize_t i = 0; same && i <= n; ++i) {
      const Object item(PyIter_Next(iterator.get()));
      same = i == n ? !item : item && is_same(item.get(), PyTuple_GET_ITEM(value.get(), i));
    }
    if (PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    return same;
  }

  bool same_array() const {
    Py_buffer view;
    if (PyObject_GetBuffer(holder.get(), &view, PyBUF_FULL_RO) < 0) {
      PyErr_Clear();
      return false;
    }
    PyObject* const shape = PyTuple_GET_ITEM(key.get(), 1);
    bool same = view.ndim == PyTuple_GET_SIZE(shape) && view.len == PyBytes_GET_SIZE(value.get()) &&
                PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(key.get(), 0),
                                                 view.format ? view.format : "B") == 0;
    for (int d = 0; same && d < view.ndim; ++d)
      same = view.shape[d] == PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, d));
    if (same && PyBuffer_IsContiguous(&view, 'C')) {
      same = std::memcmp(view.buf, PyBytes_AS_STRING(value.get()), static_cast<size_t>(view.len)) == 0;
    } else if (same) {
      std::vector<char> bytes(static_cast<size_t>(view.len));
      same = PyBuffer_ToContiguous(bytes.data(), &view, view.len, 'C') == 0 &&
             std::memcmp(bytes.data(), PyBytes_AS_STRING(value.get()), bytes.size()) == 0;
      PyErr_Clear();
    }
    PyBuffer_Release(&view);
    return same;
  }

  bool is_same(PyObject* now) const { return is_same(now, value.get()); }
  static bool is_same(PyObject* now, PyObject* then) {
    return now == then || (now && then && same_number(now, then));
  }

  // Numbers and strings are equal in type and value; 0.0 and -0.0 are not.
  static bool same_number(PyObject* a, PyObject* b) {
    if (Py_TYPE(a) != Py_TYPE(b)) return false;
    if (PyFloat_CheckExact(a)) {
      const double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
      return std::memcmp(&x, &y, sizeof x) == 0;
    }
    if (!PyLong_CheckExact(a) && !PyUnicode_CheckExact(a)) return false;
    const int same = PyObject_RichCompareBool(a, b, Py_EQ);
    if (same < 0) PyErr_Clear();
    return same == 1;
  }
};

struct QuickEntry {
  std::vector<Object> constants;  // of positional arguments; none where a tensor stands
  std::vector<Fact> facts;
  Object capsule, answer;
  trace::Branches* branches;
  bool single;  // the first branch returns one new tensor
  Modes modes;
  DType floats;
};

struct CompiledObject {
  PyObject_HEAD vectorcallfunc call;
  std::vector<QuickEntry>* entries;
  PyObject* dict;
  int64_t replays;
};

CompiledObject* as_compiled(PyObject* object) { return reinterpret_cast<CompiledObject*>(object); }

thread_local int disabled = 0;

bool same_modes(const Modes& a, const Modes& b) {
  return a.grad == b.grad && a.inference == b.inference && a.taping == b.taping && !a.autocast &&
         !b.autocast && !a.packs && !a.tracing;
}

// The replay's answer: null without an exception when the call does not fit.
PyObject* quick(const QuickEntry& entry, PyObject* const* args, Py_ssize_t count) {
  if (static_cast<size_t>(count) != entry.constants.size() || !same_modes(modes, entry.modes) ||
      default_float() != entry.floats)
    return nullptr;
  constexpr Py_ssize_t kFew = 16;
  if (count > kFew) return nullptr;
  Tensor* tensors[kFew];
  size_t n = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* constant = entry.constants[static_cast<size_t>(i)].get();
    if (!constant) {
      if (Py_TYPE(args[i]) != tensor_type && Py_TYPE(args[i]) != dialect_type) return nullptr;
      tensors[n++] = as_tensor(args[i]);
    } else if (args[i] != constant && !Fact::same_number(args[i], constant)) {
      return nullptr;
    }
  }
  for (const Fact& fact : entry.facts)
    if (!fact.holds()) return nullptr;
  const std::span<Tensor* const> given(tensors, n);
  if (!entry.branches->plan(0).fits(given)) return nullptr;
  // The entry may go while it runs.
  const Object capsule = Object::share(entry.capsule.get()), answer = Object::share(entry.answer.get());
  std::vector<TensorRef> results;
  const watch::RunsAgain may_be_taken_back;
  const int branch = entry.branches->run(given, results);
  if (branch < 0) return nullptr;
  if (entry.single && branch == 0) return wrap(std::move(results[0]));
  const Object made(checked(PyList_New(static_cast<Py_ssize_t>(results.size()))));
  for (size_t i = 0; i < results.size(); ++i)
    PyList_SET_ITEM(made.get(), static_cast<Py_ssize_t>(i), wrap(std::move(results[i])));
  const Object list(checked(PyList_New(static_cast<Py_ssize_t>(n))));
  for (size_t i = 0; i < n; ++i)
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), Py_NewRef(as_object(tensors[i])));
  return PyObject_CallFunction(answer.get(), "iOO", branch, list.get(), made.get());
}

// A replay was taken back: the call runs as it is written.
PyObject* as_written(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  PyErr_Clear();
  static PyObject* const name = PyUnicode_InternFromString("_as_written");
  const Object slow(PyObject_GetAttr(self, name));
  return slow ? PyObject_Vectorcall(slow.get(), args, static_cast<size_t>(count), nullptr) : nullptr;
}

PyObject* compiled_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  CompiledObject* compiled = as_compiled(self);
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  if (disabled == 0 && !kwnames && !modes.tracing && !modes.transforming) {
    for (size_t i = 0; i < compiled->entries->size(); ++i) {
      const auto run = [&]() -> PyObject* { return quick((*compiled->entries)[i], args, count); };
      PyObject* result = guarded(run);
      if (result) {
        ++compiled->replays;
        return result;
      }
      if (is_run_again()) return as_written(self, args, count);
      if (PyErr_Occurred()) return nullptr;
    }
  }
  static PyObject* const name = PyUnicode_InternFromString("_call");
  const Object slow(PyObject_GetAttr(self, name));
  if (!slow) return nullptr;
  return PyObject_Vectorcall(slow.get(), args, static_cast<size_t>(count), kwnames);
}

PyObject* compiled_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  as_compiled(self)->call = compiled_call;
  as_compiled(self)->entries = new std::vector<QuickEntry>;
  return self;
}

int compiled_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_compiled(self)->dict);
  for (const QuickEntry& entry : *as_compiled(self)->entries) {
    Py_VISIT(entry.answer.get());
    for (const Fact& fact : entry.facts) {
      Py_VISIT(fact.holder.get());
      Py_VISIT(fact.value.get());
    }
  }
  return 0;
}

int compiled_clear(PyObject* self) {
  Py_CLEAR(as_compiled(self)->dict);
  std::vector<QuickEntry> gone = std::move(*as_compiled(self)->entries);
  as_compiled(self)->entries->clear();
  return 0;
}

void compiled_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  compiled_clear(self);
  delete as_compiled(self)->entries;
  type->tp_free(self);
  Py_DECREF(type);
}

// _add_entry(constants, facts, branches, answer, single): facts are (kind, holder, key, value) with kind 0
// for dicts, 1 for lists, 2 for cells, 3 for sizes, 4 for attributes, 5 for the items of sets and deques, 6
// for arrays, 7 for the code and the defaults of functions, 8 for classes of objects, 9 for context
// variables; in the place of constants and values NotImplemented stands for none.
PyObject* add_entry(PyObject* self, PyObject* args) {
  PyObject *constants, *facts, *capsule, *answer;
  int single;
  if (!PyArg_ParseTuple(args, "O!O!OOp", &PyTuple_Type, &constants, &PyList_Type, &facts, &capsule, &answer,
                        &single))
    return nullptr;
  return guarded([&]() -> PyObject* {
    QuickEntry entry;
    entry.branches = static_cast<trace::Branches*>(PyCapsule_GetPointer(capsule, "versant.branches"));
    if (!entry.branches) throw HostError{};
    entry.capsule = Object::share(capsule);
    entry.answer = Object::share(answer);
    entry.single = single;
    entry.modes = modes;
    entry.floats = default_float();
    const auto unless_none = [](PyObject* object) {
      return object == Py_NotImplemented ? Object() : Object::share(object);
    };
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants); ++i)
      entry.constants.push_back(unless_none(PyTuple_GET_ITEM(constants, i)));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(facts); ++i) {
      int kind;
      PyObject *holder, *key, *value;
      if (!PyArg_ParseTuple(PyList_GET_ITEM(facts, i), "iOOO", &kind, &holder, &key, &value))
        throw HostError{};
      Fact fact{static_cast<Fact::Kind>(kind), Object::share(holder), Object::share(key), unless_none(value),
                0};
      const bool fits = fact.kind == Fact::Kind::Dict        ? PyDict_Check(holder)
                        : fact.kind == Fact::Kind::List      ? PyList_Check(holder)
                        : fact.kind == Fact::Kind::Cell      ? PyCell_Check(holder)
                        : fact.kind == Fact::Kind::Attribute ? PyUnicode_Check(key)
                        : fact.kind == Fact::Kind::Items     ? PyTuple_Check(value)
                        : fact.kind == Fact::Kind::Function  ? PyFunction_Check(holder)
                        : fact.kind == Fact::Kind::Class     ? PyType_Check(value)
                        : fact.kind == Fact::Kind::Context   ? PyContextVar_CheckExact(holder)
                        : fact.kind == Fact::Kind::Array     ? PyTuple_Check(key) && PyBytes_Check(value)
                                                             : PyDict_Check(holder) || PyList_Check(holder);
      if (!fits) fail(ErrorKind::Type, "[compile] a fact about a ", Py_TYPE(holder)->tp_name);
      if (fact.kind == Fact::Kind::List || fact.kind == Fact::Kind::Size ||
          fact.kind == Fact::Kind::Function) {
        fact.index = PyLong_AsSsize_t(key);
        if (PyErr_Occurred()) throw HostError{};
      }
      entry.facts.push_back(std::move(fact));
    }
    std::vector<QuickEntry>& entries = *as_compiled(self)->entries;
    entries.insert(entries.begin(), std::move(entry));
    if (entries.size() > 8) entries.pop_back();
    Py_RETURN_NONE;
  });
}

// _drop_entries(branches): calls are no longer answered by these.
PyObject* drop_entries(PyObject* self, PyObject* capsule) {
  std::vector<QuickEntry>& entries = *as_compiled(self)->entries;
  std::vector<QuickEntry> kept, gone;
  for (QuickEntry& entry : entries)
    (entry.capsule.get() == capsule ? gone : kept).push_back(std::move(entry));
  entries.swap(kept);
  Py_RETURN_NONE;
}

PyObject* quick_replays(PyObject* self, void*) { return PyLong_FromLongLong(as_compiled(self)->replays); }

PyObject* disable(PyObject*, PyObject* by) {
  const long step = PyLong_AsLong(by);
  if (step == -1 && PyErr_Occurred()) return nullptr;
  disabled += static_cast<int>(step);
  return PyLong_FromLong(disabled);
}

PyMethodDef methods[] = {
    {"_add_entry", add_entry, METH_VARARGS, "_add_entry(constants, facts, branches, answer, single)"},
    {"_drop_entries", drop_entries, METH_O, "_drop_entries(branches): these answer no calls any more."},
    {},
};
PyGetSetDef getset[] = {
    {"_quick_replays", quick_replays, nullptr, "How many calls were answered without Python.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(CompiledObject, call), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(CompiledObject, dict), READONLY, nullptr},
    {},
};

template <typename F>
void* slot(F function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

PyMethodDef compiled_functions[] = {
    {"disable_compiled", disable, METH_O,
     "disable_compiled(by): compiled functions run as they are written while the sum is above 0."},
    {},
};

bool init_compiled(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, slot(compiled_new)},
      {Py_tp_dealloc, slot(compiled_dealloc)},
      {Py_tp_traverse, slot(compiled_traverse)},
      {Py_tp_clear, slot(compiled_clear)},
      {Py_tp_call, slot(PyVectorcall_Call)},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_tp_getset, getset},
      {Py_tp_doc, const_cast<char*>("The base of compiled functions: their quick way.")},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "versant._core.CompiledBase", sizeof(CompiledObject), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  PyObject* type = PyType_FromSpec(&spec);
  if (!type) return false;
  const int added = PyModule_AddObjectRef(module, "CompiledBase", type);
  Py_DECREF(type);
  return added == 0;
}

}  // namespace versant::face
