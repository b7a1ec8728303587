// link_monitor.h: watches interfaces and their addresses (spec dataplane §17.1).
//
// Subscribes first and reads everything afterwards, so nothing is missed between the two. Reads everything again every
// refresh_interval (InterfaceRefreshInterval) and when the kernel says that events were lost. Events pass a FlapDamper.
// A rename is reported as going away and appearing. Everything on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "kernel/flap_damper.h"
#include "kernel/link.h"
#include "kernel/netlink/socket.h"

namespace kernel {

struct LinkMonitorOptions {
  base::Duration refresh_interval = std::chrono::seconds(90);  // zero or less: never
  std::vector<std::string> exclude = {"kube-ipvs0"};           // InterfaceExclude: names, or /regular expressions/
};

class LinkMonitor {
 public:
  // In the calling thread's network namespace. kInvalid when an expression in `exclude` does not compile. The loop and
  // the listener must outlive the monitor.
  [[nodiscard]] static base::Result<std::unique_ptr<LinkMonitor>> open(base::Loop& loop, LinkListener& listener,
                                                                       const LinkMonitorOptions& options = {});
  ~LinkMonitor();
  LinkMonitor(const LinkMonitor&) = delete;
  LinkMonitor& operator=(const LinkMonitor&) = delete;

  // Reads everything and reports it before it returns.
  void start();
  std::uint64_t resyncs() const { return resyncs_; }
  std::uint64_t overruns() const { return overruns_; }

  // Some events are handled at a time, so that a storm of route changes does not keep the loop from other work.
  static constexpr int kDatagramsPerTurn = 32;

 private:
  struct Known {
    Link link;
    std::set<base::IpAddress> addresses;  // before damping
  };
  LinkMonitor(base::Loop& loop, LinkListener& listener, base::Duration refresh, netlink::Socket events,
              netlink::Socket reader);

  void resync();
  [[nodiscard]] base::Result<> read_links(std::map<IfIndex, Link>& links);
  [[nodiscard]] base::Result<> read_addresses(std::map<IfIndex, std::set<base::IpAddress>>& addresses);
  void read_events();
  void handle(const netlink::Message& message);
  void link_seen(const Link& link);
  void link_lost(IfIndex index);
  void address_seen(IfIndex index, const base::IpAddress& address, bool present);
  void deliver(const std::string& interface, const LinkUpdate& update);
  void arm_damper();
  void arm_refresh();
  bool excluded(const std::string& name) const;

  base::Loop& loop_;
  LinkListener& listener_;
  base::Duration refresh_interval_;
  netlink::Socket events_;
  netlink::Socket reader_;
  std::set<std::string, std::less<>> excluded_names_;
  std::vector<std::regex> excluded_patterns_;
  base::WatchId watch_{};
  base::TimerId damper_timer_{};
  base::TimerId refresh_timer_{};
  FlapDamper damper_;
  std::map<IfIndex, Known> known_;
  std::map<IfIndex, std::set<base::IpAddress>> early_addresses_;  // of interfaces not yet seen
  std::map<std::string, std::set<base::IpAddress>> delivered_addresses_;
  bool in_sync_ = false;
  std::uint64_t resyncs_ = 0;
  std::uint64_t overruns_ = 0;
};

// One RTM_NEWLINK or RTM_DELLINK message; nothing when malformed, or about a bridge port and not about the link itself.
std::optional<Link> parse_link_message(netlink::Bytes payload);

}  // namespace kernel
