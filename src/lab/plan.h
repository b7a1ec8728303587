// plan.h: what a lab consists of: hosts, guests, addresses and names. Values only; two labs with equal plans do not
// meet, because every address lives in a namespace of its own lab.
//
//            etcd 172.31.255.1 ── management 172.31.255.0/24 ── every host
//
// The standard fabric, "reflector":
//
//   host-a 192.168.10.11 ─┐
//                         ├─ router 192.168.10.1, 192.168.20.1 (route reflector, gateway) ── host-c 192.168.20.11
//   host-b 192.168.10.12 ─┘
//
// The others have as many hosts as asked for, in subnets 192.168.10.0/24, 192.168.20.0/24, …:
//   mesh        every host peers with every other; the router only routes between subnets and knows no guest
//   reflectors  the first two hosts reflect routes for all; the router as with "mesh"
//   racks       two hosts a rack with an AS and a top-of-rack router (eBGP, its own AS) each; routers joined by a spine
//
// Guests of the networks 10.65.0.0/24 and 10.66.0.0/24 are spread over all hosts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "bgp/resources.h"

namespace lab {

constexpr bgp::AsNumber kAs = 64512;
constexpr int kMatrixTimeoutMs = 900;

enum class Fabric { kReflector, kMesh, kReflectors, kRacks };
// The guests' IP pool: none at all, or one a family with this encapsulation.
enum class PoolMode { kNone, kDirect, kIpip, kIpipCrossSubnet, kVxlan, kVxlanCrossSubnet };

struct Topology {
  Fabric fabric = Fabric::kReflector;
  int hosts = 3;
  PoolMode pool = PoolMode::kNone;
};
std::string_view to_string(Fabric fabric);
std::string_view to_string(PoolMode mode);
std::optional<Fabric> parse_fabric(std::string_view text);
std::optional<PoolMode> parse_pool_mode(std::string_view text);
// Why there is no such lab; empty: there is.
std::string problem_of(const Topology& topology);

// One underlay subnet: a bridge in its router's network.
struct Segment {
  std::string name;  // "s1"; the bridge's name too
  std::string router;
  base::Prefix v4;  // the router's address, with the subnet's length
  base::Prefix v6;
  bgp::AsNumber host_as = kAs;
  bgp::AsNumber router_as = kAs;
};

struct Host {
  std::string name;
  std::string segment;  // the underlay subnet it is on
  base::Prefix v4;      // host bits kept
  base::Prefix v6;
  base::IpAddress router_v4;
  base::IpAddress router_v6;
  base::IpAddress management;
  bgp::AsNumber as = kAs;
  bool reflector = false;
};

struct Guest {
  std::string name;
  std::string host;
  std::string role;     // label "role"
  std::string network;  // "net-65"
  base::Prefix v4;      // address with the subnet's length
  base::IpAddress v6;
  base::IpAddress gateway_v4;
  std::string port_id;  // as Neutron would choose it
  std::string device_id;
  std::string tap;  // "tap" + first 11 characters of port_id
  std::string mac;  // of the guest
  std::string tap_mac;
};

struct Plan {
  Topology topology;
  std::vector<Segment> segments;
  std::vector<Host> hosts;
  std::vector<Guest> guests;
  base::IpAddress etcd;

  const Host* host(std::string_view name) const;  // "host-a", or "a" or "A" for short
  const Guest* guest(std::string_view name) const;
  const Segment& segment_of(const Host& host) const;
  std::vector<std::string> routers() const;
  // Those of them that run BIRD.
  std::vector<std::string> speakers() const;
};

// REQUIRES: problem_of(topology) is empty.
Plan make_plan(const Topology& topology);
Plan standard_plan();
// A guest with number `n` on network 65 or 66; everything else follows from its name and place.
Guest make_guest(std::string name, std::string host, std::string role, int network, int n);

constexpr std::string_view kEtcdNode = "etcd";
constexpr std::string_view kRouterNode = "router";
constexpr std::string_view kSpineNode = "spine";      // joins the routers of the racks
constexpr std::string_view kPoolV4 = "10.64.0.0/14";  // of guests, if there is a pool
constexpr std::string_view kPoolV6 = "fd00:64::/30";
constexpr std::string_view kTunnelsV4 = "10.99.0.0/20";  // of the hosts' own ends of tunnels, then
constexpr std::string_view kTunnelsV6 = "fd00:99::/64";
const base::IpAddress& router_id();  // also where route-reflector sessions go
const base::IpAddress& router_id_v6();

// How packets of guests travel between two hosts.
enum class Encapsulation { kDirect, kIpip, kVxlan };
std::string_view to_string(Encapsulation encapsulation);
// What the pool's mode asks for. IP-in-IP carries IPv4 only.
Encapsulation expected_encapsulation(const Plan& plan, const Host& from, const Host& to, base::Family family);

// fe80::/64 with the EUI-64 of `mac`, where the guest's IPv6 default route points.
base::IpAddress link_local(const base::MacAddress& mac);

// Lab names become parts of file names: 1 to 32 of a-z, 0-9 and '-'.
bool is_lab_name(std::string_view text);

}  // namespace lab
