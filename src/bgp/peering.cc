// How one BGPPeer becomes sessions.
//
// Each resource describes an edge set between "local" nodes (node, nodeSelector, or all) and "remote" ends (an address,
// or the nodes a peerSelector matches). Three passes over all resources, by name, collect the edges that touch this
// node:
//   1. resources for every node,
//   2. resources for this node in particular,
//   3. the mirror of either, when this node is a remote end: both ends need the session in their configuration.
// The first edge to an address and port wins, so an explicit peering is never replaced by an implied mirror.
// The mesh comes last and gives way to any explicit session with the same address and port: BIRD would run only one of
// the two, and the other would hold back a graceful-restart recovery for its whole wait.
#include "bgp/peering.h"

#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "base/strings.h"
#include "base/symbol.h"
#include "model/selector.h"

namespace bgp {
namespace {

using base::Family;
using base::IpAddress;

constexpr std::uint16_t kBgpPort = 179;
constexpr std::size_t kMaxPasswordBytes = 80;

// BIRD refuses a file with such a neighbour, and with it every other session.
bool is_usable_address(const IpAddress& address) {
  const std::uint8_t* b = address.bytes();
  if (address.is_v4()) return b[0] != 0 && b[0] != 127 && b[0] < 224;
  const bool link_local = b[0] == 0xFE && (b[1] & 0xC0) == 0x80;
  const bool zero_or_loopback = std::all_of(b, b + 15, [](std::uint8_t byte) { return byte == 0; }) && b[15] <= 1;
  return !link_local && !zero_or_loopback && b[0] != 0xFF;
}

const Configuration* find_configuration(const Inputs& inputs, const std::string& name) {
  const auto found = inputs.configurations.find(name);
  return found == inputs.configurations.end() ? nullptr : &found->second;
}

const Configuration& global_configuration(const Inputs& inputs) {
  static const Configuration kUnset;
  const Configuration* found = find_configuration(inputs, "default");
  return found != nullptr ? *found : kUnset;
}

std::optional<std::uint16_t> node_port(const Inputs& inputs, const std::string& node) {
  const Configuration* own = find_configuration(inputs, "node." + node);
  return own != nullptr ? own->listen_port : std::nullopt;
}

AsNumber global_as(const Inputs& inputs) { return global_configuration(inputs).as_number.value_or(kDefaultAs); }

AsNumber node_as(const Inputs& inputs, const model::Node& node) {
  return node.as_number && *node.as_number != 0 ? *node.as_number : global_as(inputs);
}

std::optional<base::Prefix> usable(const std::optional<base::Prefix>& address) {
  return address && is_usable_address(address->address) ? address : std::nullopt;
}

const std::optional<base::Prefix>& node_address(const model::Node& node, Family family) {
  return family == Family::kIpv4 ? node.bgp_ipv4 : node.bgp_ipv6;
}

std::string protocol_name(PeeringKind kind, const IpAddress& address, std::optional<std::uint16_t> port) {
  std::string name = kind == PeeringKind::kMesh ? "Mesh_" : kind == PeeringKind::kGlobal ? "Global_" : "Node_";
  for (const char c : base::to_string(address)) name += c == '.' || c == ':' ? '_' : c;
  if (port && kind != PeeringKind::kMesh) name += fmt::format("_port_{}", *port);
  return name;
}

// Which nodes a selector chooses. Node labels are few and change rarely, so each selector is evaluated on the spot.
class NodeSelection {
 public:
  explicit NodeSelection(const Inputs& inputs) : inputs_(inputs) {
    for (const auto& [name, node] : inputs.nodes) {
      model::Labels labels;
      for (const auto& [label, value] : node.label_texts)
        labels.push_back({interner_.intern(label), interner_.intern(value)});
      model::normalise(labels);
      labels_[name] = std::move(labels);
    }
  }

  base::Result<std::set<std::string>> matching(const std::string& selector) {
    auto parsed = model::Selector::parse(selector, interner_);
    if (!parsed) return base::fail(std::move(parsed).error());
    std::set<std::string> names;
    for (const auto& [name, node] : inputs_.nodes) {
      if (parsed->matches(labels_.at(name))) names.insert(name);
    }
    return names;
  }

 private:
  const Inputs& inputs_;
  base::Interner interner_;
  std::map<std::string, model::Labels> labels_;
};

class Computation {
 public:
  Computation(const Inputs& inputs, Diagnostics& out)
      : inputs_(inputs), out_(out), self_(identity(inputs)), name_(inputs.settings.node_name), nodes_(inputs) {}

