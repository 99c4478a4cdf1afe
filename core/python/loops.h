// Bodies of loops as objects of Python.
#pragma once

#include <memory>

#include "face.h"
#include "machine/loop.h"

namespace versant::face {

// A new reference; null with an exception set.
PyObject* body_capsule(std::shared_ptr<trace::Body> body);

}  // namespace versant::face
