// digest.h: the hashes and encodings Calico uses in names: SHA-1 (MAC addresses of tunnel devices), SHA-224 (selector
// and rule IDs), SHA-256 (shortened chain names), SHA3-224 (policy groups), base64 with and without the URL alphabet.
// Over OpenSSL's libcrypto.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace base {

using Sha1 = std::array<std::uint8_t, 20>;
using Sha224 = std::array<std::uint8_t, 28>;
using Sha256 = std::array<std::uint8_t, 32>;

Sha1 sha1(std::string_view bytes);  // where Calico derives MAC addresses from names; not for secrets
Sha224 sha224(std::string_view bytes);
// Of first ∥ second, without joining them in memory.
Sha224 sha224(std::string_view first, std::string_view second);
Sha256 sha256(std::string_view bytes);
Sha224 sha3_224(std::string_view bytes);

// RFC 4648 §5 alphabet, no padding.
std::string base64url(std::span<const std::uint8_t> bytes);

inline std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace base
