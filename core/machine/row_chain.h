// Chains of steps that work row by row, which threads run without waiting for each other.
#pragma once

#include <optional>

#include "machine/trace.h"

namespace versant::trace {

// Note [Row chains]
// Products by small matrices and elementwise steps compute rows of their results from the same rows of what
// they read, gradients of weights from columns of the layer's input. Where such steps follow each other, each
// thread runs all of them over rows of its own: it finds what it reads in its own cache, and nobody waits
// until the end. What every row reads whole, a weight, must not be written in the chain; memory of the arena
// changes hands at the end of a chain only. The bits are those of the steps one by one, since neither
// products nor programs depend on how rows are shared out.
struct RowChain {
  size_t begin, end;  // steps
  int64_t rows;
};

// How a window is cut into rows.
struct Rows {
  bool whole = true;  // every row reads all of it
  int64_t pitch = 0;  // elements from row to row ...
  int64_t width = 0;  // ... of which each row has so many, in one piece; 0: as the array is
};

// A step seen row by row: of its windows in `in`, then `out`.
struct RowForm {
  bool flat = false;  // elements in one piece: rows are stretches of it
  std::vector<Rows> windows;
};

// Null if the step does not work row by row over `rows`.
std::optional<RowForm> row_form(const Step& step, int64_t rows);

// Changes the order of the steps of small plans so that chains become long.
void line_up_rows(Trace& trace);
std::vector<RowChain> find_row_chains(const Trace& trace);

// Runs rows [begin, end) of a step over arrays in the order of its windows; `scratch` as of row_scratch.
void run_rows(const Step& step, const RowForm& form, const Array* const* arrays, int64_t begin, int64_t end,
              void* scratch);
size_t row_scratch(const Step& step, int64_t rows);

}  // namespace versant::trace
