// route_fake.h: a routing table in memory with the kernel's rules about keys, interfaces and replacing; and a conntrack
// cleaner that is done when the test says so. For tests and the simulator.
#pragma once

#include <set>
#include <vector>

#include "kernel/conntrack.h"
#include "kernel/route.h"

namespace kernel {

class FakeRoutes final : public RouteKernel {
 public:
  std::vector<reconcile::Route> routes;
  std::set<reconcile::IfIndex> interfaces_down;  // adding to these fails, as for missing ones
  std::set<base::Prefix> refused;                // the kernel refuses routes for these
  int break_conversations = 0;                   // so many apply() calls fail after half of their edits
  std::vector<std::string> log;                  // "replace …", "remove …"

  [[nodiscard]] base::Result<std::vector<reconcile::Route>> list(base::Family family) override;
  [[nodiscard]] base::Result<std::vector<reconcile::Route>> list_interface(base::Family family,
                                                                           reconcile::IfIndex interface) override;
  [[nodiscard]] base::Result<std::vector<RouteReply>> apply(std::span<const reconcile::RouteEdit> edits) override;

 private:
  RouteReply apply_one(const reconcile::RouteEdit& edit);
};

class FakeConntrackCleaner final : public ConntrackCleaner {
 public:
  std::vector<base::IpAddress> asked;  // in order, all
  void remove(const base::IpAddress& address) override {
    asked.push_back(address);
    if (slow) busy_.insert(address);
  }
  bool busy(const base::IpAddress& address) const override { return busy_.contains(address); }
  void on_finished(std::function<void(const base::IpAddress&)> finished) override { finished_ = std::move(finished); }
  // False: every removal is done at once.
  bool slow = true;
  void finish_all() {
    const std::set<base::IpAddress> done = std::exchange(busy_, {});
    for (const base::IpAddress& address : done) {
      if (finished_) finished_(address);
    }
  }

 private:
  std::set<base::IpAddress> busy_;
  std::function<void(const base::IpAddress&)> finished_;
};

}  // namespace kernel
