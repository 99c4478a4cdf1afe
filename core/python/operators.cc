// Python's operators on tensors. The op table says which op serves which operator (Op.operator).
#include <cstring>

#include "face.h"
#include "machine/inplace.h"
#include "machine/promote.h"

namespace versant::face {

namespace {

// One entry per operator slot of the type, filled by the op table.
struct Operator {
  const char* name;
  ElementwiseOp* op = nullptr;
  PyObject* callable = nullptr;
};

enum Slot {
  kAdd,
  kSub,
  kMul,
  kTrueDiv,
  kFloorDiv,
  kMod,
  kPow,
  kMatmul,
  kAnd,
  kOr,
  kXor,
  kLshift,
  kRshift,
  kNeg,
  kPos,
  kAbs,
  kInvert,
  kLt,
  kLe,
  kEq,
  kNe,
  kGt,
  kGe,
  kSlots
};
Operator operators[kSlots] = {{"add"},    {"sub"},    {"mul"}, {"truediv"}, {"floordiv"}, {"mod"},
                              {"pow"},    {"matmul"}, {"and"}, {"or"},      {"xor"},      {"lshift"},
                              {"rshift"}, {"neg"},    {"pos"}, {"abs"},     {"invert"},   {"lt"},
                              {"le"},     {"eq"},     {"ne"},  {"gt"},      {"ge"}};

// Finds the op that serves an operator, at its first use; otherwise sets an exception.
bool open(const Operator& entry) {
  if (entry.op || entry.callable) return true;
  if (!open_family("operator", entry.name)) return false;
  if (entry.op || entry.callable) return true;
  PyErr_Format(PyExc_TypeError, "[%s] no op of the table serves this operator", entry.name);
  return false;
}

template <Slot slot>
PyObject* binary(PyObject* left, PyObject* right) {
  const Operator& entry = operators[slot];
  if (entry.op) [[likely]] {
    const auto run = [&]() -> PyObject* {
      Operand a, b;
      if (!to_operand(left, a) || !to_operand(right, b)) {
        if (PyErr_Occurred()) return nullptr;
        Py_RETURN_NOTIMPLEMENTED;
      }
      const Input inputs[2] = {a.input, b.input};
      return wrap(apply(*entry.op, inputs));
    };
    return guarded(run, nullptr, entry.name);
  }
  if (!entry.callable) return open(entry) ? binary<slot>(left, right) : nullptr;
  if (!is_tensor(left) || !is_tensor(right)) {
    Operand a, b;
    const bool fits = guarded(
        [&] { return to_operand(left, a) && to_operand(right, b) && a.input.tensor && b.input.tensor; },
        false);
    if (PyErr_Occurred()) return nullptr;
    if (!fits) Py_RETURN_NOTIMPLEMENTED;
    PyObject* args[2] = {as_object(a.input.tensor), as_object(b.input.tensor)};
    return PyObject_Vectorcall(entry.callable, args, 2, nullptr);
  }
  PyObject* args[2] = {left, right};
  return PyObject_Vectorcall(entry.callable, args, 2, nullptr);
}

template <Slot slot>
PyObject* in_place(PyObject* self, PyObject* other) {
  const Operator& entry = operators[slot];
  if (!entry.op) {
    if (!open(entry)) return nullptr;
    return entry.op ? in_place<slot>(self, other) : binary<slot>(self, other);
  }
  const auto run = [&]() -> PyObject* {
    Operand b;
    if (!to_operand(other, b)) {
      if (PyErr_Occurred()) return nullptr;
      Py_RETURN_NOTIMPLEMENTED;
    }
    const Input inputs[2] = {Input(*as_tensor(self)), b.input};
    apply_in_place(*entry.op, inputs, *as_tensor(self));
    return Py_NewRef(self);
  };
  return guarded(run, nullptr, entry.name);
}

template <Slot slot>
PyObject* unary(PyObject* self) {
  const Operator& entry = operators[slot];
  if (!entry.op && !open(entry)) return nullptr;
  const auto run = [&]() -> PyObject* {
    const Input inputs[1] = {Input(*as_tensor(self))};
    return wrap(apply(*entry.op, inputs));
  };
  return guarded(run, nullptr, entry.name);
}

PyObject* power(PyObject* left, PyObject* right, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary<kPow>(left, right);
}
PyObject* in_place_power(PyObject* left, PyObject* right, PyObject*) { return in_place<kPow>(left, right); }

PyObject* compare(PyObject* left, PyObject* right, int op) {
  switch (op) {
    case Py_LT:
      return binary<kLt>(left, right);
    case Py_LE:
      return binary<kLe>(left, right);
    case Py_EQ:
      return binary<kEq>(left, right);
    case Py_NE:
      return binary<kNe>(left, right);
    case Py_GT:
      return binary<kGt>(left, right);
    case Py_GE:
      return binary<kGe>(left, right);
  }
  Py_RETURN_NOTIMPLEMENTED;
}

Scalar single(PyObject* self, const char* what) {
  Tensor* tensor = as_tensor(self);
  if (tensor->numel != 1) {
    if (std::strcmp(what, "bool") == 0)
      fail(ErrorKind::Runtime, "[bool] Boolean value of Tensor with ",
           tensor->numel == 0 ? "no values" : "more than one value", " is ambiguous");
    // A ValueError and a RuntimeError: int() and item() of PyTorch raise the one and the other.
    fail(ErrorKind::Shape, "[", what, "] a tensor of shape ", tensor->sizes, " is no single number");
  }
  return item(*tensor, std::strcmp(what, "bool") == 0);
}

int truth(PyObject* self) {
  return guarded(
      [&] {
        const Scalar value = single(self, "bool");
        return static_cast<int>(value.is_whole() ? value.i != 0
                                                 : value.f != 0 || value.imaginary_part().f != 0);
      },
      -1);
}

PyObject* to_python_int(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Scalar value = single(self, "int");
    check_range(value, DType::Float64, "int");  // no complex number
    return value.is_whole() ? PyLong_FromLongLong(value.i) : PyLong_FromDouble(value.f);
  });
}
PyObject* to_python_float(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Scalar value = single(self, "float");
    check_range(value, DType::Float64, "float");
    return PyFloat_FromDouble(value.as_double());
  });
}
PyObject* to_index(PyObject* self) {
  return guarded([&]() -> PyObject* {
    if (is_differentiable(as_tensor(self)->dtype) || as_tensor(self)->numel != 1)
      fail(ErrorKind::Type, "[index] only integer tensors of a single element can be converted to an index");
    return PyLong_FromLongLong(single(self, "index").i);
  });
}

