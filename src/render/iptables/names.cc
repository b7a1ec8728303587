#include "render/iptables/names.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "base/digest.h"

namespace render::iptables {

std::string length_limited(std::string_view prefix, std::string_view suffix, std::size_t limit) {
  if (suffix.empty()) suffix = "_";
  const std::size_t length = prefix.size() + suffix.size();
  std::string name(prefix);
  // A suffix that fills the name and starts with "_" could be taken for a hash, so it is hashed too.
  if (length < limit || (length == limit && suffix.front() != '_')) return name.append(suffix);
  const auto digest = base::sha256(suffix);
  return name.append("_").append(base::base64url(digest).substr(0, limit - 1 - prefix.size()));
}

std::string policy_chain(const model::PolicyKey& policy, Direction direction) {
  return length_limited(direction == Direction::kIngress ? "cali-pi-" : "cali-po-", model::policy_id(policy));
}

std::string profile_chain(base::Symbol profile, Direction direction) {
  return length_limited(direction == Direction::kIngress ? "cali-pri-" : "cali-pro-", profile.view());
}

std::string group_chain(std::string_view selector, Direction direction, std::span<const model::PolicyKey> members) {
  const bool ingress = direction == Direction::kIngress;
  std::string text = fmt::format("{}\n{}\n{}\n", selector, ingress ? "inbound" : "outbound", members.size());
  for (const model::PolicyKey& member : members) {
    text += fmt::format("{{Name: {}, Namespace: {}, Kind: {}}}\n", member.name.view(), member.ns.view(),
                        model::to_string(member.kind));
  }
  const auto digest = base::sha3_224(text);
  return std::string(ingress ? "cali-gi-" : "cali-go-") + base::base64url(digest).substr(0, 20);
}

std::string set_name(Family family, std::string_view id) {
  std::string name(family == Family::kIpv4 ? "cali40" : "cali60");
  name.append(id);
  if (name.size() > kMaxSetName) name.resize(kMaxSetName);
  return name;
}

bool is_owned_chain(std::string_view name) {
  // Not plain "cali": chains of the DHCP agent begin with "calico-dhcp-".
  constexpr std::array<std::string_view, 8> kPrefixes{"cali-",   "califw-", "calitw-", "califh-",
                                                      "calith-", "calipi-", "calipo-", "felix-"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace render::iptables
