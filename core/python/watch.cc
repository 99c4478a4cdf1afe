// Watchers that Python tools begin and end: the guard against NaN, calls after every action. See Note
// [Watching] in machine/watch.h.
#include "watch.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>
#include <unordered_set>

#include "face.h"
#include "machine/magnitude.h"
#include "machine/replay.h"
#include "machine/watch.h"

namespace versant::face {

Object place_of(const watch::Event& event) {
  const watch::Place place = watch::place(event);
  return checked(Py_BuildValue("ssiss", place.where.c_str(), place.module.c_str(), place.back,
                               place.of_name.c_str(), place.of.c_str()));
}

namespace {

PyObject* run_again = nullptr;  // what Again becomes in Python

// Whether gradients of a scaled loss are under way: a GradScaler looks for what is not finite in them itself.
constinit thread_local bool scaled = false;

Object of_array(const Array* array) {
  if (!array || !array->storage) return Object::share(Py_None);
  return Object(wrap(Tensor::make(Array(*array))));
}

// Whether an operand is more than the memory that is written.
bool is_used(const watch::Event& event, size_t i) {
  return !event.program || event.program->uses(static_cast<int>(i));
}

Object operands_of(const watch::Event& event) {
  Object list(checked(PyList_New(0)));
  for (size_t i = 0; i < event.in.size(); ++i) {
    const versant::Operand& operand = event.in[i];
    if (!is_used(event, i)) continue;
    const Object item = operand.array ? of_array(operand.array) : checked(from_scalar(operand.scalar));
    if (PyList_Append(list.get(), item.get()) < 0) throw HostError{};
  }
  return list;
}

Object outputs_of(const watch::Event& event) {
  Object list(checked(PyList_New(0)));
  for (const Array* array : event.out)
    if (PyList_Append(list.get(), of_array(array).get()) < 0) throw HostError{};
  return list;
}

// (name, where, module, back, of_name, of) of each step that a step of a replay was joined from.
Object parts_of(const watch::Event& event) {
  Object list(checked(PyList_New(0)));
  if (!event.step) return list;
  for (const trace::Step::Part& part : event.step->parts) {
    const Object item =
        checked(Py_BuildValue("sssiss", part.name.c_str(), part.where.c_str(), part.module.c_str(), part.back,
                              part.of_name.c_str(), part.of.c_str()));
    if (PyList_Append(list.get(), item.get()) < 0) throw HostError{};
  }
  return list;
}

// Elements that are only moved were looked at where they came from.
bool is_copy(const watch::Event& event) {
  if (event.program || event.in.size() != 1 || event.out.size() != 1 || !event.in[0].array ||
      event.in[0].array->dtype != event.out[0]->dtype)
    return false;
  const std::string_view name = event.name;
  return name == "copy" || name == "clone" || name == "slice_backward";
}

// Calls found(kind, output, name, operands, outputs, place, parts) at the first NaN, and the first Inf that
// no operand explains. What the callable returns is dropped: it raises.
class Guard final : public watch::Watcher {
 public:
  Guard(Object found, bool inf, bool forward) : found_(std::move(found)), inf_(inf), forward_(forward) {}

  bool takes_back() const override { return true; }
  bool looks() const override { return true; }
  void ran(const watch::Event& event) override {
    const trace::Step* const step = event.step ? event.step : watch::host;
    if (!forward_ && !(step ? step->back : watch::back != nullptr)) return;
    // What is filled with a number is as somebody wanted it.
    bool reads = false;
    for (size_t i = 0; i < event.in.size(); ++i) reads |= event.in[i].array && is_used(event, i);
    if (!reads || (infinite_.empty() && is_copy(event))) return;
    for (size_t k = 0; k < event.out.size(); ++k) {
      const Array& out = *event.out[k];
      const auto seen = event.looks ? event.looks->largest(out) : std::nullopt;
      const Magnitude found = seen ? magnitude_of(*seen, out.dtype) : magnitude(out);
      if (found == Magnitude::Finite) {
        if (!infinite_.empty()) infinite_.erase(out.data);
        continue;
      }
      if (found == Magnitude::Infinite && (!inf_ || explained(event))) {
        infinite_.insert(out.data);
        continue;
      }
      if (scaled && ((step ? step->back : watch::back != nullptr) || explained(event))) {
        infinite_.insert(out.data);
        continue;
      }
      if (event.undoable) throw watch::Again{};
      const char* const kind = found == Magnitude::Infinite ? "Inf" : "NaN";
      checked(PyObject_CallFunction(found_.get(), "sisOOOO", kind, static_cast<int>(k), event.name,
                                    operands_of(event).get(), outputs_of(event).get(), place_of(event).get(),
                                    parts_of(event).get()));
    }
  }

