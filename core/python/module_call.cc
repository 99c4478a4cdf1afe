// The call of an nn.Module: straight to its `forward`, or through its hooks when it has any; that of a Keras
// layer. Written here because a Python function that passes on any arguments costs more than a small op.
#include "face.h"
#include "watch.h"

namespace versant::face {

namespace {

PyObject* has_hooks_name = nullptr;
PyObject* forward_name = nullptr;
PyObject* call_hooked_name = nullptr;
PyObject* call_layer_name = nullptr;

PyObject* call_method(PyObject* self, PyObject* method, PyObject* const* args, Py_ssize_t count,
                      PyObject* keywords) {
  // The call needs `self` in front of the arguments.
  constexpr Py_ssize_t kFew = 8;
  PyObject* few[kFew];
  std::vector<PyObject*> many;
  const Py_ssize_t total = 1 + count + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
  PyObject** all = few;
  if (total > kFew) {
    many.resize(total);
    all = many.data();
  }
  all[0] = self;
  std::copy(args, args + total - 1, all + 1);
  if (!modes.observed()) [[likely]]
    return PyObject_VectorcallMethod(method, all, 1 + count, keywords);
  enter_module(self);
  PyObject* const result = PyObject_VectorcallMethod(method, all, 1 + count, keywords);
  leave_module();
  return result;
}

PyObject* call_module(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  Object has_hooks(PyObject_GetAttr(self, has_hooks_name));
  if (!has_hooks) return nullptr;
  const int hooked = PyObject_IsTrue(has_hooks.get());
  if (hooked < 0) return nullptr;
  return call_method(self, hooked ? call_hooked_name : forward_name, args, count, keywords);
}

PyObject* call_layer(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return call_method(self, call_layer_name, args, count, keywords);
}

PyMethodDef definitions[] = {
    {"__call__", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_module)),
     METH_FASTCALL | METH_KEYWORDS, "Calls forward with these arguments, and the hooks around it."},
    {"__call__", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_layer)),
     METH_FASTCALL | METH_KEYWORDS,
     "Builds the layer if it is not built, and calls it with these arguments."},
};

}  // namespace

bool init_module_call(PyObject* module) {
  has_hooks_name = PyUnicode_InternFromString("_has_hooks");
  forward_name = PyUnicode_InternFromString("forward");
  call_hooked_name = PyUnicode_InternFromString("_call_hooked");
  call_layer_name = PyUnicode_InternFromString("_call_built");
  if (!has_hooks_name || !forward_name || !call_hooked_name || !call_layer_name) return false;
  Object of_module(PyDescr_NewMethod(&PyBaseObject_Type, &definitions[0]));
  Object of_layer(PyDescr_NewMethod(&PyBaseObject_Type, &definitions[1]));
  return of_module && of_layer && PyModule_AddObjectRef(module, "module_call", of_module.get()) == 0 &&
         PyModule_AddObjectRef(module, "layer_call", of_layer.get()) == 0;
}

}  // namespace versant::face
