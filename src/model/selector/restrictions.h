// restrictions.h: what a selector demands of single labels (spec felix-agent §3.6): necessary, not sufficient,
// conditions from which an index finds candidates without evaluating everything.
#pragma once

#include <vector>

#include "base/symbol.h"
#include "model/selector.h"
#include "model/selector/tree.h"

namespace model::selector {

struct Restrictions {
  std::vector<LabelRestriction> labels;  // sorted by name id; empty if impossible
  bool impossible = false;               // nothing can fulfil them
};

Restrictions derive_restrictions(const Tree& tree, base::Interner& interner);

}  // namespace model::selector
