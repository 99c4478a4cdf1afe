#include "machine/version.h"

namespace versant {

const char* version() { return VERSANT_VERSION; }

}  // namespace versant
