// random_cloud.h: a Neutron whose users do something at random: API calls on few objects, so that they meet. What the
// database had at any moment can be looked up, for readers that come late or from a replica that lags.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fake_neutron.h"
#include "testing/rng.h"

namespace neutron_test {

class RandomCloud {
 public:
  using State = std::shared_ptr<const FakeNeutron>;
  using Told = std::vector<std::pair<std::string, std::string>>;  // kind, id

  explicit RandomCloud(testing::Rng& rng);

  // One API call, committed at `now`. Returns what the shim tells the bridge afterwards: in some cases nothing.
  Told call(base::Instant now);

  State state() const { return history_.back().second; }
  // As of then; the oldest there is if that was before the beginning.
  State state(base::Instant then) const;

 private:
  Told create_port();
  Told delete_port();
  Told change_port(const json::object& members);
  Told change_groups_of_port();
  Told create_group();
  Told change_rules();
  Told rename_group();
  Told delete_group();
  Told change_address_group();
  Told change_network();
  Told change_subnet();
  Told move_floating_ip();

  std::string some(const FakeNeutron::Table& table);  // an id, or nothing
  std::string host() { return "h" + std::to_string(rng_.below(3)); }
  json::array some_groups();
  json::object some_rule();
  std::string fresh(const std::string& kind) { return kind + std::to_string(++last_id_); }
  std::string version() { return std::to_string(++last_version_); }

  testing::Rng& rng_;
  FakeNeutron neutron_;
  std::vector<std::pair<base::Instant, State>> history_;
  int last_id_ = 0;       // Neutron never uses an id twice
  int last_version_ = 0;  // in names and gateways, so that one can see which of two texts is the older
};

}  // namespace neutron_test
