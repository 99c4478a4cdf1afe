// What this build is made of.
#pragma once

#include <string>

namespace versant {

// The version of the project, as pyproject.toml states it.
const char* version();

// The compiler that built the machine, with its version.
const char* compiler();

// The version of the oneDNN library that the process runs on.
std::string onednn_version();

}  // namespace versant
