#include "reconcile/device_planner.h"

#include <algorithm>

namespace reconcile {
namespace {

using Kind = DeviceEdit::Kind;

bool can_stay(const DeviceSpec& wanted, const DeviceState& actual) {
  if (wanted.kind != actual.kind) return false;
  return wanted.kind != DeviceKind::kVxlan || wanted.vxlan == actual.vxlan;
}

}  // namespace

std::string to_string(const DeviceEdit& edit) {
  const std::string& name = edit.spec.name;
  switch (edit.kind) {
    case Kind::kCreate: return "create " + name;
    case Kind::kRemove: return "remove " + name;
    case Kind::kSetMtu: return "set mtu " + std::to_string(edit.mtu) + " on " + name;
    case Kind::kAddAddress: return "add address " + base::to_string(edit.address) + " to " + name;
    case Kind::kRemoveAddress: return "remove address " + base::to_string(edit.address) + " from " + name;
    case Kind::kSetUp: return "set " + name + " up";
    case Kind::kSetDown: return "set " + name + " down";
  }
  return name;
}

std::vector<DeviceEdit> plan_device(const DeviceSpec& wanted, const std::optional<DeviceState>& actual) {
  std::vector<DeviceEdit> edits;
  const auto add = [&](Kind kind, std::uint32_t mtu, const base::Prefix& address) {
    edits.push_back(
        {.kind = kind, .index = actual ? actual->index : 0, .spec = wanted, .mtu = mtu, .address = address});
  };
  if (!actual || !can_stay(wanted, *actual)) {
    if (actual) add(Kind::kRemove, 0, {});
    add(Kind::kCreate, 0, {});
    return edits;
  }
  if (actual->mtu != wanted.mtu) add(Kind::kSetMtu, wanted.mtu, {});
  const auto own = wanted.address ? std::optional(base::Prefix::host(*wanted.address)) : std::nullopt;
  // The right one comes before the wrong ones go, so that the device is never without.
  if (own && std::find(actual->addresses.begin(), actual->addresses.end(), *own) == actual->addresses.end())
    add(Kind::kAddAddress, 0, *own);
  for (const base::Prefix& address : actual->addresses) {
    if (address.family() == wanted.family && address != own) add(Kind::kRemoveAddress, 0, address);
  }
  if (!actual->up) add(Kind::kSetUp, 0, {});
  return edits;
}

std::vector<DeviceEdit> plan_no_device(const std::optional<DeviceState>& actual) {
  std::vector<DeviceEdit> edits;
  if (!actual) return edits;
  const DeviceSpec named{.name = actual->name, .kind = actual->kind};
  const auto add = [&](Kind kind, const base::Prefix& address) {
    edits.push_back({.kind = kind, .index = actual->index, .spec = named, .mtu = 0, .address = address});
  };
  if (actual->kind == DeviceKind::kVxlan) {
    add(Kind::kRemove, {});
    return edits;
  }
  for (const base::Prefix& address : actual->addresses) {
    if (address.family() == base::Family::kIpv4) add(Kind::kRemoveAddress, address);
  }
  if (actual->up) add(Kind::kSetDown, {});
  return edits;
}

}  // namespace reconcile
