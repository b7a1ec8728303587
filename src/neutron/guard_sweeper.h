// guard_sweeper.h: removes guards (writer.h) that nobody needs any more: those that stood unchanged for a whole period,
// after which every mirror shows what they say and no writer with an older reading is under way. Only the leader.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "neutron/context.h"

namespace neutron {

class GuardSweeper {
 public:
  explicit GuardSweeper(Context& context) : context_(context) {}
  void lead(bool leader);

  static constexpr base::Duration kPeriod = std::chrono::minutes(10);

 private:
  void sweep();
  void swept(const base::Result<store::ReadReply>& reply);
  void remove_next();

  Context& context_;
  bool leader_ = false;
  base::TimerId timer_{};
  std::map<std::string, store::Revision> seen_;
  std::vector<std::pair<std::string, store::Revision>> old_;
};

}  // namespace neutron
