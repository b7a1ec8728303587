// condition.h: what a rule side or a policy demands of labels: one selector, and perhaps a second one that must not
// match. Joining the two is text and evaluation only, so the calculation never parses a selector and needs no interner.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "model/labels.h"
#include "model/selector.h"

namespace calc {

struct Condition {
  model::Selector selector;
  std::optional<model::Selector> except;

  bool matches(std::span<const model::Label> labels) const {
    return selector.matches(labels) && !(except && except->matches(labels));
  }
  // The canonical text of "(selector) && (!(except))", spec datamodel §5.4 and §5.9.
  std::string canonical() const {
    return except ? "(" + selector.canonical() + " && !" + except->canonical() + ")" : selector.canonical();
  }
  // "s:…", spec datamodel §5.5.
  std::string unique_id() const { return except ? model::hashed_id("s:", canonical()) : selector.unique_id(); }
};

}  // namespace calc
