#include "kernel/set_changes.h"

#include <set>

namespace kernel {
namespace {

std::vector<reconcile::IpSetMember> members_of(const std::vector<calc::SetMember>& members) {
  std::vector<reconcile::IpSetMember> out;
  out.reserve(members.size());
  for (const calc::SetMember& member : members) {
    out.push_back({.prefix = member.prefix, .protocol = member.protocol, .port = member.port});
  }
  return out;
}

reconcile::IpSetType type_of(render::SetKind kind) {
  switch (kind) {
    case render::SetKind::kNet: return reconcile::IpSetType::kHashNet;
    case render::SetKind::kIp: return reconcile::IpSetType::kHashIp;
    case render::SetKind::kIpPort: return reconcile::IpSetType::kHashIpPort;
  }
  return reconcile::IpSetType::kHashNet;
}

}  // namespace

void take_set_changes(IpSetSyncer& syncer, const render::SetChanges& changes, std::uint32_t max_elements) {
  std::set<std::string> created;
  for (const auto& [name, content] : changes.created) {
    syncer.want(name, {.type = type_of(content.kind), .max_elements = max_elements}, members_of(content.members));
    created.insert(name);
  }
  for (const auto& [name, delta] : changes.changed) {
    if (syncer.wanted(name)) syncer.change_members(name, members_of(delta.added), members_of(delta.removed));
  }
  for (const std::string& name : changes.removed) syncer.unwant(name);
  if (!changes.complete) return;
  for (const std::string& name : syncer.wanted_names()) {
    if (!created.contains(name)) syncer.unwant(name);
  }
}

}  // namespace kernel
