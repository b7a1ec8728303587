// derived.h: what follows from the parameters (spec felix-agent §1.8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/log_level.h"
#include "config/resolve.h"

namespace config {

// Rules and chains as OpenStack needs them: the cluster says so, metadata is redirected, or guests have tap interfaces.
bool openstack_mode(const Resolved& resolved);

struct PoolModes {
  base::Family family = base::Family::kIpv4;
  std::string_view ipip_mode;  // Always, CrossSubnet; Never, anything else and empty mean no
  std::string_view vxlan_mode;
};
struct Encapsulation {
  bool ipip = false;
  bool vxlan_v4 = false;
  bool vxlan_v6 = false;
  friend bool operator==(const Encapsulation&, const Encapsulation&) = default;
};
Encapsulation encapsulation(const Resolved& resolved, const std::vector<PoolModes>& pools);

// Verdicts and mark bits of the back end in use: the Nftables parameters only when NFTablesMode is Enabled.
struct FilterSettings {
  std::string filter_allow_action;  // ACCEPT or RETURN
  std::string mangle_allow_action;
  std::string filter_deny_action;  // DROP or REJECT
  std::uint32_t mark_mask = 0;
  base::Duration refresh_interval{0};
};
FilterSettings filter_settings(const Resolved& resolved);

// RouteTableRanges, else RouteTableRange, else 1-250; without the kernel's own tables 253 to 255.
std::vector<TableRange> route_tables(const Resolved& resolved);

// The address that metadata requests go to; nothing when MetadataAddr is empty or a name.
std::optional<base::IpAddress> metadata_address(const Resolved& resolved);

// False for a cluster of another product: then only cluster and agent configuration are watched, and nothing is
// programmed.
bool is_leader(const Resolved& resolved);

// How long the kernel thread may be silent: at least 20 s.
base::Duration watchdog_timeout(const Resolved& resolved);

// "no-region" or "region-<name>": part of the status keys.
std::string region_text(const Resolved& resolved);

// Of LogSeverityFile and its like; nothing for none.
std::optional<base::LogLevel> log_level(std::string_view severity);

}  // namespace config
