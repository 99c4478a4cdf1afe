// Traces as Python sees them: one is made at a time; finished ones are the branches of a compiled function.
#include <memory>

#include "face.h"
#include "hooks.h"
#include "loops.h"
#include "machine/replay.h"
#include "watch.h"

namespace versant::face {

namespace {

constexpr const char* kBranches = "versant.branches";

// The trace that is being made, and behind it those of bodies of loops, each made inside the one before.
std::vector<std::unique_ptr<trace::Recorder>> recorders;
Object note_array;  // note_array(array), of each that becomes a constant

trace::Recorder& current() {
  if (recorders.empty()) fail(ErrorKind::Runtime, "[compile] there is no trace");
  return *recorders.back();
}

void forgotten(Storage* storage) {
  for (const auto& recorder : recorders) recorder->forgets(storage);
}

void begin() {
  recorders.push_back(std::make_unique<trace::Recorder>());
  trace::recorder = recorders.back().get();
}

// A tensor, or a sequence of them; anything else counts as none.
std::vector<TensorRef> tensors_in(PyObject* result) {
  std::vector<TensorRef> made;
  if (is_tensor(result)) made.push_back(TensorRef(as_tensor(result)));
  if (!PyTuple_Check(result) && !PyList_Check(result)) return made;
  const Object items(checked(PySequence_Fast(result, "[compile] expected tensors")));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(items.get(), i);
    if (is_tensor(item)) made.push_back(TensorRef(as_tensor(item)));
  }
  return made;
}

Object list_of(std::span<const TensorRef> tensors) {
  Object list(checked(PyList_New(static_cast<Py_ssize_t>(tensors.size()))));
  for (size_t i = 0; i < tensors.size(); ++i)
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), wrap(tensors[i]));
  return list;
}

std::vector<TensorRef> call_host(void* object, std::span<const TensorRef> inputs) {
  auto* const callable = static_cast<PyObject*>(object);
  if (inputs.empty()) return tensors_in(Object(checked(PyObject_CallNoArgs(callable))).get());
  const Object list = list_of(inputs);
  const Object result(checked(PyObject_CallOneArg(callable, list.get())));
  return tensors_in(result.get());
}

void breathe() {
  { Unlocked yield; }
  if (PyErr_CheckSignals() < 0) throw HostError{};
}

// Ends all traces but the first `left`.
void end(size_t left = 0) {
  modes.tracing = false;
  while (recorders.size() > left) {
    for (void* host : recorders.back()->hosts()) Py_DECREF(static_cast<PyObject*>(host));
    recorders.pop_back();
    trace::recorder = recorders.empty() ? nullptr : recorders.back().get();
  }
  if (recorders.empty()) note_array = Object();
  if (recorders.empty() && !modes.watching) forget_modules();
}

void free_branches(PyObject* capsule) {
  auto* branches = static_cast<trace::Branches*>(PyCapsule_GetPointer(capsule, kBranches));
  for (size_t i = 0; i < branches->size(); ++i)
    for (void* host : branches->plan(static_cast<int>(i)).trace().hosts)
      Py_DECREF(static_cast<PyObject*>(host));
  delete branches;
}

Tensor& tensor_of(PyObject* object) {
  if (!is_tensor(object))
    fail(ErrorKind::Type, "[compile] expected a tensor, got ", Py_TYPE(object)->tp_name);
  return *as_tensor(object);
}

}  // namespace

void take_array(PyObject* object, const Tensor& tensor) {
  trace::recorder->constant(tensor);
  const trace::Quiet quiet;
  checked(PyObject_CallOneArg(note_array.get(), object));
}

trace::Branches& branches_of(PyObject* capsule) {
  auto* branches = static_cast<trace::Branches*>(PyCapsule_GetPointer(capsule, kBranches));
  if (!branches) throw HostError{};
  return *branches;
}

