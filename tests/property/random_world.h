// random_world.h: random datastore updates over a very small set of names, addresses and labels, so that collisions of
// every kind are the rule: two endpoints with one address, policies of equal order, profiles that come and go under
// their endpoints.
#pragma once

#include <string>
#include <vector>

#include "base/symbol.h"
#include "calc/world.h"
#include "model/update.h"
#include "testing/rng.h"

namespace property {

inline constexpr std::string_view kHostname = "here";

class RandomWorld {
 public:
  // Both outlive this object.
  RandomWorld(testing::Rng& rng, base::Interner& interner);

  // A put or delete of anything; the world already contains it afterwards.
  model::Update next();
  // The puts that would recreate the world, in random order.
  std::vector<model::Update> snapshot();
  // Takes a random object out of the world without saying so, as happens while a watch is cut.
  void lose_one();

  const calc::World& world() const { return world_; }

  model::Rule rule();
  base::IpAddress address();

 private:
  model::Symbol sym(std::string_view text) { return interner_.intern(text); }
  model::Symbol pick(std::initializer_list<std::string_view> texts);
  bool maybe() { return rng_.one_in(2); }
  model::Labels labels();
  std::vector<model::Symbol> profiles();
  model::Membership membership();
  base::Prefix net();
  model::Selector selector();
  model::Protocol protocol();
  model::Port port();
  model::RuleEntity entity(bool has_ports);
  std::vector<model::Rule> rules();
  std::optional<double> order();

  model::Update workload();
  model::Update host_endpoint();
  model::Update network_set();
  model::Update policy();
  model::Update tier();
  model::Update profile();
  model::Update pool();
  model::Update services();
  model::Update node();
  model::Update block();

  testing::Rng& rng_;
  base::Interner& interner_;
  std::vector<model::Selector> selectors_;
  calc::World world_;
};

}  // namespace property
