// Note [Draws]
// Words are drawn in groups of 16 Philox blocks, 64 words: element i of a draw that needs one word each takes
// word w = i / 16 % 4 of block i / 64 * 16 + i % 16, so that a group is computed side by side without
// shuffling. A draw that needs 64 bits each takes words 2 w and 2 w + 1, w = i / 16 % 2, of block
// i / 32 * 16 + i % 16. Elements are counted in logical order, so a draw depends on the generator's state and
// the shape alone. A draw of n elements moves the generator on by whole groups.
#pragma once

#include <algorithm>

#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/random.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"

namespace versant {

inline constexpr int kGroupWords = 64, kGroupBlocks = 16;

// A stretch of a generator's words, taken for `n` elements.
struct Draws {
  static constexpr int64_t kTileGroups = 16;

  uint64_t seed, first;
  int64_t n;
  int per_group;  // elements: 64, or 32 that take two words each

  static Draws take(Generator& generator, int64_t n, bool two_words) {
    const int per_group = two_words ? kGroupWords / 2 : kGroupWords;
    const auto groups = static_cast<uint64_t>((n + per_group - 1) / per_group);
    const uint64_t copies = modes.transforming ? transforms::copies_to_draw() : 1;
    const uint64_t first = generator.take(groups * copies * kGroupBlocks);
    if (modes.transforming) [[unlikely]]
      transforms::note_draw(generator.seed, first);
    if (modes.tracing) [[unlikely]]
      trace::recorder->draws(generator, generator.seed, first);
    return {generator.seed, first, n, per_group};
  }

  // Calls body(begin, count, words) for tiles of up to 1024 words, in parallel; the words of whole groups are
  // there.
  template <typename Body>
  void for_tiles(Body body) const {
    Unlocked unlocked(n >= 20000);
    parallel_for(tiles(), 8, [&](int64_t from, int64_t to) { run_tiles(from, to, body); });
  }
  // The same one after the other.
  template <typename Body>
  void in_order(Body body) const {
    run_tiles(0, tiles(), body);
  }

 private:
  int64_t tiles() const { return (n + kTileGroups * per_group - 1) / (kTileGroups * per_group); }

  template <typename Body>
  void run_tiles(int64_t from, int64_t to, Body& body) const {
    const int64_t tile = kTileGroups * per_group;
    alignas(64) uint32_t words[kTileGroups * kGroupWords];
    for (int64_t t = from; t < to; ++t) {
      const int64_t begin = t * tile, count = std::min(tile, n - begin);
      kernels->philox(words, seed, first + static_cast<uint64_t>(t * kTileGroups * kGroupBlocks),
                      (count + per_group - 1) / per_group);
      body(begin, count, static_cast<const uint32_t*>(words));
    }
  }
};

// The 64 bits of element i of a tile of two-word draws.
inline uint64_t two_words(const uint32_t* words, int64_t i) {
  const uint32_t* group = words + i / 32 * kGroupWords + i / 16 % 2 * 32 + i % 16;
  return static_cast<uint64_t>(group[16]) << 32 | group[0];
}
// In [0, 1), of 53 bits.
inline double fraction(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }
// In [0, range), from 64 bits: the bias is below range / 2^64.
inline uint64_t below(uint64_t range, uint64_t bits) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(bits) * range >> 64);
}

}  // namespace versant
