// TensorFlow's dialect: tensors whose operators follow its rules.
//
// The tensors are those of tensor_type.cc with another type pointer. Two types share the operators:
// `EagerTensor`, of all results, and `TensorLike`, from which variables derive. Operators promote nothing:
// tensors of two dtypes raise InvalidArgumentError, and a number has to fit the dtype of the tensor beside
// it. `x += y` makes a new tensor, as tensors of TensorFlow never change.
#include "face.h"
#include "machine/node.h"

namespace versant::face {

PyTypeObject* dialect_type = nullptr;
PyTypeObject* dialect_base = nullptr;

namespace {

PyTypeObject* result_type = nullptr;
PyObject* convert_like = nullptr;  // convert_like(value, tensor): the value as a tensor of that dtype
PyObject* argument_error = nullptr;

bool in_dialect(PyObject* object) {
  return Py_TYPE(object) == dialect_type || (dialect_base && PyType_IsSubtype(Py_TYPE(object), dialect_base));
}

// The same value with the same history as a new tensor.
TensorRef twin(Tensor& tensor) {
  if (modes.tracing) [[unlikely]]
    trace::recorder->reaches(tensor);
  const Edge edge = edge_of(tensor);
  TensorRef made = Tensor::make(tensor);
  made->node = edge.node;
  made->output_nr = edge.nr;
  made->taped = tensor.taped;
  made->inference = tensor.inference;
  if (tensor.wrapped) [[unlikely]]
    transforms::wrap_as(*made, tensor);
  return made;
}

PyObject* plain(PyObject* object) { return wrap(twin(*as_tensor(object))); }

}  // namespace

PyObject* branded(PyObject* object) {
  if (!object || !dialect_type) return object;
  if (Py_TYPE(object) == tensor_type) {
    if (Py_REFCNT(object) == 1) {
      as_tensor(object)->type = dialect_type;
      return object;
    }
    const Object held(object);
    return guarded([&] {
      TensorRef made = twin(*as_tensor(object));
      made->type = dialect_type;
      return wrap(std::move(made));
    });
  }
  if (PyTuple_Check(object) || PyList_CheckExact(object)) {
    const Py_ssize_t n = Py_SIZE(object);
    PyObject** items = PySequence_Fast_ITEMS(object);
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* made = branded(items[i]);
      items[i] = made ? made : Py_NewRef(Py_None);
      if (made) continue;
      Py_DECREF(object);
      return nullptr;
    }
  }
  return object;
}

namespace {

// The machine's exception in the class that TensorFlow has for it.
void rename_error() {
  PyObject* type = PyErr_Occurred();
  if (!type || !argument_error || type == argument_error) return;
  const bool meant = PyErr_GivenExceptionMatches(type, PyExc_IndexError) ||
                     (PyErr_GivenExceptionMatches(type, PyExc_RuntimeError) &&
                      (PyErr_GivenExceptionMatches(type, PyExc_ValueError) ||
                       PyErr_GivenExceptionMatches(type, PyExc_TypeError)));
  if (!meant || PyErr_GivenExceptionMatches(type, argument_error)) return;
  PyObject *class_, *value, *traceback;
  PyErr_Fetch(&class_, &value, &traceback);
  Object text(value ? PyObject_Str(value) : nullptr);
  Py_XDECREF(class_);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  PyErr_SetObject(argument_error, text ? text.get() : Py_None);
}

bool fits(DType dtype, PyObject* number) {
  if (dtype == DType::Bool) return PyBool_Check(number);
  if (PyComplex_Check(number)) return is_complex(dtype);
  if (PyFloat_Check(number)) return is_floating(dtype) || is_complex(dtype);
  return true;
}

// `value` as an operand beside `other`; null with an exception, or without where it is nothing of the kind.
Object operand_beside(PyObject* value, Tensor& other, const char* op) {
  if (is_tensor(value)) {
    if (as_tensor(value)->dtype != other.dtype) {
      PyErr_Format(
          argument_error, "[%s] the operands have different dtypes: %s and %s; tf.cast() one of them", op,
          std::string(name(other.dtype)).c_str(), std::string(name(as_tensor(value)->dtype)).c_str());
      return Object();
    }
    return Object::share(value);
  }
  if (PyFloat_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value) ||
      PyComplex_CheckExact(value)) {
    if (fits(other.dtype, value)) return Object::share(value);
    PyErr_Format(argument_error, "[%s] cannot convert %R to a tensor of dtype %s", op, value,
                 std::string(name(other.dtype)).c_str());
    return Object();
  }
  if (PyUnicode_Check(value)) {
    PyErr_Format(PyExc_TypeError, "[%s] cannot convert %R to a tensor of dtype %s", op, value,
                 std::string(name(other.dtype)).c_str());
    return Object();
  }
  if (value == Py_None || !convert_like) return Object();
  if (!PyList_Check(value) && !PyTuple_Check(value) && !PyObject_CheckBuffer(value) && !PyNumber_Check(value))
    return Object();
  return Object(PyObject_CallFunctionObjArgs(convert_like, value, as_object(&other), nullptr));
}

