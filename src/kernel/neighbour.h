// neighbour.h: permanent neighbour entries: the port, its real implementation over rtnetlink, and the syncer (spec
// dataplane §16.5). Owned by the kernel thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/apply_report.h"
#include "kernel/netlink/socket.h"
#include "reconcile/neighbour_planner.h"

namespace kernel {

struct NeighbourReply {
  bool done = true;             // also when an entry to remove was not there
  bool interface_down = false;  // interface missing or down: not an error
  std::string text = {};
};

class NeighbourKernel {
 public:
  virtual ~NeighbourKernel() = default;
  [[nodiscard]] virtual base::Result<std::vector<reconcile::NeighbourEntry>> list(base::Family family) = 0;
  [[nodiscard]] virtual base::Result<std::vector<NeighbourReply>> apply(
      std::span<const reconcile::NeighbourEdit> edits) = 0;
};

class NetlinkNeighbours final : public NeighbourKernel {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<NetlinkNeighbours>> open(
      const netlink::SocketOptions& options = {});
  [[nodiscard]] base::Result<std::vector<reconcile::NeighbourEntry>> list(base::Family family) override;
  [[nodiscard]] base::Result<std::vector<NeighbourReply>> apply(
      std::span<const reconcile::NeighbourEdit> edits) override;

 private:
  explicit NetlinkNeighbours(netlink::Socket socket) : socket_(std::move(socket)) {}
  netlink::Socket socket_;
};

// One RTM_NEWNEIGH message with an address and a MAC; nothing otherwise.
std::optional<reconcile::NeighbourEntry> parse_neighbour_message(netlink::Bytes payload);

class NeighbourSyncer {
 public:
  NeighbourSyncer(NeighbourKernel& kernel, reconcile::NeighbourOwnership ownership)
      : kernel_(kernel), family_(ownership.family), planner_(std::move(ownership)) {}

  void own(std::string_view interface) { planner_.own(interface); }
  void want(std::string_view interface, std::span<const reconcile::Neighbour> neighbours) {
    planner_.want(interface, neighbours);
  }
  void interface_present(std::string_view name, reconcile::IfIndex index, bool running) {
    planner_.interface_present(name, index, running);
  }
  void interface_gone(std::string_view name) { planner_.interface_gone(name); }
  // The next apply() reads the table first. A new syncer starts with one requested.
  void request_resync() { resync_ = true; }
  ApplyReport apply();
  const SyncCounters& counters() const { return counters_; }
  std::size_t wanted_count() const { return planner_.wanted_count(); }

 private:
  NeighbourKernel& kernel_;
  base::Family family_;
  reconcile::NeighbourPlanner planner_;
  bool resync_ = true;
  SyncCounters counters_;
};

}  // namespace kernel
