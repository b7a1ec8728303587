// security_group.h: security groups as policies, address groups as network sets (spec openstack §2.5). Pure.
//
// Agents take a policy as a whole or not at all, so one rule that they would refuse must not get in: it is left out,
// with a note, which makes the group narrower, never wider.
#pragma once

#include <string>

#include "base/result.h"
#include "neutron/translate/value.h"

namespace neutron {

struct TranslatedRule {
  bool ingress = false;
  json::object rule;
};

// Fails with the reason why the rule cannot be expressed; kInvalid.
base::Result<TranslatedRule> translate_rule(const json::object& rule);

Translation translate_security_group(const json::object& group, const Region& region);
Translation translate_address_group(const json::object& group, const Region& region);

}  // namespace neutron
