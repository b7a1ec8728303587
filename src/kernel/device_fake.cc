#include "kernel/device_fake.h"

#include <cerrno>

namespace kernel {

using base::Error;
using base::fail;
using base::Result;
using reconcile::DeviceEdit;
using reconcile::DeviceState;
using Kind = DeviceEdit::Kind;

Result<std::optional<DeviceState>> FakeDevices::read(std::string_view name) {
  if (fail_next > 0) {
    --fail_next;
    return fail(Error::system(EBUSY, "devices"));
  }
  const auto found = devices.find(std::string(name));
  return found == devices.end() ? std::optional<DeviceState>() : found->second;
}

Result<> FakeDevices::apply(const DeviceEdit& edit) {
  const std::string& name = edit.spec.name;
  if (fail_next > 0) {
    --fail_next;
    return fail(Error::system(EBUSY, reconcile::to_string(edit)));
  }
  if (edit.kind == Kind::kCreate) {
    if (unknown_kinds.contains(edit.spec.kind)) return fail(Error::system(EOPNOTSUPP, reconcile::to_string(edit)));
    if (devices.contains(name)) return {};
    DeviceState made;
    made.name = name;
    made.index = next_index_++;
    made.kind = edit.spec.kind;
    made.vxlan = edit.spec.vxlan;
    made.mtu = edit.spec.mtu;
    devices[name] = made;
  }
  log.push_back(reconcile::to_string(edit));
  const auto found = devices.find(name);
  if (found == devices.end()) return edit.kind == Kind::kRemove ? Result<>() : fail(Error::system(ENODEV, name));
  DeviceState& device = found->second;
  switch (edit.kind) {
    case Kind::kCreate: break;
    case Kind::kRemove: {
      const DeviceState gone = device;
      devices.erase(found);
      on_gone(gone);
      return {};
    }
    case Kind::kSetMtu: device.mtu = edit.mtu; break;
    case Kind::kSetUp: device.up = true; break;
    case Kind::kSetDown: device.up = false; break;
    case Kind::kAddAddress: device.addresses.push_back(edit.address); break;
    case Kind::kRemoveAddress: std::erase(device.addresses, edit.address); break;
  }
  on_change(device);
  return {};
}

}  // namespace kernel
