// evaluator.h: what happens to a packet at one endpoint, and which rule decides it. Works on calc::State, that is, on
// exactly what the data plane is programmed from; `percalectl trace` prints its verdict and the lab compares real
// packets with it.
//
// The packet is the first of its flow: connection tracking ("established" packets pass before any policy) is out of
// scope, and so are the drops that come before policy by configuration (encapsulated packets from workloads, failsafe
// ports, rate limits).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "calc/output.h"

namespace calc {

struct Packet {
  base::IpAddress source;  // both of one family
  base::IpAddress destination;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0;  // of tcp, udp and sctp
  std::uint16_t destination_port = 0;
  std::uint8_t icmp_type = 0;  // of icmp (protocol 1 over IPv4, 58 over IPv6)
  std::uint8_t icmp_code = 0;

  base::Family family() const { return source.family(); }
  bool has_ports() const { return protocol == 6 || protocol == 17 || protocol == 132 || protocol == 136; }
  bool is_icmp() const { return protocol == (family() == base::Family::kIpv4 ? 1 : 58); }
};

// Seen from the endpoint: ingress is towards it.
enum class Direction : std::uint8_t { kIngress, kEgress };

// Which of a host endpoint's lists: traffic of the host itself, traffic through it, and the two that come before
// (spec dataplane §19.2).
enum class PolicyList : std::uint8_t { kNormal, kForward, kUntracked, kPreDnat };

struct Verdict {
  enum class Action : std::uint8_t {
    kAllow,
    kDeny,
    kUndecided,  // untracked, pre-DNAT and forward lists may leave the packet to what comes next
  };
  enum class Reason : std::uint8_t {
    kPolicyRule,      // tier, policy and rule say which
    kProfileRule,     // profile and rule say which
    kEndOfTier,       // a policy of the tier applied but none of its rules matched
    kNoProfile,       // no tier applied, or all passed, and no profile rule matched
    kAdminDown,       // the endpoint is disabled
    kForwardDefault,  // a host endpoint without forward policy lets traffic through
    kEndOfList,
  };
  Action action = Action::kDeny;
  Reason reason = Reason::kNoProfile;
  Symbol tier;
  model::PolicyKey policy;
  Symbol profile;
  std::size_t rule = 0;  // index in the policy's or profile's list of the direction
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// REQUIRES: `endpoint` is from `state`.
Verdict evaluate(const State& state, const LocalWorkload& endpoint, Direction direction, const Packet& packet);
Verdict evaluate(const State& state, const LocalHostEndpoint& endpoint, PolicyList list, Direction direction,
                 const Packet& packet);

// Whether the rule matches, whatever its action.
bool matches(const State& state, const Rule& rule, const Packet& packet);

// "allow by rule 0 of np/openstack/web in tier default". The direction as passed to evaluate().
std::string to_string(const Verdict& verdict, Direction direction);
std::string to_string(const Packet& packet);  // "tcp 10.0.0.1:1024 -> 10.0.0.2:80"

}  // namespace calc
