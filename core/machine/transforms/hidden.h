// Levels whose batches have been taken apart while a way back runs over what they held.
#pragma once

namespace versant::transforms {

// For its lifetime no tensor is spread over the level, and no random numbers are drawn for its samples.
class Hidden {
 public:
  explicit Hidden(int level);
  ~Hidden();
  Hidden(const Hidden&) = delete;

 private:
  int level_;
  bool before_;
};

}  // namespace versant::transforms
