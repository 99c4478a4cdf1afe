// The verifier's switch, and traces that are changed for it to find fault with.
#include "face.h"
#include "machine/replay.h"
#include "machine/verify.h"

namespace versant::face {

namespace {

using trace::Step;
using trace::Trace;
using trace::Window;

PyObject* verify_traces(PyObject*, PyObject* on) {
  const bool before = trace::verifying;
  trace::verifying = on == Py_True;
  return PyBool_FromLong(before);
}

template <typename Items>
auto& at(Items& items, int64_t i) {
  if (i < 0 || static_cast<size_t>(i) >= items.size())
    fail(ErrorKind::Index, "[verify_changed] ", i, " of ", items.size());
  return items[static_cast<size_t>(i)];
}

void set_offset(Window& window, int64_t value) { window.array.data = reinterpret_cast<void*>(value); }

// Sets one number of a trace or of its layout; `i` counts steps, or else what the field is a list of, and `k`
// what lies in it. False for a field that has no name here.
bool change(Trace& trace, trace::Layout& layout, std::string_view field, int64_t i, int64_t k,
            int64_t value) {
  const int number = static_cast<int>(value);
  const auto step = [&]() -> Step& { return at(trace.steps, i); };
  const auto program = [&]() -> Program& {
    if (!step().program) fail(ErrorKind::Value, "[verify_changed] step ", i, " has no program");
    auto copy = std::make_shared<Program>(*step().program);
    step().owned = copy;
    step().program = copy.get();
    return *copy;
  };
  if (field == "in.buffer")
    at(step().in, k).buffer = number;
  else if (field == "out.buffer")
    at(step().out, k).buffer = number;
  else if (field == "in.offset")
    set_offset(at(step().in, k), value);
  else if (field == "out.offset")
    set_offset(at(step().out, k), value);
  else if (field == "out.size")
    at(step().out, k).array.sizes = Dims{value};
  else if (field == "out.remove")
    step().out.erase(step().out.begin() + (&at(step().out, k) - step().out.data()));
  else if (field == "operand")
    at(program().code, k).a = static_cast<uint8_t>(value);
  else if (field == "register")
    at(program().outputs, k) = static_cast<uint8_t>(value);
  else if (field == "index")
    step().index = number;
  else if (field == "stream")
    step().stream = number;
  else if (field == "in_place")
    step().in_place = value != 0;
  else if (field == "last.add")
    step().last.push_back(number);
  else if (field == "last.remove")
    std::erase(step().last, number);
  else if (field == "swap")
    std::swap(step(), at(trace.steps, k));
  else if (field == "result")
    at(trace.results, i).buffer = number;
  else if (field == "differentiable")
    at(trace.differentiable, i) = number;
  else if (field == "incoming")
    at(trace.incoming, i).buffer = number;
  else if (field == "outgoing")
    at(trace.outgoing, i).window.buffer = number;
  else if (field == "outgoing.captured")
    at(trace.outgoing, i).captured = number;
  else if (field == "buffer.index")
    at(trace.buffers, i).index = number;
  else if (field == "layout.offset")
    at(layout.offsets, i) = value;
  else if (field == "layout.extent")
    at(layout.extents, i) = value;
  else if (field == "layout.allocated.add")
    at(layout.allocated, i).push_back(number);
  else if (field == "layout.allocated.remove")
    std::erase(at(layout.allocated, i), number);
  else if (field == "layout.chain")
    at(layout.chains, i) = number;
  else if (field == "layout.rows")
    at(layout.chain_rows, i) = value;
  else if (field == "layout.inherited.add")
    at(layout.inherited, i).emplace_back(static_cast<int>(k), number);
  else
    return false;
  return true;
}

PyObject* verify_changed(PyObject*, PyObject* args) {
  PyObject *capsule, *changes;
  if (!PyArg_ParseTuple(args, "OO!", &capsule, &PyList_Type, &changes)) return nullptr;
  return guarded([&]() -> PyObject* {
    const trace::Plan& plan = branches_of(capsule).plan(0);
    Trace trace = plan.trace();
    const std::vector<Step> before = trace.steps;
    trace::Layout layout = plan.prepared().layout();
    for (Py_ssize_t c = 0; c < PyList_GET_SIZE(changes); ++c) {
      const char* field;
      long long i, k, value;
      if (!PyArg_ParseTuple(PyList_GET_ITEM(changes, c), "sLLL", &field, &i, &k, &value)) throw HostError{};
      if (!change(trace, layout, field, i, k, value))
        fail(ErrorKind::Value, "[verify_changed] no field ", field);
    }
    verify(trace, "changes", true);
    verify_order(before, trace.steps, "changes");
    verify_layout(trace, layout);
    Py_RETURN_NONE;
  });
}

}  // namespace

PyMethodDef verifier_functions[] = {
    {"verify_traces", verify_traces, METH_O,
     "verify_traces(on): traces are checked after every pass; whether they were."},
    {"verify_changed", verify_changed, METH_VARARGS,
     "verify_changed(branches, changes): checks the first trace with (field, i, k, value) set, for tests."},
    {},
};

}  // namespace versant::face