const trace::Plan& plan_of(PyObject* args) {
  PyObject* capsule;
  int branch;
  if (!PyArg_ParseTuple(args, "Oi", &capsule, &branch)) throw HostError{};
  const trace::Branches& branches = branches_of(capsule);
  if (branch < 0 || static_cast<size_t>(branch) >= branches.size())
    fail(ErrorKind::Index, "[compile] branch ", branch, " of ", branches.size());
  return branches.plan(branch);
}

std::vector<Tensor*> tensors_of(PyObject* list) {
  if (!PyList_Check(list)) fail(ErrorKind::Type, "[compile] expected a list of tensors");
  std::vector<Tensor*> tensors;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i)
    tensors.push_back(&tensor_of(PyList_GET_ITEM(list, i)));
  return tensors;
}

// (branch, list of results)
PyObject* run_result(int branch, std::vector<TensorRef>& results) {
  Object made(checked(PyList_New(static_cast<Py_ssize_t>(results.size()))));
  for (size_t i = 0; i < results.size(); ++i)
    PyList_SET_ITEM(made.get(), static_cast<Py_ssize_t>(i), wrap(std::move(results[i])));
  return Py_BuildValue("iN", branch, made.release());
}

namespace {

PyObject* trace_begin(PyObject*, PyObject* note) {
  return guarded([&]() -> PyObject* {
    if (!recorders.empty()) fail(ErrorKind::Runtime, "[compile] a function is being traced already");
    begin();
    note_array = Object::share(note);
    Py_RETURN_NONE;
  });
}

PyObject* trace_pause(PyObject*, PyObject* paused) {
  const bool before = !recorders.empty() && !modes.tracing;
  modes.tracing = !recorders.empty() && paused != Py_True;
  return PyBool_FromLong(before);
}

PyObject* trace_argument(PyObject*, PyObject* args) {
  PyObject* tensor;
  int reached;
  if (!PyArg_ParseTuple(args, "Op", &tensor, &reached)) return nullptr;
  return guarded([&] { return PyLong_FromLong(current().argument(tensor_of(tensor), reached)); });
}

PyObject* trace_result(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    current().result(tensor_of(tensor));
    Py_RETURN_NONE;
  });
}

PyObject* trace_backward(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    current().backward();
    Py_RETURN_NONE;
  });
}

PyObject* trace_is_new(PyObject*, PyObject* tensor) {
  return guarded([&] { return PyBool_FromLong(current().is_of_the_call(tensor_of(tensor))); });
}

PyObject* trace_knows(PyObject*, PyObject* tensor) {
  return guarded([&] { return PyBool_FromLong(current().knows(tensor_of(tensor))); });
}

PyObject* trace_host(PyObject*, PyObject* args) {
  PyObject *callable, *in, *changed;
  const char* name;
  int pure;
  if (!PyArg_ParseTuple(args, "OsOpO", &callable, &name, &in, &pure, &changed)) return nullptr;
  return guarded([&]() -> PyObject* {
    const std::vector<Tensor*> inputs = tensors_of(in);
    std::vector<TensorRef> known;
    if (changed != Py_None)
      for (Tensor* tensor : tensors_of(changed)) known.emplace_back(tensor);
    current().host(Py_NewRef(callable), name, inputs, pure, changed == Py_None ? nullptr : &known);
    Py_RETURN_NONE;
  });
}

// Python's references to what a step calls.
struct Shared {
  explicit Shared(PyObject* object) : object(Py_NewRef(object)) {}
  Shared(const Shared& other) : object(Py_NewRef(other.object)) {}
  ~Shared() { Py_DECREF(object); }
  Shared& operator=(const Shared&) = delete;
  PyObject* object;
};

PyObject* trace_apply(PyObject*, PyObject* args) {
  PyObject *callable, *in, *out;
  const char* name;
  if (!PyArg_ParseTuple(args, "OsOO", &callable, &name, &in, &out)) return nullptr;
  return guarded([&]() -> PyObject* {
    const std::vector<Tensor*> inputs = tensors_of(in), outputs = tensors_of(out);
    const auto again = [shared = Shared(callable)](std::span<const TensorRef> tensors) {
      const Object list = list_of(tensors);
      const Object result(checked(PyObject_CallOneArg(shared.object, list.get())));
      return tensors_in(result.get());
    };
    current().apply(again, name, inputs, outputs, default_generator(), default_generator());
    Py_RETURN_NONE;
  });
}

