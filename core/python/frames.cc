// Where in the user's program an op was called: the innermost Python frame outside this package.
//
// Read at every recorded op, so it must cost a few nanoseconds: no frame object is made, the interpreter's
// own frames are walked and a code object with an instruction offset is kept; the line number is computed
// when an error needs it.
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE

#include <string>

#include "face.h"
#include "frames.h"
#include "machine/node.h"

namespace versant::face {

namespace {

std::string package_prefix;  // ".../versant/"

}  // namespace

bool is_ours(PyCodeObject* code) {
  if (package_prefix.empty()) return false;
  // One entry per file name object: code objects of a module share theirs.
  struct Entry {
    PyObject* file = nullptr;
    bool ours = false;
  };
  static Entry cache[256];
  PyObject* file = code->co_filename;
  Entry& entry = cache[(reinterpret_cast<uintptr_t>(file) >> 4) % 256];
  if (entry.file == file) return entry.ours;
  Py_ssize_t size;
  const char* text = PyUnicode_AsUTF8AndSize(file, &size);
  if (!text) {
    PyErr_Clear();
    return false;
  }
  const bool ours = static_cast<size_t>(size) > package_prefix.size() &&
                    package_prefix.compare(0, std::string::npos, text, package_prefix.size()) == 0;
  Py_INCREF(file);
  Py_XDECREF(entry.file);
  entry = {file, ours};
  return ours;
}

namespace {

#if PY_VERSION_HEX >= 0x030D0000
_PyInterpreterFrame* current_frame() { return PyThreadState_Get()->current_frame; }
PyCodeObject* code_of(_PyInterpreterFrame* frame) {
  return PyCode_Check(frame->f_executable) ? reinterpret_cast<PyCodeObject*>(frame->f_executable) : nullptr;
}
#else
_PyInterpreterFrame* current_frame() { return PyThreadState_Get()->cframe->current_frame; }
PyCodeObject* code_of(_PyInterpreterFrame* frame) {
  return frame->f_code && PyCode_Check(reinterpret_cast<PyObject*>(frame->f_code)) ? frame->f_code : nullptr;
}
#endif

// What the first variable of a function holds if it is called `self`; borrowed, or null.
PyObject* self_of(_PyInterpreterFrame* frame, PyCodeObject* code) {
  static PyObject* const self = PyUnicode_InternFromString("self");
  if (code->co_argcount == 0 || PyTuple_GET_ITEM(code->co_localsplusnames, 0) != self) return nullptr;
  PyObject* const object = frame->localsplus[0];
  return object && PyCell_Check(object) ? PyCell_GET(object) : object;
}

}  // namespace

const void* frame_here() { return current_frame(); }

Methods methods_that_run(const void* inner, const void* outer, bool (*is_meant)(PyTypeObject*)) {
  Methods found{};
  bool inside = true, outside = !outer;
  for (_PyInterpreterFrame* frame = current_frame(); frame; frame = frame->previous) {
    if (frame == inner) inside = false;
    if (frame == outer) outside = true;
    if (!inside && !outside) continue;
    PyCodeObject* const code = code_of(frame);
    if (!code || is_ours(code)) continue;
    PyObject* const self = self_of(frame, code);
    if (!self || !is_meant(Py_TYPE(self))) continue;
    if (inside && !found.innermost) found.innermost = self;
    if (outside) found.outermost = self;
  }
  return found;
}

PyObject* function_in(PyFrameObject* frame) {
#if PY_VERSION_HEX >= 0x030C0000
  return frame->f_frame->f_funcobj;
#else
  return reinterpret_cast<PyObject*>(frame->f_frame->f_func);
#endif
}

namespace {

Location here() {
  Location location;
  PyCodeObject* chosen = nullptr;
  int at = 0;
  for (_PyInterpreterFrame* frame = current_frame(); frame; frame = frame->previous) {
    PyCodeObject* code = code_of(frame);
    if (!code) continue;
    chosen = code;
    at = _PyInterpreterFrame_LASTI(frame);
    if (!is_ours(code)) break;
  }
  if (chosen) {
    Py_INCREF(chosen);
    location.code = chosen;
    location.at = at;
  }
  return location;
}

void release(void* code) { Py_DECREF(static_cast<PyObject*>(code)); }

void keep(void* code) { Py_INCREF(static_cast<PyObject*>(code)); }

std::string describe(const Location& location) {
  auto* code = static_cast<PyCodeObject*>(location.code);
  const char* file = PyUnicode_AsUTF8(code->co_filename);
  if (!file) PyErr_Clear();
  const int line = PyCode_Addr2Line(code, location.at * static_cast<int>(sizeof(_Py_CODEUNIT)));
  return text(file ? file : "?", ":", line);
}

// Notes stand behind an exception's message in its traceback.
void note(const std::string& text) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (!type) return;
  PyErr_NormalizeException(&type, &value, &traceback);
  const Object done(PyObject_CallMethod(value, "add_note", "s", text.c_str()));
  if (!done) PyErr_Clear();
  PyErr_Restore(type, value, traceback);
}

PyObject* set_package(PyObject*, PyObject* path) {
  const char* text = PyUnicode_AsUTF8(path);
  if (!text) return nullptr;
  package_prefix = text;
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"set_package", set_package, METH_O,
     "The folder whose files do not count as the user's program; ends with a slash."},
    {},
};

}  // namespace

bool init_frames(PyObject* module) {
  location_hooks.here = here;
  location_hooks.release = release;
  location_hooks.keep = keep;
  location_hooks.describe = describe;
  location_hooks.note = note;
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace versant::face
