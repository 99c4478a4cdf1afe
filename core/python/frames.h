// Python's frames, from the inside.
#pragma once

#include <Python.h>

namespace versant::face {

// Whether code stands in this package.
bool is_ours(PyCodeObject* code);
// The function that runs in a frame; borrowed, null where there is none.
PyObject* function_in(PyFrameObject* frame);

}  // namespace versant::face