 private:
  // Whether an operand is infinite, or was before it was overwritten.
  bool explained(const watch::Event& event) const {
    const auto infinite = [](const Scalar& x) { return is_infinite(x); };
    if (event.program &&
        std::any_of(event.program->constants.begin(), event.program->constants.end(), infinite))
      return true;
    for (const versant::Operand& operand : event.in) {
      if (!operand.array) {
        if (infinite(operand.scalar)) return true;
        continue;
      }
      if (!operand.array->storage) continue;
      if (infinite_.contains(operand.array->data)) return true;
      const bool overwritten = std::any_of(event.out.begin(), event.out.end(), [&](const Array* out) {
        return out->data == operand.array->data;
      });
      if (!overwritten && magnitude(*operand.array) != Magnitude::Finite) return true;
    }
    return false;
  }

  Object found_;
  bool inf_, forward_;
  std::unordered_set<const void*> infinite_;  // where results begin that hold Inf by right
};

// Calls after(name, operands, outputs, place, parts) when an action is done.
class Caller final : public watch::Watcher {
 public:
  explicit Caller(Object after) : after_(std::move(after)) {}
  void ran(const watch::Event& event) override {
    const watch::Unwatched quiet;  // what the tool computes itself
    checked(PyObject_CallFunction(after_.get(), "sOOOO", event.name, operands_of(event).get(),
                                  outputs_of(event).get(), place_of(event).get(), parts_of(event).get()));
  }

 private:
  Object after_;
};

// The watchers of a thread, in the order in which they came.
class Watchers final : public watch::Watcher {
 public:
  int64_t add(std::unique_ptr<watch::Watcher> watcher) {
    list_.push_back({++last_, true, std::move(watcher)});
    update();
    return last_;
  }
  void remove(int64_t number) {
    std::erase_if(list_, [&](const Entry& entry) { return entry.number == number; });
    update();
  }
  void turn(int64_t number, bool on) {
    for (Entry& entry : list_)
      if (entry.number == number) entry.on = on;
    update();
  }
  bool any() const {
    return std::any_of(list_.begin(), list_.end(), [](const Entry& entry) { return entry.on; });
  }
  void begins() override {
    for (const Entry& entry : list_)
      if (entry.on) entry.watcher->begins();
  }
  void ran(const watch::Event& event) override {
    for (size_t i = 0; i < list_.size(); ++i)
      if (list_[i].on) list_[i].watcher->ran(event);
  }
  void replay_begins() override {
    for (size_t i = 0; i < list_.size(); ++i) list_[i].watcher->replay_begins();
  }
  void replay_ends(bool taken_back) override {
    for (size_t i = 0; i < list_.size(); ++i) list_[i].watcher->replay_ends(taken_back);
  }
  bool supplies(const char* name, std::span<const Array* const> out) override {
    for (size_t i = 0; i < list_.size(); ++i)
      if (list_[i].on && list_[i].watcher->supplies(name, out)) return true;
    return false;
  }
  bool supplies(const char* name, Run& run) override {
    for (size_t i = 0; i < list_.size(); ++i)
      if (list_[i].on && list_[i].watcher->supplies(name, run)) return true;
    return false;
  }
  bool takes_back() const override {
    return std::any_of(list_.begin(), list_.end(),
                       [](const Entry& entry) { return entry.on && entry.watcher->takes_back(); });
  }
  bool reads() const override {
    return std::any_of(list_.begin(), list_.end(),
                       [](const Entry& entry) { return entry.on && entry.watcher->reads(); });
  }
  bool looks() const override {
    return std::any_of(list_.begin(), list_.end(),
                       [](const Entry& entry) { return entry.on && entry.watcher->looks(); });
  }

 private:
  struct Entry {
    int64_t number;
    bool on;
    std::unique_ptr<watch::Watcher> watcher;
  };
  void update() {
    watch::watcher = this;
    modes.watching = any();
    if (list_.empty()) forget_modules();
  }
  std::vector<Entry> list_;
  int64_t last_ = 0;
};
thread_local Watchers& watchers = *new Watchers;  // never destroyed: a thread may outlive the interpreter

PyObject* watch_guard(PyObject*, PyObject* args) {
  PyObject* found;
  int inf, forward;
  if (!PyArg_ParseTuple(args, "Opp", &found, &inf, &forward)) return nullptr;
  return guarded([&] {
    return PyLong_FromLongLong(
        add_watcher(std::make_unique<Guard>(Object::share(found), inf != 0, forward != 0)));
  });
}

PyObject* watch_calls(PyObject*, PyObject* after) {
  return guarded(
      [&] { return PyLong_FromLongLong(add_watcher(std::make_unique<Caller>(Object::share(after)))); });
}

PyObject* watch_turn(PyObject*, PyObject* args) {
  long long number;
  int on;
  if (!PyArg_ParseTuple(args, "Lp", &number, &on)) return nullptr;
  watchers.turn(number, on != 0);
  Py_RETURN_NONE;
}

PyObject* watch_dry(PyObject*, PyObject* on) {
  return PyBool_FromLong(std::exchange(modes.dry, on == Py_True));
}

PyObject* watch_scaled(PyObject*, PyObject* on) {
  scaled = on == Py_True;
  Py_RETURN_NONE;
}

PyObject* watch_end(PyObject*, PyObject* number) {
  const long long n = PyLong_AsLongLong(number);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  remove_watcher(n);
  Py_RETURN_NONE;
}

// (n, nan, inf, zeros, min, max, mean, std): of the finite elements.
PyObject* health_of(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor))
      fail(ErrorKind::Type, "[health] expected a tensor, got ", Py_TYPE(tensor)->tp_name);
    const Health h = health(*as_tensor(tensor));
    const auto count = static_cast<double>(h.n - h.nan - h.inf);
    const double mean = count > 0 ? h.sum / count : 0;
    const double variance = count > 0 ? std::max(0.0, h.squares / count - mean * mean) : 0;
    const bool none = count == 0;
    return Py_BuildValue("LLLLdddd", static_cast<long long>(h.n), static_cast<long long>(h.nan),
                         static_cast<long long>(h.inf), static_cast<long long>(h.zeros), none ? 0 : h.min,
                         none ? 0 : h.max, mean, std::sqrt(variance));
  });
}

