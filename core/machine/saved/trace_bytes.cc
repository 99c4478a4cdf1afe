#include "machine/saved/trace_bytes.h"

#include <algorithm>

#include "machine/action.h"
#include "machine/call.h"
#include "machine/saved/update.h"
#include "machine/slots.h"

namespace versant::saved {

using trace::Buffer;
using trace::Captured;
using trace::Step;
using trace::Stream;
using trace::Trace;
using trace::Window;

namespace {

// --- small things: each writes, or reads and checks

template <typename E, typename Archive>
void enumeration(Archive& a, E& value, size_t count, const char* what) {
  auto number = static_cast<uint8_t>(value);
  a.number(number);
  if (number >= count) damaged("there is no ", what, " ", int{number});
  value = static_cast<E>(number);
}

template <typename Archive>
void numbers(Archive& a, Dims& dims) {
  auto count = static_cast<uint32_t>(dims.size());
  a.number(count);
  if constexpr (Archive::reading) {
    if (count > 4096) damaged("a list of ", count, " numbers");
    dims = Dims(static_cast<int>(count));
  }
  for (int64_t& value : dims) a.number(value);
}

template <typename Archive>
void scalar(Archive& a, Scalar& value) {
  enumeration(a, value.kind, 4, "kind of number");
  a.number(value.i);
  if (!value.is_complex()) return;
  a.number(value.imaginary);
}

template <typename Archive>
void array_geometry(Archive& a, Array& array) {
  auto offset = reinterpret_cast<int64_t>(array.data);
  enumeration(a, array.dtype, kDTypeCount, "dtype");
  a.number(offset);
  numbers(a, array.sizes);
  numbers(a, array.strides);
  if constexpr (!Archive::reading) return;
  const int rank = array.rank();
  if (rank > kMaxRank || array.strides.size() != rank)
    damaged("an array of ", rank, " axes with ", array.strides.size(), " strides");
  const auto item = static_cast<int64_t>(itemsize(array.dtype));
  int64_t room = kMostBytes / item, reach = 0;
  array.numel = 1;
  for (int d = 0; d < rank; ++d) {
    const int64_t size = array.sizes[d], stride = array.strides[d];
    // Kernels multiply strides of single elements too.
    if (size < 0 || size > room || stride < 0 || stride > kMostBytes / item)
      damaged("an array of shape ", array.sizes, " with strides ", array.strides);
    if (size > 0) room /= size;  // also where another axis is empty
    array.numel *= size;
    int64_t step = 0;
    if (size > 1 && (__builtin_mul_overflow(size - 1, stride, &step) || step > kMostBytes / item - reach))
      damaged("an array of shape ", array.sizes, " with strides ", array.strides);
    reach += step;
  }
  const auto align = static_cast<int64_t>(alignment(array.dtype));
  if (offset < 0 || offset % align || offset > kMostBytes - (reach + 1) * item)
    damaged("an array that begins at byte ", offset);
  array.data = reinterpret_cast<void*>(offset);
  array.contiguous = is_contiguous(array.sizes, array.strides);
}

// Stands where a tensor of a call goes; nobody follows it.
Tensor* const kPlace = reinterpret_cast<Tensor*>(std::uintptr_t{64});

// The place of an object in a list, where the writer adds it.
template <typename T>
uint32_t place_in(std::vector<T>& list, const T& object) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const T& x) { return x.get() == object.get(); });
  if (found != list.end()) return static_cast<uint32_t>(found - list.begin());
  list.push_back(object);
  return static_cast<uint32_t>(list.size() - 1);
}

template <typename Archive>
class Visit {
 public:
  Visit(Archive& archive, Tables& tables) : a(archive), tables_(tables) {}

  void trace(Trace& t) {
    trace_ = &t;
    a.list(t.buffers, [&](Buffer& b) { buffer(b); });
    a.list(t.arguments, [&](Array& x) { array_geometry(a, x); });
    a.list(t.argument_buffers, [&](int& b) { a.number(b); });
    a.list(t.argument_tensors, [&](int& i) { a.number(i); });
    a.list(t.captured, [&](Captured& c) { captured(c); });
    a.list(t.streams, [&](Stream& s) { stream(s); });
    a.list(t.results, [&](Window& w) { window(w); });
    a.list(t.steps, [&](Step& s) { step(s); });
    a.list(t.plain, [&](Step& s) { step(s); });
  }

 private:
  void buffer(Buffer& b) {
    // Gradients that come in belong to the way back.
    enumeration(a, b.origin, 5, "origin of a buffer");
    a.number(b.index);
    if (b.origin != Buffer::Origin::Fixed) return;
    uint32_t at = 0;
    if constexpr (!Archive::reading) at = place_in(tables_.storages, b.storage);
    a.number(at);
    if constexpr (Archive::reading) {
      if (at >= tables_.storages.size()) damaged("there is no memory ", at);
      b.storage = tables_.storages[at];
    }
  }

