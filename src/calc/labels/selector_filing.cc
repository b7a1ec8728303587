// Any label that a selector demands would do to file it under. The best one is where the fewest selectors lie already:
// with ten thousand selectors `alpha == "beta" && has(set-N)`, the first label would put them all in one heap, the
// second one each.
#include "calc/labels/selector_filing.h"

#include <algorithm>

#include "base/check.h"

namespace calc {
namespace {

std::span<const model::Symbol> values_for(const Condition& condition, model::Symbol name) {
  for (const model::LabelRestriction& restriction : condition.selector.restrictions()) {
    if (restriction.name() == name && restriction.has_values()) return restriction.values();
  }
  base::check_failed("a selector filed by value restricts that label's values", __FILE__, __LINE__);
}

}  // namespace

SelectorFiling::Place SelectorFiling::choose(const Condition& condition) const {
  if (condition.selector.is_impossible()) return {Place::Kind::kNowhere, {}};
  Place best{Place::Kind::kAnywhere, {}};
  std::size_t least = SIZE_MAX;
  const auto offer = [&](Place::Kind kind, model::Symbol name, std::size_t lying_there) {
    if (lying_there >= least) return;
    least = lying_there;
    best = {kind, name};
  };
  for (const model::LabelRestriction& restriction : condition.selector.restrictions()) {
    const auto drawer = by_name_.find(restriction.name());
    if (restriction.has_values()) {
      std::size_t fullest = 0;
      if (drawer != by_name_.end()) {
        for (const model::Symbol value : restriction.values()) {
          const auto valued = drawer->second.by_value.find(value);
          if (valued != drawer->second.by_value.end()) fullest = std::max(fullest, valued->second.size());
        }
      }
      offer(Place::Kind::kValues, restriction.name(), fullest);
    }
    if (restriction.must_be_present()) {
      // Every holder of the label looks here whatever its value, so at equal size a value is the better place.
      offer(Place::Kind::kPresent, restriction.name(),
            drawer == by_name_.end() ? 1 : drawer->second.present.size() + 1);
    }
  }
  return best;
}

SelectorFiling::Place SelectorFiling::add(SelectorId id, const Condition& condition) {
  const Place place = choose(condition);
  switch (place.kind) {
    case Place::Kind::kNowhere: break;
    case Place::Kind::kAnywhere: anywhere_.insert(id); break;
    case Place::Kind::kPresent: by_name_[place.name].present.insert(id); break;
    case Place::Kind::kValues: {
      Drawer& drawer = by_name_[place.name];
      for (const model::Symbol value : values_for(condition, place.name)) drawer.by_value[value].insert(id);
      break;
    }
  }
  return place;
}

void SelectorFiling::remove(SelectorId id, const Condition& condition, const Place& place) {
  if (place.kind == Place::Kind::kNowhere) return;
  if (place.kind == Place::Kind::kAnywhere) {
    anywhere_.erase(id);
    return;
  }
  const auto found = by_name_.find(place.name);
  CHECK(found != by_name_.end());
  Drawer& drawer = found->second;
  if (place.kind == Place::Kind::kPresent) {
    drawer.present.erase(id);
  } else {
    for (const model::Symbol value : values_for(condition, place.name)) {
      const auto valued = drawer.by_value.find(value);
      if (valued == drawer.by_value.end()) continue;
      valued->second.erase(id);
      if (valued->second.empty()) drawer.by_value.erase(valued);
    }
  }
  if (drawer.empty()) by_name_.erase(found);
}

}  // namespace calc
