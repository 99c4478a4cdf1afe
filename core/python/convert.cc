// Conversions between Python values and the machine's: numbers, sizes, nested lists, tensors from data.
#include <cmath>
#include <cstring>

#include "face.h"
#include "machine/kernels.h"
#include "machine/promote.h"

namespace versant::face {

bool to_scalar(PyObject* object, Scalar* scalar) {
  if (PyFloat_Check(object)) {
    *scalar = Scalar::of(PyFloat_AS_DOUBLE(object));
    return true;
  }
  if (PyBool_Check(object)) {
    *scalar = Scalar::of_bool(object == Py_True);
    return true;
  }
  if (PyLong_Check(object)) {
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow) fail(ErrorKind::Runtime, "a Python int beyond 64 bits cannot be used with tensors");
    *scalar = Scalar::of_int(value);
    return true;
  }
  if (is_tensor(object) || PyUnicode_Check(object) || PyComplex_Check(object)) return false;
  // Scalars of numpy and the like: single numbers that know their integer or float value.
  PyNumberMethods* number = Py_TYPE(object)->tp_as_number;
  if (!number || PySequence_Check(object)) return false;
  const bool is_bool = std::strncmp(Py_TYPE(object)->tp_name, "numpy.bool", 10) == 0;
  if (number->nb_index || is_bool) {
    Object value(is_bool ? PyBool_FromLong(PyObject_IsTrue(object)) : PyNumber_Index(object));
    if (value) return to_scalar(value.get(), scalar);
    PyErr_Clear();
  }
  if (number->nb_float) {
    Object value(PyNumber_Float(object));
    if (value) {
      *scalar = Scalar::of(PyFloat_AS_DOUBLE(value.get()));
      return true;
    }
    PyErr_Clear();
  }
  return false;
}

PyObject* from_scalar(Scalar scalar) {
  switch (scalar.kind) {
    case Scalar::Kind::Bool:
      return PyBool_FromLong(scalar.i != 0);
    case Scalar::Kind::Int:
      return PyLong_FromLongLong(scalar.i);
    case Scalar::Kind::Float:
      break;
  }
  return PyFloat_FromDouble(scalar.f);
}

bool to_operand(PyObject* object, Operand& operand) {
  if (Py_TYPE(object) == tensor_type) [[likely]] {
    operand.input = Input(*as_tensor(object));
    return true;
  }
  if (PyFloat_CheckExact(object)) {
    operand.input = Input(Scalar::of(PyFloat_AS_DOUBLE(object)));
    return true;
  }
  if (is_tensor(object)) {
    operand.input = Input(*as_tensor(object));
    return true;
  }
  Scalar scalar;
  if (to_scalar(object, &scalar)) {
    operand.input = Input(scalar);
    return true;
  }
  if (PyObject_CheckBuffer(object) && !PyBytes_Check(object) && !PyByteArray_Check(object)) {
    operand.held = tensor_from_buffer(object, false);
    operand.input = Input(operand.held);
    return true;
  }
  return false;
}

int64_t to_int(PyObject* object, const char* op, const char* what) {
  if (PyLong_CheckExact(object)) {
    const int64_t value = PyLong_AsLongLong(object);
    if (value != -1 || !PyErr_Occurred()) return value;
    PyErr_Clear();
    fail(ErrorKind::Value, "[", op, "] ", what, " does not fit in 64 bits");
  }
  Object index(PyFloat_Check(object) ? nullptr : PyNumber_Index(object));
  if (!index) {
    PyErr_Clear();
    fail(ErrorKind::Type, "[", op, "] ", what, " must be an integer, got ", Py_TYPE(object)->tp_name);
  }
  const int64_t value = PyLong_AsLongLong(index.get());
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::Value, "[", op, "] ", what, " does not fit in 64 bits");
  }
  return value;
}

