#include "machine/dnnl.h"

#include <dnnl.hpp>

#include "machine/cpu.h"

namespace versant::dnnl {

namespace {

bool effective(::dnnl::cpu_isa isa) {
  const auto wanted = static_cast<int>(isa);
  return (static_cast<int>(::dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

}  // namespace

bool fast_bfloat16() {
  static const bool fast = effective(::dnnl::cpu_isa::avx512_core_amx) ||
                           (fast_pair_products() && effective(::dnnl::cpu_isa::avx512_core_bf16));
  return fast;
}

}  // namespace versant::dnnl
