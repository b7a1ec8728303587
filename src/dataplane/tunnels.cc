#include "dataplane/tunnels.h"

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

namespace dataplane {
namespace {

using base::Family;

constexpr int kMostRounds = 4;  // read and edit: made, addressed, up; and one more to see that nothing is left

void merge(kernel::ApplyReport& into, kernel::ApplyReport from) {
  for (kernel::Problem& problem : from.problems) into.problems.push_back(std::move(problem));
  into.retry = into.retry || from.retry;
}

void not_before(kernel::ApplyReport& report, base::Duration delay) {
  report.retry_after = report.retry_after ? std::min(*report.retry_after, delay) : delay;
}

std::string remedy_for(bool vxlan, const base::Error& error) {
  if (error.error_number() != EOPNOTSUPP) return {};
  return vxlan
             ? "; this kernel has no VXLAN: load it with 'modprobe vxlan', or let the pools use another mode"
             : "; this kernel has no IP-in-IP: load it with 'modprobe ipip' (some cloud kernels come without), or let "
               "the pools use vxlanMode or ipipMode Never";
}

}  // namespace

Tunnels::Tunnels(TunnelSettings settings, const Parts& parts, const base::Clock& clock, base::Log& log,
                 base::MetricRegistry& metrics)
    : settings_(std::move(settings)),
      parts_(parts),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      fdb_(parts.fdb),
      route_count_(metrics.gauge("percale_cluster_routes", "Routes to other hosts' guests that the agent makes.")) {
  devices_[kIpip].name = kIpipDevice;
  devices_[kIpip].lingers = settings_.found.ipip;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Device& device = devices_[vxlan_index(family)];
    device.name = vxlan_device(family);
    device.family = family;
    device.vxlan = true;
    device.lingers = settings_.found.vxlan(family);
  }
  for (Device& device : devices_) {
    if (asked_for(device)) begin_use(device);
    device.coming = false;  // others went on sending while this agent was away
    device.addresses_due.reset();
  }
}

// --- Settings and rules

bool Tunnels::asked_for(const Device& device) const {
  if (!device.vxlan) return settings_.ipip;
  return settings_.vxlan(device.family) && (device.family == Family::kIpv4 || parts_.routes_v6 != nullptr);
}

void Tunnels::change(TunnelSettings settings) {
  settings_ = std::move(settings);
  for (Device& device : devices_) {
    const bool asked = asked_for(device);
    if (asked && !device.wanted) begin_use(device);
    if (!asked && device.wanted) end_use(device);
  }
  look_again();
  mark_all_routes();
}

void Tunnels::begin_use(Device& device) {
  device.wanted = true;
  device.coming = true;
  device.addresses_due = clock_.now() + kAddressesDue;
  device.look = true;
  device.lingers = false;
  device.retire_at.reset();
  device.state = State::kUnknown;
  device.up = metrics_.gauge("percale_tunnel_up", "1 if the tunnel device is as wanted.", {{"device", device.name}});
  if (!device.vxlan) return;
  side(device.family).others_changed = true;
  if (device.family == Family::kIpv4) return parts_.neighbours_v4.own(device.name);
  if (ndp_) return;
  ndp_.emplace(
      parts_.neighbours,
      reconcile::NeighbourOwnership{.family = Family::kIpv6, .workload_prefixes = {}, .own_interfaces = {device.name}});
  for (const auto& [name, link] : links_) ndp_->interface_present(name, link.index, link.running);
}

void Tunnels::end_use(Device& device) {
  device.wanted = false;
  device.coming = false;
  device.lingers = true;
  device.addresses_due.reset();
  device.listens_until.reset();
  device.retire_at = clock_.now() + kLinger;
  device.told.clear();
  device.up.set(1);  // none is as wanted
}

render::TunnelRules Tunnels::rules() const {
  const auto needed = [this](Index index) { return devices_[index].wanted || devices_[index].lingers; };
  return {.ipip = needed(kIpip),
          .vxlan_v4 = needed(kVxlanV4),
          .vxlan_v6 = needed(kVxlanV6),
          .ipip_address = settings_.ipip_address.has_value(),
          .vxlan_address_v4 = settings_.vxlan_address_v4.has_value(),
          .vxlan_address_v6 = settings_.vxlan_address_v6.has_value()};
}

