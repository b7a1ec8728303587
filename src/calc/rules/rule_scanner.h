// rule_scanner.h: turns the selectors and named ports of rules into IP sets (spec felix-agent §3.5).
#pragma once

#include <vector>

#include "calc/output.h"
#include "calc/sets/set_spec.h"
#include "model/policy.h"

namespace calc {

// Appends the sets that the rule uses to `needed`, once per use. Pure.
Rule scan_rule(const model::Rule& rule, std::vector<SetSpec>& needed);
std::vector<Rule> scan_rules(const std::vector<model::Rule>& rules, std::vector<SetSpec>& needed);

}  // namespace calc
