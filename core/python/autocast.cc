// Automatic mixed precision: calls whose arguments are cast, and the state that versant.amp sets.
#include "machine/autocast.h"

#include <cstring>

#include "face.h"
#include "machine/node.h"

namespace versant::face {

CastPolicy cast_policy(const char* name) {
  const char* names[] = {"", "lower", "float32", "promote"};
  for (uint8_t i = 0; i < 4; ++i)
    if (std::strcmp(names[i], name) == 0) return static_cast<CastPolicy>(i);
  fail(ErrorKind::Value, "[autocast] expected '', 'lower', 'float32' or 'promote', got '", name, "'");
}

namespace {

// Autocast off for a scope.
class WithoutCasts {
 public:
  WithoutCasts() : before_(modes.autocast) { modes.autocast = false; }
  ~WithoutCasts() { modes.autocast = before_; }
  WithoutCasts(const WithoutCasts&) = delete;
  WithoutCasts& operator=(const WithoutCasts&) = delete;

 private:
  bool before_;
};

bool is_out(PyObject* keyword) { return PyUnicode_CompareWithASCIIString(keyword, "out") == 0; }

bool is_sequence(PyObject* object) { return PyList_CheckExact(object) || PyTuple_CheckExact(object); }

// The tensors among the arguments, also those in lists and tuples.
void collect(PyObject* object, std::vector<Tensor*>& tensors) {
  if (is_tensor(object)) {
    tensors.push_back(as_tensor(object));
  } else if (is_sequence(object)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); ++i)
      if (PyObject* item = PySequence_Fast_GET_ITEM(object, i); is_tensor(item))
        tensors.push_back(as_tensor(item));
  }
}

Object cast_argument(PyObject* object, DType to, bool only_lower) {
  const auto one = [&](PyObject* item) -> Object {
    if (!is_tensor(item)) return Object::share(item);
    Tensor& x = *as_tensor(item);
    if (only_lower && itemsize(x.dtype) >= itemsize(to)) return Object::share(item);
    return Object(wrap(autocast(x, to)));
  };
  if (!is_sequence(object)) return one(object);
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
  Object copy = checked(PyTuple_CheckExact(object) ? PyTuple_New(n) : PyList_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = one(PySequence_Fast_GET_ITEM(object, i)).release();
    if (PyTuple_CheckExact(object))
      PyTuple_SET_ITEM(copy.get(), i, item);
    else
      PyList_SET_ITEM(copy.get(), i, item);
  }
  return copy;
}

}  // namespace

PyObject* call_with_casts(vectorcallfunc call, CastPolicy policy, PyObject* callable, PyObject* const* args,
                          size_t nargsf, PyObject* kwnames) {
  return guarded([&]() -> PyObject* {
    const Py_ssize_t total =
        PyVectorcall_NARGS(nargsf) + (kwnames ? PyTuple_GET_SIZE(kwnames) : Py_ssize_t{0});
    DType to = policy == CastPolicy::Lower ? autocast_state.lower : DType::Float32;
    if (policy == CastPolicy::Promote) {
      std::vector<Tensor*> tensors;
      for (Py_ssize_t i = 0; i < total; ++i) collect(args[i], tensors);
      to = autocast_widest(tensors);
    }
    std::vector<Object> held;
    std::vector<PyObject*> cast;
    held.reserve(static_cast<size_t>(total));
    cast.reserve(static_cast<size_t>(total));
    const WithoutCasts off;
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    for (Py_ssize_t i = 0; i < total; ++i) {
      const bool out = i >= n && is_out(PyTuple_GET_ITEM(kwnames, i - n));
      held.push_back(out ? Object::share(args[i])
                         : cast_argument(args[i], to, policy == CastPolicy::Float32));
      cast.push_back(held.back().get());
    }
    return call(callable, cast.data(), static_cast<size_t>(n), kwnames);
  });
}

namespace {

// --- state

PyObject* get_autocast(PyObject*, PyObject*) {
  const AutocastState& state = autocast_state;
  return Py_BuildValue("(OOO)", modes.autocast ? Py_True : Py_False, dtype_object(state.lower),
                       state.caching ? Py_True : Py_False);
}

PyObject* set_autocast(PyObject*, PyObject* args) {
  int enabled, caching;
  PyObject* lower;
  if (!PyArg_ParseTuple(args, "pOp", &enabled, &lower, &caching)) return nullptr;
  return guarded([&]() -> PyObject* {
    autocast_state.lower = expect_dtype(lower, "autocast");
    autocast_state.caching = caching != 0;
    modes.autocast = enabled != 0;
    Py_RETURN_NONE;
  });
}

PyObject* nest_autocast(PyObject*, PyObject* step) {
  const long by = PyLong_AsLong(step);
  if (by == -1 && PyErr_Occurred()) return nullptr;
  return PyLong_FromLong(autocast_state.depth += static_cast<int>(by));
}

PyObject* clear_cache(PyObject*, PyObject*) {
  clear_autocast_cache();
  Py_RETURN_NONE;
}

}  // namespace

PyMethodDef autocast_functions[] = {
    {"get_autocast", get_autocast, METH_NOARGS, "(enabled, dtype, caching) of this thread."},
    {"set_autocast", set_autocast, METH_VARARGS, "set_autocast(enabled, dtype, caching)"},
    {"nest_autocast", nest_autocast, METH_O, "Changes the depth of nested regions; returns it."},
    {"clear_autocast_cache", clear_cache, METH_NOARGS, "Forgets the weights that were cast."},
    {},
};

}  // namespace versant::face