Dims to_dims(PyObject* object, const char* op, const char* what) {
  Dims dims;
  if (PyLong_Check(object)) {
    dims.push_back(to_int(object, op, what));
    return dims;
  }
  if (!PyTuple_Check(object) && !PyList_Check(object)) {
    if (PyIndex_Check(object) && !(is_tensor(object) && as_tensor(object)->rank() > 0)) {
      dims.push_back(to_int(object, op, what));
      return dims;
    }
    if (PyUnicode_Check(object) || !PySequence_Check(object))
      fail(ErrorKind::Type, "[", op, "] ", what, " must be an int or a sequence of ints, got ",
           Py_TYPE(object)->tp_name);
  }
  Object list = checked(PySequence_Fast(object, "expected a sequence of ints"));
  // One level of nesting is allowed: view((2, 3)) given as ((2, 3),).
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(list.get());
  if (n == 1) {
    PyObject* only = PySequence_Fast_GET_ITEM(list.get(), 0);
    if (PyTuple_Check(only) || PyList_Check(only)) return to_dims(only, op, what);
  }
  for (Py_ssize_t i = 0; i < n; ++i)
    dims.push_back(to_int(PySequence_Fast_GET_ITEM(list.get(), i), op, what));
  return dims;
}

// --- tensors from nested data
// -------------------------------------------------------------------------------------------------

namespace {

bool is_list(PyObject* object) {
  return PyList_Check(object) || PyTuple_Check(object) || PyRange_Check(object);
}

// A leaf of nested data that is an array of its own: a tensor, or a numpy array.
TensorRef array_leaf(PyObject* object) {
  if (is_tensor(object)) return TensorRef(as_tensor(object));
  if (PyObject_CheckBuffer(object) && !PyBytes_Check(object) && !PyByteArray_Check(object))
    return tensor_from_buffer(object, false);
  return {};
}

struct Nested {
  Dims sizes;
  Promotion promotion;
  bool any = false;

  void scan(PyObject* object, int depth) {
    if (depth > kMaxRank) fail(ErrorKind::Value, "[tensor] data is nested deeper than ", kMaxRank, " levels");
    if (is_list(object)) {
      Object list = checked(PySequence_Fast(object, ""));
      const Py_ssize_t n = PySequence_Fast_GET_SIZE(list.get());
      descend(depth, n);
      for (Py_ssize_t i = 0; i < n; ++i) scan(PySequence_Fast_GET_ITEM(list.get(), i), depth + 1);
      return;
    }
    Scalar scalar;
    if (to_scalar(object, &scalar)) {
      finish(depth);
      any = true;
      const bool numpy = !PyFloat_CheckExact(object) && !PyLong_Check(object);
      if (numpy && scalar.kind == Scalar::Kind::Float)
        promotion.add(numpy_float(object), 1);
      else
        promotion.add(scalar);
      return;
    }
    if (TensorRef leaf = array_leaf(object)) {
      for (int d = 0; d < leaf->rank(); ++d) descend(depth + d, leaf->sizes[d]);
      finish(depth + leaf->rank());
      any = true;
      promotion.add(leaf->dtype, 1);
      return;
    }
    fail(ErrorKind::Type, "[tensor] could not infer the dtype of ", Py_TYPE(object)->tp_name);
  }

  // Keeps the width of a numpy scalar: np.float64(1) stays float64.
  static DType numpy_float(PyObject* object) {
    Object itemsize(PyObject_GetAttrString(object, "itemsize"));
    if (!itemsize) {
      PyErr_Clear();
      return default_float();
    }
    const long bytes = PyLong_AsLong(itemsize.get());
    return bytes == 8 ? DType::Float64 : bytes == 2 ? DType::Float16 : DType::Float32;
  }

  void descend(int depth, int64_t n) {
    if (leaf_depth >= 0 && depth >= leaf_depth) ragged(depth);
    if (depth == sizes.size())
      sizes.push_back(n);
    else if (sizes[depth] != n)
      fail(ErrorKind::Value, "[tensor] expected a sequence of length ", sizes[depth], " at dimension ", depth,
           ", got ", n);
  }
  void finish(int depth) {
    if (leaf_depth < 0 && depth < sizes.size() && any) ragged(depth);
    if (leaf_depth < 0) leaf_depth = depth;
    if (leaf_depth != depth) ragged(depth);
  }
  [[noreturn]] static void ragged(int depth) {
    fail(ErrorKind::Value, "[tensor] numbers and sequences are mixed at dimension ", depth);
  }
  int leaf_depth = -1;
};

struct Writer {
  Array target;
  int64_t at = 0;

