#include "base/ip.h"

#include <arpa/inet.h>
#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"

namespace base {
namespace {

constexpr std::size_t kLongestAddressText = INET6_ADDRSTRLEN;

Result<std::uint8_t> parse_length(std::string_view text, Family family) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool leading_zero = text.size() > 1 && text[0] == '0';
  if (error != std::errc() || end != text.data() + text.size() || leading_zero ||
      value > static_cast<unsigned>(address_bits(family))) {
    return fail(Error::invalid("bad prefix length", text));
  }
  return static_cast<std::uint8_t>(value);
}

// Clears everything after the first `length` bits.
void mask_bytes(std::uint8_t* bytes, std::size_t size, unsigned length) {
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned kept = length > 8 * i ? std::min<unsigned>(8, length - static_cast<unsigned>(8 * i)) : 0;
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xFF00u >> kept));
  }
}

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 32;
  value *= 0x9E3779B97F4A7C15ull;
  value ^= value >> 29;
  value *= 0xBF58476D1CE4E5B9ull;
  return value ^ (value >> 32);
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) {
  const std::uint32_t network = htonl(host_order);
  IpAddress address;
  std::memcpy(address.bytes_.data(), &network, sizeof network);
  return address;
}

IpAddress IpAddress::from_bytes(Family family, const std::uint8_t* bytes) {
  IpAddress address;
  address.family_ = family;
  std::memcpy(address.bytes_.data(), bytes, family == Family::kIpv4 ? 4 : 16);
  return address;
}

std::uint32_t IpAddress::v4_host_order() const {
  CHECK(is_v4());
  std::uint32_t network = 0;
  std::memcpy(&network, bytes_.data(), sizeof network);
  return ntohl(network);
}

Prefix Prefix::host(const IpAddress& address) {
  return Prefix{address, static_cast<std::uint8_t>(address_bits(address.family()))};
}

Prefix Prefix::masked() const {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), address.bytes(), address.size());
  mask_bytes(bytes.data(), address.size(), length);
  return Prefix{IpAddress::from_bytes(address.family(), bytes.data()), length};
}

bool Prefix::contains(const IpAddress& candidate) const { return contains(Prefix::host(candidate)); }

bool Prefix::contains(const Prefix& candidate) const {
  if (candidate.family() != family() || candidate.length < length) return false;
  return Prefix{candidate.address, length}.masked() == masked();
}

Result<IpAddress> parse_address(std::string_view text) {
  // A NUL inside would end the text early for inet_pton and let anything follow it.
  if (text.size() >= kLongestAddressText || text.find('\0') != std::string_view::npos) {
    return fail(Error::invalid("not an IP address", text));
  }
  char terminated[kLongestAddressText] = {};
  std::ranges::copy(text, terminated);  // memcpy would not take the null pointer of an empty view
  std::uint8_t bytes[16];
  if (inet_pton(AF_INET, terminated, bytes) == 1) return IpAddress::from_bytes(Family::kIpv4, bytes);
  if (inet_pton(AF_INET6, terminated, bytes) == 1) return IpAddress::from_bytes(Family::kIpv6, bytes);
  return fail(Error::invalid("not an IP address", text));
}

Result<Prefix> parse_interface_cidr(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return fail(Error::invalid("prefix has no '/'", text));
  auto address = parse_address(text.substr(0, slash));
  if (!address) return fail(Error::invalid("not a CIDR", text));
  auto length = parse_length(text.substr(slash + 1), address->family());
  if (!length) return fail(Error::invalid("not a CIDR", text));
  return Prefix{*address, *length};
}

Result<Prefix> parse_cidr(std::string_view text) {
  auto prefix = parse_interface_cidr(text);
  if (!prefix) return prefix;
  return prefix->masked();
}

Result<Prefix> parse_cidr_or_address(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return parse_cidr(text);
  auto address = parse_address(text);
  if (!address) return fail(std::move(address).error());
  return Prefix::host(*address);
}

std::string to_string(const IpAddress& address) {
  char text[kLongestAddressText];
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  CHECK(inet_ntop(family, address.bytes(), text, sizeof text) != nullptr);
  return text;
}

std::string to_string(const Prefix& prefix) { return to_string(prefix.address) + "/" + std::to_string(prefix.length); }

Result<MacAddress> parse_mac(std::string_view text) {
  MacAddress mac;
  if (text.size() == 14 && text[4] == '.' && text[9] == '.') {  // fa16.3e00.1122
    std::string colons;
    for (const std::size_t at : {0U, 2U, 5U, 7U, 10U, 12U}) {
      if (!colons.empty()) colons += ':';
      colons += text.substr(at, 2);
    }
    return parse_mac(colons);
  }
  if (text.size() != 17) return fail(Error::invalid("not a MAC address", text));
  for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
    const char* first = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(first, first + 2, mac.bytes[i], 16);
    const bool separated = i + 1 == mac.bytes.size() || first[2] == ':' || first[2] == '-';
    if (error != std::errc() || end != first + 2 || !separated) return fail(Error::invalid("not a MAC address", text));
  }
  return mac;
}

std::string to_string(const MacAddress& mac) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : mac.bytes) {
    if (!text.empty()) text.push_back(':');
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace base

std::size_t std::hash<base::IpAddress>::operator()(const base::IpAddress& address) const noexcept {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, address.bytes(), 8);
  std::memcpy(&low, address.bytes() + 8, 8);
  return base::mix(high ^ base::mix(low + static_cast<std::uint64_t>(address.family())));
}

std::size_t std::hash<base::Prefix>::operator()(const base::Prefix& prefix) const noexcept {
  return std::hash<base::IpAddress>{}(prefix.address) * 31 + prefix.length;
}
