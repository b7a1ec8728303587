// set_spec.h: what an IP set is made of, as the rule scanner asks for it.
#pragma once

#include <cstdint>

#include "calc/labels/condition.h"
#include "calc/output.h"

namespace calc {

struct SetSpec {
  SetId id;
  Condition condition;
  // For SetType::kIpPort: the port's name, and its protocol or 0 for any.
  Symbol port_name;
  std::uint8_t port_protocol = 0;
  SetType type() const { return port_name.empty() ? SetType::kNet : SetType::kIpPort; }
};

SetSpec selector_set(Condition condition);
SetSpec named_port_set(Condition condition, Symbol port_name, std::uint8_t port_protocol);

}  // namespace calc
