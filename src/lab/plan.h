// plan.h: what a lab consists of: hosts, guests, addresses and names. Values only; two labs with equal plans do not
// meet, because every address lives in a namespace of its own lab.
//
//            etcd 172.31.255.1 ── management 172.31.255.0/24 ── every host
//
//   host-a 192.168.10.11 ─┐
//                         ├─ router 192.168.10.1, 192.168.20.1 (route reflector, gateway) ── host-c 192.168.20.11
//   host-b 192.168.10.12 ─┘
//
// Guests of the networks 10.65.0.0/24 and 10.66.0.0/24 are spread over all hosts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "bgp/resources.h"

namespace lab {

constexpr bgp::AsNumber kAs = 64512;
constexpr int kMatrixTimeoutMs = 900;

struct Host {
  std::string name;
  std::string segment;  // the underlay subnet it is on
  base::Prefix v4;      // host bits kept
  base::Prefix v6;
  base::IpAddress router_v4;
  base::IpAddress router_v6;
  base::IpAddress management;
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
  std::vector<Host> hosts;
  std::vector<Guest> guests;
  base::IpAddress etcd;

  const Host* host(std::string_view name) const;  // "host-a", or "a" or "A" for short
  const Guest* guest(std::string_view name) const;
};

Plan standard_plan();
// A guest with number `n` on network 65 or 66; everything else follows from its name and place.
Guest make_guest(std::string name, std::string host, std::string role, int network, int n);

constexpr std::string_view kEtcdNode = "etcd";
constexpr std::string_view kRouterNode = "router";
const base::IpAddress& router_id();  // also where route-reflector sessions go
const base::IpAddress& router_id_v6();

// fe80::/64 with the EUI-64 of `mac`, where the guest's IPv6 default route points.
base::IpAddress link_local(const base::MacAddress& mac);

// Lab names become parts of file names: 1 to 32 of a-z, 0-9 and '-'.
bool is_lab_name(std::string_view text);

}  // namespace lab