template <typename F>
constexpr void* slot(F function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

PyType_Slot tensor_number_slots[] = {
    {Py_nb_add, slot(binary<kAdd>)},
    {Py_nb_subtract, slot(binary<kSub>)},
    {Py_nb_multiply, slot(binary<kMul>)},
    {Py_nb_true_divide, slot(binary<kTrueDiv>)},
    {Py_nb_floor_divide, slot(binary<kFloorDiv>)},
    {Py_nb_remainder, slot(binary<kMod>)},
    {Py_nb_power, slot(power)},
    {Py_nb_matrix_multiply, slot(binary<kMatmul>)},
    {Py_nb_and, slot(binary<kAnd>)},
    {Py_nb_or, slot(binary<kOr>)},
    {Py_nb_xor, slot(binary<kXor>)},
    {Py_nb_lshift, slot(binary<kLshift>)},
    {Py_nb_rshift, slot(binary<kRshift>)},
    {Py_nb_negative, slot(unary<kNeg>)},
    {Py_nb_positive, slot(unary<kPos>)},
    {Py_nb_absolute, slot(unary<kAbs>)},
    {Py_nb_invert, slot(unary<kInvert>)},
    {Py_nb_inplace_add, slot(in_place<kAdd>)},
    {Py_nb_inplace_subtract, slot(in_place<kSub>)},
    {Py_nb_inplace_multiply, slot(in_place<kMul>)},
    {Py_nb_inplace_true_divide, slot(in_place<kTrueDiv>)},
    {Py_nb_inplace_floor_divide, slot(in_place<kFloorDiv>)},
    {Py_nb_inplace_remainder, slot(in_place<kMod>)},
    {Py_nb_inplace_power, slot(in_place_power)},
    {Py_nb_inplace_and, slot(in_place<kAnd>)},
    {Py_nb_inplace_or, slot(in_place<kOr>)},
    {Py_nb_inplace_xor, slot(in_place<kXor>)},
    {Py_nb_inplace_lshift, slot(in_place<kLshift>)},
    {Py_nb_inplace_rshift, slot(in_place<kRshift>)},
    {Py_nb_bool, slot(truth)},
    {Py_nb_int, slot(to_python_int)},
    {Py_nb_float, slot(to_python_float)},
    {Py_nb_index, slot(to_index)},
    {Py_tp_richcompare, slot(compare)},
    {0, nullptr},
};

bool set_operator(const char* name, ElementwiseOp* op, PyObject* callable) {
  for (Operator& entry : operators) {
    if (std::strcmp(entry.name, name) != 0) continue;
    entry.op = op;
    Py_XINCREF(callable);
    Py_XSETREF(entry.callable, callable);
    return true;
  }
  return false;
}

}  // namespace versant::face
