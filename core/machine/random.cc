#include "machine/random.h"

namespace versant {

Generator& default_generator() {
  static Generator generator;
  return generator;
}

}  // namespace versant
