// Methods of a tensor that are not ops: reading values, geometry, gradients.
#include "face.h"
#include "machine/inplace.h"
#include "machine/promote.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"

namespace versant::face {

namespace {

PyObject* method_item(PyObject* self, PyObject*) {
  return guarded([&] { return from_scalar(item(*as_tensor(self))); });
}
PyObject* method_tolist(PyObject* self, PyObject*) {
  return guarded([&] {
    transforms::check_readable(*as_tensor(self), "tolist");
    trace::reach({as_tensor(self)});
    return to_list(*as_tensor(self));
  });
}
PyObject* method_dim(PyObject* self, PyObject*) { return PyLong_FromLong(as_tensor(self)->rank()); }
PyObject* method_numel(PyObject* self, PyObject*) { return PyLong_FromLongLong(as_tensor(self)->numel); }
PyObject* method_element_size(PyObject* self, PyObject*) {
  return PyLong_FromSize_t(itemsize(as_tensor(self)->dtype));
}
PyObject* method_data_ptr(PyObject* self, PyObject*) { return PyLong_FromVoidPtr(as_tensor(self)->data); }
PyObject* method_storage_offset(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(as_tensor(self)->offset());
}
PyObject* method_storage_id(PyObject* self, PyObject*) {
  return PyLong_FromVoidPtr(as_tensor(self)->storage->data);
}
PyObject* method_is_contiguous(PyObject* self, PyObject*) {
  return PyBool_FromLong(as_tensor(self)->contiguous);
}
PyObject* method_is_floating(PyObject* self, PyObject*) {
  return PyBool_FromLong(is_floating(as_tensor(self)->dtype));
}
PyObject* method_is_complex(PyObject* self, PyObject*) {
  return PyBool_FromLong(is_complex(as_tensor(self)->dtype));
}
PyObject* method_false(PyObject*, PyObject*) { Py_RETURN_FALSE; }
PyObject* method_complex(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    const Scalar value = item(*as_tensor(self));
    return PyComplex_FromDoubles(value.as_double(), value.imaginary_part().f);
  });
}
PyObject* method_is_inference(PyObject* self, PyObject*) {
  return PyBool_FromLong(as_tensor(self)->inference);
}

// size() and stride(), each of all axes or of one.
PyObject* geometry(PyObject* self, PyObject* args, PyObject* kwargs, bool strides) {
  const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", const_cast<char**>(names), &dim)) return nullptr;
  return guarded([&]() -> PyObject* {
    const Tensor& tensor = *as_tensor(self);
    const char* op = strides ? "stride" : "size";
    const Dims& dims = strides ? tensor.strides : tensor.sizes;
    if (dim != Py_None) {
      const int axis = wrap_axis(to_int(dim, op, "dim"), tensor.rank(), op);
      if (tensor.rank() == 0) fail(ErrorKind::Axis, "[", op, "] a 0-d tensor has no dimensions");
      return PyLong_FromLongLong(dims[axis]);
    }
    if (!strides) return make_size(dims);
    Object tuple = checked(PyTuple_New(dims.size()));
    for (int d = 0; d < dims.size(); ++d) PyTuple_SET_ITEM(tuple.get(), d, PyLong_FromLongLong(dims[d]));
    return tuple.release();
  });
}
PyObject* method_size(PyObject* self, PyObject* args, PyObject* kwargs) {
  return geometry(self, args, kwargs, false);
}
PyObject* method_stride(PyObject* self, PyObject* args, PyObject* kwargs) {
  return geometry(self, args, kwargs, true);
}

PyObject* method_requires_grad_(PyObject* self, PyObject* args) {
  int on = 1;
  if (!PyArg_ParseTuple(args, "|p", &on)) return nullptr;
  return guarded([&] {
    set_requires_grad(*as_tensor(self), on != 0);
    return Py_NewRef(self);
  });
}

PyObject* method_detach_(PyObject* self, PyObject*) {
  return guarded([&] {
    Tensor& tensor = *as_tensor(self);
    if (tensor.view) fail(ErrorKind::Runtime, "[detach_] a view cannot be detached in place; use detach()");
    detach_in_place(tensor);
    return Py_NewRef(self);
  });
}