bool Tunnels::guard(render::TunnelRules rules) {
  const auto waits = [this](const Device& device) { return device.wanted && device.look && !guarded(device); };
  const auto waiting = std::ranges::count_if(devices_, waits);
  guarded_ = rules;
  return std::ranges::count_if(devices_, waits) < waiting;
}

void Tunnels::unguard(const render::TunnelRules& but) {
  guarded_.ipip &= but.ipip;
  guarded_.vxlan_v4 &= but.vxlan_v4;
  guarded_.vxlan_v6 &= but.vxlan_v6;
}

bool Tunnels::guarded(const Device& device) const {
  return device.vxlan ? guarded_.vxlan(device.family) : guarded_.ipip;
}

// --- Inputs

void Tunnels::update(const calc::Changes& changes, bool snapshot) {
  if (snapshot) {
    destinations_.for_each([this](const base::Prefix& prefix, Destination& destination) {
      if (destination.route != base::kNotPooled) cluster_routes_.release(destination.route);
      destination.route = base::kNotPooled;
      dirty_.push_back(prefix);
    });
    v4_.others.clear();
    v6_.others.clear();
    for (Device& device : devices_) device.without.clear();
    v4_.others_changed = v6_.others_changed = true;
  }
  std::set<base::Symbol> moved;
  for (const base::Symbol name : changes.nodes_removed) {
    if (take_node(name, nullptr)) moved.insert(name);
  }
  for (const auto& [name, node] : changes.nodes) {
    if (take_node(name, &node)) moved.insert(name);
  }
  mark_routes_of(moved);
  for (const base::Prefix& prefix : changes.routes_removed) take_route(prefix, nullptr);
  for (const auto& [prefix, route] : changes.routes) take_route(prefix, &route);
}

void Tunnels::take_route(const base::Prefix& prefix, const calc::ClusterRoute* route) {
  Destination& destination = destinations_[prefix];
  const base::PooledId before =
      std::exchange(destination.route, route == nullptr ? base::kNotPooled : cluster_routes_.acquire(*route));
  if (before != base::kNotPooled) cluster_routes_.release(before);
  dirty_.push_back(prefix);
}

// True if other hosts' guests are reached in another way than before.
bool Tunnels::take_node(base::Symbol name, const model::Node* node) {
  bool moved = false;
  const bool self = name.view() == settings_.hostname;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Side& mine = side(family);
    if (self) {
      const auto host = node == nullptr ? std::nullopt : (family == Family::kIpv4 ? node->host_ipv4 : node->host_ipv6);
      if (host == mine.host) continue;
      mine.host = host;
      find_parents();
      look_again();
      continue;
    }
    moved |= take_vtep(name, family, node == nullptr ? std::nullopt : vtep_of(name.view(), *node, family));
  }
  if (self) return false;
  for (Device& device : devices_) {
    const bool v4 = device.family == Family::kIpv4;
    const bool host = node != nullptr && (v4 ? node->bgp_ipv4 : node->bgp_ipv6);
    if (host && !(!device.vxlan ? node->ipip_tunnel : v4 ? node->vxlan_tunnel_v4 : node->vxlan_tunnel_v6)) {
      device.without.insert(name);
    } else {
      device.without.erase(name);
    }
  }
  return moved;
}

bool Tunnels::take_vtep(base::Symbol name, Family family, const std::optional<Vtep>& vtep) {
  Side& mine = side(family);
  const auto known = mine.others.find(name);
  if (known == mine.others.end() ? !vtep : vtep == known->second) return false;
  if (!vtep) {
    mine.others.erase(known);
  } else {
    if (known != mine.others.end() && devices_[vxlan_index(family)].wanted) mine.former.push_back(known->second);
    mine.others.insert_or_assign(name, *vtep);
  }
  mine.others_changed = true;
  return true;
}

void Tunnels::link(const kernel::Link& link) {
  fdb_.interface_present(link.name, link.index);
  if (ndp_) ndp_->interface_present(link.name, link.index, link.running);
  links_[link.name] = {link.index, link.running};
  for (Device& device : devices_) {
    if (device.name == link.name) device.look = true;
  }
  find_parents();
}

void Tunnels::link_gone(const std::string& name) {
  fdb_.interface_gone(name);
  if (ndp_) ndp_->interface_gone(name);
  links_.erase(name);
  host_interfaces_.erase(name);
  for (Device& device : devices_) {
    if (device.name == name) device.look = true;
  }
  find_parents();
}

