#include "machine/dnnl.h"

#include <array>
#include <map>
#include <memory>
#include <unordered_map>

#include "machine/cpu.h"
#include "machine/dnnl_engine.h"
#include "machine/lock.h"
#include "machine/memory.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant::dnnl {

namespace {

using ::dnnl::memory;

constexpr double kUnlockedWork = 4e6;    // multiply-adds from which a product gives the lock up
constexpr size_t kMostPrimitives = 512;  // kept; making one takes up to a millisecond

struct Entry {
  memory::desc a, b, c, bias, scratchpad;
  ::dnnl::matmul primitive;
};

using Key = std::array<int64_t, 11>;

std::shared_ptr<const Entry> entry_of(const Product& x) {
  static std::map<Key, std::shared_ptr<const Entry>> entries;
  const Key key = {x.m,     x.n,     x.k,     x.a_row,           x.a_col,      x.b_row,
                   x.b_col, x.c_row, x.c_col, x.bias != nullptr, num_threads()};
  if (const auto found = entries.find(key); found != entries.end()) return found->second;
  const auto type = memory::data_type::bf16;
  auto entry = std::make_shared<Entry>();
  entry->a = memory::desc({x.m, x.k}, type, memory::dims{x.a_row, x.a_col});
  entry->b = memory::desc({x.k, x.n}, type, memory::dims{x.b_row, x.b_col});
  entry->c = memory::desc({x.m, x.n}, type, memory::dims{x.c_row, x.c_col});
  ::dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(::dnnl::scratchpad_mode::user);
  if (x.bias) entry->bias = memory::desc({1, x.n}, memory::data_type::f32, memory::dims{x.n, 1});
  const ::dnnl::matmul::primitive_desc description(engine(), entry->a, entry->b, entry->bias, entry->c,
                                                   attributes);
  entry->scratchpad = description.scratchpad_desc();
  entry->primitive = ::dnnl::matmul(description);
  if (entries.size() >= kMostPrimitives) entries.clear();
  return entries[key] = std::move(entry);
}

}  // namespace

namespace {
bool effective(::dnnl::cpu_isa isa) {
  const auto wanted = static_cast<int>(isa);
  return (static_cast<int>(::dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}
}  // namespace

bool fast_bfloat16() {
  static const bool fast =
      has_tiles() || (fast_pair_products() && effective(::dnnl::cpu_isa::avx512_core_bf16));
  return fast;
}

bool has_tiles() {
  static const bool found = effective(::dnnl::cpu_isa::avx512_core_amx);
  return found;
}

void multiply_bfloat16(const Product& x) {
  const std::shared_ptr<const Entry> entry = entry_of(x);
  const Scratch scratch(entry->scratchpad.get_size());
  Unlocked unlocked(static_cast<double>(x.m) * static_cast<double>(x.n) * static_cast<double>(x.k) >=
                    kUnlockedWork);
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, memory(entry->a, engine(), const_cast<void*>(x.a))},
      {DNNL_ARG_WEIGHTS, memory(entry->b, engine(), const_cast<void*>(x.b))},
      {DNNL_ARG_DST, memory(entry->c, engine(), x.c)},
      {DNNL_ARG_SCRATCHPAD, memory(entry->scratchpad, engine(), scratch.data())}};
  if (x.bias) arguments.emplace(DNNL_ARG_BIAS, memory(entry->bias, engine(), const_cast<void*>(x.bias)));
  entry->primitive.execute(stream(), arguments);
  stream().wait();
}

}  // namespace versant::dnnl
