// log.h: log lines for operators. Shell code only; the pure core returns diagnostics instead.
//
// An event has a stable name (the text is for people, the name for machines) and fields:
//   log.warning("store.watch_lost", "etcd watch ended, resuming", {{"revision", rev}, {"error", error.text()}});
// Thread-safe; a full queue drops lines and counts them. Implemented over spdlog in os/log.cc.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/log_level.h"

namespace base {

struct LogField {
  template <typename T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v), quoted(true) {}
  LogField(std::string_view k, const char* v) : LogField(k, std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : LogField(k, std::string_view(v)) {}

  std::string_view key;
  std::string value;
  bool quoted;
};
using LogFields = std::initializer_list<LogField>;

class Log {
 public:
  virtual ~Log() = default;
  virtual bool enabled(LogLevel level) const = 0;
  virtual void write(LogLevel level, std::string_view event, std::string_view text, LogFields fields) = 0;

  void debug(std::string_view event, std::string_view text, LogFields fields = {}) {
    if (enabled(LogLevel::kDebug)) write(LogLevel::kDebug, event, text, fields);
  }
  void info(std::string_view event, std::string_view text, LogFields fields = {}) {
    if (enabled(LogLevel::kInfo)) write(LogLevel::kInfo, event, text, fields);
  }
  void warning(std::string_view event, std::string_view text, LogFields fields = {}) {
    if (enabled(LogLevel::kWarning)) write(LogLevel::kWarning, event, text, fields);
  }
  void error(std::string_view event, std::string_view text, LogFields fields = {}) {
    if (enabled(LogLevel::kError)) write(LogLevel::kError, event, text, fields);
  }
};

// Swallows everything; for tests and offline commands.
class NullLog final : public Log {
 public:
  bool enabled(LogLevel) const override { return false; }
  void write(LogLevel, std::string_view, std::string_view, LogFields) override {}
};

}  // namespace base
