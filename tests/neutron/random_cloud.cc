#include "random_cloud.h"

#include <algorithm>
#include <iterator>

namespace neutron_test {
namespace {

constexpr std::size_t kMostPorts = 4;
constexpr std::size_t kMostGroups = 4;
constexpr std::size_t kMostAddressGroups = 2;

bool holds(const json::array& ids, const std::string& id) {
  return std::ranges::any_of(ids, [&](const json::value& one) { return one == json::value(id); });
}

}  // namespace

RandomCloud::RandomCloud(testing::Rng& rng) : rng_(rng) {
  for (const auto* id : {"net", "net2"}) neutron_.put(neutron_.networks, id, make_network(id, "v0"));
  neutron_.put(neutron_.projects, "project", {{"name", "p"}, {"parent_id", "default"}});
  neutron_.put(neutron_.subnets, "sub", make_subnet("sub", "net", "10.65.0.0"));
  for (const auto* id : {"f", "f2"}) neutron_.floatingips[id] = {{"id", id}, {"port_id", nullptr}};
  history_.emplace_back(base::Instant{}, std::make_shared<const FakeNeutron>(neutron_));
}

RandomCloud::State RandomCloud::state(base::Instant then) const {
  const auto after = std::ranges::upper_bound(history_, then, {}, &std::pair<base::Instant, State>::first);
  return after == history_.begin() ? after->second : std::prev(after)->second;
}

RandomCloud::Told RandomCloud::call(base::Instant now) {
  const auto chosen = [&]() -> Told {
    switch (rng_.below(20)) {
      case 0:
      case 1:
      case 2: return create_port();
      case 3: return delete_port();
      case 4: return change_port({{"binding:host_id", ""}, {"binding:vif_type", "unbound"}});
      case 5: return change_port({{"binding:vif_type", "unbound"}});  // on the way to being bound again
      case 6:
      case 7: return change_port({{"binding:host_id", host()}, {"binding:vif_type", "tap"}});
      case 8: return change_port({{"device_id", "d" + std::to_string(rng_.below(3))}});
      case 9: return change_port({{"device_owner", rng_.one_in(2) ? "" : "compute:nova"}});
      case 10:
      case 11: return change_groups_of_port();
      case 12: return create_group();
      case 13: return change_rules();
      case 14: return rename_group();
      case 15: return delete_group();
      case 16: return change_address_group();
      case 17: return change_network();
      case 18: return change_subnet();
      default: return move_floating_ip();
    }
  };
  Told told = chosen();
  history_.emplace_back(now, std::make_shared<const FakeNeutron>(neutron_));
  return told;
}

std::string RandomCloud::some(const FakeNeutron::Table& table) {
  if (table.empty()) return {};
  return std::next(table.begin(), static_cast<std::ptrdiff_t>(rng_.below(table.size())))->first;
}

RandomCloud::Told RandomCloud::create_port() {
  if (neutron_.ports.size() == kMostPorts) return change_groups_of_port();
  const std::string id = fresh("p");
  json::object port = make_port(id, rng_.one_in(3) ? "" : host(), {{"network_id", rng_.one_in(2) ? "net" : "net2"}});
  port["security_groups"] = some_groups();
  neutron_.put(neutron_.ports, id, std::move(port));
  return {{"port", id}};
}

RandomCloud::Told RandomCloud::delete_port() {
  const std::string id = some(neutron_.ports);
  if (id.empty()) return {};
  neutron_.ports.erase(id);
  for (auto& [floating, row] : neutron_.floatingips) {
    if (row.at("port_id") == json::value(id)) row["port_id"] = nullptr;
  }
  return {{"port", id}};
}

RandomCloud::Told RandomCloud::change_port(const json::object& members) {
  const std::string id = some(neutron_.ports);
  if (id.empty()) return {};
  neutron_.change(neutron_.ports, id, members);
  return {{"port", id}};
}

json::array RandomCloud::some_groups() {
  json::array groups;
  for (const auto& [id, group] : neutron_.security_groups) {
    if (rng_.one_in(2)) groups.emplace_back(id);
  }
  return groups;
}

RandomCloud::Told RandomCloud::change_groups_of_port() { return change_port({{"security_groups", some_groups()}}); }

json::object RandomCloud::some_rule() {
  json::object rule{{"id", fresh("r")},
                    {"direction", rng_.one_in(2) ? "egress" : "ingress"},
                    {"ethertype", rng_.one_in(2) ? "IPv4" : "IPv6"}};
  const auto& remote = rng_.one_in(3) ? neutron_.address_groups : neutron_.security_groups;
  const std::string id = some(remote);
  if (!id.empty() && rng_.one_in(2)) {
    rule[&remote == &neutron_.security_groups ? "remote_group_id" : "remote_address_group_id"] = id;
  }
  return rule;
}

RandomCloud::Told RandomCloud::create_group() {
  if (neutron_.security_groups.size() == kMostGroups) return rename_group();
  const std::string id = fresh("g");
  neutron_.put(neutron_.security_groups, id, make_group(id, "v" + version(), {some_rule()}));
  return {{"security_group", id}};
}

RandomCloud::Told RandomCloud::change_rules() {
  const std::string id = some(neutron_.security_groups);
  if (id.empty()) return create_group();
  json::array rules = neutron_.security_groups.at(id).at("security_group_rules").as_array();
  if (!rules.empty() && rng_.one_in(2)) {
    rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(rng_.below(rules.size())));
  } else {
    rules.push_back(some_rule());
  }
  neutron_.change(neutron_.security_groups, id, {{"security_group_rules", std::move(rules)}});
  return {{"security_group", id}};
}

