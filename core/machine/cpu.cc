#include "machine/cpu.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "machine/kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace versant {

// One table per instruction set that the build compiles (VERSANT_KERNELS), defined in kernels/table.cc.
namespace isa {
namespace v2 {
const Kernels& table();
}
namespace v3 {
const Kernels& table();
}
namespace v4 {
const Kernels& table();
}
namespace neon {
const Kernels& table();
}
namespace generic {
const Kernels& table();
}
}  // namespace isa

namespace {

struct Choice {
  std::string_view name;
  bool (*supported)();
  const Kernels& (*table)();
};

// The best first. __builtin_cpu_supports asks the operating system too whether it saves the wide registers.
#if defined(__x86_64__)
[[maybe_unused]] bool has_v3() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
[[maybe_unused]] bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif
constexpr Choice kChoices[] = {
#if defined(VERSANT_HAS_v4)
    {"v4", has_v4, isa::v4::table},
#endif
#if defined(VERSANT_HAS_v3)
    {"v3", has_v3, isa::v3::table},
#endif
#if defined(VERSANT_HAS_v2)
    {"v2", [] { return true; }, isa::v2::table},
#endif
#if defined(VERSANT_HAS_neon)
    {"neon", [] { return true; }, isa::neon::table},
#endif
#if defined(VERSANT_HAS_generic)
    {"generic", [] { return true; }, isa::generic::table},
#endif
};

const Kernels* best() {
  for (const Choice& choice : kChoices) {
    if (choice.supported()) return &choice.table();
  }
  return nullptr;  // a build without the plainest set, on a processor that has no other
}

}  // namespace

const Kernels* kernels = best();
std::atomic<bool> integer_zero_division{false};

bool fast_pair_products() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") &&
         (!__builtin_cpu_is("intel") || __builtin_cpu_is("cooperlake"));
#else
  return false;
#endif
}

bool has_tile_products() {
#if defined(__x86_64__) && defined(__linux__)
  static const bool found = [] {
    unsigned a, b, c, d;
    constexpr unsigned kTiles = 1u << 24, kBFloat16Tiles = 1u << 22;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kTiles) || !(d & kBFloat16Tiles)) return false;
    // The system keeps the registers of tiles for processes that ask for it.
    constexpr long kAskForState = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
  }();
  return found;
#else
  return false;
#endif
}

namespace {
// The system lists Intel's last cache as that of a whole socket, AMD's as that of a few cores.
std::int64_t sharers() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_is("amd")) return 2;
#endif
  return 8;
}
}  // namespace

std::int64_t stream_bytes() {
  static const std::int64_t bytes = [] {
    std::int64_t kilobytes = 0;
    char unit = 0;
    if (std::FILE* const file = std::fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r")) {
      if (std::fscanf(file, "%" SCNd64 "%c", &kilobytes, &unit) != 2 || unit != 'K') kilobytes = 0;
      std::fclose(file);
    }
    return std::max(kStreamBytes, std::clamp<std::int64_t>(kilobytes, 0, 1 << 22) * 1024 / sharers());
  }();
  return bytes;
}

std::vector<std::string_view> supported_isas() {
  std::vector<std::string_view> names;
  for (const Choice& choice : kChoices) {
    if (choice.supported()) names.push_back(choice.name);
  }
  return names;
}

bool select_isa(std::string_view isa) {
  for (const Choice& choice : kChoices) {
    if (choice.name == isa && choice.supported()) {
      kernels = &choice.table();
      return true;
    }
  }
  return false;
}

}  // namespace versant
