// The exception classes of the machine and the way C++ exceptions become Python's.
#include <new>

#include "face.h"
#include "machine/watch.h"
#include "watch.h"

namespace versant::face {

namespace {

PyObject* shape_error = nullptr;
PyObject* dtype_error = nullptr;
PyObject* axis_error = nullptr;
PyObject* program_error = nullptr;

PyObject* make(PyObject* module, const char* name, const char* doc, PyObject* first, PyObject* second) {
  Object bases(PyTuple_Pack(2, first, second));
  if (!bases) return nullptr;
  const std::string full = std::string("versant.") + name;
  PyObject* type = PyErr_NewExceptionWithDoc(full.c_str(), doc, bases.get(), nullptr);
  if (!type || PyModule_AddObjectRef(module, name, type) < 0) return nullptr;
  return type;
}

PyObject* class_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Shape:
      return shape_error;
    case ErrorKind::DType:
      return dtype_error;
    case ErrorKind::Axis:
      return axis_error;
    case ErrorKind::Index:
      return PyExc_IndexError;
    case ErrorKind::Value:
      return PyExc_ValueError;
    case ErrorKind::Type:
      return PyExc_TypeError;
    case ErrorKind::Memory:
      return PyExc_MemoryError;
    case ErrorKind::NotImplemented:
      return PyExc_NotImplementedError;
    case ErrorKind::ZeroDivision:
      return PyExc_ZeroDivisionError;
    case ErrorKind::Overflow:
      return PyExc_OverflowError;
    case ErrorKind::Program:
      return program_error;
    case ErrorKind::Runtime:
      break;
  }
  return PyExc_RuntimeError;
}

// The message under the op's public name: "[arange.steps] ..." is about arange, "[special.entr] ..." about
// special.entr. A message without a name gets `op`.
std::string public_text(std::string message, const char* op) {
  if (op && !message.starts_with('[')) message = text("[", op, "] ", message);
  const size_t end = message.find(']'), dot = message.rfind('.', end);
  if (!message.starts_with('[') || end >= message.find(' ') || dot == std::string::npos) return message;
  const std::string before = message.substr(1, dot - 1);
  if (before != "special" && before != "linalg" && before != "fft") message.erase(dot, end - dot);
  return message;
}

}  // namespace

bool init_errors(PyObject* module) {
  shape_error = make(module, "ShapeError", "Shapes that do not fit an op; a ValueError and a RuntimeError.",
                     PyExc_ValueError, PyExc_RuntimeError);
  dtype_error =
      make(module, "DTypeError", "A dtype that an op does not take; a TypeError and a RuntimeError.",
           PyExc_TypeError, PyExc_RuntimeError);
  axis_error = make(module, "AxisError", "An axis out of range; an IndexError and a ValueError.",
                    PyExc_IndexError, PyExc_ValueError);
  program_error = PyErr_NewExceptionWithDoc(
      "versant.ProgramError", "A saved program that is damaged, or that does not take what it was given.",
      PyExc_ValueError, nullptr);
  if (!program_error || PyModule_AddObjectRef(module, "ProgramError", program_error) < 0) return false;
  return shape_error && dtype_error && axis_error;
}

void set_python_error(const char* op) {
  try {
    throw;
  } catch (const watch::Again&) {
    set_run_again();
  } catch (const HostError&) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an error was lost on its way to Python");
  } catch (const Error& error) {
    // A name in a file need not be Unicode.
    const std::string message = public_text(error.what(), op);
    const Object words(
        PyUnicode_DecodeUTF8(message.data(), static_cast<Py_ssize_t>(message.size()), "replace"));
    if (words) PyErr_SetObject(class_of(error.kind()), words.get());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, op ? text("[", op, "] out of memory").c_str() : "out of memory");
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

}  // namespace versant::face
