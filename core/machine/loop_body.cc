// Bodies of loops: traces that know no memory but their arguments'.
#include <utility>

#include "machine/loop.h"

namespace versant::trace {

namespace {

// Tensors that a trace reaches become its arguments.
void lift(Trace& trace, std::vector<TensorRef>& reached) {
  for (Captured& captured : trace.captured) {
    if (captured.argument >= 0) continue;
    TensorRef tensor = std::exchange(captured.tensor, {});
    captured.argument = static_cast<int>(trace.arguments.size());
    int buffer = -1;
    const auto index = static_cast<int>(&captured - trace.captured.data());
    for (size_t b = 0; b < trace.buffers.size(); ++b)
      if (trace.buffers[b].origin == Buffer::Origin::Captured && trace.buffers[b].index == index)
        buffer = static_cast<int>(b);
    trace.arguments.push_back(captured.geometry);
    trace.argument_buffers.push_back(buffer);
    trace.argument_gradients.push_back(captured.needs_grad);
    trace.argument_tensors.push_back(-1);
    trace.argument_is.emplace_back();
    reached.push_back(std::move(tensor));
  }
  for (Outgoing& out : trace.outgoing)
    if (out.captured >= 0) {
      out.argument = trace.captured[static_cast<size_t>(out.captured)].argument;
      out.captured = -1;
    }
}

void check_body(const Trace& trace, const char* name) {
  const auto refuse_step = [&](const Step& step, const char* why) {
    fail(ErrorKind::Runtime, "[", name, "] ", step.where.empty() ? "" : step.where + ": ", "the body ", why);
  };
  for (const Step& step : trace.steps) {
    if (step.reads())
      refuse_step(step,
                  "reads a value, or has a shape that depends on one, which differs from turn to turn: use "
                  "vs.cond, vs.while_loop or ops of tensors");
    if (step.kind == Step::Kind::SetGradient)
      refuse_step(step, "sets gradients of tensors: use vs.autograd.grad and return them");
    if (step.kind == Step::Kind::SetData || step.kind == Step::Kind::RequireGrad)
      refuse_step(step, "changes a tensor from outside: carry it and return the new one");
    if (step.kind == Step::Kind::Host)
      refuse_step(step, text("calls ", step.name, ", which must stand outside of it").c_str());
    for (const Window& window : step.out)
      if (trace.buffers[static_cast<size_t>(window.buffer)].origin != Buffer::Origin::Fresh)
        refuse_step(step, "changes a tensor in place that it did not make: carry it and return the new one");
  }
  if (trace.streams.size() > 1)
    fail(ErrorKind::Runtime, "[", name, "] the body draws from a generator of its own: use the default one");
  if (trace.streams[0].seeded)
    fail(ErrorKind::Runtime, "[", name, "] the body seeds the generator: do it outside");
  if (trace.streams[0].back_blocks)
    fail(ErrorKind::Runtime, "[", name, "] gradients of the body draw random numbers");
}

}  // namespace

std::shared_ptr<Body> make_body(Trace trace, const char* name) {
  check_body(trace, name);
  auto body = std::make_shared<Body>();
  body->n_operands = trace.arguments.size();
  lift(trace, body->reached);
  body->branches.add(std::move(trace));
  return body;
}

}  // namespace versant::trace
