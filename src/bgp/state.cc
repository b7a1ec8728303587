#include "bgp/state.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <boost/json.hpp>

namespace bgp {

namespace json = boost::json;

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
  const json::object* const value = change.value ? change.value->get() : nullptr;
  const std::string& name = change.key.name;
  Diagnostics found;
  bool changed = false;
  switch (change.key.kind) {
    case model::DocumentKind::kBgpConfiguration: {
      std::optional<Configuration> parsed;
      if (value != nullptr) parsed = parse_configuration(name, *value, found);
      changed = assign(inputs_.configurations, name, std::move(parsed));
      break;
    }
    case model::DocumentKind::kBgpPeer: {
      std::optional<Peer> parsed;
      if (value != nullptr) parsed = parse_peer(name, *value, found);
      changed = assign(inputs_.peers, name, std::move(parsed));
      break;
    }
    case model::DocumentKind::kBgpFilter: {
      std::optional<Filter> parsed;
      if (value != nullptr) parsed = parse_filter(name, *value, found);
      changed = assign(inputs_.filters, name, std::move(parsed));
      break;
    }
    case model::DocumentKind::kBlockAffinity: return absorb_affinity(name, value);
    case model::DocumentKind::kFelixConfiguration:
    case model::DocumentKind::kClusterInformation:
    case model::DocumentKind::kNode: return false;
  }
  if (found.empty())
    diagnostics_.erase(change.key);
  else
    diagnostics_[change.key] = std::move(found);
  return changed;
}

bool State::absorb_affinity(const std::string& cidr, const json::object* value) {
  const auto block = base::parse_cidr(cidr);
  if (!block) return false;
  return assign(inputs_.blocks, *block, value != nullptr ? parse_affinity(*value) : std::nullopt);
}

bool State::set_tunnel_ready(bool ready) {
  if (ready == inputs_.tunnel_ready) return false;
  inputs_.tunnel_ready = ready;
  return needs_tunnel(inputs_);
}

bool State::set_local_file(LocalFile kind) { return std::exchange(inputs_.local_file, kind) != kind; }

bool State::set_can_refresh(std::set<std::string> protocols) {
  return std::exchange(inputs_.can_refresh, protocols) != protocols;
}

void State::clear() {
  inputs_.nodes.clear();
  inputs_.configurations.clear();
  inputs_.peers.clear();
  inputs_.pools.clear();
  inputs_.filters.clear();
  inputs_.blocks.clear();
  diagnostics_.clear();
}

bool needs_tunnel(const Inputs& inputs) {
  const auto tunnelled = [](model::EncapMode ipip, const base::Prefix& cidr) {
    return ipip != model::EncapMode::kNever && cidr.family() == base::Family::kIpv4;
  };
  for (const auto& [name, pool] : inputs.pools) {
    if (pool.vxlan == model::EncapMode::kNever && tunnelled(pool.ipip, pool.cidr)) return true;
  }
  return std::any_of(inputs.settings.tunnel_networks.begin(), inputs.settings.tunnel_networks.end(),
                     [&](const TunnelNetwork& network) { return tunnelled(network.mode, network.cidr); });
}

std::set<SecretRef> State::referenced_secrets() const {
  std::set<SecretRef> refs;
  for (const auto& [name, configuration] : inputs_.configurations) {
    if (configuration.mesh_password) refs.insert(*configuration.mesh_password);
  }
  for (const LocalPeer& peer : inputs_.settings.peers) {
    if (peer.password) refs.insert(*peer.password);
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
  Diagnostics all = inputs_.settings.problems;
  for (const auto& [key, list] : diagnostics_) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace bgp
