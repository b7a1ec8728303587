#include "agent/node_selector.h"

#include <memory>

#include "base/symbol.h"
#include "model/labels.h"
#include "model/selector.h"

namespace agent {

config::SelectorPredicate node_selector_predicate() {
  return [names = std::make_shared<base::Interner>()](
             std::string_view text, const std::map<std::string, std::string>& labels) -> base::Result<bool> {
    auto selector = model::Selector::parse(text, *names);
    if (!selector) return base::fail(std::move(selector).error());
    model::Labels set;
    for (const auto& [name, value] : labels) set.push_back({names->intern(name), names->intern(value)});
    model::normalise(set);
    return selector->matches(set);
  };
}

}  // namespace agent
