// history.h: watches every value that reaches a store, and complains when an older state replaces a newer one.
//
// Told from the values themselves: revision_number (metadata.generation), and the numbers that RandomCloud puts into
// names and gateways, which only grow. An endpoint is followed over all its keys, so that a host's change counts too.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "neutron/translate/names.h"
#include "random_cloud.h"
#include "store/store.h"
#include "testing/sim_loop.h"

namespace neutron_test {

class History {
 public:
  // `strict`: the database is one; else what a lagging replica showed last may come later, except that
  // revision_number forbids it.
  History(store::Store& store, testing::SimLoop& loop, const RandomCloud& cloud, bool strict);

  const std::string& complaint() const { return complaint_; }

 private:
  using Versions = std::map<std::string, std::int64_t>;

  void take(const store::Change& change);
  void compare(const neutron::ObjectId& owner, const Versions& now);
  bool in_database(const neutron::ObjectId& owner) const;
  void complain(std::string text);

  const RandomCloud& cloud_;
  const bool strict_;
  const neutron::Region region_ = *neutron::Region::make("");
  std::map<neutron::ObjectId, Versions> seen_;
  std::map<neutron::ObjectId, std::set<std::string>> keys_;
  std::set<neutron::ObjectId> gone_;  // from etcd, after they had gone from the database
  std::string complaint_;
  std::unique_ptr<store::Subscription> subscription_;
};

}  // namespace neutron_test