  void write(PyObject* object) {
    if (is_list(object)) {
      Object list = checked(PySequence_Fast(object, ""));
      for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i)
        write(PySequence_Fast_GET_ITEM(list.get(), i));
      return;
    }
    Scalar scalar;
    if (to_scalar(object, &scalar)) {
      if (at >= target.numel) fail(ErrorKind::Value, "[tensor] the data changed while it was read");
      put(scalar);
      return;
    }
    TensorRef leaf = array_leaf(object);
    if (!leaf || at + leaf->numel > target.numel)
      fail(ErrorKind::Value, "[tensor] the data changed while it was read");
    copy_into(target.view(leaf->sizes, contiguous_strides(leaf->sizes), at), *leaf);
    at += leaf->numel;
  }
  void put(Scalar scalar) {
    void* to = target.as<char>() + at++ * itemsize(target.dtype);
    if (is_floating(target.dtype)) {
      const double value = scalar.as_double();
      kernels->store_of(target.dtype, Compute::F64)(to, 1, &value, 1);
      return;
    }
    if (scalar.kind == Scalar::Kind::Float) {
      const double value = scalar.f;
      kernels->store_of(target.dtype, Compute::F64)(to, 1, &value, 1);
      return;
    }
    const int64_t value = scalar.i;
    const bool fits = target.dtype == DType::Bool || itemsize(target.dtype) == 8 || fits_in(value);
    if (!fits)
      fail(ErrorKind::Runtime, "[tensor] value ", value, " cannot be converted to ", name(target.dtype),
           " without overflow");
    kernels->store_of(target.dtype, Compute::I64)(to, 1, &value, 1);
  }
  bool fits_in(int64_t value) const {
    const int bits = static_cast<int>(itemsize(target.dtype)) * 8;
    if (target.dtype == DType::UInt8) return value >= -255 && value <= 255;
    return value >= -(int64_t{1} << (bits - 1)) && value < (int64_t{1} << (bits - 1));
  }
};

// Objects of other libraries that offer an array: through DLPack, then __array__.
TensorRef foreign(PyObject* data) {
  if (PyObject_HasAttrString(data, "__array__")) {
    Object array = checked(PyObject_CallMethod(data, "__array__", nullptr));
    if (array.get() != data && PyObject_CheckBuffer(array.get()))
      return tensor_from_buffer(array.get(), false);
    fail(ErrorKind::Type, "[tensor] __array__ of ", Py_TYPE(data)->tp_name, " did not return an array");
  }
  return {};
}

}  // namespace

TensorRef tensor_from_data(PyObject* data, std::optional<DType> dtype, bool copy) {
  TensorRef source = array_leaf(data);
  Scalar scalar;
  if (!source && !is_list(data) && !to_scalar(data, &scalar)) source = foreign(data);
  if (source) {
    if (!copy && (!dtype || *dtype == source->dtype)) return source;
    const DType to = dtype.value_or(source->dtype);
    TensorRef result = ops::empty(source->sizes, to);
    copy_into(*result, *source);
    return result;
  }
  Nested nested;
  nested.scan(data, 0);
  const DType to = dtype.value_or(nested.any ? nested.promotion.result() : default_float());
  TensorRef result = ops::empty(nested.sizes, to);
  Writer writer{*result};
  if (result->numel > 0) writer.write(data);
  if (writer.at != result->numel) fail(ErrorKind::Value, "[tensor] the data changed while it was read");
  return result;
}

