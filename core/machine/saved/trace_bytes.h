// Traces as bytes.
#pragma once

#include "machine/saved/bytes.h"
#include "machine/saved/program.h"

namespace versant::saved {

// The same description of a trace serves for both directions.
void trace_bytes(Writer& bytes, trace::Trace& trace, Tables& tables);
void trace_bytes(Reader& bytes, trace::Trace& trace, Tables& tables);

// Sizes, strides, dtype and place of an array; read ones reach less than kMostBytes.
constexpr int64_t kMostBytes = int64_t{1} << 46;
void geometry(Writer& bytes, Array& array);
void geometry(Reader& bytes, Array& array);

}  // namespace versant::saved
