// ip.h: addresses and prefixes in binary, printed as Go's net package prints them (RFC 5952 for IPv6), because those
// texts end up in etcd keys, set members and rule hashes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace base {

enum class Family : std::uint8_t { kIpv4 = 4, kIpv6 = 6 };

constexpr int address_bits(Family family) { return family == Family::kIpv4 ? 32 : 128; }

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress from_bytes(Family family, const std::uint8_t* bytes);  // network order, 4 or 16 bytes

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  const std::uint8_t* bytes() const { return bytes_.data(); }  // network order
  std::size_t size() const { return is_v4() ? 4 : 16; }
  std::uint32_t v4_host_order() const;  // REQUIRES is_v4()

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  // IPv4 before IPv6, then numerically.
  friend std::strong_ordering operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  Family family_ = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes_{};  // unused tail bytes are zero
};

// Host bits may be set until masked() is called; parse_cidr() masks, parse_interface_cidr() does not.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  static Prefix host(const IpAddress& address);  // /32 or /128
  Family family() const { return address.family(); }
  bool is_host() const { return length == address_bits(address.family()); }
  Prefix masked() const;
  bool contains(const IpAddress& candidate) const;  // false for another family
  bool contains(const Prefix& candidate) const;
  bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }

  friend bool operator==(const Prefix&, const Prefix&) = default;
  friend std::strong_ordering operator<=>(const Prefix&, const Prefix&) = default;
};

// Strict: dotted quad without leading zeros, or RFC 4291 text; no zone, no surrounding space.
Result<IpAddress> parse_address(std::string_view text);
Result<Prefix> parse_cidr(std::string_view text);            // "a/b"; host bits cleared
Result<Prefix> parse_interface_cidr(std::string_view text);  // "a/b"; host bits kept
// "a/b" or a bare address, which becomes /32 or /128; host bits cleared.
Result<Prefix> parse_cidr_or_address(std::string_view text);

std::string to_string(const IpAddress& address);
std::string to_string(const Prefix& prefix);  // always with "/length"

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  friend bool operator==(const MacAddress&, const MacAddress&) = default;
  friend std::strong_ordering operator<=>(const MacAddress&, const MacAddress&) = default;
};
Result<MacAddress> parse_mac(std::string_view text);  // fa:16:3e:00:11:22, with dashes, or fa16.3e00.1122
std::string to_string(const MacAddress& mac);         // lower case, colons

}  // namespace base

template <>
struct std::hash<base::IpAddress> {
  std::size_t operator()(const base::IpAddress& address) const noexcept;
};
template <>
struct std::hash<base::Prefix> {
  std::size_t operator()(const base::Prefix& prefix) const noexcept;
};
