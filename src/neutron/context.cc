#include "neutron/context.h"

#include <fmt/core.h>

#include <chrono>

namespace neutron {

std::string rfc3339(base::WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

Stamp Context::stamp() const { return {.time = rfc3339(loop.wall()), .uid = fresh_uid()}; }

}  // namespace neutron
