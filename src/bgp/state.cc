#include "bgp/state.h"

#include <type_traits>

#include <boost/json.hpp>

namespace bgp {
namespace {

// Stores or erases; true if that made a difference.
template <typename K, typename V>
bool assign(std::map<K, V>& map, const K& key, std::optional<V> value) {
  const auto found = map.find(key);
  if (!value) {
    if (found == map.end()) return false;
    map.erase(found);
    return true;
  }
  if (found != map.end() && found->second == *value) return false;
  map.insert_or_assign(key, std::move(*value));
  return true;
}

}  // namespace

State::State(Settings settings) { inputs_.settings = std::move(settings); }

bool State::apply(const model::Update& update) {
  return std::visit(
      [this](const auto& change) {
        using Change = std::decay_t<decltype(change)>;
        if constexpr (std::is_same_v<Change, model::NodeChange> || std::is_same_v<Change, model::IpPoolChange> ||
                      std::is_same_v<Change, model::DocumentChange>) {
          return absorb(change);
        } else {
          return false;
        }
      },
      update);
}

bool State::absorb(const model::NodeChange& change) {
  std::optional<model::Node> node = change.value;
  if (node) node->labels.clear();  // symbols of the decoder's thread; selectors read the texts
  return assign(inputs_.nodes, std::string(change.key.name.view()), std::move(node));
}

bool State::absorb(const model::IpPoolChange& change) { return assign(inputs_.pools, change.key.name, change.value); }

bool State::absorb(const model::DocumentChange& change) {
  const bool configuration = change.key.kind == model::DocumentKind::kBgpConfiguration;
  if (!configuration && change.key.kind != model::DocumentKind::kBgpPeer) return false;
  Diagnostics found;
  bool changed = false;
  const bool present = change.value && *change.value != nullptr;
  if (configuration) {
    std::optional<Configuration> value;
    if (present) value = parse_configuration(change.key.name, **change.value, found);
    changed = assign(inputs_.configurations, change.key.name, std::move(value));
  } else {
    std::optional<Peer> value;
    if (present) value = parse_peer(change.key.name, **change.value, found);
    changed = assign(inputs_.peers, change.key.name, std::move(value));
  }
  if (found.empty())
    diagnostics_.erase(change.key);
  else
    diagnostics_[change.key] = std::move(found);
  return changed;
}

void State::clear() {
  inputs_.nodes.clear();
  inputs_.configurations.clear();
  inputs_.peers.clear();
  inputs_.pools.clear();
  diagnostics_.clear();
}

std::set<SecretRef> State::referenced_secrets() const {
  std::set<SecretRef> refs;
  for (const auto& [name, configuration] : inputs_.configurations) {
    if (configuration.mesh_password) refs.insert(*configuration.mesh_password);
  }
  for (const auto& [name, peer] : inputs_.peers) {
    if (peer.password) refs.insert(*peer.password);
  }
  return refs;
}

bool State::set_secrets(std::map<SecretRef, std::string> secrets) {
  if (secrets == inputs_.secrets) return false;
  inputs_.secrets = std::move(secrets);
  return true;
}

Diagnostics State::diagnostics() const {
  Diagnostics all;
  for (const auto& [key, list] : diagnostics_) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace bgp
