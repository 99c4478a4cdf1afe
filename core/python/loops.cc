// Branches and loops as Python makes and runs them while it traces: see compiler/loops.py.
#include "loops.h"

namespace versant::face {

namespace {

constexpr const char* kBody = "versant.body";

std::vector<TensorRef> tensors_of(PyObject* list, const char* what) {
  if (!PyList_Check(list)) fail(ErrorKind::Type, "[loop] ", what, " are a list of tensors");
  std::vector<TensorRef> tensors;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    if (item != Py_None && !is_tensor(item)) fail(ErrorKind::Type, "[loop] ", what, " are a list of tensors");
    tensors.push_back(item == Py_None ? TensorRef() : TensorRef(as_tensor(item)));
  }
  return tensors;
}

PyObject* list_or_none_of(std::span<const TensorRef> tensors) {
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(tensors.size()));
  for (size_t i = 0; list && i < tensors.size(); ++i)
    PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), wrap_or_none(tensors[i]));
  return list;
}

std::shared_ptr<trace::Body> body_of(PyObject* capsule) {
  auto* body = static_cast<std::shared_ptr<trace::Body>*>(PyCapsule_GetPointer(capsule, kBody));
  if (!body) throw HostError{};
  return *body;
}

std::vector<int> places_of(PyObject* list) {
  std::vector<int> found;
  const Object places = checked(PySequence_Fast(list, "[loop] expected a list of places"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(places.get()); ++i)
    found.push_back(static_cast<int>(PyLong_AsLong(PySequence_Fast_GET_ITEM(places.get(), i))));
  if (PyErr_Occurred()) throw HostError{};
  return found;
}

// run_loop(kind, name, bodies, reached, carried, walked, length, reverse, backward, restrict, inputs)
PyObject* run_loop(PyObject*, PyObject* args) {
  int kind, carried, walked, reverse;
  const char* name;
  long long length;
  PyObject *bodies, *reached, *backward, *restrict, *inputs;
  if (!PyArg_ParseTuple(args, "isO!O!iiLpOOO!", &kind, &name, &PyList_Type, &bodies, &PyList_Type, &reached,
                        &carried, &walked, &length, &reverse, &backward, & restrict, &PyList_Type, &inputs))
    return nullptr;
  return guarded([&]() -> PyObject* {
    auto loop = std::make_shared<trace::Loop>();
    loop->kind = static_cast<trace::Loop::Kind>(kind);
    loop->name = name;
    loop->n_carried = carried;
    loop->n_walked = walked;
    loop->length = length;
    loop->reverse = reverse;
    for (Py_ssize_t b = 0; b < PyList_GET_SIZE(bodies); ++b) {
      loop->bodies.push_back(body_of(PyList_GET_ITEM(bodies, b)));
      loop->reached.push_back(places_of(PyList_GET_ITEM(reached, b)));
    }
    const auto restricted = [function = Object::share(restrict)](int b, const std::vector<bool>& results) {
      const Object list = checked(PyList_New(0));
      for (const bool result : results)
        if (PyList_Append(list.get(), result ? Py_True : Py_False) < 0) throw HostError{};
      const Object made = checked(PyObject_CallFunction(function.get(), "iO", b, list.get()));
      PyObject *capsule, *places;
      if (!PyArg_ParseTuple(made.get(), "OO", &capsule, &places)) throw HostError{};
      return std::pair(body_of(capsule), places_of(places));
    };
    trace::RecordedBackward recorded;
    if (backward != Py_None)
      recorded = [function = Object::share(backward)](std::span<const TensorRef> grads) {
        const Object list = checked(list_or_none_of(grads));
        return tensors_of(checked(PyObject_CallOneArg(function.get(), list.get())).get(), "gradients");
      };
    const std::vector<TensorRef> given = tensors_of(inputs, "inputs");
    std::vector<Tensor*> tensors;
    for (const TensorRef& tensor : given) tensors.push_back(tensor.get());
    return list_or_none_of(trace::run_loop(loop, tensors, std::move(recorded), restricted));
  });
}

// Whether nobody else has the tensor or sees its memory; `refs`: references of the caller's own.
bool is_unshared(Tensor& tensor, intptr_t refs) {
  if (tensor.refs > refs || tensor.view || tensor.storage->release || tensor.storage->read_only) return false;
  return tensor.storage->refs == 1 || (tensor.node && !tensor.is_leaf());
}

// own_memory(tensors): the same, row by row in memory of their own; the list holds the only references to
// those that are new.
PyObject* own_memory(PyObject*, PyObject* list) {
  return guarded([&]() -> PyObject* {
    if (!PyList_Check(list)) fail(ErrorKind::Type, "[own_memory] expected a list");
    Object made = checked(PyList_New(0));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
      PyObject* item = PyList_GET_ITEM(list, i);
      if (!is_tensor(item)) fail(ErrorKind::Type, "[own_memory] expected tensors");
      Tensor& tensor = *as_tensor(item);
      TensorRef own = is_unshared(tensor, 1) ? TensorRef(&tensor) : ops::clone(tensor);
      own = ops::contiguous(*own);
      if (PyList_Append(made.get(), as_object(own.get())) < 0) throw HostError{};
    }
    return made.release();
  });
}

}  // namespace

PyObject* body_capsule(std::shared_ptr<trace::Body> body) {
  auto* held = new std::shared_ptr<trace::Body>(std::move(body));
  PyObject* capsule = PyCapsule_New(held, kBody, [](PyObject* capsule) {
    delete static_cast<std::shared_ptr<trace::Body>*>(PyCapsule_GetPointer(capsule, kBody));
  });
  if (!capsule) delete held;
  return capsule;
}

PyMethodDef loop_functions[] = {
    {"run_loop", run_loop, METH_VARARGS,
     "run_loop(kind, name, bodies, reached, carried, walked, length, reverse, backward, restrict, inputs): "
     "runs a loop "
     "as one step of the trace and gives its results."},
    {"own_memory", own_memory, METH_O,
     "own_memory(tensors): the same row by row, copied where somebody else has them or sees their memory."},
    {},
};

}  // namespace versant::face