void Tunnels::host_interfaces(const render::HostInterfaces& interfaces) {
  host_interfaces_ = interfaces;
  find_parents();
  // Somebody may have given a tunnel device another address.
  look_again();
}

void Tunnels::find_parents() {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Side& mine = side(family);
    std::optional<std::string> parent;
    for (const auto& [name, addresses] : host_interfaces_) {
      if (mine.host && addresses.contains(*mine.host) && links_.contains(name) && !parent) parent = name;
    }
    if (parent == mine.parent) continue;
    mine.parent = parent;
    look_again();
    mark_all_routes();
  }
}

void Tunnels::look_again() {
  for (Device& device : devices_) device.look = true;
}

void Tunnels::mark_routes_of(const std::set<base::Symbol>& nodes) {
  if (nodes.empty()) return;
  destinations_.for_each([&](const base::Prefix& prefix, const Destination& destination) {
    const bool known = destination.route != base::kNotPooled;
    if (known && nodes.contains(cluster_routes_[destination.route].node)) dirty_.push_back(prefix);
  });
}

void Tunnels::mark_all_routes() {
  destinations_.for_each([this](const base::Prefix& prefix, const Destination&) { dirty_.push_back(prefix); });
}

void Tunnels::request_resync() {
  look_again();
  fdb_.request_resync();
  if (ndp_) ndp_->request_resync();
}

// --- Devices

kernel::ApplyReport Tunnels::apply() {
  kernel::ApplyReport report;
  for (Device& device : devices_) {
    if (device.wanted) {
      await_addresses(device, report);
      bring_up(device, report);
    } else {
      retire(device, report);
    }
  }
  publish_tables(report);
  merge(report, fdb_.apply());
  if (ndp_) merge(report, ndp_->apply());
  publish_routes(report);
  return report;
}

std::optional<reconcile::DeviceSpec> Tunnels::spec_of(const Device& device) const {
  if (!device.vxlan) return ipip_spec(settings_);
  const Side& mine = side(device.family);
  const auto parent = mine.parent ? links_.find(*mine.parent) : links_.end();
  return vxlan_spec(settings_, device.family, mine.host, parent == links_.end() ? 0 : parent->second.index);
}

std::string Tunnels::missing_for(const Device& device) const {
  const Side& mine = side(device.family);
  if (device.vxlan && !mine.host) return "this Node has no address in the datastore (spec.bgp)";
  if (device.vxlan && !mine.parent) return "no interface has this Node's address " + base::to_string(*mine.host);
  return "this Node has no tunnel address yet; if it stays so, does a pool with that mode allow the use Tunnel, and "
         "select this node?";
}

bool Tunnels::has_address(const Device& device) const {
  if (!device.vxlan) return settings_.ipip_address.has_value();
  return (device.family == Family::kIpv4 ? settings_.vxlan_address_v4 : settings_.vxlan_address_v6).has_value();
}

// The address in a host's Node is the sign that it has heard of the change; without one it is no end of a VXLAN tunnel.
void Tunnels::await_addresses(Device& device, kernel::ApplyReport& report) {
  if (!device.addresses_due) return;
  const base::Instant now = clock_.now();
  const bool complete = has_address(device) && device.without.empty();
  if (!complete && now < *device.addresses_due) return not_before(report, *device.addresses_due - now);
  device.addresses_due.reset();
  if (!complete) {
    device.look = true;  // says what this host lacks
    log_.warning("tunnel.addresses_late",
                 "Hosts have no tunnel address; nobody reaches their guests through the tunnel",
                 {{"device", device.name},
                  {"others", device.without.size()},
                  {"first", device.without.empty() ? std::string() : std::string(device.without.begin()->view())}});
  }
  // The last of them has the device only now.
  if (!device.coming) device.listens_until = now + kListenFirst;
}

void Tunnels::bring_up(Device& device, kernel::ApplyReport& report) {
  if (!device.look || !guarded(device)) return;  // guarding makes a turn
  const auto spec = spec_of(device);
  if (!spec) {
    device.look = false;  // what is missing marks it again
    return tell(device, State::kWaiting, missing_for(device));
  }
  const State before = device.state;
  const auto is_new = converge(*spec);
  if (!is_new) {
    not_before(report, kLookAgain);
    return tell(device, State::kFailed, is_new.error().text() + remedy_for(device.vxlan, is_new.error()));
  }
  device.look = false;
  // Made again later, others have gone on sending: only when it comes into use it may be ahead of them.
  const bool first = before == State::kUnknown || before == State::kWaiting;
  if (std::exchange(device.coming, false) || (*is_new && first)) {
    device.listens_until = clock_.now() + kListenFirst;
  }
  if (has_address(device)) return tell(device, State::kUp, {});
  if (!device.addresses_due) return tell(device, State::kNoAddress, missing_for(device));
  device.state = State::kNoAddress;  // said only if it stays so
  device.up.set(0);
}