namespace {

PyObject* element(const Array& array, int64_t offset) {
  const char* at = array.as<char>() + offset * static_cast<int64_t>(itemsize(array.dtype));
  if (is_floating(array.dtype)) {
    double value;
    kernels->load_of(array.dtype, Compute::F64)(&value, at, 0, 1);
    return PyFloat_FromDouble(value);
  }
  int64_t value;
  kernels->load_of(array.dtype, Compute::I64)(&value, at, 0, 1);
  return array.dtype == DType::Bool ? PyBool_FromLong(value != 0) : PyLong_FromLongLong(value);
}

PyObject* list_level(const Array& array, int axis, int64_t offset) {
  if (axis == array.rank()) return element(array, offset);
  Object list = checked(PyList_New(array.sizes[axis]));
  for (int64_t i = 0; i < array.sizes[axis]; ++i)
    PyList_SET_ITEM(list.get(), i,
                    checked(list_level(array, axis + 1, offset + i * array.strides[axis])).release());
  return list.release();
}

// tensor(data, dtype, requires_grad), as_tensor(data, dtype)
PyObject* make_tensor(PyObject* args, bool copy) {
  PyObject *data, *dtype = Py_None;
  int requires_grad = 0;
  if (!PyArg_ParseTuple(args, "O|Op", &data, &dtype, &requires_grad)) return nullptr;
  return guarded([&]() -> PyObject* {
    std::optional<DType> wanted;
    if (dtype != Py_None) wanted = expect_dtype(dtype, copy ? "tensor" : "as_tensor");
    TensorRef tensor = tensor_from_data(data, wanted, copy);
    tensor->inference = modes.inference && copy;
    if (requires_grad) set_requires_grad(*tensor, true);
    return wrap(std::move(tensor));
  });
}
PyObject* tensor(PyObject*, PyObject* args) { return make_tensor(args, true); }
PyObject* as_tensor_function(PyObject*, PyObject* args) { return make_tensor(args, false); }

// full(sizes, value, dtype, requires_grad); a value of None leaves the memory uninitialised.
PyObject* full(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n != 4)
    return PyErr_Format(PyExc_TypeError,
                        "full(sizes, value, dtype, requires_grad) takes 4 arguments, got %zd", n);
  return guarded([&]() -> PyObject* {
    const Dims sizes = to_dims(args[0], "full", "size");
    Scalar value;
    const bool fills = args[1] != Py_None;
    if (fills && !to_scalar(args[1], &value)) {
      if (!is_tensor(args[1]))
        fail(ErrorKind::Type, "[full] fill_value must be a number, got ", Py_TYPE(args[1])->tp_name);
      value = item(*as_tensor(args[1]));
    }
    DType dtype = default_float();
    if (args[2] != Py_None)
      dtype = expect_dtype(args[2], "full");
    else if (fills && value.kind == Scalar::Kind::Int)
      dtype = DType::Int64;
    else if (fills && value.kind == Scalar::Kind::Bool)
      dtype = DType::Bool;
    TensorRef result = ops::empty(sizes, dtype);
    if (fills) fill(*result, value);
    if (PyObject_IsTrue(args[3])) set_requires_grad(*result, true);
    return wrap(std::move(result));
  });
}

PyObject* promote(PyObject*, PyObject* args) {
  PyObject *a, *b;
  if (!PyArg_ParseTuple(args, "OO", &a, &b)) return nullptr;
  return guarded([&]() -> PyObject* {
    return Py_NewRef(
        dtype_object(promote_types(expect_dtype(a, "promote_types"), expect_dtype(b, "promote_types"))));
  });
}

PyObject* result_type(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    Promotion promotion;
    if (PyTuple_GET_SIZE(args) == 0) fail(ErrorKind::Type, "[result_type] expected at least one argument");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) {
      PyObject* object = PyTuple_GET_ITEM(args, i);
      Scalar scalar;
      if (is_tensor(object))
        promotion.add(as_tensor(object)->dtype, as_tensor(object)->rank());
      else if (auto dtype = PyType_Check(object) ? std::nullopt : dtype_of(object))
        promotion.add(*dtype, 1);
      else if (to_scalar(object, &scalar))
        promotion.add(scalar);
      else
        fail(ErrorKind::Type, "[result_type] expected tensors, numbers or dtypes, got ",
             Py_TYPE(object)->tp_name);
    }
    return Py_NewRef(dtype_object(promotion.result()));
  });
}

PyObject* set_default_dtype(PyObject*, PyObject* dtype) {
  return guarded([&]() -> PyObject* {
    set_default_float(expect_dtype(dtype, "set_default_dtype"));
    Py_RETURN_NONE;
  });
}
PyObject* get_default_dtype(PyObject*, PyObject*) { return Py_NewRef(dtype_object(default_float())); }

}  // namespace

PyObject* to_list(const Array& array) { return list_level(array, 0, 0); }

PyMethodDef convert_functions[] = {
    {"tensor", tensor, METH_VARARGS, "tensor(data, dtype=None, requires_grad=False): a copy of data."},
    {"as_tensor", as_tensor_function, METH_VARARGS,
     "as_tensor(data, dtype=None): shares memory where it can."},
    {"full", reinterpret_cast<PyCFunction>(full), METH_FASTCALL,
     "full(sizes, value or None, dtype or None, requires_grad)"},
    {"promote_types", promote, METH_VARARGS, "promote_types(a, b): the dtype that holds both."},
    {"result_type", result_type, METH_VARARGS, "result_type(*operands): the dtype of an op on them."},
    {"set_default_dtype", set_default_dtype, METH_O, "The dtype of new floating-point tensors."},
    {"get_default_dtype", get_default_dtype, METH_NOARGS, "The dtype of new floating-point tensors."},
    {},
};

}  // namespace versant::face
