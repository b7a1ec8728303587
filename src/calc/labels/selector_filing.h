// selector_filing.h: which selectors can a given label set possibly match? Each selector is filed under one label it
// demands (spec felix-agent §3.6), so that a changed endpoint looks at a few selectors and not at ten thousand.
#pragma once

#include <cstdint>
#include <span>

#include <boost/unordered/unordered_flat_map.hpp>

#include "calc/containers/id_set.h"
#include "calc/labels/condition.h"

namespace calc {

using SelectorId = std::uint32_t;

class SelectorFiling {
 public:
  // Where a selector was filed; needed to take it out again.
  struct Place {
    enum class Kind : std::uint8_t { kNowhere, kAnywhere, kPresent, kValues };
    Kind kind = Kind::kNowhere;
    model::Symbol name;
  };

  Place add(SelectorId id, const Condition& condition);
  void remove(SelectorId id, const Condition& condition, const Place& place);

  // Calls visit(id) once for every selector that the labels could match, and for some that they do not.
  template <typename Visitor>
  void for_each_candidate(std::span<const model::Label> labels, Visitor visit) const {
    anywhere_.for_each(visit);
    for (const model::Label& label : labels) {
      const auto drawer = by_name_.find(label.name);
      if (drawer == by_name_.end()) continue;
      drawer->second.present.for_each(visit);
      const auto valued = drawer->second.by_value.find(label.value);
      if (valued != drawer->second.by_value.end()) valued->second.for_each(visit);
    }
  }

 private:
  struct Drawer {
    IdSet present;
    boost::unordered_flat_map<model::Symbol, IdSet, std::hash<model::Symbol>> by_value;
    bool empty() const { return present.empty() && by_value.empty(); }
  };

  Place choose(const Condition& condition) const;

  IdSet anywhere_;
  boost::unordered_flat_map<model::Symbol, Drawer, std::hash<model::Symbol>> by_name_;
};

}  // namespace calc
