// route_types.h: routes as values (spec dataplane §16). Numbers are the kernel's (rtnetlink) where the kernel has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace reconcile {

using IfIndex = std::uint32_t;  // 0: no interface

enum class RouteType : std::uint8_t {
  kUnicast = 1,
  kLocal = 2,
  kBlackhole = 6,
  kUnreachable = 7,
  kProhibit = 8,
  kThrow = 9,
  kOther = 255,  // only ever read
};
enum class RouteScope : std::uint8_t { kUniverse = 0, kLink = 253, kHost = 254 };

constexpr std::uint8_t kProtocolKernel = 2;
constexpr std::uint8_t kProtocolBoot = 3;
constexpr std::uint8_t kProtocolOwnExclusive = 80;  // routes that only this agent makes
constexpr std::uint32_t kDefaultMetricIpv6 = 1024;  // what the kernel makes of metric 0 in IPv6

// What the kernel tells routes of one table apart by. Metric 0 of IPv6 is written as 1024.
struct RouteKey {
  base::Prefix prefix;
  std::uint8_t tos = 0;
  std::uint32_t metric = 0;
  friend bool operator==(const RouteKey&, const RouteKey&) = default;
  friend auto operator<=>(const RouteKey&, const RouteKey&) = default;
};
RouteKey make_route_key(const base::Prefix& prefix, std::uint32_t metric, std::uint8_t tos = 0);

// All but the key. As wanted `interface` is left 0 and filled in by the planner.
struct RouteAttributes {
  RouteType type = RouteType::kUnicast;
  RouteScope scope =
      RouteScope::kUniverse;  // ignored in comparisons of IPv6 routes: the kernel always says universe (Q5)
  IfIndex interface = 0;
  std::optional<base::IpAddress> gateway = {};
  bool onlink = false;
  std::uint8_t protocol = kProtocolBoot;
  std::uint32_t mtu = 0;  // 0: none
  std::optional<base::IpAddress> source = {};
  // Several next hops, a nexthop object, an encapsulation …: never made here, so never equal to what is wanted.
  bool exotic = false;
  friend bool operator==(const RouteAttributes&, const RouteAttributes&) = default;
  friend auto operator<=>(const RouteAttributes&, const RouteAttributes&) = default;  // some order, for pools of them
};

struct Route {
  RouteKey key;
  RouteAttributes attributes;
  friend bool operator==(const Route&, const Route&) = default;
};
bool same_route(const Route& a, const Route& b);  // with the exceptions above
// "10.0.0.1/32 dev 7 scope link proto 3 metric 1024"; `interface_name` in place of the number when given.
std::string to_string(const Route& route, std::string_view interface_name = {});

// Lower wins (spec §16.1).
enum class RouteClass : std::uint8_t {
  kLocalWorkload = 0,
  kBpfSpecial = 1,
  kWireguard = 2,
  kVxlanSameSubnet = 3,
  kVxlanTunnel = 4,
  kIpipSameSubnet = 5,
  kIpipTunnel = 6,
  kNoEncap = 7,
  kIpamBlockDrop = 8,
};

// One edit of a plan. Removals and replacements of one plan may be sent in any number of batches, in order.
struct RouteEdit {
  enum class Kind : std::uint8_t { kRemove, kReplace };
  Kind kind = Kind::kReplace;
  Route route;
  // kRemove: connections of this address are to be forgotten before another route for it is made (§16.6).
  bool clean_conntrack = false;
  friend bool operator==(const RouteEdit&, const RouteEdit&) = default;
};

}  // namespace reconcile
