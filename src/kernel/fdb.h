// fdb.h: the forwarding tables of VXLAN devices: the port, its real implementation over rtnetlink, and the syncer (spec
// dataplane §18.5). Owned by the kernel thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/apply_report.h"
#include "kernel/netlink/socket.h"
#include "reconcile/fdb_planner.h"

namespace kernel {

struct FdbReply {
  bool done = true;  // also when an entry to remove was not there
  std::string text = {};
};

class FdbKernel {
 public:
  virtual ~FdbKernel() = default;
  // Permanent entries with a destination of one device.
  [[nodiscard]] virtual base::Result<std::vector<reconcile::FdbEntry>> list(reconcile::IfIndex interface) = 0;
  [[nodiscard]] virtual base::Result<std::vector<FdbReply>> apply(std::span<const reconcile::FdbEdit> edits) = 0;
};

class NetlinkFdb final : public FdbKernel {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<NetlinkFdb>> open(const netlink::SocketOptions& options = {});
  [[nodiscard]] base::Result<std::vector<reconcile::FdbEntry>> list(reconcile::IfIndex interface) override;
  [[nodiscard]] base::Result<std::vector<FdbReply>> apply(std::span<const reconcile::FdbEdit> edits) override;

 private:
  explicit NetlinkFdb(netlink::Socket socket) : socket_(std::move(socket)) {}
  netlink::Socket socket_;
};

// One RTM_NEWNEIGH message of the bridge family with MAC and destination, permanent; nothing otherwise.
std::optional<reconcile::FdbEntry> parse_fdb_message(netlink::Bytes payload);

// A table is read when its device appears, at a resync, and after trouble; otherwise a change costs one plan.
class FdbSyncer {
 public:
  explicit FdbSyncer(FdbKernel& kernel) : kernel_(kernel) {}

  void want(std::string_view interface, reconcile::FdbTable table);
  void interface_present(std::string_view name, reconcile::IfIndex index);
  void interface_gone(std::string_view name);
  void request_resync();
  ApplyReport apply();
  const SyncCounters& counters() const { return counters_; }

 private:
  struct Device {
    reconcile::FdbTable wanted;
    reconcile::IfIndex index = 0;  // 0: not there
    bool dirty = false;
  };
  void bring_up_to_date(const std::string& name, Device& device, ApplyReport& report);

  FdbKernel& kernel_;
  std::map<std::string, Device, std::less<>> devices_;  // those for which something is wanted
  std::map<std::string, reconcile::IfIndex, std::less<>> present_;
  SyncCounters counters_;
};

// In memory. For tests and the simulator.
class FakeFdb final : public FdbKernel {
 public:
  std::set<reconcile::FdbEntry> entries;
  int break_conversations = 0;
  [[nodiscard]] base::Result<std::vector<reconcile::FdbEntry>> list(reconcile::IfIndex interface) override;
  [[nodiscard]] base::Result<std::vector<FdbReply>> apply(std::span<const reconcile::FdbEdit> edits) override;
};

}  // namespace kernel
