// stored_rules.h: how the rules of policies and profiles wait until this host needs them. Most of a cloud's policies
// never become active here, and a model::Rule is half a kilobyte of mostly empty fields, so they are kept as a few
// bytes each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "calc/containers/compact_array.h"
#include "model/policy.h"

namespace calc {

// Immutable. Rules read back are equal to those put in.
class StoredRules {
 public:
  StoredRules() = default;
  StoredRules(const std::vector<model::Rule>& ingress, const std::vector<model::Rule>& egress);

  std::vector<model::Rule> ingress() const;
  std::vector<model::Rule> egress() const;

  friend bool operator==(const StoredRules& a, const StoredRules& b);

 private:
  struct Body {
    CompactArray<char> ingress;
    CompactArray<char> egress;
    std::vector<model::Selector> selectors;  // each once; the bytes refer to them by position
  };
  std::unique_ptr<const Body> body_;  // null if there are no rules
};

}  // namespace calc
