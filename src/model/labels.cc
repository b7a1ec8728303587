#include "model/labels.h"

#include <algorithm>

namespace model {

void normalise(Labels& labels) {
  std::stable_sort(labels.begin(), labels.end(), [](Label a, Label b) { return a.name.id() < b.name.id(); });
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
  std::sort(effective.begin(), effective.end(), [](Label a, Label b) { return a.name.id() < b.name.id(); });
  return effective;
}

}  // namespace model
