// Function: a record of the op table that C++ implements (call.h), as a Python callable with a declared
// signature.
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>

#include "face.h"
#include "machine/node.h"
#include "structmember.h"

namespace versant::face {

namespace {

enum class Kind : uint8_t {
  Tensor,
  Tensors,
  Ints,
  VarInts,
  VarIntsOrDType,
  Int,
  Float,
  Number,
  Bool,
  DType,
  Text,
  Generator
};

struct Parameter {
  std::string name;
  Object interned;
  Kind kind;
  bool optional;  // None is allowed
  bool keyword_only;
  bool required;
  Value fallback;
  Object fallback_object;
};

// Whether the parameter takes all positional arguments that are left.
bool takes_rest(const Parameter& parameter) {
  return parameter.kind == Kind::VarInts || parameter.kind == Kind::VarIntsOrDType;
}

struct Signature {
  std::string name;
  std::vector<Parameter> parameters;
  int positional = 0;
  bool takes_out = true;  // in-place forms do not
};

struct FunctionObject {
  PyObject_HEAD vectorcallfunc call;
  const Function* target;
  Signature* signature;
  PyObject* dict;
  CastPolicy casts;
};

PyTypeObject* function_type = nullptr;
PyObject* required_marker = nullptr;

FunctionObject* as_function(PyObject* object) { return reinterpret_cast<FunctionObject*>(object); }

constexpr int kMost = 14;

[[noreturn]] void wrong(const Signature& signature, const Parameter& parameter, const char* expected,
                        PyObject* got) {
  fail(ErrorKind::Type, "[", signature.name, "] argument '", parameter.name, "' must be ", expected, ", got ",
       Py_TYPE(got)->tp_name);
}

// What a call must keep alive: another thread may change the caller's list while the op runs.
using Owners = std::vector<Object>;

void parse_tensors(const Signature& signature, const Parameter& parameter, PyObject* object, Value& value,
                   Owners& owners) {
  if (!PyList_Check(object) && !PyTuple_Check(object))
    wrong(signature, parameter, "a list or tuple of tensors", object);
  PyObject* tuple = owners.emplace_back(checked(PySequence_Tuple(object))).get();
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    PyObject* item = PyTuple_GET_ITEM(tuple, i);
    if (item == Py_None)
      value.tensors.push_back(nullptr);
    else if (is_tensor(item))
      value.tensors.push_back(as_tensor(item));
    else
      wrong(signature, parameter, "a list or tuple of tensors", item);
  }
}

void parse(const Signature& signature, const Parameter& parameter, PyObject* object, Value& value,
           Owners& owners) {
  if (object == Py_None && parameter.optional) return;
  switch (parameter.kind) {
    case Kind::Tensor:
      if (!is_tensor(object)) wrong(signature, parameter, "a tensor", object);
      value.kind = Value::Kind::Tensor;
      value.tensor = as_tensor(object);
      return;
    case Kind::Tensors:
      value.kind = Value::Kind::Tensors;
      parse_tensors(signature, parameter, object, value, owners);
      return;
    case Kind::VarIntsOrDType:
      if (const std::optional<DType> dtype = dtype_of(object)) {
        value.kind = Value::Kind::DType;
        value.dtype = *dtype;
        return;
      }
      [[fallthrough]];
    case Kind::Ints:
    case Kind::VarInts:
      value.kind = Value::Kind::Ints;
      value.ints = to_dims(object, signature.name.c_str(), parameter.name.c_str());
      return;
    case Kind::Int:
      value.kind = Value::Kind::Int;
      value.scalar = Scalar::of_int(to_int(object, signature.name.c_str(), parameter.name.c_str()));
      return;
    case Kind::Float:
    case Kind::Number:
      if (!(parameter.kind == Kind::Number ? to_number : to_scalar)(object, &value.scalar)) {
        if (!is_tensor(object) || as_tensor(object)->numel != 1)
          wrong(signature, parameter, "a number", object);
        value.scalar = item(*as_tensor(object));
      }
      value.kind = Value::Kind::Float;
      return;
    case Kind::Bool: {
      if (!PyBool_Check(object) && !PyLong_Check(object)) wrong(signature, parameter, "a bool", object);
      value.kind = Value::Kind::Bool;
      value.scalar = Scalar::of_bool(PyObject_IsTrue(object) != 0);
      return;
    }
    case Kind::DType:
      value.kind = Value::Kind::DType;
      value.dtype = expect_dtype(object, signature.name.c_str());
      return;
    case Kind::Text: {
      if (!PyUnicode_Check(object)) wrong(signature, parameter, "a string", object);
      Py_ssize_t size;
      const char* text = PyUnicode_AsUTF8AndSize(object, &size);
      if (!text) throw HostError{};
      value.kind = Value::Kind::Text;
      value.text = {text, static_cast<size_t>(size)};
      return;
    }
    case Kind::Generator:
      value.generator = as_generator(object);
      if (!value.generator) wrong(signature, parameter, "a Generator", object);
      value.kind = Value::Kind::Generator;
      return;
  }
}

// One field below another.
PyObject* named_tuple_repr(PyObject* self) {
  std::string out = text(Py_TYPE(self)->tp_name, "(");
  Object names(PyObject_GetAttrString(self, "__match_args__"));
  if (!names) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    Object value(PyObject_Repr(PyTuple_GET_ITEM(self, i)));
    const char* shown = value ? PyUnicode_AsUTF8(value.get()) : nullptr;
    if (!shown) return nullptr;
    out += text(i ? ",\n" : "\n", PyUnicode_AsUTF8(PyTuple_GET_ITEM(names.get(), i)), "=", shown);
  }
  return PyUnicode_FromString((out + ")").c_str());
}

