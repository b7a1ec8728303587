// sysctl.h: kernel settings under /proc/sys: those of the whole host at start (spec dataplane §1.4), and those of each
// workload interface (§17.2). Everything is read first and written only when it differs, so that a restart writes
// nothing (Q31).
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "kernel/apply_report.h"

namespace kernel {

// Paths are relative to /proc/sys: "net/ipv4/ip_forward". Values without newline.
class Sysctl {
 public:
  virtual ~Sysctl() = default;
  [[nodiscard]] virtual base::Result<std::string> read(const std::string& path) = 0;
  [[nodiscard]] virtual base::Result<> write(const std::string& path, std::string_view value) = 0;
};

class ProcSysctl final : public Sysctl {
 public:
  // `root` for tests.
  explicit ProcSysctl(std::string root = "/proc/sys") : root_(std::move(root)) {}
  [[nodiscard]] base::Result<std::string> read(const std::string& path) override;
  [[nodiscard]] base::Result<> write(const std::string& path, std::string_view value) override;

 private:
  std::string root_;
};

class FakeSysctl final : public Sysctl {
 public:
  std::map<std::string, std::string> values;  // a missing one cannot be read or written
  std::set<std::string> read_only;
  std::vector<std::string> writes;  // "path=value"
  [[nodiscard]] base::Result<std::string> read(const std::string& path) override;
  [[nodiscard]] base::Result<> write(const std::string& path, std::string_view value) override;
};

// Writes when the value differs or cannot be read; adds to `counters`.
[[nodiscard]] base::Result<> set_sysctl(Sysctl& sysctl, const std::string& path, std::string_view value,
                                        SyncCounters& counters);

// net/ipv4/conf/default/rp_filter as the host had it at start; "1" when it cannot be read.
std::string default_rp_filter(Sysctl& sysctl);

struct InterfaceSysctls {
  std::string interface;
  std::string rp_filter = "1";  // default_rp_filter(), or "0" when the endpoint may spoof
  bool ipv6 = true;             // Ipv6Support
};
// All of §17.2 for one workload interface. Errors name the setting; those that §17.2 lets pass are only logged.
// REQUIRES: the interface exists and runs.
[[nodiscard]] base::Result<> configure_interface(Sysctl& sysctl, const InterfaceSysctls& settings, base::Log& log,
                                                 SyncCounters& counters);

struct HostSettings {
  bool ip_forwarding = true;  // IPForwarding=Enabled
  bool ipv6 = true;
  std::string mtu_file = "/var/lib/calico/mtu";
  std::uint32_t workload_mtu = 0;  // tunnel_mtus().workload
  bool require_mtu_file = false;   // RequireMTUFile
};
// Tells DHCP and others what guests may send. Writes only when it differs.
[[nodiscard]] base::Result<> write_mtu_file(const HostSettings& settings, base::Log& log);
// §1.4. Fails only when the MTU file is required and cannot be written. Loads a kernel module by running `modprobe`:
// call it before the loop runs.
[[nodiscard]] base::Result<> configure_host(Sysctl& sysctl, const HostSettings& settings, base::Log& log,
                                            SyncCounters& counters);

}  // namespace kernel
