// Whether an optimizer's plan still holds: asked once a step, for every parameter, so it is asked here.
#include "face.h"
#include "machine/tensor.h"

namespace versant::face {

namespace {

// Whether all of the list's tensors have a gradient (wanted), or none.
bool all_have_gradients(PyObject* list, bool wanted) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    if (!is_tensor(item) || static_cast<bool>(as_tensor(item)->grad) != wanted) return false;
  }
  return true;
}

PyObject* same_gradient_pattern(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    if (count != 4 || !PyList_Check(args[1]) || !PyList_Check(args[2]) || !PyList_Check(args[3]))
      fail(ErrorKind::Type, "[same_gradient_pattern] expected parameters and three lists");
    Object params = checked(PySequence_Fast(args[0], "[same_gradient_pattern] parameters are a sequence"));
    bool same = PySequence_Fast_GET_SIZE(params.get()) == PyList_GET_SIZE(args[1]);
    for (Py_ssize_t i = 0; same && i < PyList_GET_SIZE(args[1]); ++i)
      same = PySequence_Fast_GET_ITEM(params.get(), i) == PyList_GET_ITEM(args[1], i);
    return PyBool_FromLong(same && all_have_gradients(args[2], true) && all_have_gradients(args[3], false));
  });
}

}  // namespace

PyMethodDef optimizer_functions[] = {
    {"same_gradient_pattern", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(same_gradient_pattern)),
     METH_FASTCALL,
     "same_gradient_pattern(params, known, with_grad, without_grad): whether params are the objects of "
     "known, "
     "and gradients are where they were."},
    {},
};

}  // namespace versant::face