using Binary = binaryfunc PyNumberMethods::*;

// Both operands under the dialect's rules, then the operator of ordinary tensors.
template <typename Operation>
PyObject* with_operands(PyObject* left, PyObject* right, const char* op, Operation operation) {
  PyObject* const first = is_tensor(left) ? left : right;
  const Object a = first == left ? Object::share(left) : operand_beside(left, *as_tensor(first), op);
  const Object b =
      a ? first == right ? Object::share(right) : operand_beside(right, *as_tensor(first), op) : Object();
  if (!a || !b) {
    if (PyErr_Occurred()) return nullptr;
    Py_RETURN_NOTIMPLEMENTED;
  }
  PyObject* result = operation(a.get(), b.get());
  if (!result) {
    rename_error();
    return nullptr;
  }
  return branded(result);
}

PyNumberMethods& numbers() { return *tensor_type->tp_as_number; }

template <Binary slot>
constexpr const char* kName = "operator";
template <>
constexpr const char* kName<&PyNumberMethods::nb_add> = "add";
template <>
constexpr const char* kName<&PyNumberMethods::nb_subtract> = "subtract";
template <>
constexpr const char* kName<&PyNumberMethods::nb_multiply> = "multiply";
template <>
constexpr const char* kName<&PyNumberMethods::nb_true_divide> = "truediv";
template <>
constexpr const char* kName<&PyNumberMethods::nb_floor_divide> = "floordiv";
template <>
constexpr const char* kName<&PyNumberMethods::nb_remainder> = "floormod";
template <>
constexpr const char* kName<&PyNumberMethods::nb_and> = "logical_and";
template <>
constexpr const char* kName<&PyNumberMethods::nb_or> = "logical_or";
template <>
constexpr const char* kName<&PyNumberMethods::nb_xor> = "logical_xor";

template <Binary slot>
PyObject* binary(PyObject* left, PyObject* right) {
  return with_operands(left, right, kName<slot>,
                       [](PyObject* a, PyObject* b) { return (numbers().*slot)(a, b); });
}

// Quotients of integers are floating: float32 of small ones, float64 of those that it cannot hold.
PyObject* divide(PyObject* left, PyObject* right) {
  return with_operands(left, right, "truediv", [](PyObject* a, PyObject* b) -> PyObject* {
    const DType dtype = as_tensor(is_tensor(a) ? a : b)->dtype;
    if (is_floating(dtype) || is_complex(dtype)) return numbers().nb_true_divide(a, b);
    return guarded([&]() -> PyObject* {
      const DType to = itemsize(dtype) < 4 ? DType::Float32 : DType::Float64;
      const auto cast = [&](PyObject* x) {
        return is_tensor(x) ? Object(wrap(ops::cast(*as_tensor(x), to))) : Object::share(x);
      };
      const Object x = cast(a), y = cast(b);
      return numbers().nb_true_divide(x.get(), y.get());
    });
  });
}

PyObject* multiply_matrices(PyObject* left, PyObject* right) {
  return with_operands(left, right, "matmul", [](PyObject* a, PyObject* b) -> PyObject* {
    const bool both = is_tensor(a) && is_tensor(b);
    if (both && as_tensor(a)->rank() > 1 && as_tensor(b)->rank() > 1)
      return numbers().nb_matrix_multiply(a, b);
    PyErr_SetString(argument_error,
                    "[matmul] expected matrices, of two axes or more; use tf.tensordot or tf.linalg.matvec");
    return nullptr;
  });
}

PyObject* power(PyObject* left, PyObject* right, PyObject* modulus) {
  return with_operands(left, right, "pow",
                       [&](PyObject* a, PyObject* b) { return numbers().nb_power(a, b, modulus); });
}

template <unaryfunc PyNumberMethods::*slot>
PyObject* unary(PyObject* self) {
  PyObject* result = (numbers().*slot)(self);
  if (!result) rename_error();
  return branded(result);
}

