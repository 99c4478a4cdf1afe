// TapeBase: a gradient tape (machine/tape.h) as a Python object, from which versant.GradientTape derives.
#include <new>

#include "face.h"
#include "machine/tape.h"

namespace versant::face {

namespace {

struct TapeObject {
  PyObject_HEAD alignas(Tape) char tape[sizeof(Tape)];
};

Tape& tape_of(PyObject* self) {
  return *std::launder(reinterpret_cast<Tape*>(reinterpret_cast<TapeObject*>(self)->tape));
}

PyObject* tape_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self) new (reinterpret_cast<TapeObject*>(self)->tape) Tape;
  return self;
}

// TapeBase(persistent=False, watch_accessed_variables=True)
int tape_init(PyObject* self, PyObject* args, PyObject* kwargs) {
  const char* names[] = {"persistent", "watch_accessed_variables", nullptr};
  int persistent = 0, accessed = 1;
  if (!kwargs && PyTuple_GET_SIZE(args) == 0) return 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pp:GradientTape", const_cast<char**>(names), &persistent,
                                   &accessed))
    return -1;
  tape_of(self).persistent = persistent != 0;
  tape_of(self).watches_accessed = accessed != 0;
  return 0;
}

void tape_dealloc(PyObject* self) {
  tape_of(self).~Tape();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* enter(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    tape_of(self).start();
    return Py_NewRef(self);
  });
}

PyObject* leave(PyObject* self, PyObject* const*, Py_ssize_t) {
  return guarded([&]() -> PyObject* {
    if (tape_of(self).recording()) tape_of(self).stop();
    Py_RETURN_NONE;
  });
}

PyObject* start(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    tape_of(self).start();
    Py_RETURN_NONE;
  });
}
PyObject* stop(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    tape_of(self).stop();
    Py_RETURN_NONE;
  });
}
PyObject* reset(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    tape_of(self).reset();
    Py_RETURN_NONE;
  });
}
PyObject* watch_one(PyObject* self, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor))
      fail(ErrorKind::Value, "[watch] passed in object of type ", Py_TYPE(tensor)->tp_name,
           ", expected a tensor");
    tape_of(self).watch(*as_tensor(tensor));
    Py_RETURN_NONE;
  });
}
PyObject* watched(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    Object list = checked(PyList_New(0));
    for (const TensorRef& tensor : tape_of(self).watched())
      if (PyList_Append(list.get(), as_object(tensor.get())) < 0) throw HostError{};
    return list.release();
  });
}

bool is_flat(PyObject* object) { return PyList_CheckExact(object) || PyTuple_CheckExact(object); }

bool all_floating(PyObject* list) {
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(list, i);
    if (!is_tensor(item) || !is_differentiable(as_tensor(item)->dtype)) return false;
  }
  return true;
}

// take(targets, sources, weights or None) -> list of gradients. The first two are lists or tuples of
// floating or complex tensors, or single ones; NotImplemented for anything else.
PyObject* take(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  if (n != 3) return PyErr_Format(PyExc_TypeError, "take takes 3 arguments, got %zd", n);
  return guarded([&]() -> PyObject* {
    const auto listed = [](PyObject* object) {
      return is_flat(object) ? Object::share(object) : checked(PyTuple_Pack(1, object));
    };
    const Object targets = listed(args[0]), sources = listed(args[1]);
    if (!all_floating(targets.get()) || !all_floating(sources.get())) Py_RETURN_NOTIMPLEMENTED;
    const auto tensors = [](const Object& list) {
      std::vector<Tensor*> found;
      for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i)
        found.push_back(as_tensor(PySequence_Fast_GET_ITEM(list.get(), i)));
      return found;
    };
    const std::vector<Tensor*> roots = tensors(targets), ends = tensors(sources);
    std::vector<TensorRef> weights(roots.size());
    if (args[2] != Py_None) {
      const Object given = listed(args[2]);
      if (static_cast<size_t>(PySequence_Fast_GET_SIZE(given.get())) != roots.size())
        fail(ErrorKind::Value, "[gradient] output_gradients must be given for each target: got ",
             PySequence_Fast_GET_SIZE(given.get()), " for ", roots.size());
      for (size_t i = 0; i < roots.size(); ++i) {
        PyObject* item = PySequence_Fast_GET_ITEM(given.get(), static_cast<Py_ssize_t>(i));
        if (item == Py_None) continue;
        if (!is_tensor(item)) Py_RETURN_NOTIMPLEMENTED;
        weights[i] = TensorRef(as_tensor(item));
      }
    }
    std::vector<TensorRef> found = tape_of(self).gradients(roots, weights, ends);
    Object list = checked(PyList_New(static_cast<Py_ssize_t>(found.size())));
    for (size_t i = 0; i < found.size(); ++i) {
      PyObject* item = PySequence_Fast_GET_ITEM(sources.get(), static_cast<Py_ssize_t>(i));
      PyObject* made = found[i] ? wrap(std::move(found[i])) : Py_NewRef(Py_None);
      const bool speaks = dialect_type && Py_TYPE(item) != tensor_type && speaks_dialect(&item, 1);
      if (speaks && made != Py_None) made = branded(made);
      if (!made) throw HostError{};
      PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), made);
    }
    return list.release();
  });
}

