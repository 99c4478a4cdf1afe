// Update rules as Python sees them: made once from a program, run with lists of tensors and numbers.
#include "machine/update_rule.h"

#include <memory>

#include "face.h"

namespace versant::face {

namespace {

constexpr const char* kRule = "versant.update_rule";

void free_rule(PyObject* capsule) { delete static_cast<UpdateRule*>(PyCapsule_GetPointer(capsule, kRule)); }

PyObject* define_update(PyObject*, PyObject* args) {
  const char* name;
  int n_buffers, n_numbers;
  PyObject *parts, *targets;
  if (!PyArg_ParseTuple(args, "siiOO", &name, &n_buffers, &n_numbers, &parts, &targets)) return nullptr;
  return guarded([&]() -> PyObject* {
    auto rule = std::make_unique<UpdateRule>();
    rule->name = name;
    rule->n_buffers = n_buffers;
    rule->n_numbers = n_numbers;
    rule->program = parse_program(parts, 2 + n_buffers + n_numbers);
    for (const int64_t target : to_dims(targets, name, "targets"))
      rule->targets.push_back(static_cast<uint8_t>(target));
    rule->finish();
    PyObject* capsule = PyCapsule_New(rule.get(), kRule, free_rule);
    if (capsule) rule.release();
    return capsule;
  });
}

std::vector<Tensor*> tensors_of(PyObject* list, const char* name) {
  if (!PyList_Check(list)) fail(ErrorKind::Type, "[", name, "] expected lists of tensors");
  std::vector<Tensor*> tensors;
  tensors.reserve(PyList_GET_SIZE(list));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    if (!is_tensor(item)) fail(ErrorKind::Type, "[", name, "] expected lists of tensors");
    tensors.push_back(as_tensor(item));
  }
  return tensors;
}

PyObject* run_update(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    auto* rule = count < 3 ? nullptr : static_cast<UpdateRule*>(PyCapsule_GetPointer(args[0], kRule));
    if (!rule || !PyTuple_Check(args[1])) {
      PyErr_Clear();
      fail(ErrorKind::Type, "[run_update] expected a rule, a tuple of numbers and lists of tensors");
    }
    std::vector<double> numbers;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); ++i) {
      numbers.push_back(PyFloat_AsDouble(PyTuple_GET_ITEM(args[1], i)));
      if (PyErr_Occurred()) throw HostError{};
    }
    std::vector<std::vector<Tensor*>> tensors;
    for (Py_ssize_t i = 2; i < count; ++i) tensors.push_back(tensors_of(args[i], rule->name.c_str()));
    const std::vector<std::span<Tensor* const>> lists(tensors.begin(), tensors.end());
    rule->run(lists, numbers);
    Py_RETURN_NONE;
  });
}

}  // namespace

PyMethodDef update_functions[] = {
    {"define_update", define_update, METH_VARARGS,
     "define_update(name, n_buffers, n_numbers, program, targets): an update rule."},
    {"run_update", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(run_update)), METH_FASTCALL,
     "run_update(rule, numbers, params, *buffers): one step of the rule, by the gradients of the "
     "parameters."},
    {},
};

}  // namespace versant::face
