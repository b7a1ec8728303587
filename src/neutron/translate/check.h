// check.h: what the API must refuse, because it would be ignored or come out wider than asked (spec openstack §3.11,
// design §5). Pure.
//
// An update is refused only for what it changes: a port that has had an unsupported attribute all along can still be
// renamed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "neutron/translate/json.h"
#include "neutron/translate/port.h"

namespace neutron {

struct Refusal {
  std::string attribute;
  std::string message;
};

struct CheckRequest {
  std::string_view operation;  // create, update, delete
  std::string_view kind;       // port, network, subnet, security_group, security_group_rule, …
  const json::object& object;
  const json::object* original = nullptr;  // update
};

std::optional<Refusal> check_request(const CheckRequest& request, const PortSettings& settings);

}  // namespace neutron