RandomCloud::Told RandomCloud::rename_group() {
  const std::string id = some(neutron_.security_groups);
  if (id.empty()) return {};
  neutron_.change(neutron_.security_groups, id, {{"name", "v" + version()}});
  return {{"security_group", id}};
}

// Neutron refuses it while a port is in the group. Rules of others that name it go with it, by the database's own
// cascade, which leaves their groups' revision_number as it is, and nobody is told of those groups.
RandomCloud::Told RandomCloud::delete_group() {
  const std::string id = some(neutron_.security_groups);
  if (id.empty()) return {};
  for (const auto& [port, row] : neutron_.ports) {
    if (holds(row.at("security_groups").as_array(), id)) return {};
  }
  neutron_.security_groups.erase(id);
  for (auto& [other, group] : neutron_.security_groups) {
    json::array left;
    for (const auto& rule : group.at("security_group_rules").as_array()) {
      const auto* remote = rule.as_object().if_contains("remote_group_id");
      if (remote == nullptr || *remote != json::value(id)) left.push_back(rule);
    }
    group["security_group_rules"] = std::move(left);
  }
  return {{"security_group", id}};
}

// Neutron refuses to delete one that a rule names.
RandomCloud::Told RandomCloud::change_address_group() {
  auto& table = neutron_.address_groups;
  std::string id = some(table);
  if (id.empty() || (table.size() < kMostAddressGroups && rng_.one_in(2))) {
    id = fresh("a");
    neutron_.put(table, id, {{"id", id}, {"name", "v" + version()}, {"addresses", json::array{"10.0.0.0/8"}}});
  } else if (rng_.one_in(3)) {
    for (const auto& [group, row] : neutron_.security_groups) {
      for (const auto& rule : row.at("security_group_rules").as_array()) {
        if (neutron::text(rule.as_object(), "remote_address_group_id") == id) return {};
      }
    }
    table.erase(id);
  } else {
    neutron_.change(table, id,
                    {{"name", "v" + version()},
                     {"addresses", json::array{"10." + std::to_string(rng_.below(200)) + ".0.0/16", "192.0.2.0/24"}}});
  }
  return {{"address_group", id}};
}

RandomCloud::Told RandomCloud::change_network() {
  const std::string id = some(neutron_.networks);
  neutron_.change(neutron_.networks, id, {{"name", "v" + version()}, {"admin_state_up", !rng_.one_in(4)}});
  return {{"network", id}};
}

RandomCloud::Told RandomCloud::change_subnet() {
  const int gateway = ++last_version_;
  const std::string address = "10.65." + std::to_string(gateway / 256) + "." + std::to_string(gateway % 256);
  neutron_.change(neutron_.subnets, "sub", {{"gateway_ip", address}, {"enable_dhcp", !rng_.one_in(3)}});
  return {{"subnet", "sub"}};
}

RandomCloud::Told RandomCloud::move_floating_ip() {
  const std::string id = some(neutron_.floatingips);
  json::object& row = neutron_.floatingips.at(id);
  const std::string before(neutron::text(row, "port_id"));
  const std::string after = rng_.one_in(4) ? "" : some(neutron_.ports);
  row = {{"id", id}, {"fixed_ip_address", "10.65.0.2"}, {"floating_ip_address", id == "f" ? "192.0.2.1" : "192.0.2.2"}};
  row["port_id"] = after.empty() ? json::value(nullptr) : json::value(after);
  Told told;
  for (const std::string& port : {before, after}) {
    if (!port.empty() && (told.empty() || told.front().second != port)) told.emplace_back("port", port);
  }
  return told;
}

}  // namespace neutron_test