PyObject* compare(PyObject* left, PyObject* right, int op) {
  if ((op == Py_EQ || op == Py_NE) && right == Py_None) return PyBool_FromLong(op == Py_NE);
  return with_operands(left, right, "compare",
                       [&](PyObject* a, PyObject* b) { return tensor_type->tp_richcompare(a, b, op); });
}

int truth(PyObject* self) {
  if (as_tensor(self)->numel == 1) return numbers().nb_bool(self);
  PyErr_SetString(PyExc_ValueError,
                  "[bool] the truth value of a tensor with several elements, or with none, is ambiguous; use "
                  "tf.reduce_any or tf.reduce_all");
  return -1;
}

PyObject* subscript(PyObject* self, PyObject* key) {
  static PyObject* reversed = nullptr;  // x[::-1] reads backwards
  const auto backwards = [](PyObject* item) {
    if (!PySlice_Check(item)) return false;
    PyObject* step = reinterpret_cast<PySliceObject*>(item)->step;
    return PyLong_CheckExact(step) && PyLong_AsLong(step) < 0;
  };
  bool any = backwards(key);
  for (Py_ssize_t i = 0; PyTuple_Check(key) && i < PyTuple_GET_SIZE(key); ++i)
    any |= backwards(PyTuple_GET_ITEM(key, i));
  if (any) {
    if (!reversed) {
      const Object module(PyImport_ImportModule("versant.tf.slices"));
      reversed = module ? PyObject_GetAttrString(module.get(), "reversed_slices") : nullptr;
      if (!reversed) return nullptr;
    }
    return branded(PyObject_CallFunctionObjArgs(reversed, self, key, nullptr));
  }
  PyObject* result = tensor_subscript(self, key);
  if (!result) rename_error();
  return branded(result);
}

int refuse_assignment(PyObject*, PyObject*, PyObject*) {
  PyErr_SetString(
      PyExc_TypeError,
      "'Tensor' object does not support item assignment; use tf.tensor_scatter_nd_update, or assign "
      "to a tf.Variable");
  return -1;
}

Py_hash_t hash(PyObject* self) { return _Py_HashPointer(self); }

template <typename F>
constexpr void* slot(F function) {
  return reinterpret_cast<void*>(function);
}

