#include "os/log_format.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <vector>

#include <fmt/core.h>

namespace os {
namespace {

struct Moment {
  std::time_t seconds;
  int milliseconds;
};

Moment split_time(base::WallTime time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return {static_cast<std::time_t>(since / 1000), static_cast<int>(since % 1000)};
}

std::string calendar(const std::tm& tm, const char* format) {
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), format, &tm);
  return {text.data(), size};
}

std::vector<const base::LogField*> sorted(base::LogFields fields) {
  std::vector<const base::LogField*> result;
  for (const base::LogField& field : fields) result.push_back(&field);
  // Fields of one key in the order they were given: they lie one after the other.
  std::sort(result.begin(), result.end(),
            [](const auto* a, const auto* b) { return a->key != b->key ? a->key < b->key : a < b; });
  return result;
}

// Valid both as a Go-quoted and as a JSON string, so that one line stays one line.
void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

// Line breaks inside a message would look like lines of their own.
void append_message(std::string& out, const LogLine& line) {
  out.append("percale/").append(line.event).append(": ");
  for (const char c : line.text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  for (const base::LogField* field : sorted(line.fields)) {
    out.append(" ").append(field->key).append("=");
    if (field->quoted) {
      append_quoted(out, field->value);
    } else {
      out += field->value;
    }
  }
}

}  // namespace

std::string_view level_name(base::LogLevel level) {
  switch (level) {
    case base::LogLevel::kTrace: return "TRACE";
    case base::LogLevel::kDebug: return "DEBUG";
    case base::LogLevel::kInfo: return "INFO";
    case base::LogLevel::kWarning: return "WARNING";
    case base::LogLevel::kError: return "ERROR";
    case base::LogLevel::kFatal: return "FATAL";
  }
  return "UNKNOWN";
}

std::string format_text(const LogLine& line) {
  const Moment moment = split_time(line.time);
  std::tm tm{};
  ::localtime_r(&moment.seconds, &tm);
  std::string out = fmt::format("{}.{:03} [{}][{}] ", calendar(tm, "%Y-%m-%d %H:%M:%S"), moment.milliseconds,
                                level_name(line.level), line.pid);
  append_message(out, line);
  return out;
}

std::string format_syslog(const LogLine& line) {
  std::string out(level_name(line.level));
  out.push_back(' ');
  append_message(out, line);
  return out;
}

std::string format_json(const LogLine& line) {
  const Moment moment = split_time(line.time);
  std::tm tm{};
  ::gmtime_r(&moment.seconds, &tm);
  std::string out =
      fmt::format("{{\"time\":\"{}.{:03}Z\",\"level\":\"{}\",\"pid\":{},\"event\":", calendar(tm, "%Y-%m-%dT%H:%M:%S"),
                  moment.milliseconds, level_name(line.level), line.pid);
  append_quoted(out, line.event);
  out += ",\"message\":";
  append_quoted(out, line.text);
  for (const base::LogField* field : sorted(line.fields)) {
    out.push_back(',');
    append_quoted(out, field->key);
    out.push_back(':');
    // JSON has no words for what to_string prints of a float that is no number.
    const bool plain = !field->quoted && field->value.find("nan") == std::string::npos &&
                       field->value.find("inf") == std::string::npos;
    if (plain) {
      out += field->value;
    } else {
      append_quoted(out, field->value);
    }
  }
  out.push_back('}');
  return out;
}

}  // namespace os