PyObject* trace_host_outputs(PyObject*, PyObject* result) {
  return guarded([&]() -> PyObject* {
    const std::vector<TensorRef> made = tensors_in(result);
    std::vector<Tensor*> outputs;
    for (const TensorRef& tensor : made) outputs.push_back(tensor.get());
    current().host_outputs(outputs);
    Py_RETURN_NONE;
  });
}

PyObject* hooks_of(PyObject*, PyObject* tensor) {
  return guarded([&] { return hooks::callables(tensor_of(tensor).node.get()); });
}

PyObject* trace_number(PyObject*, PyObject*) {
  return PyLong_FromUnsignedLong(recorders.empty() ? 0 : recorders.front()->number());
}

PyObject* is_tracing(PyObject*, PyObject*) { return PyBool_FromLong(modes.tracing); }

PyObject* trace_abandon(PyObject*, PyObject*) {
  end();
  Py_RETURN_NONE;
}

PyObject* trace_end(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    struct End {
      ~End() { end(); }
    } at_last;
    current();
    modes.tracing = false;
    trace::Trace trace = current().finish();
    if (capsule != Py_None) {
      branches_of(capsule).add(std::move(trace));
      return Py_NewRef(capsule);
    }
    auto branches = std::make_unique<trace::Branches>();
    branches->add(std::move(trace));
    PyObject* made = PyCapsule_New(branches.get(), kBranches, free_branches);
    if (made) branches.release();
    return made;
  });
}

// Bodies of loops (core/machine/loop.h): traces that are made while another one is paused.

PyObject* body_begin(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    current();
    begin();
    return PyLong_FromSize_t(recorders.size() - 1);
  });
}

PyObject* in_body(PyObject*, PyObject*) { return PyBool_FromLong(recorders.size() > 1); }

PyObject* body_abandon(PyObject*, PyObject* left) {
  const size_t n = PyLong_AsSize_t(left);
  if (PyErr_Occurred()) return nullptr;
  end(n);
  Py_RETURN_NONE;
}

PyObject* body_backward(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    current().backward(true);
    Py_RETURN_NONE;
  });
}

PyObject* body_end(PyObject*, PyObject* arg) {
  return guarded([&]() -> PyObject* {
    const char* name = PyUnicode_AsUTF8(arg);
    if (!name) throw HostError{};
    const size_t left = recorders.size() - 1;
    current();
    modes.tracing = false;
    std::shared_ptr<trace::Body> body = trace::make_body(current().finish(), name);
    end(left);
    const Object reached = list_of(std::exchange(body->reached, {}));
    return Py_BuildValue("NO", body_capsule(std::move(body)), reached.get());
  });
}

// None when the first branch fits, else what differs.
PyObject* plan_difference(PyObject*, PyObject* args) {
  PyObject *capsule, *list, *names;
  if (!PyArg_ParseTuple(args, "OOO!", &capsule, &list, &PyList_Type, &names)) return nullptr;
  return guarded([&]() -> PyObject* {
    const std::vector<Tensor*> tensors = tensors_of(list);
    std::vector<std::string> called;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); ++i) {
      const char* name = PyUnicode_AsUTF8(PyList_GET_ITEM(names, i));
      if (!name) throw HostError{};
      called.emplace_back(name);
    }
    std::string difference;
    const trace::Branches& branches = branches_of(capsule);
    if (branches.plan(0).fits(tensors, &difference, called)) Py_RETURN_NONE;
    return PyUnicode_FromString(difference.c_str());
  });
}