using N = PyNumberMethods;
PyType_Slot base_slots[] = {
    {Py_tp_doc, const_cast<char*>("What tensors and variables of TensorFlow's dialect share.")},
    {Py_tp_dealloc, slot(tensor_dealloc)},
    {Py_nb_add, slot(binary<&N::nb_add>)},
    {Py_nb_subtract, slot(binary<&N::nb_subtract>)},
    {Py_nb_multiply, slot(binary<&N::nb_multiply>)},
    {Py_nb_true_divide, slot(divide)},
    {Py_nb_floor_divide, slot(binary<&N::nb_floor_divide>)},
    {Py_nb_remainder, slot(binary<&N::nb_remainder>)},
    {Py_nb_power, slot(power)},
    {Py_nb_matrix_multiply, slot(multiply_matrices)},
    {Py_nb_and, slot(binary<&N::nb_and>)},
    {Py_nb_or, slot(binary<&N::nb_or>)},
    {Py_nb_xor, slot(binary<&N::nb_xor>)},
    {Py_nb_negative, slot(unary<&N::nb_negative>)},
    {Py_nb_positive, slot(unary<&N::nb_positive>)},
    {Py_nb_absolute, slot(unary<&N::nb_absolute>)},
    {Py_nb_invert, slot(unary<&N::nb_invert>)},
    {Py_nb_inplace_add, slot(binary<&N::nb_add>)},
    {Py_nb_inplace_subtract, slot(binary<&N::nb_subtract>)},
    {Py_nb_inplace_multiply, slot(binary<&N::nb_multiply>)},
    {Py_nb_inplace_true_divide, slot(divide)},
    {Py_nb_inplace_floor_divide, slot(binary<&N::nb_floor_divide>)},
    {Py_nb_inplace_remainder, slot(binary<&N::nb_remainder>)},
    {Py_nb_inplace_power, slot(power)},
    {Py_nb_inplace_and, slot(binary<&N::nb_and>)},
    {Py_nb_inplace_or, slot(binary<&N::nb_or>)},
    {Py_nb_inplace_xor, slot(binary<&N::nb_xor>)},
    {Py_nb_bool, slot(truth)},
    {Py_tp_richcompare, slot(compare)},
    {Py_tp_hash, slot(hash)},
    {Py_mp_subscript, slot(subscript)},
    {0, nullptr},
};
PyType_Spec base_spec = {"versant.tf.TensorLike", sizeof(Tensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                         base_slots};
PyType_Slot result_slots[] = {
    {Py_tp_doc, const_cast<char*>("A tensor whose operators follow TensorFlow's rules.")},
    {Py_tp_dealloc, slot(tensor_dealloc)},
    {Py_mp_ass_subscript, slot(refuse_assignment)},
    {0, nullptr},
};
PyType_Spec result_spec = {"versant.tf.EagerTensor", sizeof(Tensor), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, result_slots};

// open_dialect(convert_like, argument_error) -> the type of results
PyObject* open_dialect(PyObject*, PyObject* args) {
  PyObject *convert, *error;
  if (!PyArg_ParseTuple(args, "OO", &convert, &error)) return nullptr;
  Py_XSETREF(convert_like, Py_NewRef(convert));
  Py_XSETREF(argument_error, Py_NewRef(error));
  dialect_type = result_type;
  tensor_hooks.dialect_type = result_type;
  return Py_NewRef(reinterpret_cast<PyObject*>(result_type));
}

PyObject* brand(PyObject*, PyObject* object) {
  Py_INCREF(object);
  // The reference of the argument does not count: what only the caller's stack holds is branded in place.
  if (Py_TYPE(object) == tensor_type && dialect_type && Py_REFCNT(object) == 2 &&
      !as_tensor(object)->host_dict) {
    as_tensor(object)->type = dialect_type;
    return object;
  }
  return branded(object);
}

PyObject* unbrand(PyObject*, PyObject* object) {
  if (!is_tensor(object))
    return PyErr_Format(PyExc_TypeError, "[plain] expected a tensor, got %s", Py_TYPE(object)->tp_name);
  if (Py_TYPE(object) == tensor_type) return Py_NewRef(object);
  return guarded([&] { return plain(object); });
}

// tape_variable(tensor): makes a leaf that requires gradients one that does so only under tapes.
PyObject* tape_variable(PyObject*, PyObject* object) {
  if (!is_tensor(object)) return PyErr_Format(PyExc_TypeError, "[Variable] expected a tensor");
  as_tensor(object)->taped = true;
  Py_RETURN_NONE;
}

}  // namespace

PyObject* call_in_dialect(vectorcallfunc call, PyObject* callable, PyObject* const* args, size_t nargsf,
                          PyObject* kwnames) {
  PyObject* result = call(callable, args, nargsf, kwnames);
  if (!result) {
    rename_error();
    return nullptr;
  }
  for (Py_ssize_t i = 0; i < PyVectorcall_NARGS(nargsf); ++i)
    if (args[i] == result) return result;  // changed in place
  return branded(result);
}

PyObject* call_outside_dialect(vectorcallfunc call, PyObject* callable, PyObject* const* args, size_t nargsf,
                               PyObject* kwnames) {
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf) + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
  std::vector<Object> held;
  std::vector<PyObject*> plainly(static_cast<size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = args[i];
    if (is_tensor(item) && in_dialect(item)) {
      item = guarded([&] { return plain(args[i]); });
      if (!item) return nullptr;
      held.emplace_back(item);
    }
    plainly[static_cast<size_t>(i)] = item;
  }
  PyObject* result = call(callable, plainly.data(), static_cast<size_t>(PyVectorcall_NARGS(nargsf)), kwnames);
  if (!result) {
    rename_error();
    return nullptr;
  }
  return branded(result);
}

PyMethodDef dialect_functions[] = {
    {"open_dialect", open_dialect, METH_VARARGS,
     "open_dialect(convert_like, argument_error) -> the type of tensors in TensorFlow's dialect"},
    {"brand", brand, METH_O,
     "brand(value): its tensors, also in a tuple or list, as tensors of the dialect."},
    {"plain", unbrand, METH_O, "plain(tensor): the same value and history as an ordinary tensor."},
    {"tape_variable", tape_variable, METH_O,
     "tape_variable(tensor): the leaf requires gradients only while a tape records."},
    {},
};

bool init_dialect(PyObject* module) {
  dialect_base = add_type(module, &base_spec, reinterpret_cast<PyObject*>(tensor_type));
  if (!dialect_base) return false;
  result_type = add_type(module, &result_spec, reinterpret_cast<PyObject*>(dialect_base));
  return result_type != nullptr;
}

}  // namespace versant::face
