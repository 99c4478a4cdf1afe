// Scaled dot-product attention, computed by tiles: what the primitive (attention.cc) tells the kernels.
//
// Note [Attention by tiles]
// A block of queries meets the keys block by block, and no more than one block of scores exists at a time
// (Rabe and Staats 2021; Dao et al., "FlashAttention", 2022). Forward keeps for each query the largest score
// so far, m, and the sum l of exp(score - m); when m grows, what was added up before shrinks by
// exp(m_old - m_new). What remains for backward is one number per query, lse = m + log(l).
//
// Backward goes by blocks of keys, and for each over the blocks of queries:
//   P = exp(S - lse)         dV += P^T dO        dP = dO V^T
//   dS = P (dP - delta)      dK += dS^T Q        dQ += dS K          delta = sum(dO O) of each query
//
// The blocks lie at fixed places and each result is added up in their order, so no bit depends on the number
// of threads, and a forward result on nothing but its own query, keys and values. Where heads are few, the
// blocks of keys are dealt to a fixed number of parts, and the parts of dQ are added at the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "machine/kernels.h"

namespace versant {

// Where the rows of an operand lie. Steps are in bytes, `column` in elements; `load` and `store` convert
// between memory and the compute type.
struct AttentionRows {
  char* data = nullptr;
  std::ptrdiff_t batch = 0, head = 0, row = 0, column = 1;
  bool plain = false;  // of the compute type, with adjacent columns
  LoadKernel load = nullptr;
  StoreKernel store = nullptr;

  char* at(std::ptrdiff_t b, std::ptrdiff_t h, std::ptrdiff_t r) const {
    return data + b * batch + h * head + r * row;
  }
};

struct AttentionJob {
  std::ptrdiff_t batch = 0, heads = 0, queries = 0, keys = 0;
  std::ptrdiff_t group = 1;  // heads of queries that share one head of keys and values
  std::ptrdiff_t width = 0, value_width = 0;
  double scale = 1;
  bool causal = false;
  AttentionRows q, k, v, out, grad, dq, dk, dv;
  void* lse = nullptr;  // (batch, heads, queries), of the compute type; +infinity for a query without keys

  AttentionRows mask;            // a row for each query, where there is one
  std::ptrdiff_t mask_item = 1;  // bytes of its elements
  bool choosing = false;         // it holds truths; else it is added to the scores

  bool dropping = false;
  std::uint64_t seed = 0, first = 0;  // see Note [Draws]; each row of keys starts with a group
  std::uint32_t threshold = 0;
  double keep_scale = 1;

  std::ptrdiff_t parts = 1;  // of the blocks of keys, in backward
  void* partial = nullptr;   // (batch, heads, parts, queries, padded width), when there are several

  static constexpr std::ptrdiff_t kQueries = 64;       // of a block
  static constexpr std::ptrdiff_t kForwardKeys = 128;  // of a block
  static constexpr std::ptrdiff_t kBackwardKeys = 64;

  static constexpr std::ptrdiff_t padded(std::ptrdiff_t n) { return (n + 31) / 32 * 32; }
  std::ptrdiff_t query_blocks() const { return (queries + kQueries - 1) / kQueries; }
  std::ptrdiff_t key_blocks() const { return (keys + kBackwardKeys - 1) / kBackwardKeys; }
  std::ptrdiff_t draw_groups() const { return (keys + 63) / 64; }  // of a row
  // How many tasks forward, backward and the joining of parts have.
  std::ptrdiff_t forward_tasks() const { return batch * heads * query_blocks(); }
  std::ptrdiff_t backward_tasks() const { return batch * (heads / group) * parts; }
  std::ptrdiff_t join_tasks() const { return batch * heads; }

  // Elements of the compute type that a thread works with.
  std::ptrdiff_t forward_scratch() const {
    return padded(keys) * (width + padded(value_width)) + kQueries * (padded(width) + padded(value_width)) +
           32 * std::max(width, value_width) + kQueries * (kForwardKeys + 2) + kForwardKeys + 512;
  }
  std::ptrdiff_t backward_scratch() const {
    const std::ptrdiff_t w = padded(width), v = padded(value_width), rows = group * queries;
    return rows * (2 * w + v + 1) + kBackwardKeys * (4 * w + 3 * v) + 2 * kQueries * kBackwardKeys +
           kBackwardKeys + 1024;
  }
};

}  // namespace versant
