// The choice of instruction set.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace versant {

// The names of the instruction sets that this processor and operating system run, the best first.
std::vector<std::string_view> supported_isas();

// Points `kernels` at the table of one instruction set. False, changing nothing, if it is unknown or not
// supported. Not to be called while kernels run.
bool select_isa(std::string_view isa);

// Whether the instruction that multiplies pairs of bfloat16 (AVX512_BF16) does so faster than float32 is
// multiplied. Intel's cores since Sapphire Rapids issue it every other cycle, at half the rate of float32:
// there the fast way is by tiles (AMX), which a virtual machine may hide. By name, so that one machine always
// computes the same bits.
bool fast_pair_products();

// Whether the processor multiplies tiles of bfloat16 (AMX) and the system lets this process do so.
bool has_tile_products();

// The size from which results are written past the caches: larger where our share of the last cache holds an
// array of that size. Sizes beyond kStreamBytes ask.
inline constexpr std::int64_t kStreamBytes = 12 << 20;
std::int64_t stream_bytes();

}  // namespace versant
