// settings.h: every configuration value that rendering depends on, with Calico's defaults (spec dataplane Appendix B).
// The agent maps Felix parameters, detected kernel features and its own Node resource onto it; nothing below reads
// configuration.
//
// Plain value, no thread rules. A change of any member but `tunnels` means a new Renderer fed with a snapshot; the
// reconcilers reduce that to what really differs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "calc/output.h"

namespace render {

// What the configurable actions may be. kReject is honoured in the filter table only; elsewhere it drops, because the
// kernel has no REJECT there (spec Q2).
enum class AllowAction : std::uint8_t { kAccept, kReturn };
enum class DenyAction : std::uint8_t { kDrop, kReject };
enum class ToHostAction : std::uint8_t { kDrop, kReturn, kAccept, kReject };
enum class InsertMode : std::uint8_t { kInsert, kAppend };
enum class LoopPrevention : std::uint8_t { kDrop, kReject, kDisabled };

struct FailsafePort {
  std::string protocol;  // "tcp" or "udp"
  std::uint16_t port = 0;
  std::optional<base::Prefix> net;  // only this peer; rendered in its own family only
  friend bool operator==(const FailsafePort&, const FailsafePort&) = default;
};
std::vector<FailsafePort> default_failsafe_inbound();
std::vector<FailsafePort> default_failsafe_outbound();

// Spec dataplane §24.3.
struct Features {
  bool snat_fully_random = true;
  bool masquerade_fully_random = true;
  bool nflog_size = true;
  friend bool operator==(const Features&, const Features&) = default;
};

// The kinds of tunnel whose packets rules take from known hosts and from nobody else.
struct TunnelRules {
  bool ipip = false;
  bool vxlan_v4 = false;
  bool vxlan_v6 = false;
  // Whether the host's own end has an address; without one there is no masquerade rule.
  bool ipip_address = false;
  bool vxlan_address_v4 = false;
  bool vxlan_address_v6 = false;
  bool vxlan(base::Family family) const { return family == base::Family::kIpv4 ? vxlan_v4 : vxlan_v6; }
  friend bool operator==(const TunnelRules&, const TunnelRules&) = default;
};

struct Settings {
  base::Symbol hostname;  // to tell our own Node from the others
  std::uint32_t mark_mask = 0xffff0000;
  std::vector<std::string> interface_prefixes{"cali"};
  bool ipv6 = true;
  InsertMode insert_mode = InsertMode::kInsert;

  AllowAction filter_allow = AllowAction::kAccept;
  AllowAction mangle_allow = AllowAction::kAccept;
  DenyAction deny = DenyAction::kDrop;
  ToHostAction endpoint_to_host = ToHostAction::kDrop;
  bool conntrack_invalid_check = true;
  bool workload_source_spoofing = false;  // WorkloadSourceSpoofing=Any
  LoopPrevention loop_prevention = LoopPrevention::kDrop;

  // OpenStack special cases (spec §7.6). metadata_address unset: `none` or not an address literal.
  bool openstack = false;
  std::optional<base::IpAddress> metadata_address;
  std::uint16_t metadata_port = 8775;

  std::vector<FailsafePort> failsafe_inbound = default_failsafe_inbound();
  std::vector<FailsafePort> failsafe_outbound = default_failsafe_outbound();

  TunnelRules tunnels;  // may change: Renderer::set_tunnels()
  std::uint16_t vxlan_port = 4789;
  bool allow_vxlan_from_workloads = false;
  bool allow_ipip_from_workloads = false;
  std::vector<base::Prefix> external_nodes;  // ExternalNodesCIDRList

  bool floating_ips = false;  // FloatingIPs=Enabled; OpenStack endpoints have theirs always
  std::optional<base::IpAddress> nat_outgoing_address;
  std::optional<calc::PortRange> nat_port_range;
  bool nat_exclude_hosts = false;      // NATOutgoingExclusions=IPPoolsAndHostIPs
  std::string nat_outgoing_interface;  // IptablesNATOutgoingInterfaceFilter

  std::string log_prefix = "calico-packet";
  std::string log_rate_limit;  // "10/minute"; empty: none
  int log_rate_burst = 5;

  Features features;

  // True if packets of this interface are a workload's.
  bool is_workload_interface(std::string_view name) const;

  friend bool operator==(const Settings&, const Settings&) = default;
};

}  // namespace render
