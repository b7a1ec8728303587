#include "neutron/translate/names.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace neutron {
namespace {

constexpr std::size_t kRegionLimit = 46;  // 63 less the length of "openstack-region-"

constexpr std::array<std::pair<Kind, std::string_view>, 5> kKinds{{{Kind::kPort, "port"},
                                                                   {Kind::kSecurityGroup, "security_group"},
                                                                   {Kind::kSubnet, "subnet"},
                                                                   {Kind::kAddressGroup, "address_group"},
                                                                   {Kind::kNetwork, "network"}}};

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool is_region_name(std::string_view name) {
  const auto inner = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.size() <= kRegionLimit && std::ranges::all_of(name, inner) && name.front() != '-' &&
         name.back() != '-';
}

// Splits at single dashes; a doubled one stands for a dash within a part. As upstream: pairs are taken from the left.
std::vector<std::string> split_name(std::string_view name) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '-') {
      parts.back() += name[i];
    } else if (i + 1 < name.size() && name[i + 1] == '-') {
      parts.back() += '-';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

}  // namespace

std::string_view to_string(Kind kind) {
  return std::ranges::find(kKinds, kind, &std::pair<Kind, std::string_view>::first)->second;
}

std::optional<Kind> parse_kind(std::string_view text) {
  const auto found = std::ranges::find(kKinds, text, &std::pair<Kind, std::string_view>::second);
  if (found == kKinds.end()) return std::nullopt;
  return found->first;
}

std::string endpoint_name(const EndpointName& parts) {
  const auto doubled = [](std::string_view text) { return base::replace_all(text, "-", "--"); };
  return doubled(parts.host) + "-openstack-" + doubled(parts.device) + "-" + doubled(parts.port);
}

std::optional<EndpointName> parse_endpoint_name(std::string_view name) {
  std::vector<std::string> parts = split_name(name);
  if (parts.size() != 4 || parts[1] != "openstack") return std::nullopt;
  return EndpointName{std::move(parts[0]), std::move(parts[2]), std::move(parts[3])};
}

std::string sanitised(std::string_view text, std::size_t limit) {
  std::string result;
  std::size_t points = 0;
  for (const char c : text) {
    if (is_continuation(c)) continue;
    if (++points > limit) break;
    result += is_alphanumeric(c) || c == '-' || c == '_' || c == '.' ? c : '_';
  }
  const auto first = std::ranges::find_if(result, is_alphanumeric);
  result.erase(result.begin(), first);
  while (!result.empty() && !is_alphanumeric(result.back())) result.pop_back();
  return result;
}

base::Result<Region> Region::make(std::string_view name) {
  if (name.empty()) return Region("no-region", "openstack");
  if (!is_region_name(name)) {
    return base::fail(
        base::Error::invalid("openstack_region must be a lower-case DNS label of at most 46 characters", name));
  }
  return Region("region-" + std::string(name), "openstack-region-" + std::string(name));
}

std::string Region::guard_key(const ObjectId& object) const {
  return guard_prefix() + std::string(to_string(object.kind)) + "/" + object.id;
}

std::optional<ObjectId> Region::owner(std::string_view key) const {
  const auto after = [&](std::string_view prefix) -> std::optional<std::string_view> {
    if (!key.starts_with(prefix) || key.size() == prefix.size()) return std::nullopt;
    return key.substr(prefix.size());
  };
  for (const std::string& prefix : {endpoint_prefix(), live_migration_prefix()}) {
    if (const auto name = after(prefix)) {
      auto parts = parse_endpoint_name(*name);
      if (!parts || parts->port.empty()) return std::nullopt;
      return ObjectId{Kind::kPort, std::move(parts->port)};
    }
  }
  if (const auto id = after(policy_prefix() + std::string(kPolicyPrefix))) {
    return ObjectId{Kind::kSecurityGroup, std::string(*id)};
  }
  if (const auto id = after(network_set_prefix() + std::string(kNetworkSetNamePrefix))) {
    return ObjectId{Kind::kAddressGroup, std::string(*id)};
  }
  if (const auto id = after(subnet_prefix())) return ObjectId{Kind::kSubnet, std::string(*id)};
  return std::nullopt;
}

}  // namespace neutron
