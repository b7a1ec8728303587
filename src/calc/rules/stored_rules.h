// stored_rules.h: how the rules of policies and profiles wait until this host needs them. Most of a cloud's policies
// never become active here, and a model::Rule is half a kilobyte of mostly empty fields, so they are kept as a few
// bytes each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/policy.h"

namespace calc {

// Immutable, one block of memory and the size of a pointer to it. Rules read back are equal to those put in.
class StoredRules {
 public:
  StoredRules() = default;  // no rules
  StoredRules(const std::vector<model::Rule>& ingress, const std::vector<model::Rule>& egress);

  struct Lists {
    std::vector<model::Rule> ingress;
    std::vector<model::Rule> egress;
  };
  Lists read() const;

  friend bool operator==(const StoredRules& a, const StoredRules& b);

 private:
  struct Block;
  struct Free {
    void operator()(Block* block) const;
  };

  std::unique_ptr<Block, Free> block_;  // null if there are no rules
};

}  // namespace calc
