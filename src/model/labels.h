// labels.h: label sets as the label index and selectors see them.
#pragma once

#include <span>
#include <vector>

#include "base/symbol.h"

namespace model {

using base::Symbol;

struct Label {
  Symbol name;
  Symbol value;
  friend bool operator==(const Label&, const Label&) = default;
};

// Sorted by name.id(), one entry per name. The order is that of an index, not of output: sort by text before printing.
using Labels = std::vector<Label>;

// Null if absent. Linear: label sets have about ten entries, and comparing symbols is comparing pointers.
inline const Label* find_label(std::span<const Label> labels, Symbol name) {
  for (const Label& label : labels) {
    if (label.name == name) return &label;
  }
  return nullptr;
}

// Sorts and keeps the last entry per name, as a JSON object with repeated members would be read.
void normalise(Labels& labels);

// The endpoint's own labels, then each parent's in list order where the name is still free (spec datamodel §5.3).
Labels inherit(std::span<const Label> own, std::span<const std::span<const Label>> parents);

}  // namespace model
