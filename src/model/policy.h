// policy.h: policies, tiers and profiles as the calculation reads them: v3 resources after the conversion of spec
// datamodel §6 (selectors rewritten for their namespace, actions and protocols in one spelling, CIDRs binary and
// masked).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "model/labels.h"
#include "model/selector.h"

namespace model {

enum class PolicyKind : std::uint8_t {
  kNetworkPolicy,
  kGlobalNetworkPolicy,
  kStagedNetworkPolicy,
  kStagedGlobalNetworkPolicy,
  kStagedKubernetesNetworkPolicy,
};
std::string_view to_string(PolicyKind kind);   // "NetworkPolicy"
std::string_view short_name(PolicyKind kind);  // "np", spec dataplane §2.1
bool is_staged(PolicyKind kind);

// Identity is the name in the etcd key (spec datamodel §2.3), never metadata.name.
struct PolicyKey {
  PolicyKind kind = PolicyKind::kNetworkPolicy;
  Symbol ns;  // empty for global kinds
  Symbol name;
  friend bool operator==(const PolicyKey&, const PolicyKey&) = default;
  friend std::strong_ordering operator<=>(const PolicyKey&, const PolicyKey&) = default;
};
std::string policy_id(const PolicyKey& key);  // "np/openstack/ossg.default.x", "gnp/allow-ssh": spec dataplane §2.1

enum class RuleAction : std::uint8_t { kAllow, kDeny, kLog, kPass };

// A protocol is a name (lower case) or a number; "tcp" and 6 render differently, so both forms are kept as given.
struct Protocol {
  Symbol name;  // empty if given by number
  std::uint8_t number =
      0;  // 1–255; also filled in for the names known (tcp 6, udp 17, icmp 1, icmpv6 58, sctp 132, udplite 136)
  friend bool operator==(const Protocol&, const Protocol&) = default;
};

// Numeric port or range, or a named port.
struct Port {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  Symbol name;  // if set, first and last are 0
  bool is_named() const { return !name.empty(); }
  friend bool operator==(const Port&, const Port&) = default;
};

struct IcmpMatch {
  std::uint8_t type = 0;
  std::optional<std::uint8_t> code;
  friend bool operator==(const IcmpMatch&, const IcmpMatch&) = default;
};

// One side of a rule. Selectors are those of spec §5.8 (namespace terms merged in); positive and negated are still
// apart.
struct RuleEntity {
  std::vector<base::Prefix> nets;
  std::vector<base::Prefix> not_nets;
  std::vector<Port> ports;
  std::vector<Port> not_ports;
  std::optional<Selector> selector;
  std::optional<Selector> not_selector;
  // A Kubernetes service match can never be resolved on this datastore; such a rule side matches nothing.
  std::string service;  // "namespace/name", empty if none
  friend bool operator==(const RuleEntity&, const RuleEntity&) = default;
};

struct Rule {
  RuleAction action = RuleAction::kAllow;
  std::optional<base::Family> ip_version;  // as written; icmp names imply a family at rendering (spec dataplane §11.1)
  std::optional<Protocol> protocol;
  std::optional<Protocol> not_protocol;
  std::optional<IcmpMatch> icmp;
  std::optional<IcmpMatch> not_icmp;
  RuleEntity source;
  RuleEntity destination;
  std::vector<std::pair<std::string, std::string>> annotations;  // sorted by key
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct Policy {
  Symbol tier;                  // never empty; "default" if the resource names none
  std::optional<double> order;  // unset sorts last
  Selector selector;            // spec §5.7
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
  bool applies_to_ingress = true;  // from types; no types means both
  bool applies_to_egress = true;
  bool do_not_track = false;
  bool pre_dnat = false;
  bool apply_on_forward = false;
  bool needed_on_every_node = false;  // performance hint AssumeNeededOnEveryNode
  friend bool operator==(const Policy&, const Policy&) = default;
};

enum class TierAction : std::uint8_t { kDeny, kPass };

struct Tier {
  std::optional<double> order;
  TierAction default_action = TierAction::kDeny;
  friend bool operator==(const Tier&, const Tier&) = default;
};

struct Profile {
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
  Labels labels_to_apply;
  friend bool operator==(const Profile&, const Profile&) = default;
};

// Always present although never stored (spec datamodel §2.9).
inline constexpr std::string_view kDefaultAllowProfile = "projectcalico-default-allow";

}  // namespace model
