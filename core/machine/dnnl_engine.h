// The engine and the streams of oneDNN.
#pragma once

#include <dnnl.hpp>

namespace versant::dnnl {

inline const ::dnnl::engine& engine() {
  static const ::dnnl::engine cpu(::dnnl::engine::kind::cpu, 0);
  return cpu;
}

// The calling thread's.
inline ::dnnl::stream& stream() {
  thread_local ::dnnl::stream own(engine());
  return own;
}

}  // namespace versant::dnnl
