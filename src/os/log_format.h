// log_format.h: how one log line looks on each kind of destination (spec felix-agent §2.12). The event's name stands
// where Calico prints file and line: it says the same and does not change with the code.
#pragma once

#include <sys/types.h>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"

namespace os {

struct LogLine {
  base::WallTime time;
  base::LogLevel level;
  pid_t pid;
  std::string_view event;
  std::string_view text;
  base::LogFields fields;
};

std::string_view level_name(base::LogLevel level);  // "WARNING"

// 2026-01-02 03:04:05.678 [INFO][1234] percale/store.watch_lost: Text key1="value" key2=12
// Local time; fields sorted by key.
std::string format_text(const LogLine& line);
// INFO percale/store.watch_lost: Text key1="value" key2=12
std::string format_syslog(const LogLine& line);
// {"time":"2026-01-02T03:04:05.678Z","level":"INFO","pid":1234,"event":"…","message":"…","key1":"value","key2":12};
// UTC.
std::string format_json(const LogLine& line);

}  // namespace os
