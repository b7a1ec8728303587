#include "kernel/link_monitor.h"

#include <algorithm>
#include <utility>

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "kernel/route_netlink.h"

namespace kernel {
namespace {

using base::Error;
using base::fail;
using base::IpAddress;
using base::Result;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;

constexpr std::size_t kLinkAttributes = IFLA_MAX + 1;

// An address is a route of type local in table local.
std::optional<reconcile::Route> parse_local_route(Bytes payload) {
  auto route = parse_route_message(payload, kLocalTable);
  if (!route || route->attributes.type != reconcile::RouteType::kLocal || route->attributes.interface == 0)
    return std::nullopt;
  return route;
}

Result<netlink::Socket> open_events() {
  auto events = netlink::Socket::open(netlink::Bus::kRoute, {.receive_buffer = 16 << 20, .non_blocking = true});
  if (!events) return events;
  for (const unsigned group : {RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}) {
    if (auto joined = events->join(group); !joined) return fail(std::move(joined).error());
  }
  return events;
}

}  // namespace

std::optional<Link> parse_link_message(Bytes payload) {
  const auto header = netlink::fixed_header<ifinfomsg>(payload);
  // AF_BRIDGE says something about a port: a "deleted" link there has only left its bridge.
  if (!header || header->ifi_family != AF_UNSPEC || header->ifi_index <= 0) return std::nullopt;
  const AttributeTable<kLinkAttributes> table(netlink::after_header<ifinfomsg>(payload));
  if (table.malformed() || !table[IFLA_IFNAME]) return std::nullopt;
  Link link{.name = std::string(table[IFLA_IFNAME]->text()),
            .index = static_cast<IfIndex>(header->ifi_index),
            .admin_up = (header->ifi_flags & IFF_UP) != 0,
            .running = (header->ifi_flags & IFF_RUNNING) != 0};
  if (table[IFLA_MTU]) link.mtu = table[IFLA_MTU]->u32().value_or(0);
  if (table[IFLA_ADDRESS] && table[IFLA_ADDRESS]->payload.size() == link.mac.bytes.size()) {
    std::copy(table[IFLA_ADDRESS]->payload.begin(), table[IFLA_ADDRESS]->payload.end(), link.mac.bytes.begin());
  }
  return link;
}

Result<std::unique_ptr<LinkMonitor>> LinkMonitor::open(base::Loop& loop, LinkListener& listener,
                                                       const LinkMonitorOptions& options) {
  auto events = open_events();
  if (!events) return fail(std::move(events).error().in("interface monitor"));
  auto reader = netlink::Socket::open(netlink::Bus::kRoute);
  if (!reader) return fail(std::move(reader).error().in("interface monitor"));
  std::unique_ptr<LinkMonitor> monitor(
      new LinkMonitor(loop, listener, options.refresh_interval, std::move(*events), std::move(*reader)));
  for (const std::string& entry : options.exclude) {
    if (entry.size() < 2 || entry.front() != '/' || entry.back() != '/') {
      monitor->excluded_names_.insert(entry);
      continue;
    }
    try {
      monitor->excluded_patterns_.emplace_back(entry.substr(1, entry.size() - 2));
    } catch (const std::regex_error& error) {
      return fail(Error::invalid(std::string("InterfaceExclude: bad expression (") + error.what() + ")", entry));
    }
  }
  return monitor;
}

LinkMonitor::LinkMonitor(base::Loop& loop, LinkListener& listener, base::Duration refresh, netlink::Socket events,
                         netlink::Socket reader)
    : loop_(loop),
      listener_(listener),
      refresh_interval_(refresh),
      events_(std::move(events)),
      reader_(std::move(reader)),
      damper_([this](const std::string& interface, const LinkUpdate& update) { deliver(interface, update); }) {}

LinkMonitor::~LinkMonitor() {
  loop_.unwatch(watch_);
  loop_.cancel(damper_timer_);
  loop_.cancel(refresh_timer_);
}

void LinkMonitor::start() {
  watch_ = loop_.watch_readable(events_.fd(), [this] { read_events(); });
  resync();
}

bool LinkMonitor::excluded(const std::string& name) const {
  return excluded_names_.contains(name) ||
         std::any_of(excluded_patterns_.begin(), excluded_patterns_.end(),
                     [&](const std::regex& pattern) { return std::regex_search(name, pattern); });
}

// ---- Reading everything ----

Result<> LinkMonitor::read_links(std::map<IfIndex, Link>& links) {
  Batch batch;
  batch.begin(RTM_GETLINK, 0);
  batch.header(ifinfomsg{});
  batch.end();
  return reader_.dump(
      batch, "list interfaces", [&] { links.clear(); },
      [&](const netlink::Message& message) {
        if (message.type != RTM_NEWLINK) return;
        if (auto link = parse_link_message(message.payload)) links.insert_or_assign(link->index, std::move(*link));
      });
}

Result<> LinkMonitor::read_addresses(std::map<IfIndex, std::set<IpAddress>>& addresses) {
  for (const unsigned char family : {static_cast<unsigned char>(AF_INET), static_cast<unsigned char>(AF_INET6)}) {
    Batch batch;
    batch.begin(RTM_GETROUTE, 0);
    rtmsg header{};
    header.rtm_family = family;
    if (reader_.strict()) {
      header.rtm_table = RT_TABLE_LOCAL;
      header.rtm_type = RTN_LOCAL;
    }
    batch.header(header);
    batch.end();
    const auto before = addresses;
    auto done = reader_.dump(
        batch, "list local addresses", [&] { addresses = before; },
        [&](const netlink::Message& message) {
          if (message.type != RTM_NEWROUTE) return;
          if (const auto route = parse_local_route(message.payload)) {
            addresses[route->attributes.interface].insert(route->key.prefix.address);
          }
        });
    // ENOENT: the table is not there yet. Anything else about IPv6 on a host without it must not stop IPv4.
    if (!done && done.error().error_number() != ENOENT && family == AF_INET) return done;
  }
  return {};
}

void LinkMonitor::resync() {
  ++resyncs_;
  std::map<IfIndex, Link> links;
  std::map<IfIndex, std::set<IpAddress>> addresses;
  auto read = read_links(links);
  if (read) read = read_addresses(addresses);
  if (!read) return listener_.on_links_failed(read.error());

  std::vector<IfIndex> lost;
  for (const auto& [index, known] : known_) {
    if (!links.contains(index)) lost.push_back(index);
  }
  for (const IfIndex index : lost) link_lost(index);
  for (const auto& [index, link] : links) link_seen(link);
  for (const auto& [index, link] : links) {
    const std::set<IpAddress> before = known_.at(index).addresses;
    const std::set<IpAddress>& now = addresses[index];
    for (const IpAddress& address : before) {
      if (!now.contains(address)) address_seen(index, address, false);
    }
    for (const IpAddress& address : now) address_seen(index, address, true);
  }
  early_addresses_.clear();
  arm_damper();
  arm_refresh();
  if (std::exchange(in_sync_, true)) return;
  listener_.on_links_in_sync();
}

void LinkMonitor::arm_refresh() {
  loop_.cancel(refresh_timer_);
  if (refresh_interval_ <= base::Duration::zero()) return;
  refresh_timer_ = loop_.after(refresh_interval_, [this] { resync(); });
}

// ---- Events ----

void LinkMonitor::read_events() {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    auto received = events_.receive_some([this](const netlink::Message& message) { handle(message); });
    if (!received) return listener_.on_links_failed(received.error());
    if (*received == netlink::Socket::Received::kNothing) break;
    if (*received == netlink::Socket::Received::kOverrun) {
      ++overruns_;
      return resync();
    }
  }
  arm_damper();
}

