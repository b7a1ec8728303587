#include "fake_neutron.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "neutron/translate/answer.h"
#include "neutron/translate/port.h"
#include "neutron/translate/security_group.h"
#include "neutron/translate/subnet.h"

namespace neutron_test {

using neutron::inner;
using neutron::list;
using neutron::number;
using neutron::text;
using neutron::view;

void FakeNeutron::put(Table& table, const std::string& id, json::object object) {
  object["id"] = id;
  object["revision_number"] = ++last_revision_;
  table[id] = std::move(object);
}

void FakeNeutron::change(Table& table, const std::string& id, const json::object& members) {
  json::object object = table.at(id);
  for (const auto& [name, value] : members) object[name] = value;
  put(table, id, std::move(object));
}

void FakeNeutron::add_related(const json::object& port, json::object& answer) const {
  const auto add = [&](const Table& table, json::string_view member, std::string_view id) {
    const auto found = table.find(std::string(id));
    if (found == table.end()) return;
    json::array& rows = answer[member].as_array();
    const bool there = std::ranges::any_of(rows, [&](const json::value& v) { return text(v.as_object(), "id") == id; });
    if (!there) rows.push_back(found->second);
  };
  add(networks, "networks", text(port, "network_id"));
  add(projects, "projects", text(port, "project_id"));
  for (const auto& ip : list(port, "fixed_ips")) add(subnets, "subnets", text(ip.as_object(), "subnet_id"));
  for (const auto& group : list(port, "security_groups")) {
    const auto found = security_groups.find(std::string(view(group.as_string())));
    if (found == security_groups.end()) continue;
    json::array& rows = answer["security_groups"].as_array();
    const bool there =
        std::ranges::any_of(rows, [&](const json::value& v) { return text(v.as_object(), "id") == found->first; });
    if (!there) rows.push_back(json::object{{"id", found->first}, {"name", found->second.at("name")}});
  }
  for (const auto& [id, floating] : floatingips) {
    if (text(floating, "port_id") == text(port, "id")) answer["floatingips"].as_array().push_back(floating);
  }
}

json::value FakeNeutron::read(const json::object& spec) const {
  const auto kind = text(spec, "kind");
  const Table& table = kind == "ports"             ? ports
                       : kind == "security_groups" ? security_groups
                       : kind == "subnets"         ? subnets
                                                   : address_groups;
  json::object answer;
  if (kind == "ports") {
    for (const auto* name : {"networks", "subnets", "security_groups", "floatingips", "projects"}) {
      answer[name] = json::array();
    }
  }
  json::array rows;
  bool more = false;
  if (spec.contains("ids")) {
    for (const auto& id : list(spec, "ids")) {
      const auto found = table.find(std::string(view(id.as_string())));
      if (found != table.end()) rows.push_back(found->second);
    }
  } else {
    const json::object& filter = inner(spec, "filter");
    const auto matches = [&](const json::object& port) {
      if (const auto id = text(filter, "network_id"); !id.empty()) return text(port, "network_id") == id;
      if (const auto id = text(filter, "security_group_id"); !id.empty()) {
        return std::ranges::any_of(list(port, "security_groups"),
                                   [&](const json::value& v) { return view(v.as_string()) == id; });
      }
      if (const auto id = text(filter, "subnet_id"); !id.empty()) {
        return std::ranges::any_of(list(port, "fixed_ips"),
                                   [&](const json::value& v) { return text(v.as_object(), "subnet_id") == id; });
      }
      return true;
    };
    const auto limit = static_cast<std::size_t>(number(spec, "limit").value_or(1 << 30));
    for (auto at = table.upper_bound(std::string(text(spec, "after"))); at != table.end(); ++at) {
      if (!matches(at->second)) continue;
      if (rows.size() == limit) {
        more = true;
        break;
      }
      rows.push_back(at->second);
    }
  }
  if (kind == "ports") {
    for (const auto& port : rows) add_related(port.as_object(), answer);
  }
  answer[json::string_view(kind.data(), kind.size())] = std::move(rows);
  answer["more"] = more;
  return answer;
}

std::map<std::string, neutron::Desired> FakeNeutron::expected(const neutron::Region& region,
                                                              const neutron::PortSettings& settings) const {
  std::map<std::string, neutron::Desired> keys;
  for (const auto& [id, group] : security_groups) keys.merge(neutron::translate_security_group(group, region).keys);
  for (const auto& [id, group] : address_groups) keys.merge(neutron::translate_address_group(group, region).keys);
  for (const auto& [id, subnet] : subnets) keys.merge(neutron::translate_subnet(subnet, region).keys);
  const json::value all = read({{"kind", "ports"}});
  const neutron::Answer answer(all);
  for (const auto& port : answer.ports()) {
    keys.merge(neutron::translate_port(port.as_object(), answer, region, settings).keys);
  }
  return keys;
}

json::object make_port(const std::string& id, const std::string& host, const json::object& changes) {
  json::object port{{"id", id},
                    {"project_id", "project"},
                    {"network_id", "net"},
                    {"device_owner", "compute:nova"},
                    {"device_id", "device-" + id},
                    {"mac_address", "fa:16:3e:00:00:01"},
                    {"admin_state_up", true},
                    {"status", "DOWN"},
                    {"fixed_ips", json::array{json::object{{"subnet_id", "sub"}, {"ip_address", "10.65.0.2"}}}},
                    {"security_groups", json::array{}},
                    {"allowed_address_pairs", json::array{}},
                    {"port_security_enabled", true},
                    {"binding:host_id", host},
                    {"binding:vif_type", host.empty() ? "unbound" : "tap"},
                    {"binding:vnic_type", "normal"},
                    {"binding:profile", json::object{}}};
  for (const auto& [name, value] : changes) port[name] = value;
  return port;
}

json::object make_group(const std::string& id, const std::string& name, json::array rules) {
  return {{"id", id}, {"name", name}, {"stateful", true}, {"security_group_rules", std::move(rules)}};
}

json::object make_network(const std::string& id, const std::string& name) {
  return {{"id", id}, {"name", name}, {"admin_state_up", true}};
}

json::object make_subnet(const std::string& id, const std::string& network, const std::string& gateway) {
  return {{"id", id},
          {"network_id", network},
          {"cidr", "10.65.0.0/16"},
          {"gateway_ip", gateway},
          {"enable_dhcp", true},
          {"dns_nameservers", json::array{}},
          {"host_routes", json::array{}},
          {"ipv6_ra_mode", nullptr},
          {"ipv6_address_mode", nullptr}};
}

std::string compare_values(const neutron::Region& region, const std::map<std::string, std::string>& stored,
                           const std::map<std::string, neutron::Desired>& expected) {
  std::string differences;
  for (const auto& [key, desired] : expected) {
    const auto found = stored.find(key);
    if (found == stored.end()) {
      if (!desired.only_update) differences += "missing: " + key + "\n";
      continue;
    }
    const auto merged = neutron::merge(found->second, desired, {});
    if (!merged.value) continue;
    differences += "different: " + key;
    for (const auto& member : merged.members) differences += " " + member;
    differences += "\n";
  }
  for (const auto& [key, value] : stored) {
    if (region.owner(key) && !expected.contains(key)) differences += "stale: " + key + "\n";
  }
  return differences;
}

}  // namespace neutron_test
