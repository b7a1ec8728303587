// device_planner.h: which edits bring one tunnel device to what is wanted (spec dataplane §18.3). Pure.
//
// The caller reads the device, carries out the first edits and asks again until nothing is left: after a device was
// made its index and addresses have to be read first. What cannot be changed in place (VXLAN's number, port, parent,
// MAC …) makes the plan remove the device and make it again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "reconcile/route_types.h"

namespace reconcile {

enum class DeviceKind : std::uint8_t { kIpip, kVxlan, kOther };

struct VxlanAttributes {
  std::uint32_t vni = 0;
  std::uint16_t port = 0;
  IfIndex parent = 0;
  std::optional<base::IpAddress> source;  // of the outer packets
  base::MacAddress mac;                   // of the device itself
  // Somebody's special settings: a multicast group, learning, per-route encapsulation, group policy … Never wanted.
  bool special = false;
  friend bool operator==(const VxlanAttributes&, const VxlanAttributes&) = default;
};

struct DeviceSpec {
  std::string name;
  DeviceKind kind = DeviceKind::kVxlan;
  std::uint32_t mtu = 0;
  base::Family family = base::Family::kIpv4;    // of its address
  std::optional<base::IpAddress> address = {};  // the only one of its family, as a host prefix; or none of it
  VxlanAttributes vxlan = {};
  friend bool operator==(const DeviceSpec&, const DeviceSpec&) = default;
};

// As read from the kernel.
struct DeviceState {
  std::string name;
  IfIndex index = 0;
  DeviceKind kind = DeviceKind::kOther;
  bool up = false;
  std::uint32_t mtu = 0;
  VxlanAttributes vxlan = {};
  std::vector<base::Prefix> addresses;  // both families, host bits kept; link-local IPv6 ones left out
};

struct DeviceEdit {
  enum class Kind : std::uint8_t { kCreate, kRemove, kSetMtu, kAddAddress, kRemoveAddress, kSetUp, kSetDown };
  Kind kind = Kind::kCreate;
  IfIndex index = 0;  // all but kCreate
  DeviceSpec spec;    // kCreate: all of it; the others: its name
  std::uint32_t mtu = 0;
  base::Prefix address;  // kAddAddress, kRemoveAddress
  friend bool operator==(const DeviceEdit&, const DeviceEdit&) = default;
};
std::string to_string(const DeviceEdit& edit);  // "create vxlan.calico", "set mtu 1450 on tunl0"

// In the order in which they are to be done; nothing when the device is as wanted.
std::vector<DeviceEdit> plan_device(const DeviceSpec& wanted, const std::optional<DeviceState>& actual);

// What takes a tunnel out of use. A VXLAN device goes. tunl0 belongs to the kernel's module and stays, without
// addresses and down, so that it takes no packets any more; ours may be up without an address, too.
std::vector<DeviceEdit> plan_no_device(const std::optional<DeviceState>& actual);

}  // namespace reconcile
