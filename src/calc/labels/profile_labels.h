// profile_labels.h: the labels that endpoints inherit from profiles. One table for all label indexes.
#pragma once

#include <span>

#include <boost/unordered/unordered_flat_map.hpp>

#include "calc/containers/compact_array.h"
#include "model/labels.h"

namespace calc {

class ProfileLabels {
 public:
  // Empty for an unknown profile: a missing profile gives no labels.
  std::span<const model::Label> of(model::Symbol profile) const {
    const auto known = labels_.find(profile);
    return known == labels_.end() ? std::span<const model::Label>() : known->second.items();
  }

  void set(model::Symbol profile, std::span<const model::Label> labels) {
    if (labels.empty()) {
      labels_.erase(profile);
    } else {
      labels_.insert_or_assign(profile, CompactArray<model::Label>(labels));
    }
  }

 private:
  boost::unordered_flat_map<model::Symbol, CompactArray<model::Label>, std::hash<model::Symbol>> labels_;
};

}  // namespace calc
