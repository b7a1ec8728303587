// status.h: what agents report, to Neutron (spec openstack §3.12, §3.13): heartbeats become agent states, endpoint
// statuses become port statuses. Only the leader.
//
// A port's status is what the agent of the host says on which the port has its endpoint; other hosts' words and
// deletions count for nothing. When the endpoint moves, the word of the new host, perhaps spoken long before, counts
// at once; when it goes, the port is down. Each change is passed on, in order: Nova must see a port go down and come up
// again when a machine is rebuilt.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "neutron/context.h"
#include "neutron/mirror.h"
#include "neutron/work_queue.h"

namespace neutron {

struct StatusKey {
  std::string host;
  std::string port;  // empty: the host's heartbeat

  friend bool operator==(const StatusKey&, const StatusKey&) = default;
};
// `rest` is the key after Region::status_prefix().
std::optional<StatusKey> parse_status_key(std::string_view rest);
// ACTIVE, DOWN or ERROR for an agent's {"status": …}; ERROR for what cannot be read.
std::string_view neutron_status(const std::string& value);

class StatusKeeper {
 public:
  StatusKeeper(Context& context, Mirror& mirror, WorkQueue& work) : context_(context), mirror_(mirror), work_(work) {}

  void lead(bool leader);
  // A key of the mirror has changed.
  void endpoint_changed(const std::string& key);
  // The resync found `status` in Neutron. Returns whether it had to be corrected.
  bool compare(const std::string& port, std::string_view status, bool has_endpoint);
  void wake();  // a worker has come

  static constexpr base::Duration kRetry = std::chrono::seconds(5);
  static constexpr std::size_t kAtOnce = 4;       // calls under way: num_port_status_threads
  static constexpr std::size_t kMostPending = 4;  // statuses of one port: down, up, down, up

 private:
  struct Pending {
    std::deque<std::pair<std::string, std::string>> statuses;  // status, host
    bool under_way = false;
  };

  void handle(store::StoreEvent event);
  void take(const store::KeyValue& item, bool removed);
  void heartbeat(const std::string& host, const store::KeyValue& item);
  void send_heartbeat(const std::string& host);
  std::optional<std::string> host_of(const std::string& port) const;
  void enqueue(const std::string& port, std::string_view status, const std::string& host);
  void pump();
  void send(const std::string& port);

  Context& context_;
  Mirror& mirror_;
  WorkQueue& work_;
  std::unique_ptr<store::Subscription> subscription_;
  std::uint64_t term_ = 0;  // of leadership; answers of a former one are ignored
  bool loaded_ = false;
  bool in_snapshot_ = false;
  std::unordered_map<std::string, std::map<std::string, std::string>> statuses_;  // port -> host -> Neutron's status
  std::set<std::pair<std::string, std::string>> old_;   // (port, host) of before a snapshot, not seen in it yet
  std::unordered_map<std::string, std::string> bound_;  // port -> host of its endpoint, as last seen to change
  std::unordered_map<std::string, Pending> pending_;
  std::deque<std::string> ready_;  // ports with something pending and nothing under way
  std::size_t under_way_ = 0;
  struct Heartbeat {
    store::Revision seen = 0;
    std::string found;  // its own time, if it was not seen to come: an agent that died since must not count as alive
    bool start = false, waiting = false, under_way = false;
  };
  std::map<std::string, Heartbeat> heartbeats_;
};

}  // namespace neutron
