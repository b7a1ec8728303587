// strings.h: the few text helpers that the standard library lacks. ASCII only, locale-independent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace base {

std::string_view trim(std::string_view text);  // spaces, tabs, CR, LF
std::string to_lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);
// "a,b," gives {"a", "b", ""}; "" gives {""}. Views into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);  // REQUIRES !from.empty()

}  // namespace base
