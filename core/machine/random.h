// Counter-based random numbers: Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", 2011). A draw is a function of seed and counter alone, so results do not depend on threads.
#pragma once

#include <cstdint>

namespace versant {

struct Generator {
  uint64_t seed = 0;
  uint64_t offset = 0;  // counter blocks (four 32-bit words each) drawn so far

  // Reserves the next `blocks` counter values and returns the first.
  uint64_t take(uint64_t blocks) {
    const uint64_t first = offset;
    offset += blocks;
    return first;
  }
};

Generator& default_generator();

}  // namespace versant
