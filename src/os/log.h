// log.h: base::Log for programs, over spdlog. Up to three destinations, each with its own lowest severity, its own
// queue of kLogQueueLines lines and its own writer thread, so that a stuck disk or terminal holds up nobody.
//
// A full queue loses its oldest lines; they are counted (felix_logs_dropped) and the next line written is preceded by a
// note of how many. The file is reopened when it has been moved or removed, so log rotation needs no signal.
// Thread-safe. What was accepted is written before the destructor returns.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"

namespace os {

constexpr std::size_t kLogQueueLines = 100;  // as Calico's; about 50 kB for each destination in use

struct LogSettings {
  std::optional<base::LogLevel> screen = {};  // standard output; nothing means this destination is off
  std::optional<base::LogLevel> file = {};
  std::string file_path = {};  // needed for `file`; empty switches it off
  std::optional<base::LogLevel> syslog = {};
  std::string syslog_tag = "percaled";
  std::string debug_filter = {};  // when not empty, debug lines whose event name it does not match (regex) are left out
  bool json = false;              // screen and file lines as JSON objects
  bool block_when_full = false;   // wait instead of losing lines
};

class Log final : public base::Log {
 public:
  // Fails when the file cannot be created, as an agent that cannot log must not look healthy. Without a running syslog
  // daemon those lines are lost silently, as everywhere.
  static base::Result<std::unique_ptr<Log>> open(const LogSettings& settings, base::MetricRegistry* metrics = nullptr);
  ~Log() override;

  bool enabled(base::LogLevel level) const override;
  void write(base::LogLevel level, std::string_view event, std::string_view text, base::LogFields fields) override;

 private:
  struct Outputs;
  explicit Log(std::unique_ptr<Outputs> outputs);
  std::unique_ptr<Outputs> outputs_;
};

}  // namespace os
