// names.h: chain and set names that both agents share (spec dataplane §2).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/symbol.h"
#include "model/policy.h"
#include "render/objects.h"

namespace render::iptables {

inline constexpr std::size_t kMaxChainName = 28;
inline constexpr std::size_t kMaxSetName = 31;

// prefix + suffix if that fits into `limit`, else the prefix and part of the suffix's hash (spec §2.2).
std::string length_limited(std::string_view prefix, std::string_view suffix, std::size_t limit = kMaxChainName);

std::string policy_chain(const model::PolicyKey& policy, Direction direction);
std::string profile_chain(base::Symbol profile, Direction direction);
// Members in list order, staged ones included; all share `selector`, the canonical text.
std::string group_chain(std::string_view selector, Direction direction, std::span<const model::PolicyKey> members);

// "cali40" or "cali60" and the id, cut to what the kernel takes.
std::string set_name(Family family, std::string_view id);

// The prefixes of every chain this agent or one of its predecessors owns (spec §2.4).
bool is_owned_chain(std::string_view name);

namespace chain {
inline constexpr std::string_view kInput = "cali-INPUT";
inline constexpr std::string_view kForward = "cali-FORWARD";
inline constexpr std::string_view kOutput = "cali-OUTPUT";
inline constexpr std::string_view kPrerouting = "cali-PREROUTING";
inline constexpr std::string_view kPostrouting = "cali-POSTROUTING";
inline constexpr std::string_view kWorkloadToHost = "cali-wl-to-host";
inline constexpr std::string_view kFailsafeIn = "cali-failsafe-in";
inline constexpr std::string_view kFailsafeOut = "cali-failsafe-out";
inline constexpr std::string_view kRpfSkip = "cali-rpf-skip";
inline constexpr std::string_view kNatOutgoing = "cali-nat-outgoing";
inline constexpr std::string_view kFipDnat = "cali-fip-dnat";
inline constexpr std::string_view kFipSnat = "cali-fip-snat";
inline constexpr std::string_view kCidrBlock = "cali-cidr-block";
inline constexpr std::string_view kEgressDscp = "cali-egress-dscp";
inline constexpr std::string_view kFromWorkload = "cali-from-wl-dispatch";
inline constexpr std::string_view kToWorkload = "cali-to-wl-dispatch";
inline constexpr std::string_view kFromHost = "cali-from-host-endpoint";
inline constexpr std::string_view kToHost = "cali-to-host-endpoint";
inline constexpr std::string_view kFromHostForward = "cali-from-hep-forward";
inline constexpr std::string_view kToHostForward = "cali-to-hep-forward";
// Prefixes of an endpoint's chains; "to" and "from" are seen from the host's stack.
inline constexpr std::string_view kToWorkloadPrefix = "cali-tw-";
inline constexpr std::string_view kFromWorkloadPrefix = "cali-fw-";
inline constexpr std::string_view kToHostPrefix = "cali-th-";
inline constexpr std::string_view kFromHostPrefix = "cali-fh-";
inline constexpr std::string_view kToHostForwardPrefix = "cali-thfw-";
inline constexpr std::string_view kFromHostForwardPrefix = "cali-fhfw-";
}  // namespace chain

// Stands for the interface of the host endpoint that governs all interfaces.
inline constexpr std::string_view kAnyInterface = "any-interface-at-all";

}  // namespace render::iptables
