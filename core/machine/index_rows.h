// Moving the rows of an index plan. See Note [Rows and offsets] in index_plan.h.
#pragma once

#include "machine/index_plan.h"

namespace versant {

enum class Put : uint8_t { Write, Add };

// out = x[plan]; `out` is contiguous, of the plan's result sizes.
void take_rows(const IndexPlan& plan, const Array& x, const Array& out);
// x[plan] = values or x[plan] += values, where the plan was made for `x`; values broadcast to the result.
// Where rows repeat they are taken in the order of the indices: the last one written stays, sums add up in
// that order.
void put_rows(const IndexPlan& plan, const Array& x, const Array& values, Put put, const char* op);

}  // namespace versant
