#include "machine/autocast.h"

#include <unordered_map>

#include "machine/node.h"
#include "machine/ops.h"

namespace versant {

thread_local AutocastState autocast_state;

namespace {

struct CastWeight {
  TensorRef weight;  // kept alive, so that its address stays its own
  TensorRef cast;
  const void* data;  // the memory that was cast, and its version then
  uint32_t version;
  bool recorded;  // the cast has a gradient
};

using Cache = std::unordered_map<const Tensor*, CastWeight>;

Cache& cache() {
  thread_local Cache weights;
  return weights;
}

bool is_weight(Tensor& x) {
  return x.dtype == DType::Float32 && x.node && x.node->is_leaf() && !x.view && x.storage;
}

}  // namespace

TensorRef autocast(Tensor& x, DType to) {
  if (!autocast_takes(x) || x.dtype == to) return TensorRef(&x);
  const bool keep = autocast_state.caching && to == autocast_state.lower && is_weight(x);
  if (!keep) return ops::cast(x, to);
  const uint32_t version = x.storage->version;
  Cache& weights = cache();
  if (const auto found = weights.find(&x); found != weights.end()) {
    const CastWeight& known = found->second;
    const bool fresh = known.data == x.data && known.version == version;
    if (fresh && known.cast->dtype == to && known.recorded == modes.grad) return known.cast;
  }
  CastWeight entry{TensorRef(&x), ops::cast(x, to), x.data, version, modes.grad};
  return weights.insert_or_assign(&x, std::move(entry)).first->second.cast;
}

DType autocast_widest(std::span<Tensor* const> tensors) {
  DType widest = autocast_state.lower;
  for (const Tensor* x : tensors)
    if (x && autocast_takes(*x) && x->dtype != widest) widest = DType::Float32;
  return widest;
}

void clear_autocast_cache() { cache().clear(); }

}  // namespace versant