PyObject* method_fill_(PyObject* self, PyObject* value) {
  return guarded([&] {
    Tensor& tensor = *as_tensor(self);
    Operand operand;
    if (!to_operand(value, operand))
      fail(ErrorKind::Type, "[fill_] expected a number, got ", Py_TYPE(value)->tp_name);
    if (operand.input.tensor && operand.input.tensor->rank() > 0)
      fail(ErrorKind::Runtime, "[fill_] expected a number or a 0-d tensor, got shape ",
           operand.input.tensor->sizes);
    if (!operand.input.tensor) check_range(operand.input.scalar, tensor.dtype, "fill_");
    ops::copy_(tensor, operand.input);
    return Py_NewRef(self);
  });
}
PyObject* method_zero_(PyObject* self, PyObject*) {
  return guarded([&] {
    ops::copy_(*as_tensor(self), Input(Scalar::of_int(0)));
    return Py_NewRef(self);
  });
}

// Takes another tensor's memory, geometry and dtype; the tensor object stays.
PyObject* method_set_(PyObject* self, PyObject* source) {
  return guarded([&] {
    if (!is_tensor(source)) fail(ErrorKind::Type, "[set_] expected a tensor, got ", Py_TYPE(source)->tp_name);
    Tensor& tensor = *as_tensor(self);
    check_in_place(tensor, "set_");
    bump_version(tensor);
    if (tensor.wrapped || as_tensor(source)->wrapped)
      fail(ErrorKind::Runtime, "[set_] cannot be used under vmap or jvp; use copy_ or return the result");
    adopt(tensor, *as_tensor(source));
    return Py_NewRef(self);
  });
}

PyObject* method_to_bytes(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    if (modes.tracing) [[unlikely]]
      trace::recorder->gives_away(*as_tensor(self));
    const Array plain = as_tensor(self)->to_contiguous();
    return PyBytes_FromStringAndSize(plain.as<char>(), plain.bytes());
  });
}

}  // namespace

PyMethodDef tensor_methods[] = {
    {"_to_bytes", method_to_bytes, METH_NOARGS, "The elements' bytes, row by row."},
    {"item", method_item, METH_NOARGS, "The one element as a Python number."},
    {"tolist", method_tolist, METH_NOARGS, "The elements as nested lists of Python numbers."},
    {"dim", method_dim, METH_NOARGS, "The number of axes."},
    {"ndimension", method_dim, METH_NOARGS, "The number of axes."},
    {"numel", method_numel, METH_NOARGS, "The number of elements."},
    {"nelement", method_numel, METH_NOARGS, "The number of elements."},
    {"element_size", method_element_size, METH_NOARGS, "Bytes of one element."},
    {"data_ptr", method_data_ptr, METH_NOARGS, "The address of the first element."},
    {"storage_offset", method_storage_offset, METH_NOARGS,
     "Elements between the start of the memory and the first element."},
    {"_storage_address", method_storage_id, METH_NOARGS, "The address of the memory that views share."},
    {"_is_row_major", method_is_contiguous, METH_NOARGS, "Whether elements lie row by row without gaps."},
    {"is_floating_point", method_is_floating, METH_NOARGS, "Whether the dtype is floating-point."},
    {"is_complex", method_is_complex, METH_NOARGS, "Whether the dtype is complex."},
    {"is_conj", method_false, METH_NOARGS, "False: conj() computes at once."},
    {"is_neg", method_false, METH_NOARGS, "False: negation computes at once."},
    {"__complex__", method_complex, METH_NOARGS, "The one element as a complex number."},
    {"is_inference", method_is_inference, METH_NOARGS, "Whether the tensor was made in inference mode."},
    {"size", reinterpret_cast<PyCFunction>(method_size), METH_VARARGS | METH_KEYWORDS,
     "size(dim=None): the sizes, or one of them."},
    {"stride", reinterpret_cast<PyCFunction>(method_stride), METH_VARARGS | METH_KEYWORDS,
     "stride(dim=None): steps between neighbours in elements, or one of them."},
    {"requires_grad_", method_requires_grad_, METH_VARARGS,
     "requires_grad_(on=True): sets requires_grad; returns the tensor."},
    {"detach_", method_detach_, METH_NOARGS, "Cuts the tensor from the tape; returns it."},
    {"fill_", method_fill_, METH_O, "fill_(value): every element becomes value."},
    {"zero_", method_zero_, METH_NOARGS, "Every element becomes 0."},
    {"set_", method_set_, METH_O, "set_(source): takes over source's memory and shape."},
    {},
};

}  // namespace versant::face
