// Machine code as tests see it.
#include "face.h"
#include "machine/code/routine.h"

namespace versant::face {

namespace {

PyObject* machine_code(PyObject*, PyObject*) {
  constexpr const char* kModes[] = {"off", "hot", "always"};
  return Py_BuildValue("{s:s,s:n,s:n}", "mode", kModes[static_cast<int>(code::mode.load())], "bytes",
                       static_cast<Py_ssize_t>(code::Room::bytes_in_use()), "routines",
                       static_cast<Py_ssize_t>(code::Room::count()));
}
PyObject* use_machine_code(PyObject*, PyObject* name) {
  const char* const text = PyUnicode_AsUTF8(name);
  if (!text) return nullptr;
  const std::string_view mode = text;
  if (mode != "off" && mode != "hot" && mode != "always")
    return PyErr_Format(PyExc_ValueError, "[use_machine_code] expected off, hot or always, got %R", name);
  code::mode = mode == "off" ? code::Mode::Off : mode == "hot" ? code::Mode::Hot : code::Mode::Always;
  Py_RETURN_NONE;
}

// machine_code_of(parts, n_inputs, uniform, wide, vector_bytes, paired)
PyObject* machine_code_of(PyObject*, PyObject* args) {
  PyObject* parts;
  int n_inputs, wide, vector_bytes, paired;
  unsigned uniform;
  if (!PyArg_ParseTuple(args, "OiIpip", &parts, &n_inputs, &uniform, &wide, &vector_bytes, &paired))
    return nullptr;
  return guarded([&]() -> PyObject* {
    const code::Form form{wide ? Compute::F64 : Compute::F32, uniform};
    const std::vector<std::uint8_t> bytes =
        code::code_of(parse_program(parts, n_inputs), form, vector_bytes, paired != 0);
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                     static_cast<Py_ssize_t>(bytes.size()));
  });
}

}  // namespace

PyMethodDef machine_code_functions[] = {
    {"machine_code", machine_code, METH_NOARGS, "Which programs run as machine code, and how much there is."},
    {"use_machine_code", use_machine_code, METH_O, "Which do from now on: off, hot or always, for tests."},
    {"machine_code_of", machine_code_of, METH_VARARGS,
     "machine_code_of(parts, n_inputs, uniform, wide, vector_bytes, paired) -> bytes"},
    {},
};

}  // namespace versant::face