  std::vector<Peering> run() {
    for (const LocalPeer& peer : inputs_.settings.peers) add_local(peer);
    resolve_selectors();
    for (const auto& [name, sides] : sides_) {
      if (sides.global) add_remote_ends(name, PeeringKind::kGlobal);
    }
    for (const auto& [name, sides] : sides_) {
      if (!sides.global && sides.local.contains(name_)) add_remote_ends(name, PeeringKind::kNode);
    }
    for (const auto& [name, sides] : sides_) {
      if (inputs_.peers.at(name).reverse_peering) add_mirror(name, sides);
    }
    add_mesh();
    for (const Family family : both()) decide_classes(family);
    std::ranges::sort(found_, {}, &Peering::protocol);
    return std::move(found_);
  }

 private:
  // Both ends of one BGPPeer as sets of node names.
  struct Sides {
    bool global = false;
    std::set<std::string> local;   // meaningless if global
    std::set<std::string> remote;  // of a peerSelector
  };

  void report(const std::string& object, std::string_view field, std::string text) {
    out_.push_back({object, std::string(field), std::move(text)});
  }

  void resolve_selectors() {
    for (const auto& [name, peer] : inputs_.peers) {
      Sides sides;
      sides.global = peer.node.empty() && peer.node_selector.empty();
      if (!peer.node.empty()) sides.local.insert(peer.node);
      const bool good = select(name, "spec.nodeSelector", peer.node_selector, sides.local) &&
                        select(name, "spec.peerSelector", peer.peer_selector, sides.remote);
      if (good) sides_.emplace(name, std::move(sides));
    }
  }

  bool select(const std::string& name, std::string_view field, const std::string& selector,
              std::set<std::string>& into) {
    if (selector.empty()) return true;
    auto matching = nodes_.matching(selector);
    if (!matching) {
      report(fmt::format("BGPPeer({})", name), field,
             fmt::format("{}; the peering is left out until the selector is corrected", matching.error().text()));
      return false;
    }
    into.merge(*matching);
    return true;
  }

  void add_remote_ends(const std::string& name, PeeringKind kind) {
    const Peer& peer = inputs_.peers.at(name);
    if (peer.peer_ip) return add_address(name, peer, kind);
    for (const std::string& node : sides_.at(name).remote) add_node(name, peer, kind, node, both());
  }

  void add_mirror(const std::string& name, const Sides& sides) {
    const Peer& peer = inputs_.peers.at(name);
    const std::vector<Family> families = peer.peer_ip ? families_of_address(peer) : families_of_selection(sides);
    if (families.empty()) return;
    for (const auto& [node, unused] : inputs_.nodes) {
      if (sides.global || sides.local.contains(node)) add_node(name, peer, PeeringKind::kNode, node, families);
    }
  }

  std::vector<Family> families_of_selection(const Sides& sides) const {
    return sides.remote.contains(name_) ? both() : std::vector<Family>{};
  }

  // This node is the remote end of a peerIP if address, AS and, where given, the port are its own.
  std::vector<Family> families_of_address(const Peer& peer) const {
    const Family family = peer.peer_ip->family();
    const auto own = self_.address(family);
    if (!own || own->address != *peer.peer_ip || peer.as_number != self_.as_number) return {};
    if (peer.peer_port && *peer.peer_port != self_.listen_port.value_or(kBgpPort)) return {};
    return {family};
  }

  static std::vector<Family> both() { return {Family::kIpv4, Family::kIpv6}; }

  const std::string* node_with_address(const IpAddress& address, AsNumber as) const {
    for (const auto& [name, node] : inputs_.nodes) {
      const auto& own = node_address(node, address.family());
      if (own && own->address == address && node_as(inputs_, node) == as) return &name;
    }
    return nullptr;
  }

  void add_address(const std::string& name, const Peer& peer, PeeringKind kind) {
    Peering session = from_peer(name, peer, kind);
    session.address = *peer.peer_ip;
    session.port = peer.peer_port;
    session.as_number = *peer.as_number;
    session.local_as = peer.local_as;
    session.allowed_local_as = peer.allowed_local_as;
    const std::string* node = node_with_address(session.address, session.as_number);
    if (node != nullptr && !session.port) {
      session.port = node_port(inputs_, *node);
      if (!session.port) session.port = global_configuration(inputs_).listen_port;
    }
    // Only one end may call, or a mass restart makes collisions that defeat graceful restart; text order, as upstream.
    const auto own = self_.address(session.address.family());
    session.passive = kind == PeeringKind::kGlobal && node != nullptr && own &&
                      base::to_string(session.address) > base::to_string(own->address);
    session.calico_node = node != nullptr;
    add(std::move(session), peer, "", fmt::format("BGPPeer({})", name));
  }

