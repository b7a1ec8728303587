// election.h: which bridge of a region runs resync, compaction and status handling (spec openstack §4.2). The key, its
// value and its times are upstream's, so that the two can take turns on one etcd.
#pragma once

#include <functional>
#include <string>

#include "neutron/context.h"
#include "neutron/mirror.h"

namespace neutron {

class Election {
 public:
  struct Settings {
    std::string name;  // elector_name: "host"
    int pid = 0;
    std::function<bool(int pid)> process_exists;  // on this host
    std::function<double()> jitter;               // in [0, 1)
  };

  // `changed` is told when leadership comes and goes.
  Election(Context& context, Mirror& mirror, Settings settings, std::function<void(bool leader)> changed)
      : context_(context), mirror_(mirror), settings_(std::move(settings)), changed_(std::move(changed)) {}

  void start();
  // Gives the key up, if it is ours, so that another takes over at once; `done` in any case.
  void stop(std::function<void()> done);
  bool leader() const { return leader_; }
  // The election key has changed, as the mirror shows.
  void wake();

  static constexpr std::chrono::seconds kLease{60};
  static constexpr base::Duration kRefresh = std::chrono::seconds(10);

 private:
  void look();
  void looked(const base::Result<store::ReadReply>& reply);
  void refresh();
  void write(store::Condition condition, store::Revision expected);
  void written(const base::Result<store::WriteReply>& reply);
  void remove_dead(const store::KeyValue& item);
  void again(base::Duration delay);
  void set_leader(bool leader);
  std::string value() const { return settings_.name + ":" + std::to_string(settings_.pid); }

  Context& context_;
  Mirror& mirror_;
  Settings settings_;
  std::function<void(bool)> changed_;
  bool leader_ = false;
  bool stopped_ = false;
  bool busy_ = false;  // a request is under way
  store::Revision ours_ = 0;
  base::TimerId timer_{};
};

}  // namespace neutron
