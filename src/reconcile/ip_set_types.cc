#include "reconcile/ip_set_types.h"

#include <array>

namespace reconcile {
namespace {

constexpr std::size_t kLongestName = 31;

struct TypeName {
  IpSetType type;
  std::string_view name;
};
constexpr std::array kTypeNames{
    TypeName{IpSetType::kHashNet, "hash:net"},
    TypeName{IpSetType::kHashIp, "hash:ip"},
    TypeName{IpSetType::kHashIpPort, "hash:ip,port"},
};

std::string_view family_prefix(base::Family family) { return family == base::Family::kIpv4 ? "cali4" : "cali6"; }

std::string_view protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case 6: return "tcp";
    case 17: return "udp";
    case 132: return "sctp";
    default: return {};
  }
}

}  // namespace

std::string_view to_string(IpSetType type) {
  for (const TypeName& known : kTypeNames) {
    if (known.type == type) return known.name;
  }
  return "other";
}

IpSetType parse_ip_set_type(std::string_view text) {
  for (const TypeName& known : kTypeNames) {
    if (known.name == text) return known.type;
  }
  return IpSetType::kOther;
}

std::size_t IpSetMemberHash::operator()(const IpSetMember& member) const noexcept {
  const std::uint64_t port = (std::uint64_t{member.protocol} << 16) | member.port;
  return std::hash<base::Prefix>{}(member.prefix) ^ (port * 0x9E3779B97F4A7C15ull);
}

std::string to_string(const IpSetMember& member) {
  std::string text = member.prefix.is_host() ? base::to_string(member.prefix.address) : base::to_string(member.prefix);
  if (member.protocol == 0) return text;
  const std::string_view name = protocol_name(member.protocol);
  text += ',';
  text += name.empty() ? std::to_string(member.protocol) : std::string(name);
  return text + ':' + std::to_string(member.port);
}

std::string main_ip_set_name(base::Family family, std::string_view id) {
  std::string name(family_prefix(family));
  name += '0';
  name += id;
  if (name.size() > kLongestName) name.resize(kLongestName);
  return name;
}

std::string temporary_ip_set_name(base::Family family, std::uint64_t number) {
  return std::string(family_prefix(family)) + 't' + std::to_string(number);
}

bool is_owned_ip_set_name(base::Family family, std::string_view name) {
  if (family == base::Family::kIpv6) return name.starts_with("cali6") || name.starts_with("felix-6");
  return name.starts_with("cali4") || name.starts_with("felix-4") || name.starts_with("felix-masq-ipam-pools") ||
         name.starts_with("felix-all-ipam-pools");
}

bool is_temporary_ip_set_name(base::Family family, std::string_view name) {
  const std::string_view prefix = family_prefix(family);
  return name.size() > prefix.size() && name.starts_with(prefix) && name[prefix.size()] == 't';
}

std::string to_string(const IpSetEdit& edit) {
  switch (edit.kind) {
    case IpSetEdit::Kind::kCreate:
      return "create " + edit.set + " " + std::string(to_string(edit.shape.type)) + " maxelem " +
             std::to_string(edit.shape.max_elements);
    case IpSetEdit::Kind::kAdd: return "add " + edit.set + " " + std::to_string(edit.members.size()) + " members";
    case IpSetEdit::Kind::kDelete: return "del " + edit.set + " " + std::to_string(edit.members.size()) + " members";
    case IpSetEdit::Kind::kSwap: return "swap " + edit.set + " " + edit.other;
    case IpSetEdit::Kind::kRename: return "rename " + edit.set + " " + edit.other;
    case IpSetEdit::Kind::kDestroy: return "destroy " + edit.set;
  }
  return "unknown edit";
}

}  // namespace reconcile