  void add_node(const std::string& name, const Peer& peer, PeeringKind kind, const std::string& node_name,
                const std::vector<Family>& families) {
    const auto node = inputs_.nodes.find(node_name);
    if (node == inputs_.nodes.end()) return;
    for (const Family family : families) {
      const auto address = usable(node_address(node->second, family));
      if (!address) continue;
      Peering session = from_peer(name, peer, kind);
      session.address = address->address;
      session.port = node_port(inputs_, node_name);
      if (!session.port) session.port = global_configuration(inputs_).listen_port;
      session.as_number = node_as(inputs_, node->second);
      session.calico_node = true;
      add(std::move(session), peer, node->second.route_reflector_cluster_id, fmt::format("BGPPeer({})", name));
    }
  }

  void add_local(const LocalPeer& peer) {
    Peering session;
    session.kind = PeeringKind::kGlobal;
    session.address = peer.address;
    session.port = peer.port;
    session.as_number = peer.as_number;
    if (peer.password) session.password = secret("local peer", *peer.password);
    if (peer.as_number == 0) {
      return report("local peer", "",
                    fmt::format("{} has no AS number and is left out", base::to_string(peer.address)));
    }
    add(std::move(session), Peer{}, "", "local peer");
  }

  Peering from_peer(const std::string& name, const Peer& peer, PeeringKind kind) {
    Peering session;
    session.kind = kind;
    session.restart_time = peer.restart_time;
    session.keepalive = peer.keepalive;
    session.ttl_security = peer.ttl_security;
    session.reachable_by = peer.reachable_by;
    session.filters = peer.filters;
    if (peer.password) session.password = secret(fmt::format("BGPPeer({})", name), *peer.password);
    return session;
  }

  // A missing secret leaves the session without a password, as upstream; it comes with the next rendering.
  std::string secret(const std::string& object, const SecretRef& ref) {
    const auto found = inputs_.secrets.find(ref);
    if (found == inputs_.secrets.end()) {
      report(object, "",
             fmt::format("secret {}/{} is missing; the session is set up without a password", ref.name, ref.key));
      return "";
    }
    return found->second;
  }

  void add(Peering session, const Peer& peer, const std::string& peer_cluster_id, const std::string& origin) {
    const Family family = session.address.family();
    const auto& own = self_.address(family);
    if (!own || own->address == session.address) return;
    if (!is_usable_address(session.address)) {
      return report(
          origin, "spec.peerIP",
          fmt::format("{} cannot be a BGP neighbour; the peering is left out", base::to_string(session.address)));
    }
    if (!session.password.empty() && !is_usable_password(session.password)) {
      return report(origin, "spec.password", fmt::format("the secret {}", kBadPassword));
    }
    if (!taken_.emplace(session.address, session.port.value_or(kBgpPort)).second) return;
    session.protocol = protocol_name(session.kind, session.address, session.port);
    if (peer.source_is_node_address) session.source = own->address;
    decide_by_as(session, peer, peer_cluster_id);
    found_.push_back(std::move(session));
  }

  void decide_by_as(Peering& session, const Peer& peer, const std::string& peer_cluster_id) const {
    session.internal = session.as_number == session.local_as.value_or(self_.as_number);
    session.next_hop = peer.next_hop;
    if (peer.keep_original_next_hop && !session.internal) session.next_hop = NextHopMode::kKeep;
    session.route_reflector_client =
        session.internal && !self_.cluster_id.empty() && self_.cluster_id != peer_cluster_id;
  }

  // Whether this session's routes may leave by any other one, and any other one's by this. BIRD itself keeps routes of
  // internal sessions from internal sessions of the same AS unless a client of a route reflector is involved (RFC
  // 4456).
  bool passes_routes_on(const Peering& session) const {
    return !session.internal || session.route_reflector_client ||
           session.local_as.value_or(self_.as_number) != self_.as_number;
  }

