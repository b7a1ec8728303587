// text.h: collects the lines of BIRD's configuration.
#pragma once

#include <string>
#include <utility>

#include <fmt/core.h>

namespace bgp {

class Text {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace bgp
