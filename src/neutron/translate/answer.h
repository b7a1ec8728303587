// answer.h: what the shim read from Neutron for one SPEC (docs/neutron-bridge.md), with the parts findable by id. Pure.
//
// Refers to the JSON it was made from, which must outlive it.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "neutron/translate/json.h"

namespace neutron {

class Answer {
 public:
  explicit Answer(const json::value& data);

  const json::array& ports() const { return list(data_, "ports"); }
  const json::array& subnets() const { return list(data_, "subnets"); }
  const json::array& security_groups() const { return list(data_, "security_groups"); }
  const json::array& address_groups() const { return list(data_, "address_groups"); }
  bool more() const { return flag(data_, "more", false); }

  // Null if the answer lacks it.
  const json::object* network(std::string_view id) const { return find(networks_, id); }
  const json::object* subnet(std::string_view id) const { return find(subnets_, id); }
  const json::object* group(std::string_view id) const { return find(groups_, id); }
  const json::object* project(std::string_view id) const { return find(projects_, id); }
  const std::vector<const json::object*>& floating_ips(std::string_view port) const;

 private:
  using Index = std::unordered_map<std::string_view, const json::object*>;
  static Index index(const json::array& objects);
  static const json::object* find(const Index& index, std::string_view id) {
    const auto found = index.find(id);
    return found == index.end() ? nullptr : found->second;
  }

  const json::object& data_;
  Index networks_, subnets_, groups_, projects_;
  std::unordered_map<std::string_view, std::vector<const json::object*>> floating_ips_;
};

}  // namespace neutron