  // A class given on entry follows pools and blocks by asking the neighbour for its routes once more (RFC 2918). A mesh
  // must not do that: each of its hosts would have to send everything to each other one.
  void decide_classes(Family family) {
    int unclassified = 0;
    int unclassified_passing = 0;
    for (Peering& session : found_) {
      if (session.address.family() != family) continue;
      const bool passing = passes_routes_on(session);
      const bool wanted = session.kind != PeeringKind::kMesh && (passing || !self_.cluster_id.empty());
      session.asks_refresh = wanted && !session.calico_node;
      session.classifies_in = wanted && (session.calico_node || inputs_.can_refresh.contains(session.protocol));
      if (session.classifies_in) continue;
      ++unclassified;
      if (passing) ++unclassified_passing;
    }
    for (Peering& session : found_) {
      if (session.address.family() != family) continue;
      const bool passing = passes_routes_on(session);
      const int itself = passing && !session.classifies_in ? 1 : 0;
      const int others = (passing ? unclassified : unclassified_passing) - itself;
      session.classifies_out = others > 0 || inputs_.local_file == LocalFile::kProtocols;
    }
  }

  void add_mesh() {
    const Configuration& global = global_configuration(inputs_);
    if (!global.mesh_enabled.value_or(true) || !self_.cluster_id.empty()) return;
    std::string password;
    if (global.mesh_password) {
      password = secret("BGPConfiguration(default)", *global.mesh_password);
      if (!password.empty() && !is_usable_password(password)) {
        return report("BGPConfiguration(default)", "spec.nodeMeshPassword", fmt::format("the secret {}", kBadPassword));
      }
    }
    for (const auto& [name, node] : inputs_.nodes) {
      if (name == name_ || !node.route_reflector_cluster_id.empty()) continue;
      for (const Family family : both()) add_mesh_session(name, node, family, password);
    }
  }

  void add_mesh_session(const std::string& name, const model::Node& node, Family family, const std::string& password) {
    const auto peer = usable(node_address(node, family));
    const auto& own = self_.address(family);
    if (!peer || !own || peer->address == own->address) return;
    Peering session;
    session.kind = PeeringKind::kMesh;
    session.address = peer->address;
    session.port = node_port(inputs_, name);
    if (!session.port) session.port = global_configuration(inputs_).listen_port;
    if (!taken_.emplace(session.address, session.port.value_or(kBgpPort)).second) return;
    session.protocol = protocol_name(session.kind, session.address, session.port);
    if (std::ranges::find(found_, session.protocol, &Peering::protocol) != found_.end()) {
      return report(fmt::format("Node({})", name), "spec.bgp",
                    fmt::format("{} is the address of another node too; only that one is in the mesh",
                                base::to_string(peer->address)));
    }
    session.as_number = node_as(inputs_, node);
    session.calico_node = true;
    session.source = own->address;
    session.password = password;
    session.restart_time = global_configuration(inputs_).mesh_restart_time;
    session.passive = base::to_string(session.address) > base::to_string(own->address);
    session.internal = session.as_number == self_.as_number;
    if (!session.internal && !own->masked().contains(session.address)) {
      report(fmt::format("Node({})", name), "spec.bgp.asNumber",
             "mesh sessions between AS numbers work within one subnet only; give these nodes a BGPPeer");
    }
    found_.push_back(std::move(session));
  }

  static constexpr std::string_view kBadPassword =
      "contains a quote or a control character or is longer than 80 bytes, which BIRD cannot take; left out";

  const Inputs& inputs_;
  Diagnostics& out_;
  Identity self_;
  std::string name_;
  NodeSelection nodes_;
  std::map<std::string, Sides> sides_;
  std::set<std::pair<IpAddress, std::uint16_t>> taken_;
  std::vector<Peering> found_;
};

}  // namespace

bool is_usable_password(std::string_view text) {
  return text.size() <= kMaxPasswordBytes &&
         std::ranges::none_of(text, [](unsigned char c) { return c == '"' || c < 0x20 || c == 0x7F; });
}

Identity identity(const Inputs& inputs) {
  Identity self;
  const Settings& settings = inputs.settings;
  self.as_number = settings.as_number.value_or(global_as(inputs));
  if (const auto node = inputs.nodes.find(settings.node_name); node != inputs.nodes.end()) {
    self.v4 = usable(node->second.bgp_ipv4);
    self.v6 = usable(node->second.bgp_ipv6);
    self.cluster_id = node->second.route_reflector_cluster_id;
    if (node->second.as_number && *node->second.as_number != 0) self.as_number = *node->second.as_number;
  }
  if (!self.v4 && !self.v6) {
    self.v4 = usable(settings.address_v4);
    self.v6 = usable(settings.address_v6);
  }
  self.listen_port = node_port(inputs, settings.node_name);
  if (!self.listen_port) self.listen_port = global_configuration(inputs).listen_port;
  return self;
}

std::vector<Peering> compute_peerings(const Inputs& inputs, Diagnostics& out) { return Computation(inputs, out).run(); }

}  // namespace bgp
