// out=: results written into tensors of the caller.
//
// The op computes as it always does; its result is then put into `out`. So memory that overlaps inputs is
// safe, nothing is changed when the op raises, and calls without out= pay nothing. Elementwise ops, whose
// tiles can store anywhere, write straight into an `out` of the right shape (op_object.cc).
#include "face.h"
#include "machine/inplace.h"
#include "machine/promote.h"

namespace versant::face {

namespace {

void check_one(const char* op, PyObject* out) {
  if (!is_tensor(out)) fail(ErrorKind::Type, "[", op, "] out must be a tensor, got ", Py_TYPE(out)->tp_name);
  Tensor& tensor = *as_tensor(out);
  if (modes.grad && needs_grad(tensor))
    fail(ErrorKind::Runtime, "[", op,
         "] out= arguments don't support automatic differentiation, but out requires grad");
  check_in_place(tensor, op);
}

void check_result(const char* op, Tensor& result, const Tensor& out) {
  if (needs_grad(result))
    fail(ErrorKind::Runtime, "[", op,
         "] out= arguments don't support automatic differentiation, but an input requires grad");
  if (!can_cast_in_place(result.dtype, out.dtype))
    fail(ErrorKind::DType, "[", op, "] result type ", name(result.dtype),
         " can't be cast to the desired output type ", name(out.dtype));
}

// The result as memory of nobody else.
Array own(const Tensor& result, DType dtype) {
  if (result.dtype != dtype) return result.to_dtype(dtype);
  if (result.storage->refs == 1 && result.storage->bytes == static_cast<size_t>(result.bytes()))
    return result;
  Array copy = Array::empty_like_layout(result, dtype);
  copy_into(copy, result);
  return copy;
}

void write(const char* op, const Tensor& result, Tensor& out) {
  if (&result == &out) return;
  if (result.wrapped || out.wrapped)
    fail(ErrorKind::Runtime, "[", op, "] out= cannot be used under vmap or jvp; use the result");
  if (out.sizes == result.sizes) {
    const bool shared = out.storage.get() == result.storage.get();
    copy_into(out, shared ? own(result, result.dtype) : static_cast<const Array&>(result));
    bump_version(out);
    return;
  }
  if (out.numel != 0) {
    const std::string message =
        text("[", op, "] an output of shape ", out.sizes, " was resized to the result's shape ", result.sizes,
             "; give out= that shape, or no elements");
    if (PyErr_WarnEx(PyExc_UserWarning, message.c_str(), 1) < 0) throw HostError{};
  }
  bump_version(out);
  adopt(out, own(result, out.dtype));
}

}  // namespace

void check_out(const char* op, PyObject* out) {
  if (!PyTuple_Check(out) && !PyList_Check(out)) return check_one(op, out);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(out); ++i)
    check_one(op, PySequence_Fast_GET_ITEM(out, i));
}

void write_out(const char* op, const TensorRef& result, Tensor& out) {
  check_result(op, *result, out);
  write(op, *result, out);
}

PyObject* write_out(const char* op, Object result, PyObject* out) {
  if (is_tensor(result.get()) && is_tensor(out)) {
    write_out(op, TensorRef(as_tensor(result.get())), *as_tensor(out));
    return Py_NewRef(out);
  }
  const bool several = PyTuple_Check(result.get()) || PyList_Check(result.get());
  if (!several || is_tensor(out))
    fail(ErrorKind::Type, "[", op, "] has ", several ? "several results" : "one result",
         ", which out=", Py_TYPE(out)->tp_name, " cannot take");
  Object targets = checked(PySequence_Tuple(out));
  const Py_ssize_t n = PyTuple_GET_SIZE(targets.get());
  if (n != PySequence_Fast_GET_SIZE(result.get()))
    fail(ErrorKind::Type, "[", op, "] has ", PySequence_Fast_GET_SIZE(result.get()),
         " results, got out= with ", n);
  const auto each = [&](auto&& visit) {
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* item = PySequence_Fast_GET_ITEM(result.get(), i);
      if (!is_tensor(item)) fail(ErrorKind::Type, "[", op, "] out= cannot take a ", Py_TYPE(item)->tp_name);
      visit(*as_tensor(item), *as_tensor(PyTuple_GET_ITEM(targets.get(), i)));
    }
  };
  each([&](Tensor& from, Tensor& to) { check_result(op, from, to); });
  each([&](Tensor& from, Tensor& to) { write(op, from, to); });
  if (Py_IS_TYPE(result.get(), &PyTuple_Type) || PyList_Check(result.get())) return targets.release();
  return PyObject_CallOneArg(reinterpret_cast<PyObject*>(Py_TYPE(result.get())), targets.get());
}

}  // namespace versant::face
