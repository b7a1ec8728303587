// process_metrics.h: the process_* metrics that Prometheus clients have (spec felix-agent §5), read from /proc when
// scraped.
#pragma once

#include <string>
#include <string_view>

namespace agent {

struct ProcFiles {
  std::string stat;       // /proc/self/stat
  std::string limits;     // /proc/self/limits
  std::string boot_stat;  // /proc/stat, for the boot time
  std::size_t open_descriptors = 0;
  long ticks_per_second = 100;
  long page_size = 4096;
};

// Pure. A file that cannot be understood leaves its metrics out.
std::string format_process_metrics(const ProcFiles& files);
// Of this process, now.
std::string process_metrics();

}  // namespace agent
