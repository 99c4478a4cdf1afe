#include "machine/version.h"

#include <oneapi/dnnl/dnnl.h>

namespace versant {

const char* version() { return VERSANT_VERSION; }

#if defined(__clang__)
const char* compiler() { return "clang " __clang_version__; }
#else
const char* compiler() { return "gcc " __VERSION__; }
#endif

std::string onednn_version() {
  const dnnl_version_t* found = dnnl_version();
  return std::to_string(found->major) + "." + std::to_string(found->minor) + "." +
         std::to_string(found->patch);
}

}  // namespace versant