// Types of the named tuples that functions return, by function and fields.
PyTypeObject* named_tuple(const std::string& function, const char* fields) {
  static std::map<std::string, PyTypeObject*> types;
  PyTypeObject*& type = types[function + ' ' + fields];
  if (type) return type;
  static std::vector<std::unique_ptr<std::string>> names;
  auto keep = [](std::string text) {
    return names.emplace_back(std::make_unique<std::string>(std::move(text)))->c_str();
  };
  std::vector<PyStructSequence_Field> list;
  std::string rest = fields;
  while (!rest.empty()) {
    const size_t space = rest.find(' ');
    list.push_back({keep(rest.substr(0, space)), nullptr});
    rest = space == std::string::npos ? "" : rest.substr(space + 1);
  }
  const int n = static_cast<int>(list.size());
  list.push_back({});
  PyStructSequence_Desc description = {keep("versant.return_types." + function.substr(0, function.find('.'))),
                                       nullptr, list.data(), n};
  type = PyStructSequence_NewType(&description);
  if (!type) throw HostError{};
  type->tp_repr = named_tuple_repr;
  return type;
}

PyObject* to_python(Result&& result, const std::string& function) {
  if (result.tensor) return wrap(std::move(result.tensor));
  if (result.number) return from_scalar(*result.number);
  if (result.nothing) Py_RETURN_NONE;
  const Py_ssize_t n = static_cast<Py_ssize_t>(result.tensors.size());
  Object tuple =
      checked(result.fields ? PyStructSequence_New(named_tuple(function, result.fields)) : PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = result.tensors[i] ? wrap(std::move(result.tensors[i])) : Py_NewRef(Py_None);
    if (result.fields)
      PyStructSequence_SET_ITEM(tuple.get(), i, item);
    else
      PyTuple_SET_ITEM(tuple.get(), i, item);
  }
  return tuple.release();
}

// The values of one call: as many as its signature has, on the stack.
class Values {
 public:
  explicit Values(int count) : count_(count) {
    for (int i = 0; i < count_; ++i) new (&(*this)[i]) Value;
  }
  ~Values() {
    for (int i = 0; i < count_; ++i) (*this)[i].~Value();
  }
  Value& operator[](int i) { return reinterpret_cast<Value*>(room_)[i]; }
  std::span<Value> span() { return {&(*this)[0], static_cast<size_t>(count_)}; }

