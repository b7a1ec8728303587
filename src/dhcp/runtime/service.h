// service.h: DHCP and router advertisements for the guests of this host: watches their endpoints and subnets in the
// datastore and keeps one dnsmasq per network (spec openstack §5). Python and Neutron are not involved.
//
// Leases and servers outlive the agent, the datastore and Neutron: while the datastore is away, everything stays as it
// is; after a start, running servers are adopted, and nothing is ended before the first snapshot is complete.
//
// All on one thread of its own, which may block on dnsmasq's start and end. start() and set_link() from any other
// thread come through the loop's post().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "dhcp/dnsmasq.h"
#include "dhcp/networks.h"
#include "dhcp/runtime/server.h"
#include "store/store.h"

namespace dhcp {

enum class Mode {
  kAuto,  // while Calico's own DHCP agent does not run here; its servers are taken over when it ends
  kEnabled,
};

struct Settings {
  Mode mode = Mode::kAuto;
  std::string host;        // as in endpoints' names
  std::string region;      // "no-region" or "region-NAME", as in keys
  std::string name_space;  // "openstack" or "openstack-region-NAME"
  Options options;
};

class Service {
 public:
  static constexpr base::Duration kRetry = std::chrono::seconds(10);
  static constexpr base::Duration kFirstRestart =
      std::chrono::seconds(1);  // of a server that died; doubles up to kRetry

  Service(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  void start(store::Store& store);
  // One event, as the subscription delivers it; for tests.
  void handle(const store::StoreEvent& event);
  // An interface has appeared, changed its MTU, or gone.
  void set_link(const std::string& name, std::optional<std::uint32_t> mtu);

 private:
  struct Served {
    std::unique_ptr<Server> server;
    std::string interface;
    std::optional<ServerPlan> applied;              // nothing: to be done, again
    std::map<base::IpAddress, unsigned> replugged;  // of the last plan that was applied
    base::Duration delay = kFirstRestart;
    bool waiting = false;  // for a timer after a failure
    std::string last_error;
  };

  void take(const std::string& key, const std::string* value);
  void take_endpoint(const std::string& key, std::string_view name, const std::string* value);
  void note_problem(const std::string& key, const std::string& problem);
  void schedule();
  void apply();
  void apply_one(const Network& network);
  void remove_unserved(const std::map<std::string, Network>& wanted);
  void adopt_leftovers();
  void failed(const std::string& id, Served& served, const std::string& text);
  void died(const std::string& id);
  bool yields_to_other_agent();

  base::Loop& loop_;
  base::Log& log_;
  const Settings settings_;
  const std::string endpoint_prefix_;
  const std::string subnet_prefix_;
  Networks networks_;
  std::map<std::string, Served> served_;
  std::map<std::string, std::string> problems_;  // key -> what is wrong with its value, as logged
  std::string uncovered_logged_;
  bool in_sync_ = false;
  bool looked_for_leftovers_ = false;
  bool other_agent_logged_ = false;
  bool scheduled_ = false;
  base::TimerId retry_timer_{};
  base::Gauge networks_gauge_;
  base::Gauge ports_gauge_;
  base::Counter restarts_;
  base::Counter failures_;
  std::unique_ptr<store::Subscription> subscription_;
};

}  // namespace dhcp