  void captured(Captured& c) {
    a.number(c.argument);
    a.number(c.bound);
    a.number(c.shares);
    a.number(c.shares_argument);
    a.number(c.reads_gradient);
    a.number(c.had_gradient);
    array_geometry(a, c.geometry);
    if (c.had_gradient) array_geometry(a, c.gradient);
    if (c.argument >= 0) return;
    tensor(c.tensor);
  }

  void tensor(TensorRef& of) {
    uint32_t at = 0;
    if constexpr (!Archive::reading) {
      while (at < tables_.tensors.size() && tables_.tensors[at].tensor.get() != of.get()) ++at;
      if (at == tables_.tensors.size()) tables_.tensors.push_back({text("tensor", at), of});
    }
    a.number(at);
    if constexpr (Archive::reading) {
      if (at >= tables_.tensors.size()) damaged("there is no tensor ", at);
      of = tables_.tensors[at].tensor;
    }
  }

  void generator(Generator& g) {
    a.number(g.seed);
    a.number(g.offset);
  }

  void stream(Stream& s) {
    uint32_t at = 0;
    if constexpr (!Archive::reading) {
      auto& all = tables_.generators;
      while (at < all.size() && all[at].get() != s.generator) ++at;
      if (at == all.size()) all.emplace_back(s.generator, [](Generator*) {});  // its owner lives on
    }
    a.number(at);
    if constexpr (Archive::reading) {
      if (at >= tables_.generators.size()) damaged("there is no generator ", at);
      s.generator = tables_.generators[at].get();
    }
    generator(s.first);
    generator(s.last);
    a.number(s.seeded);
    a.number(s.blocks);
  }

  void window(Window& w) {
    a.number(w.buffer);
    if (w.buffer < 0)
      scalar(a, w.number);
    else
      array_geometry(a, w.array);
  }

  void attributes(Attributes& all) {
    numbers(a, all.ints);
    for (double& value : all.floats) a.number(value);
  }

  void step(Step& s) {
    enumeration(a, s.kind, static_cast<size_t>(Step::Kind::RequireGrad), "kind of step");
    a.text(s.name);
    a.list(s.in, [&](Window& w) { window(w); });
    a.list(s.out, [&](Window& w) { window(w); });
    a.number(s.stand);
    switch (s.kind) {
      case Step::Kind::Program:
        return program(s);
      case Step::Kind::Primitive:
        return primitive(s);
      case Step::Kind::Multiply:
        return attributes(s.attributes);
      case Step::Kind::Fill:
        return scalar(a, s.number);
      case Step::Kind::Read:
        a.number(s.truth);
        return scalar(a, s.number);
      case Step::Kind::Apply:
        return call(s);
      case Step::Kind::Call:
        return action(s);
      case Step::Kind::SetGradient:
      case Step::Kind::SetData:
        return a.number(s.index);
      case Step::Kind::Copy:
        return;
      default:
        damaged("a step of kind ", static_cast<int>(s.kind));
    }
  }

  void program(Step& s) {
    enumeration(a, s.compute, kComputeCount, "compute type");
    enumeration(a, s.common, kDTypeCount, "dtype");
    a.list(s.divisors, [&](double& value) { a.number(value); });
    auto program = std::make_shared<versant::Program>();
    if constexpr (!Archive::reading) *program = *s.program;
    a.number(program->n_inputs);
    a.list(program->constants, [&](Scalar& value) { scalar(a, value); });
    a.list(program->code, [&](Instruction& instruction) {
      std::string name;
      if constexpr (!Archive::reading) name = info(instruction.micro).name;
      a.text(name);
      a.number(instruction.a);
      a.number(instruction.b);
      a.number(instruction.c);
      if constexpr (!Archive::reading) return;
      const std::optional<Micro> micro = find_micro(name);
      if (!micro) damaged("this version has no micro-op '", name, "'");
      instruction.micro = *micro;
      // Operands beyond the arity name the first one.
      const int arity = info(*micro).arity;
      if (arity < 2) instruction.b = instruction.a;
      if (arity < 3) instruction.c = instruction.a;
    });
    a.list(program->outputs, [&](uint8_t& reg) { a.number(reg); });
    if constexpr (!Archive::reading) return;
    try {
      if (program->n_inputs < 0) damaged("a tile program of ", program->n_inputs, " inputs");
      program->finish();
    } catch (const Error& error) {
      damaged("a tile program is malformed: ", error.what());
    }
    s.owned = program;
    s.program = program.get();
  }

