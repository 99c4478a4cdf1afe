// x[...] and x[...] = v: Python's subscripts as views, then as gathers and scatters where tensors index.
#include "face.h"
#include "machine/inplace.h"
#include "machine/promote.h"

namespace versant::face {

namespace {

// What is left of a subscript after its views were taken: the view and, per axis, an index tensor or null.
struct Plan {
  TensorRef view;
  Dims reversed;  // axes of the view that the subscript takes from their end: slices with a negative step
  std::vector<TensorRef> indices;
  bool advanced = false;
};

bool is_bool_value(PyObject* item) { return PyBool_Check(item); }

// A tensor, or one made of a list, which is a constant in a trace, or of a numpy array.
TensorRef tensor_of(PyObject* item) {
  if (is_tensor(item)) return TensorRef(as_tensor(item));
  TensorRef tensor = tensor_from_data(item, std::nullopt, false);
  if (modes.tracing && is_constant(item)) trace::recorder->constant(*tensor);
  return tensor;
}

// A tensor made of an index that is a list, a numpy array or a tensor.
TensorRef index_tensor(PyObject* item) {
  TensorRef tensor = tensor_of(item);
  if (tensor->numel == 0 && is_differentiable(tensor->dtype) && !is_tensor(item))
    tensor = ops::empty(tensor->sizes, DType::Int64);
  if (is_differentiable(tensor->dtype))
    fail(ErrorKind::Index, "[index] tensors used as indices must be integer or bool tensors, got ",
         name(tensor->dtype));
  if (tensor->dtype == DType::UInt8) return ops::cast(*tensor, DType::Bool);
  return tensor;
}

// Axes of the input that an index item uses up.
int consumed(PyObject* item) {
  if (item == Py_None || item == Py_Ellipsis || is_bool_value(item)) return 0;
  if (is_tensor(item) && as_tensor(item)->dtype == DType::Bool) return as_tensor(item)->rank();
  return 1;
}

// The elements of x[begin:end:step] with step < 0, in the order in which x has them.
TensorRef slice_backward(Tensor& x, int axis, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t step) {
  const Py_ssize_t count = PySlice_AdjustIndices(x.sizes[axis], &begin, &end, step);
  if (count == 0) return ops::slice(x, axis, 0, 0);
  return ops::slice(x, axis, begin + (count - 1) * step, begin + 1, -step);
}

Plan make_plan(Tensor& x, PyObject* key) {
  Object items = PyTuple_Check(key) ? Object::share(key) : checked(PyTuple_Pack(1, key));
  const Py_ssize_t n = PyTuple_GET_SIZE(items.get());
  Plan plan;
  plan.view = TensorRef(&x);
  // Lists and arrays become tensors first, so that their rank is known.
  std::vector<Object> parts;
  int used = 0;
  bool ellipsis = false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = PyTuple_GET_ITEM(items.get(), i);
    Scalar scalar;
    const bool plain = item == Py_None || item == Py_Ellipsis || PySlice_Check(item) || PyLong_Check(item) ||
                       (is_tensor(item) && as_tensor(item)->dtype != DType::UInt8 &&
                        !(as_tensor(item)->rank() == 0 && as_tensor(item)->dtype != DType::Bool &&
                          !is_differentiable(as_tensor(item)->dtype)));
    if (plain) {
      parts.push_back(Object::share(item));
    } else if (PyFloat_Check(item) || PyUnicode_Check(item) || PyDict_Check(item) || PyAnySet_Check(item)) {
      fail(ErrorKind::Index,
           "[index] only integers, slices (`:`), ellipsis (`...`), None and integer or bool tensors are "
           "valid indices, got ",
           Py_TYPE(item)->tp_name);
    } else if (!PySequence_Check(item) && to_scalar(item, &scalar)) {
      if (scalar.kind == Scalar::Kind::Float) fail(ErrorKind::Index, "[index] a float is not a valid index");
      parts.push_back(Object(from_scalar(scalar)));
    } else {
      parts.push_back(Object(wrap(index_tensor(item))));
    }
    if (item == Py_Ellipsis) {
      if (ellipsis) fail(ErrorKind::Index, "[index] an index can only have a single ellipsis ('...')");
      ellipsis = true;
    }
    used += consumed(parts.back().get());
  }
  if (used > x.rank())
    fail(ErrorKind::Index, "[index] too many indices for tensor of dimension ", x.rank(), ": ", used);

