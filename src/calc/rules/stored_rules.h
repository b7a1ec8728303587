// stored_rules.h: how the rules of policies and profiles wait until this host needs them. Most of a cloud's policies
// never become active here, and a model::Rule is half a kilobyte of mostly empty fields, so they are kept as a few
// bytes each.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
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
  struct Layout {  // of what comes before the rules in bytes_
    std::uint32_t selectors = 0;
    std::uint32_t ingress_bytes = 0;
  };
  Layout layout() const;
  std::span<const model::Selector> selectors() const { return {selectors_.get(), layout().selectors}; }

  CompactArray<char> bytes_;                     // layout, ingress rules, egress rules; empty if there are no rules
  std::unique_ptr<model::Selector[]> selectors_;  // each once; the bytes refer to them by position
};

}  // namespace calc
