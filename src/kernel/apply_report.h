// apply_report.h: how one apply() of a syncer went.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace kernel {

// One object that could not be brought to what is wanted. The rest was.
struct Problem {
  std::string object;  // "IP set cali40s:…", "route 10.0.0.1/32 dev tap1"
  base::Error error;
};

struct ApplyReport {
  std::vector<Problem> problems;
  // Something still differs from what is wanted and another apply() may help; with the delay, not earlier than that.
  bool retry = false;
  std::optional<base::Duration> retry_after;
  // Of rules: a table could not be read or written, so what waits for these rules has to wait on. A chain that the
  // kernel refuses and that is closed instead does not count.
  bool unwritten = false;

  bool clean() const { return problems.empty() && !retry; }
};

// Totals since start, for metrics and for proving that a restart with nothing changed writes nothing.
struct SyncCounters {
  std::uint64_t writes = 0;  // requests sent that change the kernel
  std::uint64_t dumps = 0;   // tables or sets read
  std::uint64_t errors = 0;  // requests refused, and conversations that broke
};

}  // namespace kernel
