// random_store.h: random resources as JSON in a datastore, over so few names and addresses that they collide all the
// time: two endpoints of one interface or address, profiles that come and go under their endpoints, values that nobody
// can read.
//
// In all of it one guest, "vault" on tapv with address 10.9.0.9, never allows anything but from 10.9.0.7: see sacred().
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "testing/rng.h"

namespace sim {

inline constexpr std::string_view kVaultInterface = "tapv";
inline constexpr std::string_view kVaultAddress = "10.9.0.9";
inline constexpr std::string_view kFriendAddress = "10.9.0.7";

class RandomStore {
 public:
  using Write = std::function<void(const std::string& key, std::optional<std::string> value)>;
  RandomStore(testing::Rng& rng, Write write) : rng_(rng), write_(std::move(write)) {}

  // What every world has from the start: the cluster, the vault and what protects it. Also mends them.
  void sacred();
  // One random put, removal or unreadable value.
  void mutate();
  // Everything but the sacred goes, as when a controller resyncs badly.
  void remove_all();
  // Deletes what cannot be read.
  void repair();
  // ClusterInformation, for a migration.
  void ready(bool ready);

 private:
  std::string labels();
  std::string selector();
  std::string rules();
  std::string profiles();
  std::string workload(bool local);
  std::string host_endpoint();
  std::string policy();
  std::string value_for(std::string_view kind);

  testing::Rng& rng_;
  Write write_;
  std::set<std::string> bad_;  // keys
};

}  // namespace sim
