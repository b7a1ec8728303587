// compaction.h: keeps etcd's history short (spec openstack §4.4), with upstream's keys, so that only one of several
// regions or drivers does it. Only the leader runs it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "neutron/context.h"

namespace neutron {

struct CompactionState {
  bool trigger_with_lease = false;        // the trigger key is there and will expire
  bool trigger_without_lease = false;     // left by a bug or a restore
  std::optional<std::int64_t> last = {};  // value of the `last` key
  store::Revision last_written = 0;       // its mod revision: where etcd stood at the last check
  store::Revision current = 0;
  std::int64_t min_revisions = 1000;
};
struct CompactionPlan {
  bool write_keys = false;
  std::int64_t last = 0;                           // to be written
  std::optional<store::Revision> compact_at = {};  // then `last` is this revision
};
CompactionPlan plan_compaction(const CompactionState& state);

class Compaction {
 public:
  struct Settings {
    std::chrono::minutes period{60};  // 0: never
    std::int64_t min_revisions = 1000;
    int pid = 0;
  };
  Compaction(Context& context, Settings settings) : context_(context), settings_(settings) {}

  void lead(bool leader);

 private:
  void check();
  void read_last(CompactionState state);
  void act(const CompactionPlan& plan, store::Revision current);
  void write_keys(std::int64_t last);

  Context& context_;
  Settings settings_;
  bool leader_ = false;
  base::TimerId timer_{};
};

}  // namespace neutron
