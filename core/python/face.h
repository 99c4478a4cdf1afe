// Shared parts of the CPython face: objects, conversions, and the guard between C++ exceptions and Python's.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <optional>
#include <string>
#include <vector>

#include "machine/autocast.h"
#include "machine/call.h"
#include "machine/elementwise.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/replay.h"
#include "machine/tensor.h"
#include "machine/trace.h"

namespace versant::trace {
class Branches;
class Plan;
}  // namespace versant::trace

namespace versant::face {

// --- owning reference to a Python object
// ------------------------------------------------------------------------------

class Object {
 public:
  Object() = default;
  explicit Object(PyObject* owned) : object_(owned) {}  // takes the reference over
  static Object share(PyObject* borrowed) {
    Py_XINCREF(borrowed);
    return Object(borrowed);
  }
  Object(const Object& other) : object_(other.object_) { Py_XINCREF(object_); }
  Object(Object&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Object& operator=(Object other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Object() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// Wraps a call of the C API that returns a new reference; throws HostError when it failed.
inline Object checked(PyObject* result) {
  if (!result) throw HostError{};
  return Object(result);
}

// --- errors (errors.cc)
// ----------------------------------------------------------------------------------------------------

bool init_errors(PyObject* module);
// Turns the C++ exception in flight into a pending Python exception. A message that names no op yet gets
// `op`.
void set_python_error(const char* op = nullptr);

// Runs `body`; an exception becomes a Python error and `failure`.
template <typename Body>
auto guarded(Body&& body, decltype(body()) failure = {}, const char* op = nullptr) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    set_python_error(op);
    return failure;
  }
}

// --- tensors (tensor_type.cc)
// --------------------------------------------------------------------------------------------

extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* object) {
  return Py_TYPE(object) == tensor_type || PyType_IsSubtype(Py_TYPE(object), tensor_type);
}
inline Tensor* as_tensor(PyObject* object) {
  return static_cast<Tensor*>(reinterpret_cast<versant::Object*>(object));
}
inline PyObject* as_object(Tensor* tensor) {
  return reinterpret_cast<PyObject*>(static_cast<versant::Object*>(tensor));
}
// Hands a new reference to Python.
inline PyObject* wrap(TensorRef tensor) { return as_object(tensor.release()); }
inline PyObject* wrap_or_none(const TensorRef& tensor) {
  PyObject* object = tensor ? as_object(tensor.get()) : Py_None;
  Py_INCREF(object);
  return object;
}

bool init_tensor_type(PyObject* module);

// TensorFlow's dialect (dialect_type.cc): tensors whose operators follow its rules. Ops whose arguments are
// such tensors give such tensors.
extern PyTypeObject* dialect_type;  // of results; null until versant.tf is imported
extern PyTypeObject* dialect_base;  // of them and of variables
extern PyMethodDef dialect_functions[];
bool init_dialect(PyObject* module);
bool init_tape(PyObject* module);
inline bool speaks_dialect(PyObject* const* args, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; ++i)
    if (Py_TYPE(args[i]) != tensor_type && PyType_IsSubtype(Py_TYPE(args[i]), dialect_base)) return true;
  return false;
}
// Gives a value the type of the dialect, or its tensors, when it is a tuple or a list; takes the reference
// over and returns one.
PyObject* branded(PyObject* object);
// Calls `call` and gives its results the type of the dialect.
PyObject* call_in_dialect(vectorcallfunc call, PyObject* callable, PyObject* const* args, size_t nargsf,
                          PyObject* kwnames);
// The same for Python functions over ops, which get plain tensors.
PyObject* call_outside_dialect(vectorcallfunc call, PyObject* callable, PyObject* const* args, size_t nargsf,
                               PyObject* kwnames);
