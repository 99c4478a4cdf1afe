// Attributes of a tensor: shape, dtype, grad, requires_grad, data and the like.
#include "face.h"
#include "machine/complex.h"
#include "machine/engine.h"
#include "machine/inplace.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"

namespace versant::face {

namespace {

// Of tensors that stand for more, as under vmap, only ops carry the whole.
void refuse_wrapped(const Tensor& tensor, const char* what) {
  if (tensor.wrapped)
    fail(ErrorKind::Runtime, "[", what,
         "] cannot be assigned under vmap or jvp; compute with ops and return results");
}

PyObject* get_shape(PyObject* self, void*) { return make_size(as_tensor(self)->sizes); }
PyObject* get_dtype(PyObject* self, void*) { return Py_NewRef(dtype_object(as_tensor(self)->dtype)); }
PyObject* get_device(PyObject*, void*) { return Py_NewRef(cpu_device()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(as_tensor(self)->rank()); }
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromSize_t(itemsize(as_tensor(self)->dtype)); }
PyObject* get_nbytes(PyObject* self, void*) { return PyLong_FromLongLong(as_tensor(self)->bytes()); }
PyObject* get_version(PyObject* self, void*) {
  return PyLong_FromUnsignedLong(as_tensor(self)->storage->version);
}
PyObject* get_is_leaf(PyObject* self, void*) {
  return guarded([&] {
    Tensor& tensor = transforms::innermost(*as_tensor(self));
    return PyBool_FromLong(!needs_grad(tensor) || tensor.is_leaf());
  });
}
PyObject* get_retains(PyObject* self, void*) { return PyBool_FromLong(as_tensor(self)->retains_grad); }
PyObject* get_is_view(PyObject* self, void*) {
  Tensor* tensor = as_tensor(self);
  return wrap_or_none(tensor->view ? tensor->view->base : TensorRef());
}

PyObject* get_requires_grad(PyObject* self, void*) {
  return guarded([&] { return PyBool_FromLong(needs_grad(transforms::innermost(*as_tensor(self)))); });
}
int put_requires_grad(PyObject* self, PyObject* value, void*) {
  if (!value || !PyBool_Check(value)) {
    PyErr_SetString(PyExc_RuntimeError, "[requires_grad] expected True or False");
    return -1;
  }
  return guarded(
      [&] {
        set_requires_grad(transforms::innermost(*as_tensor(self)), value == Py_True);
        return 0;
      },
      -1);
}

PyObject* get_grad(PyObject* self, void*) {
  Tensor* tensor = as_tensor(self);
  if (modes.tracing) [[unlikely]]
    trace::recorder->touches_gradient(*tensor, true);
  if (!tensor->grad && tensor->node && !tensor->is_leaf() && !tensor->retains_grad &&
      PyErr_WarnEx(PyExc_UserWarning,
                   "[grad] backward() fills .grad of leaf tensors only, and this one is the result of an op; "
                   "call retain_grad() on it before backward(), or read .grad of the leaf",
                   1) < 0)
    return nullptr;
  return wrap_or_none(tensor->grad);
}
int put_grad(PyObject* self, PyObject* value, void*) {
  Tensor* tensor = as_tensor(self);
  if (modes.tracing) [[unlikely]]
    trace::recorder->touches_gradient(*tensor, false);
  if (!value || value == Py_None) {
    tensor->grad.reset();
    return 0;
  }
  return guarded(
      [&] {
        if (!is_tensor(value))
          fail(ErrorKind::Type, "[grad] expected a tensor or None, got ", Py_TYPE(value)->tp_name);
        Tensor* grad = as_tensor(value);
        refuse_wrapped(*grad, "grad");
        refuse_wrapped(*tensor, "grad");
        if (grad == tensor) fail(ErrorKind::Runtime, "[grad] can't assign a tensor as its own gradient");
        if (grad->sizes != tensor->sizes)
          fail(ErrorKind::Shape, "[grad] assigned grad has shape ", grad->sizes, ", the tensor ",
               tensor->sizes);
        if (grad->dtype != tensor->dtype)
          fail(ErrorKind::DType, "[grad] assigned grad has dtype ", name(grad->dtype), ", the tensor ",
               name(tensor->dtype));
        tensor->grad = TensorRef(grad);
        return 0;
      },
      -1);
}

PyObject* get_grad_fn(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    Tensor* tensor = &transforms::innermost(*as_tensor(self));
    if (!needs_grad(*tensor) || tensor->is_leaf()) Py_RETURN_NONE;
    return node_object(tensor->node.get());
  });
}

PyObject* get_data(PyObject* self, void*) {
  return guarded([&] { return wrap(ops::detach(*as_tensor(self))); });
}
int put_data(PyObject* self, PyObject* value, void*) {
  return guarded(
      [&] {
        if (!value || !is_tensor(value)) fail(ErrorKind::Type, "[data] expected a tensor");
        Tensor *tensor = as_tensor(self), *source = as_tensor(value);
        refuse_wrapped(*tensor, "data");
        refuse_wrapped(*source, "data");
        if (tensor->node && source->dtype != tensor->dtype && !is_differentiable(source->dtype))
          fail(ErrorKind::DType, "[data] a tensor that requires grad cannot take data of dtype ",
               name(source->dtype));
        adopt(*tensor, *source);
        return 0;
      },
      -1);
}

