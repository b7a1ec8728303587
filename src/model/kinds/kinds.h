// kinds.h: the list of resource kinds, and the parts that several of them share.
#pragma once

#include <span>
#include <string_view>

#include "model/resource_schema.h"

namespace model {

std::span<const Kind* const> all_kinds();                  // by name
const Kind* find_kind(std::string_view name);              // exact, "IPPool"
const Kind* find_kind_by_plural(std::string_view plural);  // exact, "ippools"
const Kind* find_kind_by_alias(std::string_view alias);    // as on a command line, any case

namespace kinds {

extern const Kind kBgpConfiguration;
extern const Kind kBgpFilter;
extern const Kind kBgpPeer;
extern const Kind kBlockAffinity;
extern const Kind kCalicoNodeStatus;
extern const Kind kClusterInformation;
extern const Kind kFelixConfiguration;
extern const Kind kGlobalNetworkPolicy;
extern const Kind kGlobalNetworkSet;
extern const Kind kHostEndpoint;
extern const Kind kIpPool;
extern const Kind kIpReservation;
extern const Kind kIpamConfiguration;
extern const Kind kNetworkPolicy;
extern const Kind kNetworkSet;
extern const Kind kNode;
extern const Kind kProfile;
extern const Kind kTier;
extern const Kind kWorkloadEndpoint;

// Shared parts.
extern const Struct kRule;  // spec datamodel §4.1
extern const Struct kEndpointPort;
extern const Struct kSecretKeyRef;
extern const Struct kSecretReference;

// Of a rule list that is evaluated for egress, `http` and the wrong side of `services` are refused.
void check_policy_rules(const boost::json::object& spec, bool global, Problems& problems);
// A port of an endpoint needs a protocol that has ports.
void check_named_port(const boost::json::object& port, Problems& problems);

inline constexpr std::string_view kGlobalOnlyInNamespaceSelector =
    "global() can only be used in an EntityRule namespaceSelector";

}  // namespace kinds
}  // namespace model
