#pragma once

namespace versant {

// The version of the project, as pyproject.toml states it.
const char* version();

}  // namespace versant