// True if the device was not there before.
base::Result<bool> Tunnels::converge(const reconcile::DeviceSpec& spec) {
  bool was_there = true;
  for (int round = 0; round < kMostRounds; ++round) {
    auto actual = parts_.devices.read(spec.name);
    if (!actual) return base::fail(std::move(actual).error());
    // tunl0 comes with its module and takes nothing while it is down.
    if (round == 0) was_there = *actual && (*actual)->up;
    const auto edits = reconcile::plan_device(spec, *actual);
    if (edits.empty()) return !was_there;
    for (const reconcile::DeviceEdit& edit : edits) {
      ++writes_;
      if (auto done = parts_.devices.apply(edit); !done) return base::fail(std::move(done).error());
    }
  }
  return base::fail(
      base::Error::unavailable(spec.name + " does not become what it should be; somebody changes it back"));
}

void Tunnels::retire(Device& device, kernel::ApplyReport& report) {
  if (device.state == State::kUnused || (!device.vxlan && !settings_.retire_ipip)) return;
  const base::Instant now = clock_.now();
  if (!device.retire_at) device.retire_at = now + kLinger;
  if (now < *device.retire_at) return not_before(report, *device.retire_at - now);
  auto actual = parts_.devices.read(device.name);
  if (!actual) {
    not_before(report, kLookAgain);
    return tell(device, State::kFailed, actual.error().text());
  }
  const auto edits = reconcile::plan_no_device(*actual);
  for (const reconcile::DeviceEdit& edit : edits) {
    ++writes_;
    if (auto done = parts_.devices.apply(edit); !done) {
      not_before(report, kLookAgain);
      return tell(device, State::kFailed, done.error().text());
    }
  }
  if (!edits.empty()) log_.info("tunnel.retired", "No pool uses this tunnel any more", {{"device", device.name}});
  device.state = State::kUnused;
  device.lingers = false;
}

void Tunnels::tell(Device& device, State state, const std::string& reason) {
  const bool news = device.state != state || device.told != reason;
  device.state = state;
  device.told = reason;
  device.up.set(state == State::kUp ? 1 : 0);
  if (!news) return;
  if (state == State::kUp) {
    log_.info("tunnel.up", "The tunnel is as wanted", {{"device", device.name}});
  } else if (state == State::kWaiting || state == State::kNoAddress) {
    log_.warning("tunnel.waiting", "No tunnel yet: " + reason, {{"device", device.name}});
  } else {
    log_.error("tunnel.failed", "No tunnel: " + reason + "; rules stay in force, and it is tried again",
               {{"device", device.name}});
  }
}

bool Tunnels::ready() const {
  for (const Device& device : devices_) {
    if (!device.wanted || device.state == State::kFailed) continue;
    if (device.addresses_due) return false;
    if (device.state == State::kWaiting) continue;
    const auto there = links_.find(device.name);
    const bool up = device.state == State::kUp || device.state == State::kNoAddress;
    if (!up || there == links_.end() || !there->second.running || held(device.name)) return false;
  }
  return true;
}

// --- What the devices know, and what leads into them

// Routes are published after this: in the next turn none leads to a former address any more.
void Tunnels::publish_tables(kernel::ApplyReport& report) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Side& mine = side(family);
    const Device& device = devices_[vxlan_index(family)];
    if (!device.wanted) continue;
    if (!std::exchange(mine.others_changed, false)) {
      if (mine.former.empty()) continue;
      mine.former.clear();
    }
    fdb_.want(device.name, tunnel_fdb(mine.others));
    std::vector<reconcile::Neighbour> neighbours = tunnel_neighbours(mine.others);
    for (const Vtep& old : mine.former) {
      const auto same = [&old](const reconcile::Neighbour& one) { return one.address == old.tunnel; };
      if (std::ranges::none_of(neighbours, same)) neighbours.push_back({old.tunnel, old.mac});
    }
    if (!mine.former.empty()) not_before(report, kForget);
    family == Family::kIpv4 ? parts_.neighbours_v4.want(device.name, neighbours) : ndp_->want(device.name, neighbours);
  }
}

