// Conversions between Python values and the machine's: numbers, sizes, nested lists, tensors from data.
#include <cmath>
#include <cstring>

#include "face.h"
#include "machine/kernels.h"
#include "machine/promote.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"

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
    if (overflow) fail(ErrorKind::Overflow, "a Python int beyond 64 bits does not fit into a tensor");
    *scalar = Scalar::of_int(value);
    return true;
  }
  if (is_tensor(object) || PyUnicode_Check(object) || PyComplex_Check(object)) return false;
  if (std::strncmp(Py_TYPE(object)->tp_name, "numpy.complex", 13) == 0) return false;
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

bool to_number(PyObject* object, Scalar* scalar) {
  if (to_scalar(object, scalar)) return true;
  if (!PyComplex_Check(object) && std::strncmp(Py_TYPE(object)->tp_name, "numpy.complex", 13) != 0)
    return false;
  const Py_complex value = PyComplex_AsCComplex(object);
  if (PyErr_Occurred()) throw HostError{};
  *scalar = Scalar::of_complex(value.real, value.imag);
  return true;
}

PyObject* from_scalar(Scalar scalar) {
  switch (scalar.kind) {
    case Scalar::Kind::Bool:
      return PyBool_FromLong(scalar.i != 0);
    case Scalar::Kind::Int:
      return PyLong_FromLongLong(scalar.i);
    case Scalar::Kind::Complex:
      return PyComplex_FromDoubles(scalar.f, scalar.imaginary);
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
  if (to_number(object, &scalar)) {
    operand.input = Input(scalar);
    return true;
  }
  if (PyObject_CheckBuffer(object) && !PyBytes_Check(object) && !PyByteArray_Check(object)) {
    operand.held = tensor_from_buffer(object, Sharing::IfPossible);
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
  Object index(PyFloat_Check(object) || PyBool_Check(object) ? nullptr : PyNumber_Index(object));
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

bool is_bytes(PyObject* object) { return PyBytes_Check(object) || PyByteArray_Check(object); }

// What nested data is made of.
enum class Part { Number, Array, Sequence };

// The dtype that a scalar of numpy carries; null for other numbers and for dtypes that tensors lack.
std::optional<DType> numpy_dtype(PyObject* object) {
  std::string_view type = Py_TYPE(object)->tp_name;
  if (!type.starts_with("numpy.")) return std::nullopt;
  type.remove_prefix(6);
  if (type.ends_with('_')) type.remove_suffix(1);  // bool_ of numpy 1
  for (const DTypeInfo& entry : kDTypes)
    if (entry.name == type) return entry.dtype;
  return std::nullopt;
}

// A Python int beyond 64 bits, which floating-point tensors may hold, as a float.
bool is_huge(PyObject* object) {
  int overflow = 0;
  if (PyLong_Check(object)) PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow != 0;
}

DType dtype_of_number(PyObject* object, const Scalar& scalar) {
  if (!PyFloat_CheckExact(object) && !PyLong_Check(object) && !PyComplex_CheckExact(object))
    if (const std::optional<DType> dtype = numpy_dtype(object)) return *dtype;
  return dtype_of(scalar);
}

// An array that offers itself through __array__; null where there is no such method.
TensorRef foreign(PyObject* data) {
  if (PyType_Check(data) || !PyObject_HasAttrString(data, "__array__")) return {};
  Object array = checked(PyObject_CallMethod(data, "__array__", nullptr));
  if (array.get() != data && PyObject_CheckBuffer(array.get()))
    return tensor_from_buffer(array.get(), Sharing::IfPossible);
  fail(ErrorKind::Type, "[tensor] __array__ of ", Py_TYPE(data)->tp_name, " did not return an array");
}

// A numpy array or another array of foreign memory.
TensorRef array_leaf(PyObject* object) {
  if (PyObject_CheckBuffer(object) && !is_bytes(object))
    return tensor_from_buffer(object, Sharing::IfPossible);
  return foreign(object);
}

// Tells what `object` is, with its value. A tensor inside a list must be a number: it has one element.
Part part_of(PyObject* object, DType target, Scalar& scalar, TensorRef& leaf) {
  if (is_list(object)) return Part::Sequence;
  if (is_huge(object) && is_differentiable(target)) {
    scalar = Scalar::of(PyLong_AsDouble(object));
    if (PyErr_Occurred()) throw HostError{};
    return Part::Number;
  }
  if (to_number(object, &scalar)) return Part::Number;
  if (is_tensor(object)) {
    Tensor& tensor = *as_tensor(object);
    if (tensor.numel != 1)
      fail(ErrorKind::Value, "[tensor] a tensor inside a list must have one element, got shape ",
           tensor.sizes, "; join tensors with versant.stack");
    scalar = item(tensor);
    return Part::Number;
  }
  leaf = array_leaf(object);
  if (leaf) return Part::Array;
  if (PySequence_Check(object) && !PyUnicode_Check(object) && !is_bytes(object)) return Part::Sequence;
  fail(ErrorKind::Type, "[tensor] could not infer the dtype of ", Py_TYPE(object)->tp_name);
}

struct Nested {
  DType target;  // where the numbers will go; ints beyond 64 bits need a floating-point one
  Dims sizes;
  std::optional<DType> dtype;

  void scan(PyObject* object, int depth) {
    if (depth > kMaxRank) fail(ErrorKind::Value, "[tensor] data is nested deeper than ", kMaxRank, " levels");
    Scalar scalar;
    TensorRef leaf;
    switch (part_of(object, target, scalar, leaf)) {
      case Part::Number:
        finish(depth);
        return promote(is_tensor(object) ? as_tensor(object)->dtype : dtype_of_number(object, scalar));
      case Part::Array:
        for (int d = 0; d < leaf->rank(); ++d) descend(depth + d, leaf->sizes[d]);
        finish(depth + leaf->rank());
        return promote(leaf->dtype);
      case Part::Sequence:
        break;
    }
    Object list = checked(PySequence_Fast(object, ""));
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(list.get());
    descend(depth, n);
    for (Py_ssize_t i = 0; i < n && i < PySequence_Fast_GET_SIZE(list.get()); ++i)
      scan(PySequence_Fast_GET_ITEM(list.get(), i), depth + 1);
  }

  void promote(DType other) { dtype = dtype ? promote_types(*dtype, other) : other; }

  void descend(int depth, int64_t n) {
    if (leaf_depth >= 0 && depth >= leaf_depth) ragged(depth);
    if (depth == sizes.size())
      sizes.push_back(n);
    else if (sizes[depth] != n)
      fail(ErrorKind::Value, "[tensor] expected a sequence of length ", sizes[depth], " at dimension ", depth,
           ", got ", n);
  }
  void finish(int depth) {
    if (leaf_depth < 0) leaf_depth = depth;
    if (leaf_depth != depth || depth != sizes.size()) ragged(depth);
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
    Scalar scalar;
    TensorRef leaf;
    switch (part_of(object, target.dtype, scalar, leaf)) {
      case Part::Number:
        if (at >= target.numel) changed();
        return put(scalar);
      case Part::Array:
        if (at + leaf->numel > target.numel) changed();
        copy_into(target.view(leaf->sizes, contiguous_strides(leaf->sizes), at), *leaf);
        at += leaf->numel;
        return;
      case Part::Sequence:
        break;
    }
    Object list = checked(PySequence_Fast(object, ""));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i)
      write(PySequence_Fast_GET_ITEM(list.get(), i));
  }
  [[noreturn]] static void changed() {
    fail(ErrorKind::Value, "[tensor] the data changed while it was read");
  }

  void put(Scalar scalar) {
    void* to = target.as<char>() + at++ * itemsize(target.dtype);
    check_range(scalar, target.dtype, "tensor");
    if (is_complex(target.dtype)) {
      fill(target.view(Dims{}, Dims{}, at - 1), scalar);
    } else if (!scalar.is_whole() || is_floating(target.dtype)) {
      const double value = scalar.as_double();
      kernels->store_of(target.dtype, Compute::F64)(to, 1, &value, 1);
    } else {
      kernels->store_of(target.dtype, Compute::I64)(to, 1, &scalar.i, 1);
    }
  }
};

}  // namespace

TensorRef tensor_from_data(PyObject* data, std::optional<DType> dtype, bool copy) {
  Scalar scalar;
  TensorRef source;
  if (is_tensor(data)) {
    source = TensorRef(as_tensor(data));
    if (copy) transforms::check_readable(*source, "tensor");
  }
  if (!source && !is_list(data) && !is_huge(data) && !to_number(data, &scalar)) source = array_leaf(data);
  if (source) {
    if (!copy && (!dtype || *dtype == source->dtype)) return source;
    TensorRef result = ops::empty(source->sizes, dtype.value_or(source->dtype));
    copy_into(*result, *source);
    return result;
  }
  Nested nested{.target = dtype.value_or(DType::Int64)};
  nested.scan(data, 0);
  const DType to = dtype.value_or(nested.dtype.value_or(default_float()));
  TensorRef result = ops::empty(nested.sizes, to);
  Writer writer{*result};
  if (result->numel > 0) writer.write(data);
  if (writer.at != result->numel) Writer::changed();
  return result;
}

namespace {

PyObject* element(const Array& array, int64_t offset) {
  const char* at = array.as<char>() + offset * static_cast<int64_t>(itemsize(array.dtype));
  if (is_complex(array.dtype)) return from_scalar(item(array.view(Dims{}, Dims{}, offset)));
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
  const char* op = copy ? "tensor" : "as_tensor";
  const auto run = [&]() -> PyObject* {
    std::optional<DType> wanted;
    if (dtype != Py_None) wanted = expect_dtype(dtype, op);
    TensorRef tensor = tensor_from_data(data, wanted, copy);
    tensor->inference = modes.inference && copy;
    if (modes.tracing && !is_tensor(data) && is_constant(data)) trace::recorder->constant(*tensor);
    if (requires_grad) set_requires_grad(*tensor, true);
    return wrap(std::move(tensor));
  };
  return guarded(run, nullptr, op);
}
PyObject* tensor(PyObject*, PyObject* args) { return make_tensor(args, true); }
PyObject* as_tensor_function(PyObject*, PyObject* args) { return make_tensor(args, false); }

// full(sizes, value, dtype, requires_grad, op, like); a value of None leaves the memory uninitialised. The
// axes lie in memory in the order of those of `like`, a tensor of the same sizes.
PyObject* full(PyObject*, PyObject* args) {
  PyObject *size, *content, *dtype_given;
  int requires_grad;
  PyObject* like = nullptr;
  const char* op = "full";
  if (!PyArg_ParseTuple(args, "OOOp|sO", &size, &content, &dtype_given, &requires_grad, &op, &like))
    return nullptr;
  const auto run = [&]() -> PyObject* {
    const Dims sizes = to_dims(size, op, "a size");
    Scalar value;
    const bool fills = content != Py_None;
    if (fills && !to_number(content, &value)) {
      if (!is_tensor(content))
        fail(ErrorKind::Type, "[", op, "] fill_value must be a number, got ", Py_TYPE(content)->tp_name);
      value = item(*as_tensor(content));
    }
    DType dtype = default_float();
    if (dtype_given != Py_None)
      dtype = expect_dtype(dtype_given, op);
    else if (fills)
      dtype = dtype_of(value);
    TensorRef result = like && is_tensor(like)
                           ? Tensor::make(Array::empty_like_layout(*as_tensor(like), dtype))
                           : ops::empty(sizes, dtype);
    result->inference = modes.inference;
    if (fills) {
      check_range(value, dtype, op);
      fill(*result, value);
    }
    if (requires_grad) set_requires_grad(*result, true);
    return wrap(std::move(result));
  };
  return guarded(run, nullptr, op);
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
      else if (to_number(object, &scalar))
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

PyObject* to_list(const Array& array) {
  if (modes.tracing) [[unlikely]]
    trace::recorder->read_all(array);
  return list_level(array, 0, 0);
}

PyMethodDef convert_functions[] = {
    {"tensor", tensor, METH_VARARGS, "tensor(data, dtype=None, requires_grad=False): a copy of data."},
    {"as_tensor", as_tensor_function, METH_VARARGS,
     "as_tensor(data, dtype=None): shares memory where it can."},
    {"full", full, METH_VARARGS,
     "full(sizes, value or None, dtype or None, requires_grad, op=\"full\", like=None): op names it in "
     "errors."},
    {"promote_types", promote, METH_VARARGS, "promote_types(a, b): the dtype that holds both."},
    {"result_type", result_type, METH_VARARGS, "result_type(*operands): the dtype of an op on them."},
    {"set_default_dtype", set_default_dtype, METH_O, "The dtype of new floating-point tensors."},
    {"get_default_dtype", get_default_dtype, METH_NOARGS, "The dtype of new floating-point tensors."},
    {},
};

}  // namespace versant::face