 private:
  int count_;
  alignas(Value) std::byte room_[kMost * sizeof(Value)];
};

// numpy's name for an argument, where PyTorch takes it too; null for others.
const char* alias_of(const Parameter& which) {
  if (which.kind == Kind::VarIntsOrDType) return "dtype";
  const std::string& parameter = which.name;
  return parameter == "dim"       ? "axis"
         : parameter == "keepdim" ? "keepdims"
         : parameter == "input"   ? "x"
                                  : nullptr;
}

int find_parameter(const Signature& signature, PyObject* name) {
  const int total = static_cast<int>(signature.parameters.size());
  for (int i = 0; i < total; ++i)
    if (signature.parameters[i].interned.get() == name) return i;
  for (int i = 0; i < total; ++i)
    if (PyUnicode_Compare(signature.parameters[i].interned.get(), name) == 0) return i;
  for (int i = 0; i < total; ++i) {
    const char* alias = alias_of(signature.parameters[i]);
    if (alias && PyUnicode_CompareWithASCIIString(name, alias) == 0) return i;
  }
  return -1;
}

// A call with out=. What has an argument dtype computes in that of `out`, unless it is given.
PyObject* run_into(PyObject* out, const FunctionObject& self, Args& call, const bool* given, Values& values) {
  const Signature& signature = *self.signature;
  const char* op = signature.name.c_str();
  check_out(op, out);
  for (size_t i = 0; is_tensor(out) && i < signature.parameters.size(); ++i) {
    if (signature.parameters[i].kind != Kind::DType || given[i]) continue;
    values[static_cast<int>(i)].kind = Value::Kind::DType;
    values[static_cast<int>(i)].dtype = as_tensor(out)->dtype;
  }
  return write_out(op, Object(checked(to_python(self.target->call(call), signature.name))), out);
}

PyObject* vectorcall_plainly(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames);

PyObject* vectorcall(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  FunctionObject* self = as_function(callable);
  if (modes.autocast && self->casts != CastPolicy::None) [[unlikely]]
    return call_with_casts(vectorcall, self->casts, callable, args, nargsf, kwnames);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  if (dialect_type && speaks_dialect(args, n)) [[unlikely]]
    return call_in_dialect(vectorcall_plainly, callable, args, nargsf, kwnames);
  return vectorcall_plainly(callable, args, nargsf, kwnames);
}

