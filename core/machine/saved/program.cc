#include "machine/saved/program.h"

#include <algorithm>

#include "machine/action.h"
#include "machine/call.h"
#include "machine/fuse.h"
#include "machine/saved/bytes.h"
#include "machine/slots.h"

namespace versant::saved {

using trace::Buffer;
using trace::Captured;
using trace::Step;
using trace::Stream;
using trace::Trace;

namespace {

[[noreturn]] void refuse(const Step& step, const auto&... why) {
  fail(ErrorKind::Runtime, "[save] ", step.where.empty() ? "" : step.where + ": ", step.name, why...);
}

// Puts steps of optimizers in the places of calls of Python.
void put_updates(std::vector<Step>& steps, const Updates& updates) {
  std::vector<Step> made;
  for (Step& step : steps) {
    const auto found = step.kind == Step::Kind::Host ? updates.find(step.index) : updates.end();
    if (found == updates.end()) {
      made.push_back(std::move(step));
      continue;
    }
    for (const UpdateAgain& update : found->second) {
      Step& call = made.emplace_back();
      call.kind = Step::Kind::Apply;
      call.name = step.name;
      call.where = step.where;
      call.stand = step.stand;
      call.body = update;
    }
  }
  steps = std::move(made);
}

// What a file would claim of a step.
bool admitted(const Step& step) {
  std::vector<const Array*> in, out;
  for (const trace::Window& window : step.in) in.push_back(&window.array);
  for (const trace::Window& window : step.out) out.push_back(&window.array);
  return step.primitive->admits({in, out, step.attributes, step.in_place});
}

// Drops what a saved program does without; raises for what it cannot do.
void strip(const Trace& trace, std::vector<Step>& steps) {
  std::erase_if(steps, [&](const Step& step) {
    // Checks of values come back with the primitives that rely on them; nobody asks for gradients.
    return (step.kind == Step::Kind::Call && step.out.empty()) || step.kind == Step::Kind::RequireGrad;
  });
  for (const Step& step : steps) {
    if (step.kind == Step::Kind::Host)
      refuse(step, " calls Python, which a saved program cannot: save the function without it");
    if (step.kind == Step::Kind::Apply && step.loops)
      refuse(step, " cannot be saved yet: save a function without branches and loops over tensors");
    if (step.kind == Step::Kind::Apply && !step.body.target<CallAgain>() && !step.body.target<UpdateAgain>())
      refuse(step,
             " calls Python, which a saved program cannot: leave it out, or state it as ops of tensors");
    if (step.kind == Step::Kind::Call && !step.action.target<trace::BoundAction>())
      refuse(step, " cannot be saved yet: save a function that only computes results");
    if ((step.kind == Step::Kind::SetGradient || step.kind == Step::Kind::SetData) &&
        trace.captured[static_cast<size_t>(step.index)].argument >= 0)
      refuse(step, " of an argument is set: return the new value");
    if (step.kind == Step::Kind::Primitive && !admitted(step))
      refuse(step, " cannot be saved yet: state it as other ops");
    if (step.kind == Step::Kind::Primitive && step.random >= 0 && step.drawn_going_back)
      refuse(step, " draws on the way back from results");
  }
}

}  // namespace

Trace savable(const Trace& trace, const Updates& updates) {
  Trace made = trace;
  made.steps.resize(made.forward_steps);
  made.differentiable.clear();
  made.incoming.clear();
  made.outgoing.clear();
  made.hosts.clear();
  made.freed = false;
  for (Buffer& buffer : made.buffers)
    if (buffer.origin == Buffer::Origin::Incoming) buffer = {};
  for (auto* steps : {&made.steps, &made.plain}) {
    put_updates(*steps, updates);
    strip(made, *steps);
  }
  made.forward_steps = made.steps.size();
  for (size_t i = 0; i < made.arguments.size(); ++i)
    if (made.argument_is[i])
      fail(ErrorKind::Runtime, "[save] argument ", i,
           " is a tensor that the function reaches otherwise too: pass another one when it is traced");
  for (const trace::Window& gradient : made.result_gradients)
    if (gradient.buffer >= 0)
      fail(ErrorKind::Runtime, "[save] a result has a gradient of its own: return the gradient instead");
  for (Captured& captured : made.captured) {
    captured.needs_grad = false;
    captured.hooks = 0;
  }
  return made;
}

Program::Program(Contents contents) : contents_(std::move(contents)) {
  for (Entry& entry : contents_.entries) {
    std::vector<bool> written(entry.traces[0].arguments.size(), false);
    trace::Branches& branches = branches_.emplace_back();
    for (Trace& trace : entry.traces) {
      for (const auto* steps : {&trace.steps, &trace.plain})
        for (const Step& step : *steps)
          for (const trace::Window& window : step.out)
            if (trace.buffers[static_cast<size_t>(window.buffer)].origin == Buffer::Origin::Argument)
              written[static_cast<size_t>(trace.buffers[static_cast<size_t>(window.buffer)].index)] = true;
      branches.add(std::move(trace));
    }
    written_.push_back(std::move(written));
    entry.traces.clear();
  }
}

Array Program::laid_out(size_t entry, size_t input, const Array& array) const {
  const Array& like = inputs(entry)[input];
  if (array.dtype != like.dtype || array.sizes != like.sizes)
    fail(ErrorKind::Program, "[program] input '", contents_.entries[entry].names[input], "' is ",
         describe(like), ", got ", describe(array));
  Array made = like;
  made.storage = Storage::allocate(static_cast<size_t>(trace::extent(like)));
  made.data = static_cast<char*>(made.storage->data) + reinterpret_cast<int64_t>(like.data);
  copy_into(made, array);
  return made;
}

std::string Program::difference(size_t entry, std::span<Tensor* const> arguments) const {
  std::string difference;
  branches_[entry].plan(0).fits(arguments, &difference, contents_.entries[entry].names);
  return difference;
}

int Program::run(size_t entry, std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const {
  if (const std::string words = difference(entry, arguments); !words.empty())
    fail(ErrorKind::Program, "[program] the program does not fit: ", words);
  const int branch = branches_[entry].run(arguments, results);
  if (branch < 0)
    fail(ErrorKind::Program,
         "[program] the program reads a value that no call before it was saved had: call the function with "
         "such values, and save it again");
  return branch;
}

std::string Program::bytes() const {
  Contents now;
  now.tables.tensors = contents_.tables.tensors;
  for (size_t e = 0; e < size(); ++e) {
    const Entry& from = contents_.entries[e];
    Entry& to = now.entries.emplace_back();
    to.structure = from.structure;
    to.names = from.names;
    to.results = from.results;
    for (size_t b = 0; b < from.results.size(); ++b) to.traces.push_back(savable(trace(e, b)));
  }
  return write(now);
}

}  // namespace versant::saved