  void primitive(Step& s) {
    std::string name;
    if constexpr (!Archive::reading) name = s.primitive->saved_name();
    a.text(name);
    if constexpr (Archive::reading) {
      s.primitive = find_primitive(name);
      if (!s.primitive) damaged("this version has no primitive '", name, "'");
    }
    attributes(s.attributes);
    a.number(s.in_place);
    draws(s);
  }

  // Where in a stream of random numbers the step stands.
  void draws(Step& s) {
    a.number(s.random);
    a.number(s.stream);
    a.number(s.block);
    a.number(s.seeded);
    a.number(s.seed);
  }

  void action(Step& s) {
    trace::BoundAction bound;
    if constexpr (!Archive::reading) bound = *s.action.template target<trace::BoundAction>();
    std::string name;
    if constexpr (!Archive::reading) name = bound.action->name;
    a.text(name);
    attributes(bound.attributes);
    if constexpr (!Archive::reading) return;
    bound.action = trace::find_action(name);
    if (!bound.action) damaged("this version has no action '", name, "'");
    s.attributes = bound.attributes;
    s.action = std::move(bound);
  }

  // A call of a function, or the step of an optimizer.
  void call(Step& s) {
    bool updates = false;
    if constexpr (!Archive::reading) updates = s.body.template target<UpdateAgain>() != nullptr;
    a.number(updates);
    updates ? update(s) : call_again(s);
  }

  // One argument but for its tensors.
  void value(Value& v, std::string& words) {
    enumeration(a, v.kind, 10, "kind of argument");
    enumeration(a, v.dtype, kDTypeCount, "dtype");
    scalar(a, v.scalar);
    numbers(a, v.ints);
    words = v.text;
    a.text(words);
  }

  void call_again(Step& s) {
    CallAgain again;
    if constexpr (!Archive::reading) again = *s.body.template target<CallAgain>();
    std::string name;
    if constexpr (!Archive::reading) name = again.function->name;
    a.text(name);
    std::vector<Value> values;
    if constexpr (!Archive::reading) values = *again.values;
    std::vector<std::string> texts;
    a.list(values, [&](Value& v) {
      value(v, texts.emplace_back());
      bool given = v.tensor != nullptr;
      a.number(given);
      v.tensor = given ? kPlace : nullptr;
      a.list(v.tensors, [&](Tensor*& each) {
        bool there = each != nullptr;
        a.number(there);
        each = there ? kPlace : nullptr;
      });
    });
    draws(s);
    if constexpr (!Archive::reading) return;
    if (s.stream < 0 || static_cast<size_t>(s.stream) >= trace_->streams.size())
      damaged("there is no stream ", s.stream);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i].text = texts[i];
      if (values[i].kind == Value::Kind::Generator)
        values[i].generator = trace_->streams[static_cast<size_t>(s.stream)].generator;
    }
    const Function* function = find_function(name);
    if (!function || !function->opaque) damaged("this version has no call of '", name, "'");
    s.body = CallAgain(function, std::move(values));
  }

  void update(Step& s) {
    UpdateAgain again;
    if constexpr (!Archive::reading) again = *s.body.template target<UpdateAgain>();
    std::string name, words;
    if constexpr (!Archive::reading) name = again.function->name;
    a.text(name);
    a.list(again.values, [&](Value& v) {
      value(v, words);
      v.text = {};
    });
    a.list(again.lists,
           [&](std::vector<TensorRef>& list) { a.list(list, [&](TensorRef& each) { tensor(each); }); });
    a.number(again.counter);
    if (again.counter >= 0) tensor(again.count);
    if constexpr (!Archive::reading) return;
    again.function = find_update(name);
    if (!again.function) damaged("this version has no update '", name, "'");
    if (again.lists.size() != again.values.size() || again.counter < -1 ||
        again.counter >= static_cast<int>(again.values.size()))
      damaged("the update '", name, "' has ", again.values.size(), " arguments");
    if (again.counter >= 0 && (again.count->dtype != DType::Int64 || again.count->numel != 1))
      damaged("the update '", name, "' counts in ", describe(*again.count));
    s.body = std::move(again);
  }

  Archive& a;
  Tables& tables_;
  Trace* trace_ = nullptr;
};

}  // namespace

void trace_bytes(Writer& bytes, Trace& trace, Tables& tables) { Visit<Writer>(bytes, tables).trace(trace); }
void trace_bytes(Reader& bytes, Trace& trace, Tables& tables) { Visit<Reader>(bytes, tables).trace(trace); }
void geometry(Writer& bytes, Array& array) { array_geometry(bytes, array); }
void geometry(Reader& bytes, Array& array) { array_geometry(bytes, array); }

}  // namespace versant::saved
