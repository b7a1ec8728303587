#include "render/iptables/context.h"

#include "base/check.h"

namespace render::iptables {
namespace {

Action allow(AllowAction action) { return action == AllowAction::kAccept ? Action(Accept{}) : Action(Return{}); }

}  // namespace

std::string_view to_string(Table table) {
  switch (table) {
    case Table::kRaw: return "raw";
    case Table::kMangle: return "mangle";
    case Table::kNat: return "nat";
    case Table::kFilter: return "filter";
  }
  CHECK(false);
}

Action Context::filter_allow() const { return allow(settings.filter_allow); }
Action Context::mangle_allow() const { return allow(settings.mangle_allow); }
Action Context::deny(Table table) const {
  return settings.deny == DenyAction::kReject && table == Table::kFilter ? Action(Reject{}) : Action(Drop{});
}

}  // namespace render::iptables
