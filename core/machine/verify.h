// The rules that traces and plans obey, checked between passes while `verifying` is set.
//
// Note [Rules of traces]
// Whoever reads this may rely on it; whoever writes a pass keeps it.
// * A window names a buffer of the trace and lies inside of its bytes; a number stands only among the inputs
//   of programs and calls of the host.
// * A fresh buffer is written by a step before a step reads it, but what a primitive in place stands on. What
//   comes in is there for the way back only.
// * A step has the inputs, outputs and indices that its kind asks for. A program reads registers that exist,
//   of instructions before, and has as many inputs and outputs as its step.
// * Results are there when the forward steps are done, outgoing gradients when all are.
// * A reading may move forward in time only past steps that it does not depend on.
// * Once lifetimes are planned, every fresh buffer that a step touches and that nobody keeps is given back
//   exactly once, by the last step that touches it, and no other buffer is.
// * Buffers of the arena that live at one time do not overlap, but where an elementwise step writes over an
//   input that it gives back and that lies as its output does; a buffer that ends within a row chain lives to
//   the end of the chain.
// * The steps of a row chain are products and elementwise steps over as many rows. What a row writes no other
//   row touches, in whatever buffer of the arena; what every row reads whole nobody writes.
// * What outlives the forward steps, or what the host sees, is not in the arena. A
//   fresh buffer has memory when it is first written: in the arena, of the allocator, taken over, or made by
//   its step.
#pragma once

#include "machine/trace.h"

namespace versant::trace {

// Where a plan puts its buffers.
struct Layout {
  std::vector<int64_t> offsets;             // in the arena; -1: elsewhere
  std::vector<int64_t> extents;             // bytes
  std::vector<std::vector<int>> allocated;  // by step: large buffers that it is the first to write
  std::vector<std::vector<std::pair<int, int>>> inherited;  // by step: buffers, and whose memory they take
  std::vector<size_t> micros;                               // by step: calls of micro-kernels, 0 for none
  std::vector<int> chains;                                  // by step: the row chain that it is in, or -1
  std::vector<int64_t> chain_rows;                          // of each chain
  int64_t arena_bytes = 0;
  int64_t tile_bytes = 0;  // of numbers and intermediate values
};

extern bool verifying;

// Each raises Runtime with the first fault: which pass, which step, of which line.
void verify(const Trace& trace, const char* pass, bool with_lifetimes = false);
// `after` holds the steps of `before` in another order, of which no reader or writer can tell.
void verify_order(const std::vector<Step>& before, const std::vector<Step>& after, const char* pass);
void verify_layout(const Trace& trace, const Layout& layout);
void verify_chains(const Trace& trace, const Layout& layout);

}  // namespace versant::trace