  int axis = 0, bool_axis = -1;
  for (const Object& part : parts) {
    PyObject* item = part.get();
    if (item == Py_None) {
      plan.view = ops::unsqueeze(*plan.view, axis++);
      plan.indices.resize(axis);
    } else if (item == Py_Ellipsis) {
      axis += x.rank() - used;
      plan.indices.resize(axis);
    } else if (is_bool_value(item)) {
      // x[True] is x[None]; x[False] is an empty selection of it; several select one axis together.
      if (bool_axis < 0) {
        plan.view = ops::unsqueeze(*plan.view, axis);
        bool_axis = axis++;
        plan.indices.resize(axis);
      }
      if (item == Py_False) plan.view = ops::slice(*plan.view, bool_axis, 0, 0);
    } else if (PySlice_Check(item)) {
      Py_ssize_t begin, end, step;
      if (PySlice_Unpack(item, &begin, &end, &step) < 0) throw HostError{};
      const auto* slice = reinterpret_cast<PySliceObject*>(item);
      if (step < 0) {
        plan.view = slice_backward(*plan.view, axis, begin, end, step);
        plan.reversed.push_back(axis);
      } else if (slice->start != Py_None || slice->stop != Py_None || step != 1) {
        plan.view = ops::slice(*plan.view, axis, begin, end, step);
      }
      ++axis;
      plan.indices.resize(axis);
    } else if (PyLong_Check(item)) {
      plan.view = ops::select(*plan.view, axis, to_int(item, "index", "an index"));
    } else {
      TensorRef tensor(as_tensor(item));
      if (is_differentiable(tensor->dtype)) index_tensor(item);  // raises
      plan.advanced = true;
      const bool mask = tensor->dtype == DType::Bool;
      if (mask && tensor->rank() == 0) {
        plan.view = ops::unsqueeze(*plan.view, axis);
        tensor = ops::unsqueeze(*tensor, 0);
      }
      // A mask of several axes stands for as many places: the places after its first stay empty.
      plan.indices.resize(axis);
      plan.indices.push_back(tensor);
      axis += mask ? tensor->rank() : 1;
      plan.indices.resize(axis);
    }
  }
  return plan;
}

// The entries of ops::index, where a mask of several axes is one entry.
std::vector<TensorRef> entries(const Plan& plan) {
  std::vector<TensorRef> result;
  for (size_t i = 0; i < plan.indices.size();) {
    const TensorRef& index = plan.indices[i];
    i += index && index->dtype == DType::Bool ? index->rank() : 1;
    result.push_back(index);
  }
  return result;
}

std::vector<Tensor*> pointers(const std::vector<TensorRef>& tensors) {
  std::vector<Tensor*> result;
  for (const TensorRef& tensor : tensors) result.push_back(tensor.get());
  return result;
}

// The value of an assignment as a tensor of the target's dtype, without leading axes of size 1 beyond the
// target's rank.
TensorRef value_tensor(PyObject* value, const Tensor& target, int rank) {
  Scalar scalar;
  if (!is_tensor(value) && to_number(value, &scalar)) {
    check_range(scalar, target.dtype, "index_put_");
    return ops::full({}, target.dtype, scalar);
  }
  TensorRef tensor = tensor_of(value);
  while (tensor->rank() > rank && tensor->sizes[0] == 1) tensor = ops::select(*tensor, 0, 0);
  return ops::cast(*tensor, target.dtype);
}

}  // namespace

PyObject* tensor_subscript(PyObject* self, PyObject* key) {
  return guarded([&]() -> PyObject* {
    Tensor& x = *as_tensor(self);
    if (PyLong_CheckExact(key)) return wrap(ops::select(x, 0, to_int(key, "index", "an index")));
    Plan plan = make_plan(x, key);
    if (!plan.reversed.empty()) plan.view = ops::flip(*plan.view, plan.reversed);
    if (plan.advanced) {
      const std::vector<TensorRef> indices = entries(plan);
      return wrap(ops::index(*plan.view, pointers(indices)));
    }
    if (plan.view.get() == &x) return wrap(ops::alias(x));
    return wrap(std::move(plan.view));
  });
}

int tensor_assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
  if (!value) {
    PyErr_SetString(PyExc_TypeError, "[index] elements of a tensor cannot be deleted");
    return -1;
  }
  return guarded(
      [&] {
        Tensor& x = *as_tensor(self);
        check_in_place(x, "index_put_");
        Plan plan = make_plan(x, key);
        const bool backward = !plan.reversed.empty();
        const TensorRef target = backward ? ops::flip(*plan.view, plan.reversed) : plan.view;
        Scalar scalar;
        if (plan.advanced) {
          std::vector<TensorRef> indices = entries(plan);
          TensorRef from = value_tensor(value, x, kMaxRank);
          ops::index_put_(*target, pointers(indices), *from, false);
        } else if (!is_tensor(value) && to_number(value, &scalar)) {
          check_range(scalar, x.dtype, "index_put_");
          ops::copy_(*target, Input(scalar));
        } else {
          TensorRef from = value_tensor(value, x, target->rank());
          ops::copy_(*target, Input(from));
        }
        if (backward) {
          const TensorRef forward = ops::flip(*target, plan.reversed);
          ops::copy_(*plan.view, Input(forward));
        }
        return 0;
      },
      -1);
}

}  // namespace versant::face