PyObject* get_transposed(PyObject* self, void*) {
  return guarded([&] {
    Tensor& tensor = *as_tensor(self);
    Dims axes(tensor.rank());
    for (int d = 0; d < tensor.rank(); ++d) axes[d] = tensor.rank() - 1 - d;
    return wrap(ops::permute(tensor, axes));
  });
}
PyObject* get_matrix_transposed(PyObject* self, void*) {
  return guarded([&] {
    Tensor& tensor = *as_tensor(self);
    if (tensor.rank() < 2)
      fail(ErrorKind::Shape, "[mT] needs at least 2 dimensions, got shape ", tensor.sizes);
    return wrap(ops::transpose(tensor, -2, -1));
  });
}
// The last two axes exchanged, conjugated.
PyObject* get_adjoint(PyObject* self, void*) {
  return guarded([&] {
    Tensor& tensor = *as_tensor(self);
    if (tensor.rank() < 2)
      fail(ErrorKind::Shape, "[mH] needs at least 2 dimensions, got shape ", tensor.sizes);
    return wrap(ops::conj(*ops::transpose(tensor, -2, -1)));
  });
}
PyObject* get_hermitian(PyObject* self, void* closure) {
  Tensor& tensor = *as_tensor(self);
  if (tensor.rank() == 2) return get_adjoint(self, closure);
  return guarded([&]() -> PyObject* {
    if (tensor.rank() != 0) fail(ErrorKind::Runtime, "[H] expected a matrix, got shape ", tensor.sizes);
    return wrap(is_complex(tensor.dtype) ? ops::conj(tensor) : ops::alias(tensor));
  });
}

PyObject* get_real(PyObject* self, void*) {
  return guarded([&] { return wrap(ops::part_of(*as_tensor(self), 0)); });
}
TensorRef imaginary(PyObject* self) {
  Tensor& tensor = *as_tensor(self);
  if (!is_complex(tensor.dtype))
    fail(ErrorKind::Runtime, "[imag] is not implemented for tensors with non-complex dtypes");
  return ops::part_of(tensor, 1);
}
PyObject* get_imag(PyObject* self, void*) {
  return guarded([&] { return wrap(imaginary(self)); });
}
int put_part(Tensor& part, PyObject* value, const char* name) {
  Operand operand;
  if (!value || !to_operand(value, operand))
    fail(ErrorKind::Type, "[", name, "] expected a tensor or a number");
  ops::copy_(part, operand.input);
  return 0;
}
int put_real(PyObject* self, PyObject* value, void*) {
  return guarded([&] { return put_part(*ops::part_of(*as_tensor(self), 0), value, "real"); }, -1);
}
int put_imag(PyObject* self, PyObject* value, void*) {
  return guarded([&] { return put_part(*imaginary(self), value, "imag"); }, -1);
}
PyObject* always_false(PyObject*, void*) { Py_RETURN_FALSE; }
PyObject* always_true(PyObject*, void*) { Py_RETURN_TRUE; }

}  // namespace

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr, "The sizes of the axes, a versant.Size.", nullptr},
    {"dtype", get_dtype, nullptr, "The element type.", nullptr},
    {"device", get_device, nullptr, "Where the tensor lives.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of axes.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"requires_grad", get_requires_grad, put_requires_grad, "Whether gradients are recorded for it.",
     nullptr},
    {"grad", get_grad, put_grad, "The accumulated gradient, or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The node of the tape that made it; None for leaves.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether no recorded op made it.", nullptr},
    {"retains_grad", get_retains, nullptr, "Whether retain_grad() was called on a non-leaf.", nullptr},
    {"_version", get_version, nullptr, "How often its memory was written in place.", nullptr},
    {"_base", get_is_view, nullptr, "The tensor of which it is a view, or None.", nullptr},
    {"data", get_data, put_data, "The same memory without history.", nullptr},
    {"T", get_transposed, nullptr, "The tensor with its axes reversed.", nullptr},
    {"mT", get_matrix_transposed, nullptr, "The tensor with its last two axes swapped.", nullptr},
    {"mH", get_adjoint, nullptr, "mT; for complex numbers their conjugates.", nullptr},
    {"H", get_hermitian, nullptr, "mT of a matrix; for complex numbers their conjugates.", nullptr},
    {"real", get_real, put_real, "The real part: a view, or the real tensor itself.", nullptr},
    {"imag", get_imag, put_imag, "The imaginary part, a view.", nullptr},
    {"is_cpu", always_true, nullptr, "True.", nullptr},
    {"is_meta", always_false, nullptr, "False.", nullptr},
    {"is_mps", always_false, nullptr, "False.", nullptr},
    {"is_cuda", always_false, nullptr, "False.", nullptr},
    {"is_sparse", always_false, nullptr, "False.", nullptr},
    {"is_quantized", always_false, nullptr, "False.", nullptr},
    {},
};

}  // namespace versant::face
