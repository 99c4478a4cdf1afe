// Finished traces as plain Python data, for those who look inside.
//
// The dataclasses of src/versant/compiler/record.py say what every entry means.
#include <map>

#include "face.h"
#include "machine/replay.h"

namespace versant::face {

namespace {

using trace::Buffer;
using trace::Step;
using trace::Trace;
using trace::Window;

Object none() { return Object::share(Py_None); }
Object of(int64_t value) { return Object(checked(PyLong_FromLongLong(value))); }
Object of_bool(bool value) { return Object::share(value ? Py_True : Py_False); }
Object of_text(std::string_view value) {
  return Object(checked(PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size()))));
}

// A list of what `make` makes of each item.
template <typename Items, typename Make>
Object list_of(const Items& items, Make make) {
  Object list(checked(PyList_New(0)));
  for (const auto& item : items)
    if (PyList_Append(list.get(), Object(make(item)).get()) < 0) throw HostError{};
  return list;
}
Object of_dims(const Dims& dims) {
  const Object list = list_of(dims, of);
  return checked(PyList_AsTuple(list.get()));
}

Object dict_of(std::initializer_list<std::pair<const char*, Object>> entries) {
  Object dict(checked(PyDict_New()));
  for (const auto& [key, value] : entries)
    if (PyDict_SetItemString(dict.get(), key, value.get()) < 0) throw HostError{};
  return dict;
}

Object of_array(int buffer, const Array& array) {
  return dict_of({{"buffer", of(buffer)},
                  {"dtype", Object::share(dtype_object(array.dtype))},
                  {"sizes", of_dims(array.sizes)},
                  {"strides", of_dims(array.strides)},
                  {"offset", of(reinterpret_cast<int64_t>(array.data))}});
}

// A number, or an array on a buffer; None for no window.
Object of_window(const Window& window) {
  if (window.buffer >= 0) return of_array(window.buffer, window.array);
  return none();
}
Object of_operand(const Window& window) {
  return window.buffer >= 0 ? of_array(window.buffer, window.array) : checked(from_scalar(window.number));
}

const char* name_of(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::Program:
      return "program";
    case Step::Kind::Primitive:
      return "primitive";
    case Step::Kind::Multiply:
      return "multiply";
    case Step::Kind::Copy:
      return "copy";
    case Step::Kind::Fill:
      return "fill";
    case Step::Kind::Read:
      return "read";
    case Step::Kind::Host:
      return "host";
    case Step::Kind::Apply:
      return "apply";
    case Step::Kind::Call:
      return "call";
    case Step::Kind::SetGradient:
      return "set_gradient";
    case Step::Kind::SetData:
      return "set_data";
    case Step::Kind::RequireGrad:
      return "require_grad";
  }
  return "";
}

const char* name_of(Buffer::Origin origin) {
  switch (origin) {
    case Buffer::Origin::Fresh:
      return "fresh";
    case Buffer::Origin::Fixed:
      return "constant";
    case Buffer::Origin::Argument:
      return "argument";
    case Buffer::Origin::Captured:
      return "captured";
    case Buffer::Origin::Gradient:
      return "gradient";
    case Buffer::Origin::Incoming:
      return "incoming";
  }
  return "";
}

Object of_program(const Step& step) {
  if (!step.program) return none();
  const Program& program = *step.program;
  const auto instruction = [](const Instruction& i) {
    const MicroInfo& row = info(i.micro);
    Object operands(checked(PyTuple_New(row.arity)));
    const uint8_t registers[3] = {i.a, i.b, i.c};
    for (int k = 0; k < row.arity; ++k) PyTuple_SET_ITEM(operands.get(), k, of(registers[k]).release());
    return Object(checked(PyTuple_Pack(2, of_text(row.name).get(), operands.get())));
  };
  constexpr std::string_view kComputes[] = {"float32", "float64", "int64"};
  return dict_of(
      {{"constants", list_of(program.constants, [](const Scalar& s) { return checked(from_scalar(s)); })},
       {"code", list_of(program.code, instruction)},
       {"outputs", list_of(program.outputs, [](uint8_t output) { return of(output); })},
       {"compute", of_text(kComputes[static_cast<size_t>(step.compute)])},
       {"divisors", list_of(step.divisors, [](double d) { return checked(PyFloat_FromDouble(d)); })}});
}

Object of_part(const Step::Part& part) {
  return dict_of({{"name", of_text(part.name)},
                  {"where", of_text(part.where)},
                  {"module", of_text(part.module)},
                  {"of_name", of_text(part.of_name)},
                  {"of", of_text(part.of)},
                  {"back", of(part.back)}});
}

Object of_step(const Step& step) {
  const auto number = [](double value) { return checked(PyFloat_FromDouble(value)); };
  return dict_of({{"kind", of_text(name_of(step.kind))},
                  {"name", of_text(step.name)},
                  {"where", of_text(step.where)},
                  {"back", of(step.back)},
                  {"module", of_text(step.module)},
                  {"of_name", of_text(step.of_name)},
                  {"of", of_text(step.of)},
                  {"parts", list_of(step.parts, of_part)},
                  {"inputs", list_of(step.in, of_operand)},
                  {"outputs", list_of(step.out, of_window)},
                  {"last", list_of(step.last, of)},
                  {"program", of_program(step)},
                  {"ints", of_dims(step.attributes.ints)},
                  {"floats", list_of(step.attributes.floats, number)},
                  {"in_place", of_bool(step.in_place)},
                  {"random", of(step.random)},
                  {"stream", of(step.stream)},
                  {"block", of(static_cast<int64_t>(step.block))},
                  {"going_back", of_bool(step.drawn_going_back)},
                  {"number", checked(from_scalar(step.number))},
                  {"truth", of_bool(step.truth)},
                  {"pure", of_bool(step.pure)},
                  {"reads", of_bool(step.reads())},
                  {"index", of(step.index)}});
}

