// Composite: a record of the op table that is a Python function over other ops, as a callable. It adds to the
// function what all ops have: out=, and numpy's names of arguments. Other calls pass straight through.
#include <algorithm>
#include <climits>
#include <cstddef>

#include "face.h"
#include "machine/node.h"
#include "structmember.h"

namespace versant::face {

namespace {

// numpy's names, where PyTorch takes them too.
constexpr const char* kAliases[][2] = {{"axis", "dim"}, {"keepdims", "keepdim"}, {"x", "input"}};
constexpr int kAliasCount = 3;

struct CompositeObject {
  PyObject_HEAD vectorcallfunc call;
  PyObject* function;
  PyObject* name;
  int dtype_position;  // of its argument dtype; -1 without one
  bool takes_out;
  bool aliases[kAliasCount];
  PyObject* dict;
  CastPolicy casts;
};

PyTypeObject* composite_type = nullptr;
PyObject* out_name = nullptr;
PyObject* dtype_name = nullptr;
PyObject* alias_names[kAliasCount][2];

CompositeObject* as_composite(PyObject* object) { return reinterpret_cast<CompositeObject*>(object); }

bool same_name(PyObject* a, PyObject* b) { return a == b || PyUnicode_Compare(a, b) == 0; }

// The name by which the function knows a keyword; null for out.
PyObject* own_name(const CompositeObject& self, PyObject* keyword) {
  if (self.takes_out && same_name(keyword, out_name)) return nullptr;
  for (int i = 0; i < kAliasCount; ++i)
    if (self.aliases[i] && same_name(keyword, alias_names[i][0])) return alias_names[i][1];
  return keyword;
}

PyObject* call_renamed(CompositeObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  const Py_ssize_t n_keywords = PyTuple_GET_SIZE(kwnames);
  std::vector<PyObject*> values(args, args + n);
  std::vector<PyObject*> names;
  PyObject* out = Py_None;
  bool typed = self->dtype_position < 0 || self->dtype_position < n;
  for (Py_ssize_t k = 0; k < n_keywords; ++k) {
    PyObject* name = own_name(*self, PyTuple_GET_ITEM(kwnames, k));
    if (!name) {
      out = args[n + k];
      continue;
    }
    typed |= same_name(name, dtype_name);
    names.push_back(name);
    values.push_back(args[n + k]);
  }
  const char* op = PyUnicode_AsUTF8(self->name);
  if (out != Py_None) {
    check_out(op, out);
    // Computed in the dtype of out; but what a complex tensor has as real result is no such dtype.
    for (PyObject* value : values)
      typed |= is_tensor(value) && is_tensor(out) && is_complex(as_tensor(value)->dtype) &&
               !is_complex(as_tensor(out)->dtype);
    if (!typed && is_tensor(out)) {
      names.push_back(dtype_name);
      values.push_back(dtype_object(as_tensor(out)->dtype));
    }
  }
  Object tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(names.size())));
  for (size_t k = 0; k < names.size(); ++k)
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(k), Py_NewRef(names[k]));
  Object result = checked(PyObject_Vectorcall(self->function, values.data(), n, tuple.get()));
  return out == Py_None ? result.release() : write_out(op, std::move(result), out);
}

// Where the function asked an argument for what only tensors have, says so: a TypeError in the place of an
// AttributeError.
void explain_failure(CompositeObject* self, PyObject* const* args, Py_ssize_t count) {
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  const Object asked(PyObject_GetAttrString(value, "obj"));
  PyErr_Clear();
  const bool is_argument =
      asked && !is_tensor(asked.get()) && std::find(args, args + count, asked.get()) != args + count;
  if (!is_argument) return PyErr_Restore(type, value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  PyErr_Format(PyExc_TypeError, "[%U] expected a tensor, got %s", self->name, Py_TYPE(asked.get())->tp_name);
}

PyObject* vectorcall(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  CompositeObject* self = as_composite(callable);
  if (modes.autocast && self->casts != CastPolicy::None) [[unlikely]]
    return call_with_casts(vectorcall, self->casts, callable, args, nargsf, kwnames);
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf) + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
  if (dialect_type && speaks_dialect(args, count)) [[unlikely]]
    return call_outside_dialect(vectorcall, callable, args, nargsf, kwnames);
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
    if (PyObject* name = PyTuple_GET_ITEM(kwnames, k); own_name(*self, name) != name)
      return guarded([&] { return call_renamed(self, args, PyVectorcall_NARGS(nargsf), kwnames); });
  PyObject* result = PyObject_Vectorcall(self->function, args, nargsf, kwnames);
  if (!result) [[unlikely]]
    explain_failure(self, args, count);
  return result;
}

