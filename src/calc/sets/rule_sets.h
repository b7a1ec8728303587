// rule_sets.h: the references that one active policy or profile holds on IP sets.
#pragma once

#include <vector>

#include "calc/containers/compact_array.h"
#include "calc/sets/set_index.h"

namespace calc {

class RuleSets {
 public:
  // New references are taken before old ones are given back, so a set used before and after stays.
  void replace(SetIndex& index, const std::vector<SetSpec>& specs) {
    std::vector<SetRef> refs;
    refs.reserve(specs.size());
    for (const SetSpec& spec : specs) refs.push_back(index.acquire(spec));
    for (const SetRef ref : refs_.items()) index.release(ref);
    refs_ = CompactArray<SetRef>(refs);
  }
  void clear(SetIndex& index) { replace(index, {}); }

 private:
  CompactArray<SetRef> refs_;
};

}  // namespace calc
