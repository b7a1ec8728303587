// node_selector.h: selectors over Node labels, for selector-scoped FelixConfigurations.
#pragma once

#include "config/resources.h"

namespace agent {

// Keeps its own names; may be copied, belongs to one thread.
config::SelectorPredicate node_selector_predicate();

}  // namespace agent
