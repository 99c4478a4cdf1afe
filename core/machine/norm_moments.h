// Where normalize_channels has mean and variance from: the second of its ints.
#pragma once

#include <cstdint>

namespace versant {

constexpr int64_t kOwnMoments = 0;     // from what it normalises
constexpr int64_t kGivenVariance = 1;  // its last inputs are mean and variance
constexpr int64_t kGivenInverse = 2;   // its last inputs are mean and 1 / std, as an earlier run gave them

}  // namespace versant
