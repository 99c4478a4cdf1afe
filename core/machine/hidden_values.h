// Values of fused steps that their outputs do not let on about.
#pragma once

#include <memory>
#include <vector>

#include "machine/program.h"

namespace versant::trace {

// Note [Hidden values]
// What is not finite mostly makes what follows from it not finite either, but tanh(inf) is 1 and 1 / inf is
// 0. Who looks for NaN in the outputs of a fused step would not find what an op of it gave if another op of
// it hid that. So a fused step has programs that compute such values alone, for guards to run before it.

// Programs over the inputs of `program`, which is not trimmed and consists of micro-ops, whose outputs are
// those of the `asked` registers that are hidden on the way to its outputs.
std::vector<std::shared_ptr<const Program>> probes_of(const Program& program,
                                                      const std::vector<uint8_t>& asked);

// Drops instructions that no output needs.
void trim(Program& program);

}  // namespace versant::trace