PyObject* histogram_of(PyObject*, PyObject* args) {
  PyObject* tensor;
  double low, high;
  int bins;
  if (!PyArg_ParseTuple(args, "Oddi", &tensor, &low, &high, &bins)) return nullptr;
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor) || bins < 1) fail(ErrorKind::Type, "[histogram] expected a tensor and bins");
    const std::vector<int64_t> counts = histogram(*as_tensor(tensor), low, high, bins);
    Object list(checked(PyList_New(bins)));
    for (int i = 0; i < bins; ++i)
      PyList_SET_ITEM(list.get(), i, checked(PyLong_FromLongLong(counts[static_cast<size_t>(i)])).release());
    return list.release();
  });
}

PyObject* first_of(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor))
      fail(ErrorKind::Type, "[health] expected a tensor, got ", Py_TYPE(tensor)->tp_name);
    return PyLong_FromLongLong(first_not_finite(*as_tensor(tensor)));
  });
}

PyObject* report(PyObject*, PyObject* args) {
  if (!modes.watching || modes.tracing) Py_RETURN_NONE;
  const char* name;
  PyObject *inputs, *outputs;
  if (!PyArg_ParseTuple(args, "sOO", &name, &inputs, &outputs)) return nullptr;
  return guarded([&]() -> PyObject* {
    std::vector<versant::Operand> in;
    std::vector<const Array*> out;
    for (Tensor* tensor : tensors_of(inputs)) in.push_back({tensor, {}});
    for (Tensor* tensor : tensors_of(outputs)) out.push_back(tensor);
    watch::watcher->ran({name, in, out});
    Py_RETURN_NONE;
  });
}

PyObject* pause(PyObject*, PyObject* paused) {
  const bool before = watchers.any() && !modes.watching;
  modes.watching = watchers.any() && paused != Py_True;
  return PyBool_FromLong(before);
}

}  // namespace

int64_t add_watcher(std::unique_ptr<watch::Watcher> watcher) { return watchers.add(std::move(watcher)); }
void remove_watcher(int64_t number) { watchers.remove(number); }

void set_run_again() { PyErr_SetString(run_again, "the call is to be run as it is written"); }
bool is_run_again() { return PyErr_Occurred() && PyErr_ExceptionMatches(run_again); }

PyMethodDef watch_functions[] = {
    {"watch_guard", watch_guard, METH_VARARGS,
     "watch_guard(found, inf, forward): calls found(kind, output, name, operands, outputs, place, parts) at "
     "NaN or "
     "Inf; the watcher's number."},
    {"watch_calls", watch_calls, METH_O,
     "watch_calls(after): calls after(name, operands, outputs, place, parts) when an action is done; the "
     "watcher's number."},
    {"health", health_of, METH_O, "health(tensor): (n, nan, inf, zeros, min, max, mean, std)."},
    {"sample_histogram", histogram_of, METH_VARARGS,
     "sample_histogram(tensor, low, high, bins): counts of a sample."},
    {"first_not_finite", first_of, METH_O,
     "The place of the first element, row by row, that is not finite, or -1."},
    {"watch_turn", watch_turn, METH_VARARGS, "watch_turn(number, on): lets a watcher rest, or watch again."},
    {"watch_dry", watch_dry, METH_O,
     "watch_dry(on): whether results are computed, or only made room for; what was."},
    {"watch_scaled", watch_scaled, METH_O,
     "watch_scaled(on): whether gradients that are not finite are the affair of a GradScaler."},
    {"watch_report", report, METH_VARARGS, "watch_report(name, inputs, outputs): what the host computed."},
    {"watch_end", watch_end, METH_O, "Ends the watcher of that number."},
    {"watch_pause", pause, METH_O, "watch_pause(paused): whether it was."},
    {},
};

bool init_watch(PyObject* module) {
  run_again =
      PyErr_NewExceptionWithDoc("versant._core.RunAgain", "A replay was taken back.", nullptr, nullptr);
  return run_again && PyModule_AddObjectRef(module, "RunAgain", run_again) == 0;
}

}  // namespace versant::face