void tensor_dealloc(PyObject* self);
// Gives a tensor to Python's garbage collector: it may be part of a cycle.
void track(PyObject* tensor);
extern PyGetSetDef tensor_getset[];                                           // properties.cc
extern PyMethodDef tensor_methods[];                                          // methods.cc
extern PyType_Slot tensor_number_slots[];                                     // operators.cc
extern PyBufferProcs tensor_buffer;                                           // buffer.cc
PyObject* tensor_subscript(PyObject* self, PyObject* key);                    // indexing.cc
int tensor_assign_subscript(PyObject* self, PyObject* key, PyObject* value);  // indexing.cc

// Gives a tensor other memory, sizes and dtype; a view stops being one.
inline void adopt(Tensor& tensor, const Array& source) {
  await_kernels();
  if (modes.tracing) [[unlikely]]
    trace::recorder->touches(tensor);
  static_cast<Array&>(tensor) = Array(source);
  delete std::exchange(tensor.view, nullptr);
  if (tensor.node && tensor.node->is_leaf()) tensor.node->output = {tensor.sizes, tensor.dtype};
  if (modes.tracing) [[unlikely]]
    trace::recorder->sets_data(tensor);
}

// --- dtypes, devices, shapes (dtype_object.cc)
// ------------------------------------------------------------------------

bool init_dtypes(PyObject* module);
PyObject* dtype_object(DType dtype);                   // borrowed
std::optional<DType> dtype_of(PyObject* object);       // of a dtype object, complex, float, int or bool
DType expect_dtype(PyObject* object, const char* op);  // throws
PyObject* cpu_device();                                // borrowed
bool is_cpu_device(PyObject* object);                  // None, "cpu", the device object
PyObject* make_size(const Dims& dims);                 // a new versant.Size

// --- conversions (convert.cc)
// ---------------------------------------------------------------------------------------------

// A Python number (bool, int, float, a numpy scalar, anything with __index__ or __float__ and no length).
bool to_scalar(PyObject* object, Scalar* scalar);
// The same, or a complex number.
bool to_number(PyObject* object, Scalar* scalar);
PyObject* from_scalar(Scalar scalar);
// An operand of an elementwise op: a tensor, a number, or an array of another library, which is shared or
// copied.
struct Operand {
  Input input;
  TensorRef held;
};
bool to_operand(PyObject* object, Operand& operand);
// An int or a sequence of ints (also a tensor's shape); throws TypeError naming `what`.
Dims to_dims(PyObject* object, const char* op, const char* what);
int64_t to_int(PyObject* object, const char* op, const char* what);
// Whether what becomes a tensor stays as it is, so that a trace may keep it: numbers, lists of them, NumPy's
// scalars. Arrays may be written to.
inline bool is_constant(PyObject* data) {
  const PyMappingMethods* const mapping = Py_TYPE(data)->tp_as_mapping;
  return !PyObject_CheckBuffer(data) || !mapping || !mapping->mp_ass_subscript;
}
// What vs.tensor(data) copies and vs.as_tensor(data) shares.
TensorRef tensor_from_data(PyObject* data, std::optional<DType> dtype, bool copy);
// Whether a tensor takes the memory of an array: Required raises when it cannot, IfPossible copies then.
enum class Sharing { Required, IfPossible };
// From an object with the buffer protocol (numpy arrays).
TensorRef tensor_from_buffer(PyObject* object, Sharing sharing);
// A tensor of an array becomes a constant of the trace, whose maker is told of the array (trace_object.cc).
void take_array(PyObject* object, const Tensor& tensor);
PyObject* to_list(const Array& array);
extern PyMethodDef convert_functions[];
extern PyMethodDef dlpack_functions[];

// --- callables of the op table (op_object.cc, function_object.cc, composite_object.cc)
// -----------------------------------------------------

