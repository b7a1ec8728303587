// pattern.h: names matched against the regular expressions of a configuration (RE2: linear time, Calico's own syntax).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace config {

class Pattern {
 public:
  // Matches where any of `expressions` matches anywhere in the text; none, or only empty ones, match nothing.
  // Expressions that do not parse are left out: the configuration has refused them before.
  explicit Pattern(const std::vector<std::string>& expressions);
  explicit Pattern(const std::string& expression) : Pattern(std::vector<std::string>{expression}) {}
  ~Pattern();
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  bool matches(std::string_view text) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace config
