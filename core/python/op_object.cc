// Op: a record of the op table that is elementwise, as a Python callable. The same object serves as function
// and method.
#include <cstddef>
#include <cstring>

#include "face.h"
#include "machine/kernels.h"
#include "structmember.h"

namespace versant::face {

namespace {

struct OpObject {
  PyObject_HEAD vectorcallfunc call;
  ElementwiseOp* op;
  bool in_place;
  PyObject* arguments;  // tuple of argument names
  PyObject* defaults;   // tuple: of the last parameters
  PyObject* variants;   // dict keyword -> Op, or null
  PyObject* dict;
  CastPolicy casts;
};

PyTypeObject* op_type = nullptr;

OpObject* as_op(PyObject* object) { return reinterpret_cast<OpObject*>(object); }

constexpr int kMost = Program::kMaxInputs;

// One call's operands, from arguments to result.
struct Call {
  OpObject* self;
  bool in_place;
  Operand operands[kMost];
  bool given[kMost] = {};

  void set(int i, PyObject* value) {
    if (!to_operand(value, operands[i])) {
      if (PyErr_Occurred()) throw HostError{};
      fail(ErrorKind::Type, "[", self->op->name, "] argument '",
           PyUnicode_AsUTF8(PyTuple_GET_ITEM(self->arguments, i)), "' must be a tensor or a number, got ",
           Py_TYPE(value)->tp_name);
    }
    given[i] = true;
  }

  PyObject* run(PyObject* out) {
    ElementwiseOp& op = *self->op;
    const int total = op.n_inputs + op.n_parameters;
    const int n_defaults = static_cast<int>(PyTuple_GET_SIZE(self->defaults));
    Input inputs[kMost];
    bool any = false;
    for (int i = 0; i < total; ++i) {
      if (!given[i]) {
        const int k = i - (total - n_defaults);
        if (k < 0)
          fail(ErrorKind::Type, "[", op.name, "] missing argument '",
               PyUnicode_AsUTF8(PyTuple_GET_ITEM(self->arguments, i)), "'");
        set(i, PyTuple_GET_ITEM(self->defaults, k));
      }
      inputs[i] = operands[i].input;
      if (i >= op.n_inputs && inputs[i].tensor) {
        inputs[i] = Input(item(*inputs[i].tensor));  // a parameter is a number
      }
      any |= inputs[i].tensor != nullptr;
    }
    if (!any) fail(ErrorKind::Type, "[", op.name, "] expected a tensor, got only numbers");
    const std::span<const Input> span(inputs, total);
    if (in_place) {
      Tensor* target = inputs[0].tensor;
      if (!target) fail(ErrorKind::Type, "[", op.name, "_] expected a tensor to change in place");
      apply_in_place(op, span, *target);
      PyObject* object = as_object(target);
      Py_INCREF(object);
      return object;
    }
    if (out && out != Py_None) {
      check_out(op.name.c_str(), out);
      if (!is_tensor(out)) fail(ErrorKind::Type, "[", op.name, "] has one result, got several out=");
      write_into(op, span, *as_tensor(out));
      Py_INCREF(out);
      return out;
    }
    return wrap(apply(op, span));
  }