// The windows on constants, by buffer, as the first step that reads one sees it.
std::map<int, const Array*> constants_of(const Trace& trace) {
  std::map<int, const Array*> found;
  const auto see = [&](const Window& window) {
    if (window.buffer >= 0 &&
        trace.buffers[static_cast<size_t>(window.buffer)].origin == Buffer::Origin::Fixed)
      found.emplace(window.buffer, &window.array);
  };
  for (const Step& step : trace.steps)
    for (const Window& window : step.in) see(window);
  for (const Window& window : trace.results) see(window);
  return found;
}

Object of_buffers(const Trace& trace) {
  const std::map<int, const Array*> constants = constants_of(trace);
  Object list(checked(PyList_New(0)));
  for (size_t b = 0; b < trace.buffers.size(); ++b) {
    const Buffer& buffer = trace.buffers[b];
    Object value = none();
    if (const auto found = constants.find(static_cast<int>(b)); found != constants.end()) {
      Array array = *found->second, copy = Array::empty(array.sizes, array.dtype);
      array.storage = buffer.storage;
      array.data = static_cast<char*>(buffer.storage->data) + reinterpret_cast<int64_t>(array.data);
      copy_into(copy, array);
      value = Object(wrap(Tensor::make(std::move(copy))));
    }
    const Object entry =
        dict_of({{"origin", of_text(name_of(buffer.origin))}, {"index", of(buffer.index)}, {"value", value}});
    if (PyList_Append(list.get(), entry.get()) < 0) throw HostError{};
  }
  return list;
}

Object of_captured(const trace::Captured& captured) {
  return dict_of({{"tensor", Object(wrap_or_none(captured.tensor))},
                  {"argument", of(captured.argument)},
                  {"bound", of_bool(captured.bound)},
                  {"shares", of(captured.shares)},
                  {"shares_argument", of(captured.shares_argument)},
                  {"needs_grad", of_bool(captured.needs_grad)},
                  {"geometry", of_array(-1, captured.geometry)},
                  {"gradient", captured.had_gradient ? of_array(-1, captured.gradient) : none()}});
}

Object of_layout(const trace::Layout& layout) {
  const auto bytes = [](int64_t value) { return of(value); };
  const auto numbers = [&](const std::vector<int>& list) { return list_of(list, bytes); };
  const auto pairs = [&](const std::vector<std::pair<int, int>>& list) {
    return list_of(list, [](const std::pair<int, int>& pair) {
      return Object(checked(PyTuple_Pack(2, of(pair.first).get(), of(pair.second).get())));
    });
  };
  return dict_of({{"offsets", list_of(layout.offsets, bytes)},
                  {"extents", list_of(layout.extents, bytes)},
                  {"allocated", list_of(layout.allocated, numbers)},
                  {"inherited", list_of(layout.inherited, pairs)},
                  {"micros", list_of(layout.micros, bytes)},
                  {"chains", list_of(layout.chains, bytes)},
                  {"arena_bytes", of(layout.arena_bytes)},
                  {"tile_bytes", of(layout.tile_bytes)}});
}

PyObject* trace_record(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const trace::Plan& plan = plan_of(args);
    const Trace& trace = plan.trace();
    const auto argument = [&](size_t i) {
      return dict_of({{"array", of_array(trace.argument_buffers[i], trace.arguments[i])},
                      {"needs_grad", of_bool(trace.argument_gradients[i])}});
    };
    std::vector<size_t> numbers(trace.arguments.size());
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    const auto outgoing = [](const trace::Outgoing& out) {
      return dict_of({{"argument", of(out.argument)},
                      {"captured", of(out.captured)},
                      {"window", of_window(out.window)}});
    };
    return dict_of({{"arguments", list_of(numbers, argument)},
                    {"captured", list_of(trace.captured, of_captured)},
                    {"buffers", of_buffers(trace)},
                    {"steps", list_of(trace.steps, of_step)},
                    {"forward_steps", of(static_cast<int64_t>(trace.forward_steps))},
                    {"results", list_of(trace.results, of_window)},
                    {"result_gradients", list_of(trace.result_gradients, of_window)},
                    {"differentiable", list_of(trace.differentiable, of)},
                    {"freed", of_bool(trace.freed)},
                    {"incoming", list_of(trace.incoming, of_window)},
                    {"outgoing", list_of(trace.outgoing, outgoing)},
                    {"layout", of_layout(plan.prepared().layout())}})
        .release();
  });
}

}  // namespace

PyMethodDef record_functions[] = {
    {"trace_record", trace_record, METH_VARARGS, "trace_record(branches, branch): a trace and its plan."},
    {},
};

}  // namespace versant::face