// gradient(target, sources, ...): the plain call of a tensor by tensors here, others by _gradient in Python.
PyObject* gradient(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  if (!kwnames && n == 2 && is_tensor(args[0])) {
    PyObject* call[3] = {args[0], args[1], Py_None};
    const bool listed = PyList_CheckExact(args[1]);
    if (listed || is_tensor(args[1])) {
      PyObject* found = take(self, call, 3);
      if (!found) return nullptr;
      if (PyList_CheckExact(found)) {
        if (listed) return found;
        PyObject* single = Py_NewRef(PyList_GET_ITEM(found, 0));
        Py_DECREF(found);
        return single;
      }
      Py_DECREF(found);
    }
  }
  const Object method = Object(PyObject_GetAttrString(self, "_gradient"));
  return method ? PyObject_Vectorcall(method.get(), args, static_cast<size_t>(n), kwnames) : nullptr;
}

PyObject* get_persistent(PyObject* self, void*) { return PyBool_FromLong(tape_of(self).persistent); }
PyObject* get_recording(PyObject* self, void*) { return PyBool_FromLong(tape_of(self).recording()); }

PyObject* set_persistent(PyObject* self, PyObject* on) {
  tape_of(self).persistent = on == Py_True;
  Py_RETURN_NONE;
}
PyObject* finish(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    tape_of(self).use_up();
    Py_RETURN_NONE;
  });
}

PyObject* is_taping(PyObject*, PyObject*) { return PyBool_FromLong(modes.taping); }

PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, "Starts recording."},
    {"__exit__", reinterpret_cast<PyCFunction>(leave), METH_FASTCALL, "Stops recording."},
    {"_start", start, METH_NOARGS, "Starts recording."},
    {"_stop", stop, METH_NOARGS, "Stops recording."},
    {"_watch", watch_one, METH_O, "Watches one tensor."},
    {"_watched", watched, METH_NOARGS, "The tensors that are watched."},
    {"_take", reinterpret_cast<PyCFunction>(take), METH_FASTCALL,
     "(targets, sources, weights) -> list of gradients, or NotImplemented"},
    {"_set_persistent", set_persistent, METH_O, "Sets whether gradients may be asked more than once."},
    {"_finish", finish, METH_NOARGS, "Uses the tape up."},
    {"gradient", reinterpret_cast<PyCFunction>(gradient), METH_FASTCALL | METH_KEYWORDS,
     "gradient(target, sources, output_gradients=None, unconnected_gradients=\"none\")\n\n"
     "The derivative of the sum of target by each of sources, in the structure of sources.\n\n"
     "target: a tensor or a nested structure of tensors, of any shapes.\n"
     "sources: a tensor or a nested structure of tensors that the tape watches.\n"
     "output_gradients: for each target the weights of its elements, of its shape; None counts as ones.\n"
     "unconnected_gradients: \"none\" gives None for a source on which no target depends, \"zero\" zeros.\n\n"
     "Raises RuntimeError when a tape that is not persistent is asked twice, or recorded nothing."},
    {"reset", reset, METH_NOARGS, "Forgets what was recorded and watched."},
    {},
};
PyGetSetDef getset[] = {
    {"_persistent", get_persistent, nullptr, "Whether gradients may be asked more than once.", nullptr},
    {"_recording", get_recording, nullptr, "Whether it records now.", nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("A gradient tape.")},
    {Py_tp_new, reinterpret_cast<void*>(tape_new)},
    {Py_tp_init, reinterpret_cast<void*>(tape_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(tape_dealloc)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, nullptr},
};
PyType_Spec spec = {"versant.TapeBase", sizeof(TapeObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                    slots};

PyMethodDef functions[] = {
    {"is_taping", is_taping, METH_NOARGS, "Whether a gradient tape of this thread records."},
    {},
};

}  // namespace

bool init_tape(PyObject* module) {
  return add_type(module, &spec) && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace versant::face
