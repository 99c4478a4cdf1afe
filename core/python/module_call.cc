// The call of an nn.Module: straight to its `forward`, or through its hooks when it has any. Written here
// because a Python function that passes on any arguments costs more than a small op.
#include "face.h"
#include "watch.h"

namespace versant::face {

namespace {

PyObject* has_hooks_name = nullptr;
PyObject* forward_name = nullptr;
PyObject* call_hooked_name = nullptr;

PyObject* call_module(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  Object has_hooks(PyObject_GetAttr(self, has_hooks_name));
  if (!has_hooks) return nullptr;
  const int hooked = PyObject_IsTrue(has_hooks.get());
  if (hooked < 0) return nullptr;
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
  PyObject* const method = hooked ? call_hooked_name : forward_name;
  if (!modes.observed()) [[likely]]
    return PyObject_VectorcallMethod(method, all, 1 + count, keywords);
  enter_module(self);
  PyObject* const result = PyObject_VectorcallMethod(method, all, 1 + count, keywords);
  leave_module();
  return result;
}

PyMethodDef definition = {"__call__", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_module)),
                          METH_FASTCALL | METH_KEYWORDS,
                          "Calls forward with these arguments, and the hooks around it."};

}  // namespace

bool init_module_call(PyObject* module) {
  has_hooks_name = PyUnicode_InternFromString("_has_hooks");
  forward_name = PyUnicode_InternFromString("forward");
  call_hooked_name = PyUnicode_InternFromString("_call_hooked");
  if (!has_hooks_name || !forward_name || !call_hooked_name) return false;
  Object method(PyDescr_NewMethod(&PyBaseObject_Type, &definition));
  return method && PyModule_AddObjectRef(module, "module_call", method.get()) == 0;
}

}  // namespace versant::face
