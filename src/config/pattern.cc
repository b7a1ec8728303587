#include "config/pattern.h"

#include <algorithm>

#include <re2/re2.h>

namespace config {

struct Pattern::Compiled {
  std::vector<std::unique_ptr<re2::RE2>> all;
};

Pattern::Pattern(const std::vector<std::string>& expressions) : compiled_(std::make_unique<Compiled>()) {
  for (const std::string& expression : expressions) {
    if (expression.empty()) continue;
    auto regex = std::make_unique<re2::RE2>(expression, re2::RE2::Quiet);
    if (regex->ok()) compiled_->all.push_back(std::move(regex));
  }
}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

bool Pattern::matches(std::string_view text) const {
  return std::any_of(compiled_->all.begin(), compiled_->all.end(), [&](const auto& regex) {
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex);
  });
}

}  // namespace config
