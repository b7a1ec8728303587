#include "neutron/translate/address_pairs.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/ip.h"

namespace neutron {
namespace {

// The address plus one. The caller stays within a prefix.
base::IpAddress next_address(const base::IpAddress& address) {
  std::array<std::uint8_t, 16> bytes{};
  std::copy_n(address.bytes(), address.size(), bytes.begin());
  for (std::size_t i = address.size(); i-- > 0;) {
    if (++bytes[i] != 0) break;
  }
  return base::IpAddress::from_bytes(address.family(), bytes.data());
}

std::string host_suffix(base::Family family) { return family == base::Family::kIpv4 ? "/32" : "/128"; }

void read_prefix(std::string_view text, bool spoofing_allowed, AddressPairs& result) {
  const auto prefix = base::parse_cidr(text);
  if (!prefix) {
    result.problems.push_back(fmt::format("allowed address pair '{}' is no address or prefix", text));
    return;
  }
  const int free_bits = base::address_bits(prefix->family()) - prefix->length;
  if (free_bits < 16 && (std::size_t{1} << free_bits) <= kMostAddressesOfAPair) {
    base::IpAddress address = prefix->address;
    for (std::size_t left = std::size_t{1} << free_bits; left > 0; --left, address = next_address(address)) {
      result.routed.push_back(base::to_string(address) + host_suffix(prefix->family()));
    }
  } else if (spoofing_allowed) {
    result.source_only.push_back(base::to_string(*prefix));
  } else {
    result.problems.push_back(
        fmt::format("allowed address pair '{}' has more than {} addresses; it can be allowed as source only, with "
                    "workloadSourceSpoofing: Any in FelixConfiguration 'default'",
                    text, kMostAddressesOfAPair));
  }
}

}  // namespace

AddressPairs read_address_pairs(const json::array& pairs, bool spoofing_allowed) {
  // As upstream's query orders them.
  std::vector<std::pair<std::string_view, std::string_view>> sorted;
  for (const auto& item : pairs) {
    if (const auto* pair = item.if_object()) sorted.emplace_back(text(*pair, "mac_address"), text(*pair, "ip_address"));
  }
  std::ranges::sort(sorted);
  AddressPairs result;
  for (const auto& [mac, ip] : sorted) {
    if (ip.find('/') != std::string_view::npos) {
      read_prefix(ip, spoofing_allowed, result);
    } else if (const auto address = base::parse_address(ip)) {
      result.routed.push_back(std::string(ip) + host_suffix(address->family()));  // as typed
    } else {
      result.problems.push_back(fmt::format("allowed address pair '{}' is no address or prefix", ip));
    }
  }
  return result;
}

}  // namespace neutron