  // Straight into `out` where it has the result's shape.
  static void write_into(ElementwiseOp& op, std::span<const Input> inputs, Tensor& out) {
    if (modes.grad)
      for (const Input& input : inputs)
        if (input.tensor && needs_grad(*input.tensor))
          fail(ErrorKind::Runtime, "[", op.name,
               "] out= arguments don't support automatic differentiation, but an input requires grad");
    Dims sizes;
    for (const Input& input : inputs)
      if (input.tensor) sizes = broadcast_sizes(sizes, input.tensor->sizes, op.name.c_str());
    if (sizes == out.sizes)
      apply_in_place(op, inputs, out, true);
    else
      write_out(op.name.c_str(), apply(op, inputs), out);
  }
};

PyObject* call_variant(OpObject* self, PyObject* variant, PyObject* const* args, Py_ssize_t n,
                       PyObject* kwnames) {
  Object target = Object::share(variant);
  if (self->in_place) target = Object(PyObject_CallMethod(variant, "in_place", nullptr));
  if (!target) return nullptr;
  return PyObject_Vectorcall(target.get(), args, n, kwnames);
}

PyObject* vectorcall_plainly(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames);

PyObject* vectorcall(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  OpObject* self = as_op(callable);
  if (modes.autocast && self->casts != CastPolicy::None) [[unlikely]]
    return call_with_casts(vectorcall, self->casts, callable, args, nargsf, kwnames);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  if (dialect_type && speaks_dialect(args, n)) [[unlikely]] {
    if (!kwnames && n == 1 && self->op->n_inputs + self->op->n_parameters == 1 && !self->in_place)
      return guarded([&]() -> PyObject* {
        const Input inputs[1] = {Input(*as_tensor(args[0]))};
        TensorRef found = apply(*self->op, inputs);
        found->type = dialect_type;
        return wrap(std::move(found));
      });
    return call_in_dialect(vectorcall_plainly, callable, args, nargsf, kwnames);
  }
  return vectorcall_plainly(callable, args, nargsf, kwnames);
}

PyObject* vectorcall_plainly(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  OpObject* self = as_op(callable);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  ElementwiseOp& op = *self->op;
  const int total = op.n_inputs + op.n_parameters;
  // The common case: plain tensors in every place.
  if (!kwnames && n == 1 && total == 1 && !self->in_place && Py_TYPE(args[0]) == tensor_type) {
    return guarded([&]() -> PyObject* {
      const Input inputs[1] = {Input(*as_tensor(args[0]))};
      return wrap(apply(op, inputs));
    });
  }
  const auto run = [&]() -> PyObject* {
    Call call{self, self->in_place, {}, {}};
    // The functions of nn.functional say relu(x, inplace=True), or just relu(x, True).
    if (n == total + 1 && PyBool_Check(args[total])) {
      call.in_place |= args[total] == Py_True;
    } else if (n > total)
      fail(ErrorKind::Type, "[", op.name, "] takes ", total, " arguments, got ", n);
    PyObject* out = nullptr;
    if (kwnames) {
      for (Py_ssize_t k = 0; self->variants && k < PyTuple_GET_SIZE(kwnames); ++k) {
        PyObject* variant = PyDict_GetItemWithError(self->variants, PyTuple_GET_ITEM(kwnames, k));
        if (variant) return call_variant(self, variant, args, n, kwnames);
        if (PyErr_Occurred()) throw HostError{};
      }
    }
    for (Py_ssize_t i = 0; i < std::min<Py_ssize_t>(n, total); ++i) call.set(static_cast<int>(i), args[i]);
    if (kwnames) {
      for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(kwnames); ++k) {
        PyObject* name = PyTuple_GET_ITEM(kwnames, k);
        if (PyUnicode_CompareWithASCIIString(name, "out") == 0) {
          out = args[n + k];
          continue;
        }
        if (PyUnicode_CompareWithASCIIString(name, "inplace") == 0) {
          call.in_place |= PyObject_IsTrue(args[n + k]) == 1;
          continue;
        }
        int at = -1;
        for (int i = 0; i < total && at < 0; ++i)
          if (PyUnicode_Compare(name, PyTuple_GET_ITEM(self->arguments, i)) == 0) at = i;
        if (at < 0)
          fail(ErrorKind::Type, "[", op.name, "] got an unexpected keyword argument '",
               PyUnicode_AsUTF8(name), "'");
        if (call.given[at])
          fail(ErrorKind::Type, "[", op.name, "] got multiple values for argument '", PyUnicode_AsUTF8(name),
               "'");
        call.set(at, args[n + k]);
      }
    }
    return call.run(out);
  };
  return guarded(run, nullptr, op.name.c_str());
}

PyObject* make_op(ElementwiseOp* op, bool in_place, PyObject* arguments, PyObject* defaults) {
  auto* self = PyObject_New(OpObject, op_type);
  if (!self) return nullptr;
  self->call = vectorcall;
  self->op = op;
  self->in_place = in_place;
  self->casts = CastPolicy::None;
  self->arguments = Py_NewRef(arguments);
  self->defaults = Py_NewRef(defaults);
  self->variants = nullptr;
  self->dict = PyDict_New();
  if (self->dict) {
    Object name(PyUnicode_FromString((op->name + (in_place ? "_" : "")).c_str()));
    PyDict_SetItemString(self->dict, "__name__", name.get());
    PyDict_SetItemString(self->dict, "__qualname__", name.get());
  }
  return reinterpret_cast<PyObject*>(self);
}

void op_dealloc(PyObject* object) {
  OpObject* self = as_op(object);
  Py_CLEAR(self->arguments);
  Py_CLEAR(self->defaults);
  Py_CLEAR(self->variants);
  Py_CLEAR(self->dict);
  PyTypeObject* type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

PyObject* op_repr(PyObject* self) {
  return PyUnicode_FromFormat("<op %s%s>", as_op(self)->op->name.c_str(), as_op(self)->in_place ? "_" : "");
}

PyObject* op_get(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

PyObject* op_in_place(PyObject* object, PyObject*) {
  OpObject* self = as_op(object);
  // One table of variants for both forms, because some are added later.
  if (!self->variants && !(self->variants = PyDict_New())) return nullptr;
  PyObject* result = make_op(self->op, true, self->arguments, self->defaults);
  if (result) as_op(result)->variants = Py_NewRef(self->variants);
  return result;
}

PyObject* op_special(PyObject* object, PyObject* args) {
  double value;
  PyObject* other;
  if (!PyArg_ParseTuple(args, "dO!", &value, op_type, &other)) return nullptr;
  as_op(object)->op->specials.emplace_back(value, as_op(other)->op);
  Py_RETURN_NONE;
}

PyObject* op_variant(PyObject* object, PyObject* args) {
  PyObject* keyword;
  PyObject* other;
  if (!PyArg_ParseTuple(args, "UO", &keyword, &other)) return nullptr;
  OpObject* self = as_op(object);
  if (!self->variants && !(self->variants = PyDict_New())) return nullptr;
  if (PyDict_SetItem(self->variants, keyword, other) < 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* op_on_bool(PyObject* object, PyObject* other) {
  if (!Py_IS_TYPE(other, op_type)) return PyErr_Format(PyExc_TypeError, "[on_bool] expected an Op");
  as_op(object)->op->on_bool = as_op(other)->op;
  Py_RETURN_NONE;
}

PyObject* op_autocast(PyObject* object, PyObject* name) {
  const char* text = PyUnicode_AsUTF8(name);
  if (!text) return nullptr;
  return guarded([&]() -> PyObject* {
    as_op(object)->casts = cast_policy(text);
    Py_RETURN_NONE;
  });
}

PyObject* op_operator(PyObject* object, PyObject* args) {
  const char* name;
  if (!PyArg_ParseTuple(args, "s", &name)) return nullptr;
  if (!set_operator(name, as_op(object)->op, object))
    return PyErr_Format(PyExc_ValueError, "[operator] Python has no operator slot named '%s'", name);
  Py_RETURN_NONE;
}

PyObject* op_name(PyObject* self, void*) { return PyUnicode_FromString(as_op(self)->op->name.c_str()); }
PyObject* op_doc(PyObject* self, void*) {
  PyObject* doc = PyDict_GetItemString(as_op(self)->dict, "__doc__");
  return Py_NewRef(doc ? doc : Py_None);
}
int op_set_doc(PyObject* self, PyObject* value, void*) {
  return PyDict_SetItemString(as_op(self)->dict, "__doc__", value ? value : Py_None);
}

PyMethodDef op_methods[] = {
    {"in_place", op_in_place, METH_NOARGS, "The same op, writing into its first argument."},
    {"special", op_special, METH_VARARGS,
     "special(value, op): use `op` of the first input where the second is that number."},
    {"variant", op_variant, METH_VARARGS,
     "variant(keyword, op): call `op`, with the same arguments, when that keyword is given."},
    {"on_bool", op_on_bool, METH_O, "on_bool(op): use `op` where the inputs promote to bool."},
    {"autocast", op_autocast, METH_O, "autocast(policy): how its arguments are cast under autocast."},
    {"operator", op_operator, METH_VARARGS, "operator(name): serve Python's operator of that name."},
    {"__reduce__", pickle_by_name, METH_NOARGS, nullptr},
    {},
};
PyGetSetDef op_getset[] = {
    {"name", op_name, nullptr, "The record's name.", nullptr},
    {"__doc__", op_doc, op_set_doc, nullptr, nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {},
};
PyMemberDef op_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpObject, call), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(OpObject, dict), READONLY, nullptr},
    {},
};
PyType_Slot op_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(op_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(op_repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(op_get)},
    {Py_tp_methods, op_methods},
    {Py_tp_getset, op_getset},
    {Py_tp_members, op_members},
    {0, nullptr},
};
PyType_Spec op_spec = {"versant._core.Op", sizeof(OpObject), 0,
                       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
                           Py_TPFLAGS_DISALLOW_INSTANTIATION,
                       op_slots};

}  // namespace

// --- programs from the record
// ---------------------------------------------------------------------------------------------

Program parse_program(PyObject* parts, int n_inputs) {
  PyObject *constants, *code, *outputs;
  if (!PyArg_ParseTuple(parts, "OOO", &constants, &code, &outputs)) throw HostError{};
  Program program;
  program.n_inputs = n_inputs;
  Object list = checked(PySequence_Fast(constants, "constants"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i) {
    Scalar scalar;
    if (!to_scalar(PySequence_Fast_GET_ITEM(list.get(), i), &scalar))
      fail(ErrorKind::Type, "[program] a constant must be a number");
    program.constants.push_back(scalar);
  }
  list = checked(PySequence_Fast(code, "code"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i) {
    int micro, a, b, c;
    if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(list.get(), i), "iiii", &micro, &a, &b, &c))
      throw HostError{};
    if (micro < 0 || micro >= static_cast<int>(kMicroCount) || a < 0 || a > 255 || b < 0 || b > 255 ||
        c < 0 || c > 255)
      fail(ErrorKind::Value, "[program] instruction ", i, " is out of range");
    program.code.push_back({static_cast<Micro>(micro), static_cast<uint8_t>(a), static_cast<uint8_t>(b),
                            static_cast<uint8_t>(c)});
  }
  list = checked(PySequence_Fast(outputs, "outputs"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i) {
    const long reg = PyLong_AsLong(PySequence_Fast_GET_ITEM(list.get(), i));
    if (reg == -1 && PyErr_Occurred()) throw HostError{};
    if (reg < 0 || reg > 255) fail(ErrorKind::Value, "[program] output register ", reg, " is out of range");
    program.outputs.push_back(static_cast<uint8_t>(reg));
  }
  program.finish();
  return program;
}

namespace {

PyObject* record_of(ElementwiseOp& op) { return static_cast<PyObject*>(op.host); }

// While Python builds a program another thread may have built and begun to use the same one, so what is there
// first stays.
PyObject* family_source = nullptr;

PyObject* set_family_source(PyObject*, PyObject* callable) {
  Py_INCREF(callable);
  Py_XSETREF(family_source, callable);
  Py_RETURN_NONE;
}

void open_record(const char* name) {
  if (!open_family("record", name)) throw HostError{};
}

void build_forward(ElementwiseOp& op) {
  Object parts = checked(PyObject_CallMethod(record_of(op), "forward", nullptr));
  if (op.ready) return;
  op.forward = parse_program(parts.get(), (op.n_inputs + op.n_parameters) * (op.pairs() ? 2 : 1));
  if (op.pairs()) op.forward.single = false;
  op.derivatives.resize(op.n_inputs);
  op.ready = true;
}

void build_complex(ElementwiseOp& op) {
  Object form = checked(PyObject_CallMethod(record_of(op), "complex_form", nullptr));
  if (Py_IS_TYPE(form.get(), op_type)) op.complex = as_op(form.get())->op;
  op.complex_known = true;
}

void build_derivative(ElementwiseOp& op, int input) {
  Object answer = checked(PyObject_CallMethod(record_of(op), "derivative", "i", input));
  Derivative derivative;
  if (answer.get() == Py_None) {
    derivative.kind = Derivative::Kind::None;
  } else if (PyUnicode_Check(answer.get())) {
    const bool zero = PyUnicode_CompareWithASCIIString(answer.get(), "zero") == 0;
    derivative.kind = zero ? Derivative::Kind::Zero : Derivative::Kind::Identity;
  } else {
    unsigned uses;
    PyObject *other, *sources;
    if (!PyArg_ParseTuple(answer.get(), "IO!O", &uses, op_type, &other, &sources)) throw HostError{};
    derivative.kind = Derivative::Kind::Program;
    derivative.uses = uses;
    derivative.op = as_op(other)->op;
    for (const int64_t s : to_dims(sources, "derivative", "sources"))
      derivative.sources.push_back(static_cast<uint8_t>(s));
  }
  if (op.derivatives[input].kind == Derivative::Kind::Unknown) op.derivatives[input] = std::move(derivative);
}

void build_backward(ElementwiseOp& op, uint32_t mask) {
  Object parts = checked(PyObject_CallMethod(record_of(op), "backward", "I", mask));
  const int sources = op.n_inputs + op.n_parameters + 2;
  op.backward.emplace_back(
      mask, std::make_unique<Program>(parse_program(parts.get(), sources * (op.pairs() ? 2 : 1))));
}

PyObject* define_elementwise(PyObject*, PyObject* args) {
  const char *name, *rule;
  int n_inputs, n_parameters, promotes, refuses;
  PyObject *arguments, *defaults, *record;
  if (!PyArg_ParseTuple(args, "siisiiO!O!O", &name, &n_inputs, &n_parameters, &rule, &promotes, &refuses,
                        &PyTuple_Type, &arguments, &PyTuple_Type, &defaults, &record))
    return nullptr;
  return guarded([&]() -> PyObject* {
    const char* rules[] = {"promote", "float",   "bool", "integral", "first",
                           "number",  "complex", "real", "truth"};
    int found = -1;
    for (int i = 0; i < 9; ++i)
      if (std::strcmp(rules[i], rule) == 0) found = i;
    if (found < 0) fail(ErrorKind::Value, "[", name, "] unknown dtype rule '", rule, "'");
    const int total = n_inputs + n_parameters;
    const int registers = (total + 2) * (found >= static_cast<int>(DTypeRule::Complex) ? 2 : 1);
    if (n_inputs < 1 || n_parameters < 0 || registers > Program::kMaxInputs ||
        PyTuple_GET_SIZE(arguments) != total || PyTuple_GET_SIZE(defaults) > total)
      fail(ErrorKind::Value, "[", name, "] ", n_inputs, " inputs and ", n_parameters,
           " parameters do not fit its arguments");
    auto op = std::make_unique<ElementwiseOp>();
    op->name = name;
    op->n_inputs = n_inputs;
    op->n_parameters = n_parameters;
    op->rule = static_cast<DTypeRule>(found);
    op->promotes = static_cast<uint32_t>(promotes);
    op->refuses = static_cast<uint8_t>(refuses);
    op->host = Py_NewRef(record);
    Object object = checked(make_op(op.get(), false, arguments, defaults));
    register_elementwise(op.release());  // lives as long as the process: nodes refer to it
    return object.release();
  });
}

}  // namespace

bool open_family(const char* kind, const char* name) {
  if (!family_source) return true;
  PyObject* result = PyObject_CallFunction(family_source, "ss", kind, name);
  Py_XDECREF(result);
  return result != nullptr;
}

PyMethodDef op_functions[] = {
    {"set_family_source", set_family_source, METH_O,
     "set_family_source(callable): callable(kind, name) opens the family of ops that has an \"operator\" or "
     "a "
     "\"record\" of that name."},
    {"define_elementwise", define_elementwise, METH_VARARGS,
     "define_elementwise(name, n_inputs, n_parameters, rule, promotes, refuses, arguments, defaults, "
     "record) -> Op"},
    {},
};

bool init_ops(PyObject* module) {
  op_type = add_type(module, &op_spec);
  if (!op_type) return false;
  elementwise_hooks = {open_record, build_forward, build_complex, build_derivative, build_backward};
  Object micro(PyDict_New());
  if (!micro) return false;
  for (size_t i = 0; i < kMicroCount; ++i) {
    Object entry(Py_BuildValue("(iiO)", static_cast<int>(i), static_cast<int>(kMicro[i].arity),
                               kMicro[i].ints ? Py_True : Py_False));
    if (!entry || PyDict_SetItemString(micro.get(), kMicro[i].name.data(), entry.get()) < 0) return false;
  }
  return PyModule_AddObjectRef(module, "MICRO", micro.get()) == 0;
}

}  // namespace versant::face