// __reduce__ of a callable: pickles and copies are the function that its module has by its name.
inline PyObject* pickle_by_name(PyObject* self, PyObject*) {
  return PyObject_GetAttrString(self, "__qualname__");
}
bool init_ops(PyObject* module);
bool init_functions(PyObject* module);
bool init_composites(PyObject* module);
extern PyMethodDef op_functions[];
extern PyMethodDef function_functions[];
extern PyMethodDef composite_functions[];
// A program from what expression.lower gives; throws.
Program parse_program(PyObject* parts, int n_inputs);
// Opens the family of the table that has an "operator" or a "record" of that name; false when that raised.
bool open_family(const char* kind, const char* name);
// Python's operators: which op of the table serves each (operators.cc).
bool set_operator(const char* name, ElementwiseOp* op, PyObject* callable);

// --- out= (out.cc)
// -----------------------------------------------------------------------------------------------------------

// Raises unless `out` is a tensor, or a tuple or list of tensors, that may be written now.
void check_out(const char* op, PyObject* out);
// Writes a result into `out`: gives it the result's shape, keeps its dtype. The result must not be recorded.
void write_out(const char* op, const TensorRef& result, Tensor& out);
// The same for what a Python caller gets: a tensor, or a tuple of them. Returns what stands in its place.
PyObject* write_out(const char* op, Object result, PyObject* out);

// --- mixed precision (autocast.cc)
// ----------------------------------------------------------------------------------------------------------------

extern PyMethodDef autocast_functions[];
// The policy of that name ("", "lower", "float32", "promote"); throws for others.
CastPolicy cast_policy(const char* name);
// Calls `call` with its tensors cast as the policy says, and no further casts inside.
PyObject* call_with_casts(vectorcallfunc call, CastPolicy policy, PyObject* callable, PyObject* const* args,
                          size_t nargsf, PyObject* kwnames);

// --- autograd (autograd.cc, hooks.cc, custom_function.cc)
// ----------------------------------------------------------------

bool init_autograd(PyObject* module);
bool init_hooks(PyObject* module);
bool init_custom_function(PyObject* module);
bool init_generator(PyObject* module);
bool init_frames(PyObject* module);
bool init_module_call(PyObject* module);
extern PyMethodDef autograd_functions[];
extern PyMethodDef memory_functions[];
extern PyMethodDef optimizer_functions[];  // gradient_pattern.cc
extern PyMethodDef trace_functions[];
trace::Branches& branches_of(PyObject* capsule);                    // trace_object.cc
const trace::Plan& plan_of(PyObject* args);                         // of the arguments (branches, branch)
std::vector<Tensor*> tensors_of(PyObject* list);                    // throws unless they are tensors
PyObject* run_result(int branch, std::vector<TensorRef>& results);  // (branch, list of results)
extern PyMethodDef program_functions[];                             // program_object.cc
extern PyMethodDef loop_functions[];                                // loops.cc
bool init_traces();
extern PyMethodDef record_functions[];    // trace_record.cc
extern PyMethodDef verifier_functions[];  // verifier.cc
extern PyMethodDef compiled_functions[];
extern PyMethodDef ran_functions[];  // ran.cc
bool init_compiled(PyObject* module);
extern PyMethodDef update_functions[];     // update_rule.cc
extern PyMethodDef saving_functions[];     // saving_hooks.cc
extern PyMethodDef transform_functions[];  // transforms.cc
extern PyMethodDef watch_functions[];      // watch.cc
extern PyMethodDef profile_functions[];    // profile.cc
extern PyMethodDef recorder_functions[];   // recorder.cc
extern PyMethodDef selective_functions[];  // selective.cc
PyObject* node_object(Node* node);         // new reference; None for null
// The context of a custom function's node, or null; borrowed.
PyObject* context_of(Node* node);
// The Generator object's machine part; null when `object` is not one.
Generator* as_generator(PyObject* object);

// Adds a type made from `spec` to the module; null on failure. Borrowed result.
PyTypeObject* add_type(PyObject* module, PyType_Spec* spec, PyObject* base = nullptr);

}  // namespace versant::face
