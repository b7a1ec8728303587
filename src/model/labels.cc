#include "model/labels.h"

#include <algorithm>
#include <utility>

namespace model {

namespace {

bool by_id(Label a, Label b) { return a.name.id() < b.name.id(); }

// Stable, and without taking memory for the few labels that an endpoint has.
void sort_by_id(Labels& labels) {
  constexpr std::size_t kFew = 32;
  if (labels.size() > kFew) {
    std::vector<std::pair<Label, std::size_t>> numbered;
    for (const Label& label : labels) numbered.emplace_back(label, numbered.size());
    std::sort(numbered.begin(), numbered.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first.name.id(), a.second) < std::pair(b.first.name.id(), b.second);
    });
    std::transform(numbered.begin(), numbered.end(), labels.begin(), [](const auto& entry) { return entry.first; });
    return;
  }
  for (auto next = labels.begin(); next != labels.end(); ++next) {
    std::rotate(std::upper_bound(labels.begin(), next, *next, by_id), next, next + 1);
  }
}

}  // namespace

void normalise(Labels& labels) {
  sort_by_id(labels);
  // Of a run of equal names the last is kept, so the run is walked from its end.
  const auto kept = std::unique(labels.rbegin(), labels.rend(), [](Label a, Label b) { return a.name == b.name; });
  labels.erase(labels.begin(), kept.base());
}

Labels inherit(std::span<const Label> own, std::span<const std::span<const Label>> parents) {
  Labels effective(own.begin(), own.end());
  for (const std::span<const Label> parent : parents) {
    // Names within one parent are distinct, so only what was there before it can be in the way.
    const std::size_t before = effective.size();
    for (const Label& label : parent) {
      if (find_label(std::span(effective).first(before), label.name) == nullptr) effective.push_back(label);
    }
  }
  sort_by_id(effective);
  return effective;
}

}  // namespace model