PyObject* vectorcall_plainly(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  FunctionObject* self = as_function(callable);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  const Signature& signature = *self->signature;
  if (self->target->quick && !kwnames && n >= self->target->least && n <= signature.positional) {
    Tensor* tensors[kMost];
    Py_ssize_t found = 0;
    while (found < n && is_tensor(args[found])) tensors[found] = as_tensor(args[found]), ++found;
    if (found == n)
      return guarded(
          [&] {
            return wrap(self->target->quick({tensors, static_cast<size_t>(n)}));
          },
          nullptr, signature.name.c_str());
  }
  const auto run = [&]() -> PyObject* {
    const int total = static_cast<int>(signature.parameters.size());
    Values values(total);
    Owners owners;
    bool given[kMost] = {};
    Py_ssize_t taken = n;
    Object rest;
    PyObject* out = nullptr;
    if (n > signature.positional || (n >= signature.positional && n > 0 && signature.positional > 0 &&
                                     takes_rest(signature.parameters[signature.positional - 1]))) {
      // view(2, 3) is view((2, 3)): the last positional parameter takes what is left.
      const int last = signature.positional - 1;
      if (last < 0 || !takes_rest(signature.parameters[last]))
        fail(ErrorKind::Type, "[", signature.name, "] takes ", signature.positional,
             " positional arguments, got ", n);
      taken = last;
      if (n - last == 1 && !PyLong_Check(args[last]) && !PyIndex_Check(args[last])) {
        parse(signature, signature.parameters[last], args[last], values[last], owners);
      } else {
        rest = checked(PyTuple_New(n - last));
        for (Py_ssize_t i = last; i < n; ++i) PyTuple_SET_ITEM(rest.get(), i - last, Py_NewRef(args[i]));
        parse(signature, signature.parameters[last], rest.get(), values[last], owners);
      }
      given[last] = true;
    }
    for (Py_ssize_t i = 0; i < taken; ++i) {
      parse(signature, signature.parameters[i], args[i], values[i], owners);
      given[i] = true;
    }
    if (kwnames) {
      for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(kwnames); ++k) {
        PyObject* name = PyTuple_GET_ITEM(kwnames, k);
        const int at = find_parameter(signature, name);
        if (at < 0 && signature.takes_out && PyUnicode_CompareWithASCIIString(name, "out") == 0) {
          out = args[n + k] == Py_None ? nullptr : args[n + k];
          continue;
        }
        if (at < 0)
          fail(ErrorKind::Type, "[", signature.name, "] got an unexpected keyword argument '",
               PyUnicode_AsUTF8(name), "'");
        if (given[at])
          fail(ErrorKind::Type, "[", signature.name, "] got multiple values for argument '",
               PyUnicode_AsUTF8(name), "'");
        parse(signature, signature.parameters[at], args[n + k], values[at], owners);
        given[at] = true;
      }
    }
    for (int i = 0; i < total; ++i) {
      if (given[i]) continue;
      const Parameter& parameter = signature.parameters[i];
      if (takes_rest(parameter) && parameter.required) {
        values[i].kind = Value::Kind::Ints;  // view() of a 0-d tensor
        continue;
      }
      if (parameter.required)
        fail(ErrorKind::Type, "[", signature.name, "] missing argument '", parameter.name, "'");
      if (parameter.fallback.kind != Value::Kind::None) values[i] = parameter.fallback;
    }
    Args call(signature.name.c_str(), values.span());
    if (out) return run_into(out, *self, call, given, values);
    return to_python(self->target->call(call), signature.name);
  };
  return guarded(run, nullptr, signature.name.c_str());
}

