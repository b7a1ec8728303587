// packed_text.h: text behind its own length, with no padding: one byte more than the text, or five for a long one. For
// the many short names that are kept once each.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/check.h"

namespace base {

inline constexpr unsigned char kLongText = 255;  // in place of a length: it follows in four bytes

inline std::size_t packed_size(std::string_view text) {
  return text.size() + (text.size() < kLongText ? 1 : 1 + sizeof(std::uint32_t));
}

// REQUIRES room for packed_size(text) characters.
inline void pack_text(std::string_view text, char* to) {
  if (text.size() < kLongText) {
    *to++ = static_cast<char>(text.size());
  } else {
    CHECK(text.size() <= UINT32_MAX);
    const auto size = static_cast<std::uint32_t>(text.size());
    *to++ = static_cast<char>(kLongText);
    std::memcpy(to, &size, sizeof size);
    to += sizeof size;
  }
  std::memcpy(to, text.data(), text.size());
}

// A view of what was packed there.
inline std::string_view unpack_text(const char* from) {
  const auto size = static_cast<unsigned char>(*from);
  if (size < kLongText) return {from + 1, size};
  std::uint32_t large = 0;
  std::memcpy(&large, from + 1, sizeof large);
  return {from + 1 + sizeof large, large};
}

}  // namespace base
