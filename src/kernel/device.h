// device.h: the port to tunnel devices: reading one, and changing one. Real: NetlinkDevices; in memory: FakeDevices
// (kernel/device_fake.h). Owned by the kernel thread; calls block for as long as the kernel works. Making the first
// device of a kind may load its module, which the kernel does by itself.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "kernel/netlink/socket.h"
#include "reconcile/device_planner.h"

namespace kernel {

class DeviceKernel {
 public:
  virtual ~DeviceKernel() = default;
  // Nothing when there is no device of that name.
  [[nodiscard]] virtual base::Result<std::optional<reconcile::DeviceState>> read(std::string_view name) = 0;
  // kCreate of a device that is there already and any edit that has been done already succeed. EOPNOTSUPP from kCreate:
  // this kernel does not know the kind of device.
  [[nodiscard]] virtual base::Result<> apply(const reconcile::DeviceEdit& edit) = 0;
};

class NetlinkDevices final : public DeviceKernel {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<NetlinkDevices>> open(const netlink::SocketOptions& options = {});
  [[nodiscard]] base::Result<std::optional<reconcile::DeviceState>> read(std::string_view name) override;
  [[nodiscard]] base::Result<> apply(const reconcile::DeviceEdit& edit) override;

 private:
  explicit NetlinkDevices(netlink::Socket socket) : socket_(std::move(socket)) {}
  [[nodiscard]] base::Result<> read_addresses(reconcile::DeviceState& device);
  netlink::Socket socket_;
};

// One RTM_NEWLINK message with what concerns tunnels in it; nothing when malformed.
std::optional<reconcile::DeviceState> parse_device_message(netlink::Bytes payload);
// The request for one edit, as the kernel gets it.
void put_device_edit(netlink::Batch& batch, const reconcile::DeviceEdit& edit);

}  // namespace kernel
