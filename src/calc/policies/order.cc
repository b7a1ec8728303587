#include "calc/policies/order.h"

#include <algorithm>
#include <limits>
#include <string>

namespace calc {
namespace {

double sortable(std::optional<double> order) { return order.value_or(std::numeric_limits<double>::infinity()); }

std::string tie_text(const model::PolicyKey& key) {
  std::string text(key.name.view());
  text.append("/").append(key.ns.view()).append("/").append(model::to_string(key.kind));
  return text;
}

}  // namespace

bool TierTable::put(Symbol name, const model::Tier& tier) {
  const auto [known, is_new] = tiers_.try_emplace(name, Entry{tier, generation_});
  known->second.generation = generation_;
  if (!is_new && known->second.tier == tier) return false;
  known->second.tier = tier;
  return true;
}

bool TierTable::erase(Symbol name) { return tiers_.erase(name) > 0; }

model::TierAction TierTable::default_action(Symbol name) const {
  const auto known = tiers_.find(name);
  return known == tiers_.end() ? model::TierAction::kDeny : known->second.tier.default_action;
}

bool TierTable::before(Symbol a, Symbol b) const {
  if (a == b) return false;
  const auto found_a = tiers_.find(a);
  const auto found_b = tiers_.find(b);
  const bool has_a = found_a != tiers_.end();
  const bool has_b = found_b != tiers_.end();
  if (has_a != has_b) return has_a;
  if (has_a) {
    const double order_a = sortable(found_a->second.tier.order);
    const double order_b = sortable(found_b->second.tier.order);
    if (order_a != order_b) return order_a < order_b;
  }
  return a < b;
}

void TierTable::keep(Symbol name) {
  if (const auto known = tiers_.find(name); known != tiers_.end()) known->second.generation = generation_;
}

std::vector<Symbol> TierTable::stale() const {
  std::vector<Symbol> names;
  for (const auto& [name, entry] : tiers_) {
    if (entry.generation != generation_) names.push_back(name);
  }
  return names;
}

bool policy_before(std::optional<double> order_a, const model::PolicyKey& a, std::optional<double> order_b,
                   const model::PolicyKey& b) {
  const double first = sortable(order_a);
  const double second = sortable(order_b);
  if (first != second) return first < second;
  // The texts are only needed where the name alone does not decide: names contain no '/', but may contain characters
  // before it.
  const std::string_view name_a = a.name.view();
  const std::string_view name_b = b.name.view();
  if (!name_a.starts_with(name_b) && !name_b.starts_with(name_a)) return name_a < name_b;
  return tie_text(a) < tie_text(b);
}

}  // namespace calc