void composite_dealloc(PyObject* object) {
  CompositeObject* self = as_composite(object);
  Py_CLEAR(self->function);
  Py_CLEAR(self->name);
  Py_CLEAR(self->dict);
  PyTypeObject* type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

PyObject* composite_repr(PyObject* self) { return PyUnicode_FromFormat("<op %U>", as_composite(self)->name); }

PyObject* composite_get(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

PyMethodDef methods[] = {
    {"__reduce__", pickle_by_name, METH_NOARGS, nullptr},
    {},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(CompositeObject, call), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(CompositeObject, dict), READONLY, nullptr},
    {"__wrapped__", T_OBJECT, offsetof(CompositeObject, function), READONLY, "The Python function."},
    {"name", T_OBJECT, offsetof(CompositeObject, name), READONLY, "The record's name."},
    {},
};
PyGetSetDef getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(composite_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(composite_repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(composite_get)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {0, nullptr},
};
PyType_Spec spec = {"versant._core.Composite", sizeof(CompositeObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
                        Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    slots};

// Where the function's argument stands; past all positional ones when it goes by keyword; -1 without it.
Py_ssize_t position_of(PyObject* names, Py_ssize_t positional, Py_ssize_t all, PyObject* name) {
  for (Py_ssize_t i = 0; i < all; ++i)
    if (same_name(PyTuple_GET_ITEM(names, i), name)) return i < positional ? i : INT_MAX;
  return -1;
}

PyObject* define_composite(PyObject*, PyObject* args) {
  PyObject *name, *function;
  const char* casts = "";
  if (!PyArg_ParseTuple(args, "UO!|s", &name, &PyFunction_Type, &function, &casts)) return nullptr;
  return guarded([&]() -> PyObject* {
    const CastPolicy policy = cast_policy(casts);
    Object code = checked(PyObject_GetAttrString(function, "__code__"));
    Object names = checked(PyObject_GetAttrString(code.get(), "co_varnames"));
    const auto count = [&](const char* what) {
      return PyLong_AsSsize_t(checked(PyObject_GetAttrString(code.get(), what)).get());
    };
    const Py_ssize_t positional = count("co_argcount");
    const Py_ssize_t all = positional + count("co_kwonlyargcount");
    const auto has = [&](PyObject* argument) {
      return position_of(names.get(), positional, all, argument) >= 0;
    };
    auto* self = PyObject_New(CompositeObject, composite_type);
    if (!self) throw HostError{};
    self->call = vectorcall;
    self->casts = policy;
    self->function = Py_NewRef(function);
    self->name = Py_NewRef(name);
    self->dtype_position = static_cast<int>(position_of(names.get(), positional, all, dtype_name));
    self->takes_out = !has(out_name);
    for (int i = 0; i < kAliasCount; ++i)
      self->aliases[i] = has(alias_names[i][1]) && !has(alias_names[i][0]);
    self->dict = PyDict_New();
    Object object(reinterpret_cast<PyObject*>(self));
    for (const char* attribute : {"__name__", "__qualname__", "__doc__", "__module__"}) {
      Object value = checked(PyObject_GetAttrString(function, attribute));
      if (PyDict_SetItemString(self->dict, attribute, value.get()) < 0) throw HostError{};
    }
    return object.release();
  });
}

}  // namespace

PyMethodDef composite_functions[] = {
    {"define_composite", define_composite, METH_VARARGS, "define_composite(name, function) -> Composite"},
    {},
};

bool init_composites(PyObject* module) {
  composite_type = add_type(module, &spec);
  out_name = PyUnicode_InternFromString("out");
  dtype_name = PyUnicode_InternFromString("dtype");
  for (int i = 0; i < kAliasCount; ++i)
    for (int k = 0; k < 2; ++k)
      if (!(alias_names[i][k] = PyUnicode_InternFromString(kAliases[i][k]))) return false;
  return composite_type && out_name && dtype_name;
}

}  // namespace versant::face
