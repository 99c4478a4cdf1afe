// Control flow in traces: branches and loops whose bodies are traces of their own.
//
// Note [Loops]
// A body is traced once, over operands of the kind that every turn brings. Tensors that it reaches otherwise
// become further operands, so that a body knows no memory. The whole loop is one step of the trace around it
// (Step::Kind::Apply), which runs bodies as often as the values say. What the way back needs, a node of each
// turn, is kept behind a result of one byte, the tape; the way back is another step, over the tape, the
// operands (whose memory must last until then) and the gradients.
//
// Gradients of tensors that a body reaches are sums over turns. Each turn adds to the sum that the turn after
// it left, and the last one to what waits in the pass, as if its ops stood there themselves: floating-point
// sums depend on their order. Sums begin with -0.0, to which adding changes no bit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "machine/replay.h"

namespace versant::trace {

struct Body {
  Branches branches;
  size_t n_operands = 0;
  // The tensors that it reaches otherwise, which follow the operands; until the loop is made.
  std::vector<TensorRef> reached;

  const Trace& trace() const { return branches.plan(0).trace(); }
};

// Makes a body of a trace over its operands. Raises for what no turn could repeat; `name`: of the loop.
std::shared_ptr<Body> make_body(Trace trace, const char* name);

struct Loop {
  enum class Kind : uint8_t {
    Cond,   // bodies: where true, where false; inputs: the truth, operands
    While,  // bodies: the condition, the turn; inputs: what is carried
    Scan,   // bodies: the turn; inputs: what is carried, what is walked along
  };
  Kind kind = Kind::Cond;
  std::string name;
  std::vector<std::shared_ptr<Body>> bodies;
  std::vector<std::vector<int>> reached;  // of each body: which inputs are the tensors that it reaches
  int n_carried = 0;                      // operands of a Cond count too
  int n_walked = 0;
  int64_t length = -1;  // Scan: turns; While: at most so many, or -1
  bool reverse = false;

  // Bodies without the results that no gradient arrives at: of the last turn, those before it, and from
  // `cycle` on again and again; of a Cond its two. Empty: those that were given. See LoopNode::restrict.
  std::vector<int> last;
  size_t cycle = 0;

  int first_operand() const { return kind == Kind::Cond ? 1 : 0; }
  int given() const { return kind == Kind::While ? 1 : 0; }
  const Body& turn() const { return *bodies[static_cast<size_t>(given())]; }
  // The body of the turn that has so many turns behind it.
  int body_of(size_t behind) const {
    if (last.empty()) return given();
    return last[behind < last.size() ? behind : cycle + (behind - cycle) % (last.size() - cycle)];
  }
  // Results of a turn or branch, and of the loop.
  int n_results() const { return static_cast<int>(turn().trace().results.size()); }
};

// The gradients of a loop's inputs from those of its results, recorded for gradients of gradients.
using RecordedBackward = std::function<std::vector<TensorRef>(std::span<const TensorRef>)>;

// Traces a body anew, branch `b` of a Cond, with gradients through some of its results alone; gives it with
// the inputs of the loop that it reaches.
using Restrict = std::function<std::pair<std::shared_ptr<Body>, std::vector<int>>(
    int b, const std::vector<bool>& results)>;

// Runs a loop now, as a step of the trace that is being made, and records it on the tape.
std::vector<TensorRef> run_loop(const std::shared_ptr<Loop>& loop, std::span<Tensor* const> inputs,
                                RecordedBackward recorded_backward, Restrict restrict);

}  // namespace versant::trace