bool Tunnels::held(const std::string& interface) const {
  for (const Device& device : devices_) {
    if (device.name != interface) continue;
    return device.coming || device.addresses_due || (device.listens_until && clock_.now() < *device.listens_until);
  }
  return false;
}

void Tunnels::publish_routes(kernel::ApplyReport& report) {
  const base::Instant now = clock_.now();
  for (Device& device : devices_) {
    if (!device.listens_until) continue;
    if (now < *device.listens_until) {
      not_before(report, *device.listens_until - now);
    } else {
      device.listens_until.reset();
      mark_all_routes();
    }
  }
  const bool was_ready = std::exchange(was_ready_, ready());  // BIRD is told when it is, and its time begins then
  for (auto& [prefix, end] : handing_over_) {
    if (!was_ready) end = now + kHandOver;
    if (now >= end) {
      dirty_.push_back(prefix);
    } else {
      not_before(report, end - now);
    }
  }
  std::vector<base::Prefix> dirty = std::exchange(dirty_, {});
  std::ranges::sort(dirty);
  dirty.erase(std::unique(dirty.begin(), dirty.end()), dirty.end());
  Edits edits;
  for (const base::Prefix& prefix : dirty) place(prefix, edits);
  for (const auto& [where, change] : edits) {
    const auto& [family, owner, interface] = where;
    kernel::RouteSyncer* const syncer = family == Family::kIpv4 ? &parts_.routes_v4 : parts_.routes_v6;
    if (syncer != nullptr) syncer->change(owner, interface, change.set, change.gone);
  }
  route_count_.set(static_cast<double>(placed_count_));
  if (!handing_over_.empty()) not_before(report, kHandOver);
}

void Tunnels::place(const base::Prefix& prefix, Edits& edits) {
  Destination* const destination = destinations_.find(prefix);
  if (destination == nullptr) return;
  if (destination->route != base::kNotPooled) return place(prefix, *destination, edits);
  handing_over_.erase(prefix);
  displace(prefix, destination->placed, edits);
  destinations_.erase(prefix);
}

void Tunnels::place(const base::Prefix& prefix, Destination& destination, Edits& edits) {
  const calc::ClusterRoute& cluster = cluster_routes_[destination.route];
  const Family family = prefix.family();
  const Side& mine = side(family);
  if (!is_agents_route(cluster, family, settings_)) {
    if (!destination.placed.any) return;
    const auto [end, started] = handing_over_.try_emplace(prefix, clock_.now() + kHandOver);
    if (!started && clock_.now() >= end->second) {
      handing_over_.erase(end);
      displace(prefix, destination.placed, edits);
    }
    return;
  }
  handing_over_.erase(prefix);
  const auto other = mine.others.find(cluster.node);
  const auto vtep = other == mine.others.end() ? std::nullopt : std::optional(other->second);
  const auto now = place_route(prefix, cluster, vtep, mine.parent, settings_);
  // Without the other end's address there is no route into a tunnel yet.
  const bool lacks_end = !now && !vtep && cluster.pool == calc::PoolKind::kVxlan;
  if (lacks_end ? held(std::string(vxlan_device(family))) : now && held(now->interface)) return;  // what was goes on
  const Placement placed = now ? Placement{now->owner, true, interface_number(now->interface)} : Placement{};
  if (placed != destination.placed) displace(prefix, destination.placed, edits);
  if (!now) return;
  if (!std::exchange(destination.placed, placed).any) ++placed_count_;
  edits[{family, now->owner, now->interface}].set.push_back(now->route);  // the same again changes nothing
}

void Tunnels::displace(const base::Prefix& prefix, Placement& placed, Edits& edits) {
  if (!placed.any) return;
  const std::string& interface = interface_names_[placed.interface];
  edits[{prefix.family(), placed.owner, interface}].gone.push_back(reconcile::make_route_key(prefix, 0));
  placed = {};
  --placed_count_;
}

std::uint16_t Tunnels::interface_number(const std::string& name) {
  const auto known = std::ranges::find(interface_names_, name);
  if (known == interface_names_.end()) interface_names_.push_back(name);
  return static_cast<std::uint16_t>(std::ranges::find(interface_names_, name) - interface_names_.begin());
}

}  // namespace dataplane
