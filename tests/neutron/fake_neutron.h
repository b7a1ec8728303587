// fake_neutron.h: Neutron's database and its shim, as far as the bridge can see them: objects with revision numbers,
// reads by SPEC, and the loop of a hook. For tests and benchmarks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "neutron/http.h"
#include "neutron/translate/json.h"
#include "neutron/translate/port.h"
#include "neutron/translate/value.h"

namespace neutron_test {

namespace json = boost::json;

class FakeNeutron {
 public:
  using Table = std::map<std::string, json::object>;
  Table ports, networks, subnets, security_groups, address_groups, floatingips, projects;

  // Puts the object with a revision number higher than any before. (Neutron counts for each object, but never uses an
  // id twice, as tests do.)
  void put(Table& table, const std::string& id, json::object object);
  // Changes members of an object that is there.
  void change(Table& table, const std::string& id, const json::object& members);

  // The ANSWER to a SPEC (docs/neutron-bridge.md).
  json::value read(const json::object& spec) const;

  // What etcd must hold for all of it: keys and wishes. Keys that may be there or not (ports being bound again) have
  // only_update set.
  std::map<std::string, neutron::Desired> expected(const neutron::Region& region,
                                                   const neutron::PortSettings& settings) const;

 private:
  void add_related(const json::object& port, json::object& answer) const;

  std::int64_t last_revision_ = 0;
};

// A complete port of a machine; members of `changes` replace its own.
json::object make_port(const std::string& id, const std::string& host, const json::object& changes = {});
json::object make_group(const std::string& id, const std::string& name, json::array rules = {});
json::object make_network(const std::string& id, const std::string& name);
json::object make_subnet(const std::string& id, const std::string& network, const std::string& gateway);

// What differs between the store's values and what is expected, one line each; empty if nothing does.
std::string compare_values(const neutron::Region& region, const std::map<std::string, std::string>& stored,
                           const std::map<std::string, neutron::Desired>& expected);

}  // namespace neutron_test
