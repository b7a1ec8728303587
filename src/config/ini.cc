#include "config/ini.h"

#include <fmt/core.h>

#include "base/strings.h"

namespace config {
namespace {

using base::Error;
using base::fail;
using base::trim;

// Hands out logical lines: physical ones joined where a backslash ends them.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);  // byte order mark of some editors
  }

  bool next(std::string& line) {
    if (rest_.empty()) return false;
    line = take();
    first_of_last_ = number_;
    if (is_comment(line)) return true;  // a comment is never continued
    while (line.ends_with('\\')) {
      line.pop_back();
      if (rest_.empty()) break;
      line += take();
    }
    return true;
  }
  std::size_t number() const { return first_of_last_; }
  static bool is_comment(std::string_view line) { return line.starts_with('#') || line.starts_with(';'); }

 private:
  std::string take() {
    const auto end = rest_.find('\n');
    const std::string line(trim(rest_.substr(0, end)));
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    ++number_;
    return line;
  }

  std::string_view rest_;
  std::size_t number_ = 0;
  std::size_t first_of_last_ = 0;
};

std::string_view unquoted(std::string_view text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front()) {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

}  // namespace

base::Result<IniFile> parse_ini(std::string_view text) {
  IniFile file;
  std::map<std::string, std::string> section_of;  // name -> where it was set last
  std::string section;
  std::string line;
  for (Lines lines(text); lines.next(line);) {
    if (line.empty() || Lines::is_comment(line)) continue;
    if (line.starts_with('[')) {
      const auto end = line.find(']');
      if (end == std::string::npos)
        return fail(Error::invalid(fmt::format("line {}: section without ']'", lines.number()), line));
      section = trim(std::string_view(line).substr(1, end - 1));
      continue;
    }
    const auto delimiter = line.find_first_of("=:");
    const std::string name(unquoted(trim(std::string_view(line).substr(0, delimiter))));
    if (delimiter == std::string::npos || name.empty()) {
      return fail(Error::invalid(
          fmt::format("line {}: expected 'Name = value', a [section] or a # comment", lines.number()), line));
    }
    std::string_view value = std::string_view(line).substr(delimiter + 1);
    value = unquoted(trim(value.substr(0, value.find_first_of("#;"))));
    const auto [seen, fresh] = section_of.try_emplace(name, section);
    if (!fresh && seen->second != section) {
      file.diagnostics.push_back(
          {Severity::kWarning, Source::kFile, name, std::string(value),
           "is set in [" + seen->second + "] and again in [" + section + "]; the later one is used",
           "remove one of them"});
      seen->second = section;
    }
    file.values[name] = value;
  }
  return file;
}

}  // namespace config