void LinkMonitor::handle(const netlink::Message& message) {
  switch (message.type) {
    case RTM_NEWLINK:
      if (const auto link = parse_link_message(message.payload)) link_seen(*link);
      return;
    case RTM_DELLINK:
      if (const auto link = parse_link_message(message.payload)) link_lost(link->index);
      return;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (const auto route = parse_local_route(message.payload)) {
        address_seen(route->attributes.interface, route->key.prefix.address, message.type == RTM_NEWROUTE);
      }
      return;
    default: return;
  }
}

void LinkMonitor::link_seen(const Link& link) {
  const auto found = known_.find(link.index);
  if (found != known_.end() && found->second.link.name != link.name) {
    // Renamed: the addresses move along.
    const std::set<IpAddress> addresses = found->second.addresses;
    link_lost(link.index);
    early_addresses_[link.index] = addresses;
    return link_seen(link);
  }
  if (found != known_.end() && found->second.link == link) return;
  const bool went_down = found != known_.end() && found->second.link.running && !link.running;
  known_[link.index].link = link;
  damper_.push(link.name, link, went_down, loop_.now());
  if (found != known_.end()) return;
  const auto early = early_addresses_.extract(link.index);
  if (early.empty()) return;
  for (const IpAddress& address : early.mapped()) address_seen(link.index, address, true);
}

void LinkMonitor::link_lost(IfIndex index) {
  early_addresses_.erase(index);
  const auto found = known_.find(index);
  if (found == known_.end()) return;
  const Known known = std::move(found->second);
  known_.erase(found);
  for (const IpAddress& address : known.addresses) {
    damper_.push(known.link.name, AddressChange{.address = address, .present = false}, true, loop_.now());
  }
  damper_.push(known.link.name, LinkGone{.index = index}, true, loop_.now());
}

void LinkMonitor::address_seen(IfIndex index, const IpAddress& address, bool present) {
  const auto found = known_.find(index);
  if (found == known_.end()) {
    // Route events may overtake the link's own.
    if (present) early_addresses_[index].insert(address);
    return;
  }
  Known& known = found->second;
  if (excluded(known.link.name)) return;
  const bool changed = present ? known.addresses.insert(address).second : known.addresses.erase(address) > 0;
  if (!changed) return;
  damper_.push(known.link.name, AddressChange{.address = address, .present = present}, !present, loop_.now());
}

void LinkMonitor::deliver(const std::string& interface, const LinkUpdate& update) {
  if (const auto* link = std::get_if<Link>(&update)) return listener_.on_link(*link);
  if (const auto* gone = std::get_if<LinkGone>(&update)) {
    delivered_addresses_.erase(interface);
    return listener_.on_link_gone(interface, gone->index);
  }
  const auto& change = std::get<AddressChange>(update);
  std::set<IpAddress>& addresses = delivered_addresses_[interface];
  const bool changed = change.present ? addresses.insert(change.address).second : addresses.erase(change.address) > 0;
  if (changed) listener_.on_addresses(interface, addresses);
}

void LinkMonitor::arm_damper() {
  loop_.cancel(std::exchange(damper_timer_, {}));
  const auto due = damper_.next_due();
  if (!due) return;
  damper_timer_ = loop_.after(*due - loop_.now(), [this] {
    damper_timer_ = {};
    damper_.release(loop_.now());
    arm_damper();
  });
}

}  // namespace kernel
