// restrictions.h: what a selector demands of single labels (spec felix-agent §3.6): necessary, not sufficient,
// conditions from which an index finds candidates without evaluating everything.
#pragma once

#include <optional>
#include <vector>

#include "base/symbol.h"
#include "model/labels.h"
#include "model/selector/tree.h"

namespace model::selector {

// LabelRestriction, while it is being derived.
struct Restriction {
  Symbol name;
  bool must_be_present = false;
  bool must_be_absent = false;
  std::optional<std::vector<Symbol>> values;
};

struct Restrictions {
  std::vector<Restriction> labels;  // sorted by name id; empty if impossible
  bool impossible = false;          // nothing can fulfil them
};

Restrictions derive_restrictions(const Tree& tree, base::Interner& interner);

}  // namespace model::selector
