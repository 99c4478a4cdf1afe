// The extension module versant._core.
#include <Python.h>

#include "machine/version.h"

namespace {

int fill(PyObject* module) { return PyModule_AddStringConstant(module, "version", versant::version()); }

PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void*>(fill)}, {0, nullptr}};
PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "versant._core",
    .m_doc = "The machine.",
    .m_slots = slots,
};

}  // namespace

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&definition); }
