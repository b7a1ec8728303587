#include "neutron/mirror.h"

#include <algorithm>
#include <utility>

namespace neutron {

void Mirror::start(Events events) {
  events_ = std::move(events);
  const Region& region = context_.region;
  subscription_ =
      context_.store.subscribe({region.endpoint_prefix(), region.policy_prefix(), region.network_set_prefix(),
                                region.live_migration_prefix(), region.subnet_prefix(), region.election_key(),
                                std::string(kClusterInformationKey), std::string(kFelixConfigurationKey)},
                               context_.loop, [this](store::StoreEvent event) { handle(std::move(event)); });
}

void Mirror::note(store::Revision revision) { reached_ = std::max(reached_, revision); }

store::Revision Mirror::shows(Kind kind) const {
  const auto changed = changed_.find(kind);
  return changed == changed_.end() ? snapshot_ : changed->second;
}

const Mirror::Entry* Mirror::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<std::string> Mirror::keys_of(const ObjectId& object) const {
  const Region& region = context_.region;
  std::string key;
  switch (object.kind) {
    case Kind::kPort: {
      const auto found = port_keys_.find(object.id);
      return found == port_keys_.end() ? std::vector<std::string>() : found->second;
    }
    case Kind::kSecurityGroup: key = region.policy_key(object.id); break;
    case Kind::kAddressGroup: key = region.network_set_key(object.id); break;
    case Kind::kSubnet: key = region.subnet_prefix() + object.id; break;
    case Kind::kNetwork: return {};
  }
  if (!entries_.contains(key)) return {};
  return {std::move(key)};
}

void Mirror::each(std::string_view prefix,
                  const std::function<void(const std::string& key, const Entry& entry)>& visit) const {
  for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at) {
    visit(at->first, at->second);
  }
}

void Mirror::handle(store::StoreEvent event) {
  if (const auto* start = std::get_if<store::SnapshotStart>(&event)) {
    entries_.clear();
    port_keys_.clear();
    changed_.clear();
    snapshot_ = start->revision;
    loading_ = true;
    reached_ = start->revision;  // also when etcd was restored from a backup, and is younger than we thought
  } else if (auto* page = std::get_if<store::SnapshotPage>(&event)) {
    for (auto& item : page->items) put(std::move(item));
  } else if (std::get_if<store::SnapshotDone>(&event) != nullptr) {
    loading_ = false;
    ready_ = true;
    if (events_.loaded) events_.loaded();
  } else if (const auto* delta = std::get_if<store::Delta>(&event)) {
    note(delta->to);
    for (const auto& change : delta->changes) take(change);
    // When all of it is in: an endpoint that moves is never seen to be nowhere.
    for (const auto& change : delta->changes) {
      if (events_.changed) events_.changed(change.item.key);
    }
  } else if (const auto* state = std::get_if<store::ConnectionState>(&event)) {
    connection(*state);
  }
}

void Mirror::take(const store::Change& change) {
  const std::string& key = change.item.key;
  if (const auto owner = context_.region.owner(key)) {
    const auto at = changed_.try_emplace(owner->kind, snapshot_).first;
    at->second = std::max(at->second, change.item.mod_revision);
  }
  if (change.removed)
    erase(key);
  else
    put(change.item);
}

void Mirror::put(store::KeyValue item) {
  const auto [at, added] =
      entries_.insert_or_assign(std::move(item.key), Entry{std::move(item.value), item.mod_revision});
  if (!added) return;
  if (auto owner = context_.region.owner(at->first); owner && owner->kind == Kind::kPort) {
    port_keys_[std::move(owner->id)].push_back(at->first);
  }
}

void Mirror::erase(const std::string& key) {
  if (entries_.erase(key) == 0) return;
  const auto owner = context_.region.owner(key);
  if (!owner || owner->kind != Kind::kPort) return;
  const auto found = port_keys_.find(owner->id);
  if (found == port_keys_.end()) return;
  std::erase(found->second, key);
  if (found->second.empty()) port_keys_.erase(found);
}

void Mirror::connection(const store::ConnectionState& state) {
  connected_ = state.connected;
  peer_ = state.peer;
  problem_ = state.error ? state.error->text() : "";
  if (events_.connection) events_.connection(connected_);
}

}  // namespace neutron