void function_dealloc(PyObject* object) {
  FunctionObject* self = as_function(object);
  delete self->signature;
  Py_CLEAR(self->dict);
  PyTypeObject* type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

PyObject* function_repr(PyObject* self) {
  return PyUnicode_FromFormat("<op %s>", as_function(self)->signature->name.c_str());
}

PyObject* function_get(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

PyObject* function_operator(PyObject* object, PyObject* args) {
  const char* name;
  if (!PyArg_ParseTuple(args, "s", &name)) return nullptr;
  if (!set_operator(name, nullptr, object))
    return PyErr_Format(PyExc_ValueError, "[operator] Python has no operator slot named '%s'", name);
  Py_RETURN_NONE;
}

PyObject* function_name(PyObject* self, void*) {
  return PyUnicode_FromString(as_function(self)->signature->name.c_str());
}
PyObject* function_doc(PyObject* self, void*) {
  PyObject* doc = PyDict_GetItemString(as_function(self)->dict, "__doc__");
  return Py_NewRef(doc ? doc : Py_None);
}
int function_set_doc(PyObject* self, PyObject* value, void*) {
  return PyDict_SetItemString(as_function(self)->dict, "__doc__", value ? value : Py_None);
}

PyMethodDef methods[] = {
    {"operator", function_operator, METH_VARARGS, "operator(name): serve Python's operator of that name."},
    {"__reduce__", pickle_by_name, METH_NOARGS, nullptr},
    {},
};
PyGetSetDef getset[] = {
    {"name", function_name, nullptr, "The record's name.", nullptr},
    {"__doc__", function_doc, function_set_doc, nullptr, nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FunctionObject, call), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(FunctionObject, dict), READONLY, nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(function_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(function_repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(function_get)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {0, nullptr},
};
PyType_Spec spec = {"versant._core.Function", sizeof(FunctionObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
                        Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    slots};

Kind parse_kind(const std::string& text) {
  static const std::map<std::string, Kind> kinds = {{"tensor", Kind::Tensor},
                                                    {"tensors", Kind::Tensors},
                                                    {"ints", Kind::Ints},
                                                    {"*ints", Kind::VarInts},
                                                    {"*ints_or_dtype", Kind::VarIntsOrDType},
                                                    {"int", Kind::Int},
                                                    {"float", Kind::Float},
                                                    {"number", Kind::Number},
                                                    {"bool", Kind::Bool},
                                                    {"dtype", Kind::DType},
                                                    {"text", Kind::Text},
                                                    {"generator", Kind::Generator}};
  auto found = kinds.find(text);
  if (found == kinds.end()) fail(ErrorKind::Value, "[define_function] unknown kind of argument '", text, "'");
  return found->second;
}

PyObject* define_function(PyObject*, PyObject* args) {
  const char *name, *target_name, *casts = "";
  PyObject *signature_list, *doc;
  if (!PyArg_ParseTuple(args, "ssO!O|s", &name, &target_name, &PyList_Type, &signature_list, &doc, &casts))
    return nullptr;
  return guarded([&]() -> PyObject* {
    const Function* target = find_function(target_name);
    if (!target) fail(ErrorKind::Value, "[", name, "] the machine has no function '", target_name, "'");
    const CastPolicy policy = cast_policy(casts);
    auto signature = std::make_unique<Signature>();
    signature->name = name;
    signature->takes_out = signature->name.back() != '_';
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(signature_list); ++i) {
      const char *argument, *kind;
      PyObject* fallback;
      int keyword_only;
      if (!PyArg_ParseTuple(PyList_GET_ITEM(signature_list, i), "ssOp", &argument, &kind, &fallback,
                            &keyword_only))
        throw HostError{};
      Parameter parameter;
      parameter.name = argument;
      parameter.interned = checked(PyUnicode_InternFromString(argument));
      std::string text = kind;
      parameter.optional = !text.empty() && text.back() == '?';
      if (parameter.optional) text.pop_back();
      parameter.kind = parse_kind(text);
      parameter.keyword_only = keyword_only != 0;
      parameter.required = fallback == required_marker;
      if (!parameter.required && fallback != Py_None) {
        parameter.fallback_object = Object::share(fallback);
        Owners owners;
        parse(*signature, parameter, fallback, parameter.fallback, owners);
      }
      if (!keyword_only) ++signature->positional;
      signature->parameters.push_back(std::move(parameter));
    }
    if (signature->parameters.size() > static_cast<size_t>(kMost))
      fail(ErrorKind::Value, "[define_function] ", name, " has more than ", kMost, " arguments");
    auto* self = PyObject_New(FunctionObject, function_type);
    if (!self) throw HostError{};
    self->call = vectorcall;
    self->casts = policy;
    self->target = target;
    self->signature = signature.release();
    self->dict = PyDict_New();
    Object text = checked(PyUnicode_FromString(name));
    PyDict_SetItemString(self->dict, "__name__", text.get());
    PyDict_SetItemString(self->dict, "__qualname__", text.get());
    PyDict_SetItemString(self->dict, "__doc__", doc);
    return reinterpret_cast<PyObject*>(self);
  });
}

PyObject* has_function(PyObject*, PyObject* name) {
  const char* text = PyUnicode_AsUTF8(name);
  if (!text) return nullptr;
  return PyBool_FromLong(find_function(text) != nullptr);
}

}  // namespace

PyMethodDef function_functions[] = {
    {"define_function", define_function, METH_VARARGS,
     "define_function(name, target, signature, doc, autocast='') -> Function"},
    {"has_function", has_function, METH_O, "Whether the machine implements a function of that name."},
    {},
};

bool init_functions(PyObject* module) {
  function_type = add_type(module, &spec);
  required_marker = PyObject_CallNoArgs(reinterpret_cast<PyObject*>(&PyBaseObject_Type));
  return function_type && required_marker && PyModule_AddObjectRef(module, "REQUIRED", required_marker) == 0;
}

}  // namespace versant::face
