// clock.h: time as the program sees it. Only os/ and testing/ implement Clock; everything else is handed one, so that
// the simulator can run years in a second and no test depends on real time.
#pragma once

#include <chrono>

namespace base {

using Duration = std::chrono::nanoseconds;
// Monotonic; never goes back, stops nowhere. Zero is an arbitrary moment.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Civil time (UTC), for timestamps written for people and other programs.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall() const = 0;
};

}  // namespace base
