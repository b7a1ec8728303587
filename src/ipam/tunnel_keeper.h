// tunnel_keeper.h: keeps a node's tunnel addresses as the pools ask for, without anybody's help (spec cli §12.6): when
// a pool comes, goes or changes its mode, when the Node appears or somebody changes it, and at the start.
//
// Watches the pools and this Node. Every node of a cloud hears of a pool at the same moment, so each waits for a random
// part of kSpread first, and longer after every failure. What it does is decided from what is stored then
// (ensure_tunnel_addresses), not from what was heard: events only say that it is time to look.
//
// An address that no pool needs any more stays for a while: other hosts take packets of a VXLAN tunnel from hosts that
// have one, and for some time after the pools' change this host goes on sending. And the pool may come back.
//
// A pool that cannot be read stops everything until it is repaired: taken as absent it would cost the node its address.
//
// All on one loop, which blocks on the datastore: a thread of its own. A request is given up after kRequest, so that a
// datastore that is away does not hold up the end of the program.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "ipam/ipam.h"
#include "store/blocking.h"
#include "store/store.h"

namespace ipam {

class TunnelKeeper {
 public:
  // Before that every host has heard of the pool itself, and goes over to the other way without this node's address.
  static constexpr base::Duration kEarliest = std::chrono::milliseconds(200);
  static constexpr base::Duration kSpread = std::chrono::seconds(1);
  static constexpr base::Duration kFirstRetry = std::chrono::seconds(1);
  static constexpr base::Duration kLastRetry = std::chrono::seconds(60);
  static constexpr base::Duration kKeepUnneeded = std::chrono::seconds(60);  // twice dataplane::Tunnels::kLinger
  static constexpr base::Duration kRequest = std::chrono::milliseconds(1500);

  // `jitter`: in [0, 1). `pause` blocks; between tries of one conditional write. `keep`: how long addresses that no
  // pool needs stay.
  TunnelKeeper(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, std::string node,
               std::function<double()> jitter, std::function<void(base::Duration)> pause,
               base::Duration keep = kKeepUnneeded);
  ~TunnelKeeper();
  TunnelKeeper(const TunnelKeeper&) = delete;
  TunnelKeeper& operator=(const TunnelKeeper&) = delete;

  // On the loop. `store` outlives this.
  void start(store::Store& store);

 private:
  void handle(const store::StoreEvent& event);
  bool take(const std::string& key, const std::string* value);
  void look_after(base::Duration delay);
  void look();
  void failed(const base::Error& error);

  base::Loop& loop_;
  base::Log& log_;
  const std::string node_;
  const std::string node_key_;
  const std::string pool_prefix_;
  const std::function<double()> jitter_;
  const std::function<void(base::Duration)> pause_;
  const base::Duration keep_;
  base::Counter changes_;
  base::Counter failures_;

  std::unique_ptr<store::BlockingStore> blocking_;
  std::unique_ptr<Ipam> ipam_;
  std::unique_ptr<store::Subscription> subscription_;
  bool in_sync_ = false;
  bool node_exists_ = false;
  std::set<std::string> unreadable_;  // keys of pools
  base::TimerId timer_{};
  bool waiting_ = false;                                        // for the timer
  std::map<std::string, base::Instant, std::less<>> unneeded_;  // kinds of address that no pool needs, since when
  base::Duration retry_ = kFirstRetry;
  std::string last_problem_;
};

}  // namespace ipam
