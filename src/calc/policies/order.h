// order.h: in which order tiers and policies are looked at (spec datamodel §6.5–6.6).
#pragma once

#include <optional>

#include <boost/unordered/unordered_flat_map.hpp>

#include "model/policy.h"
#include "model/update.h"

namespace calc {

using model::Symbol;

// Policies may name a tier that has no Tier object; it counts as one without order and with default action Deny, after
// all others. That is normal on OpenStack, where nobody creates tier "default". A deleted tier becomes such a one: its
// former default action is not remembered (the original remembers it until it restarts), because what a host does must
// follow from the datastore's content alone, and Deny is the safe reading.
class TierTable {
 public:
  // True if something changed.
  bool put(Symbol name, const model::Tier& tier);
  bool erase(Symbol name);

  model::TierAction default_action(Symbol name) const;
  // Present tiers first, by order (unset last), then by name.
  bool before(Symbol a, Symbol b) const;

  std::size_t count() const { return tiers_.size(); }

  void begin_resync() { ++generation_; }
  void keep(Symbol name);  // counts as put
  std::vector<Symbol> stale() const;

 private:
  struct Entry {
    model::Tier tier;
    std::uint8_t generation = 0;
  };
  boost::unordered_flat_map<Symbol, Entry, std::hash<Symbol>> tiers_;
  std::uint8_t generation_ = 0;
};

// Within one tier: by order (unset last), then by the text "name/namespace/kind".
bool policy_before(std::optional<double> order_a, const model::PolicyKey& a, std::optional<double> order_b,
                   const model::PolicyKey& b);

}  // namespace calc
