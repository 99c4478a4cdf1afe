// Python's frames, from the inside.
#pragma once

#include <Python.h>

namespace versant::face {

// Whether code stands in this package.
bool is_ours(PyCodeObject* code);
// The frame that runs; only good for comparison with others.
const void* frame_here();
// Objects whose methods run, by frames of users whose first variable is `self`: the innermost one before the
// frame `inner`, and the outermost one from the frame `outer` on; null for all frames. Borrowed, null for
// none.
struct Methods {
  PyObject *innermost, *outermost;
};
Methods methods_that_run(const void* inner, const void* outer, bool (*is_meant)(PyTypeObject*));
// The function that runs in a frame; borrowed, null where there is none.
PyObject* function_in(PyFrameObject* frame);

}  // namespace versant::face