// None when values are new, else the branch and its results.
PyObject* plan_run(PyObject*, PyObject* args) {
  PyObject *capsule, *list;
  if (!PyArg_ParseTuple(args, "OO", &capsule, &list)) return nullptr;
  return guarded([&]() -> PyObject* {
    const std::vector<Tensor*> tensors = tensors_of(list);
    std::vector<TensorRef> results;
    const watch::RunsAgain may_be_taken_back;
    const int branch = branches_of(capsule).run(tensors, results);
    if (branch < 0) Py_RETURN_NONE;
    return run_result(branch, results);
  });
}

PyObject* plan_parting(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    const auto& [where, truth, known, now] = branches_of(capsule).parting();
    return Py_BuildValue("sONN", where.c_str(), truth ? Py_True : Py_False, from_scalar(known),
                         from_scalar(now));
  });
}

PyObject* plan_runs(PyObject*, PyObject* capsule) {
  return guarded([&] { return PyLong_FromLongLong(branches_of(capsule).runs()); });
}

}  // namespace

PyMethodDef trace_functions[] = {
    {"trace_begin", trace_begin, METH_O,
     "trace_begin(note): begins a trace, which is paused; note(array) of each array that becomes a "
     "constant."},
    {"trace_pause", trace_pause, METH_O, "trace_pause(paused): whether it was."},
    {"trace_argument", trace_argument, METH_VARARGS,
     "trace_argument(tensor, reached): the next argument, which the function reaches otherwise too."},
    {"trace_result", trace_result, METH_O, "Says that a tensor is the next result."},
    {"trace_backward", trace_backward, METH_NOARGS, "Traces the way back from results that have a history."},
    {"trace_host", trace_host, METH_VARARGS,
     "trace_host(callable, name, tensors, pure, changed): replays call callable(tensors), of then, or "
     "callable(); changed: all older tensors that it may change, or None."},
    {"trace_is_new", trace_is_new, METH_O,
     "Whether a tensor is an argument or was made by what is being traced."},
    {"trace_knows", trace_knows, METH_O, "Whether what is traced uses a tensor that was there before."},
    {"trace_apply", trace_apply, METH_VARARGS,
     "trace_apply(callable, name, inputs, outputs): outputs are what callable makes of the list of inputs."},
    {"hooks_of", hooks_of, METH_O, "The hooks on a tensor's gradient."},
    {"trace_number", trace_number, METH_NOARGS, "Of the trace that is being made, or 0."},
    {"is_tracing", is_tracing, METH_NOARGS, "Whether what runs now is being recorded."},
    {"trace_host_outputs", trace_host_outputs, METH_O, "Says what the last call of trace_host gave back."},
    {"trace_abandon", trace_abandon, METH_NOARGS, "Ends the trace; nothing comes of it."},
    {"trace_end", trace_end, METH_O, "trace_end(branches or None): adds the trace to the branches."},
    {"body_begin", body_begin, METH_NOARGS,
     "Begins the trace of a body inside of another one, which is paused: how many there were."},
    {"in_body", in_body, METH_NOARGS, "Whether a body is being traced, whose values lead nowhere."},
    {"body_abandon", body_abandon, METH_O, "body_abandon(left): ends all traces but the first so many."},
    {"body_backward", body_backward, METH_NOARGS, "Traces the way back through a body."},
    {"body_end", body_end, METH_O,
     "body_end(name): the body, and the tensors that it reaches beside its operands."},
    {"plan_difference", plan_difference, METH_VARARGS,
     "plan_difference(branches, tensors, names): None if they fit, else in words what does not."},
    {"plan_run", plan_run, METH_VARARGS, "plan_run(branches, tensors): (branch, results), or None."},
    {"plan_parting", plan_parting, METH_O,
     "(where, whether its truth is meant, known value, new value) of the reading that ended plan_run with "
     "None."},
    {"plan_runs", plan_runs, METH_O, "How often plans of these branches ran."},
    {},
};

bool init_traces() {
  Storage::forgotten = forgotten;
  trace::replay_hooks.call = call_host;
  trace::replay_hooks.breathe = breathe;
  return true;
}

}  // namespace versant::face
