// device_fake.h: tunnel devices in memory. For tests and the simulator.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernel/device.h"

namespace kernel {

class FakeDevices final : public DeviceKernel {
 public:
  std::map<std::string, reconcile::DeviceState> devices;
  std::set<reconcile::DeviceKind> unknown_kinds;                                      // this kernel cannot make them
  int fail_next = 0;                                                                  // so many calls fail
  std::vector<std::string> log;                                                       // edits done
  std::function<void(const reconcile::DeviceState&)> on_change = [](const auto&) {};  // what a monitor would hear
  std::function<void(const reconcile::DeviceState&)> on_gone = [](const auto&) {};

  [[nodiscard]] base::Result<std::optional<reconcile::DeviceState>> read(std::string_view name) override;
  [[nodiscard]] base::Result<> apply(const reconcile::DeviceEdit& edit) override;

 private:
  reconcile::IfIndex next_index_ = 100;
};

}  // namespace kernel
