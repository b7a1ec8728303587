#include "kernel/route_netlink.h"

#include <cerrno>

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "kernel/netlink/table.h"

namespace kernel {
namespace {

using base::fail;
using base::Family;
using base::Result;
using netlink::AttributeTable;
using netlink::Batch;
using netlink::Bytes;
using reconcile::Route;
using reconcile::RouteAttributes;
using reconcile::RouteEdit;
using reconcile::RouteOutcome;
using reconcile::RouteScope;
using reconcile::RouteType;

constexpr std::size_t kRouteAttributes = RTA_MAX + 1;
constexpr std::size_t kMetricAttributes = RTAX_MAX + 1;

RouteType type_of(unsigned char number) {
  switch (number) {
    case RTN_UNICAST: return RouteType::kUnicast;
    case RTN_LOCAL: return RouteType::kLocal;
    case RTN_BLACKHOLE: return RouteType::kBlackhole;
    case RTN_UNREACHABLE: return RouteType::kUnreachable;
    case RTN_PROHIBIT: return RouteType::kProhibit;
    case RTN_THROW: return RouteType::kThrow;
    default: return RouteType::kOther;
  }
}

base::IpAddress any_address(Family family) {
  constexpr std::uint8_t kZero[16] = {};
  return base::IpAddress::from_bytes(family, kZero);
}

bool parse_attributes(Bytes bytes, const rtmsg& header, std::uint32_t wanted_table, Route& route) {
  const AttributeTable<kRouteAttributes> table(bytes);
  if (table.malformed()) return false;
  RouteAttributes& attributes = route.attributes;
  if (table[RTA_DST]) {
    const auto address = table[RTA_DST]->address();
    if (!address || address->family() != route.key.prefix.family()) return false;
    route.key.prefix.address = *address;
  }
  const std::uint32_t routing_table = table[RTA_TABLE] ? table[RTA_TABLE]->u32().value_or(0) : header.rtm_table;
  if (routing_table != wanted_table) return false;
  if (table[RTA_PRIORITY]) route.key.metric = table[RTA_PRIORITY]->u32().value_or(0);
  if (table[RTA_OIF]) attributes.interface = table[RTA_OIF]->u32().value_or(0);
  if (table[RTA_GATEWAY]) attributes.gateway = table[RTA_GATEWAY]->address();
  if (table[RTA_PREFSRC]) attributes.source = table[RTA_PREFSRC]->address();
  if (table[RTA_METRICS]) {
    const AttributeTable<kMetricAttributes> metrics(table[RTA_METRICS]->payload);
    if (metrics[RTAX_MTU]) attributes.mtu = metrics[RTAX_MTU]->u32().value_or(0);
  }
  attributes.exotic = table[RTA_MULTIPATH] || table[RTA_VIA] || table[RTA_ENCAP] || table[RTA_NH_ID] || table[RTA_SRC];
  return true;
}

void put_route(Batch& batch, const Route& route, bool remove) {
  const RouteAttributes& attributes = route.attributes;
  rtmsg header{};
  header.rtm_family = netlink::family_number(route.key.prefix.family());
  header.rtm_dst_len = route.key.prefix.length;
  header.rtm_tos = route.key.tos;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = attributes.protocol;
  header.rtm_type = attributes.type == RouteType::kOther ? static_cast<unsigned char>(RTN_UNSPEC)
                                                         : static_cast<unsigned char>(attributes.type);
  header.rtm_scope =
      remove ? static_cast<unsigned char>(RT_SCOPE_NOWHERE) : static_cast<unsigned char>(attributes.scope);
  if (attributes.onlink && !remove) header.rtm_flags = RTNH_F_ONLINK;
  batch.header(header);
  batch.put_address(RTA_DST, route.key.prefix.address);
  if (route.key.metric != 0) batch.put_u32(RTA_PRIORITY, route.key.metric);
  if (attributes.interface != 0) batch.put_u32(RTA_OIF, attributes.interface);
  if (attributes.gateway) batch.put_address(RTA_GATEWAY, *attributes.gateway);
  if (remove) return;
  if (attributes.source) batch.put_address(RTA_PREFSRC, *attributes.source);
  if (attributes.mtu != 0) {
    const std::size_t metrics = batch.nest(RTA_METRICS);
    batch.put_u32(RTAX_MTU, attributes.mtu);
    batch.end_nest(metrics);
  }
}

void put_edit(Batch& batch, const RouteEdit& edit) {
  const bool remove = edit.kind == RouteEdit::Kind::kRemove;
  if (remove) {
    batch.begin(RTM_DELROUTE, 0);
  } else {
    batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  }
  put_route(batch, edit.route, remove);
  batch.end();
}

RouteReply reply_of(const RouteEdit& edit, const netlink::Reply& reply) {
  const bool remove = edit.kind == RouteEdit::Kind::kRemove;
  switch (reply.error) {
    case 0: return {};
    case ESRCH:
    case ENOENT:
      if (remove) return {};
      break;
    case ENODEV:
    case ENETDOWN:
      // A removal on an interface that is gone has nothing left to remove.
      return {.outcome = remove ? RouteOutcome::kDone : RouteOutcome::kInterfaceDown};
    default: break;
  }
  return {.outcome = RouteOutcome::kFailed,
          .text = netlink::reply_error(reply, reconcile::to_string(edit.route)).text()};
}

}  // namespace

std::optional<Route> parse_route_message(Bytes payload, std::uint32_t table) {
  const auto header = netlink::fixed_header<rtmsg>(payload);
  if (!header || (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)) return std::nullopt;
  if ((header->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  const Family family = header->rtm_family == AF_INET ? Family::kIpv4 : Family::kIpv6;
  if (header->rtm_dst_len > base::address_bits(family)) return std::nullopt;
  Route route;
  route.key.prefix = {.address = any_address(family), .length = header->rtm_dst_len};
  route.key.tos = header->rtm_tos;
  route.attributes.type = type_of(header->rtm_type);
  route.attributes.scope = static_cast<RouteScope>(header->rtm_scope);
  route.attributes.protocol = header->rtm_protocol;
  route.attributes.onlink = (header->rtm_flags & RTNH_F_ONLINK) != 0;
  if (!parse_attributes(netlink::after_header<rtmsg>(payload), *header, table, route)) return std::nullopt;
  return route;
}

Result<std::unique_ptr<NetlinkRoutes>> NetlinkRoutes::open(const netlink::SocketOptions& options) {
  auto socket = netlink::Socket::open(netlink::Bus::kRoute, options);
  if (!socket) return fail(std::move(socket).error().in("routes"));
  return std::unique_ptr<NetlinkRoutes>(new NetlinkRoutes(std::move(*socket)));
}

Result<std::vector<Route>> NetlinkRoutes::dump(Family family, reconcile::IfIndex interface) {
  Batch batch;
  batch.begin(RTM_GETROUTE, 0);
  rtmsg header{};
  header.rtm_family = netlink::family_number(family);
  // Filters only where the kernel checks them; otherwise parse_route_message() and the caller filter.
  if (socket_.strict()) header.rtm_table = RT_TABLE_MAIN;
  batch.header(header);
  if (socket_.strict() && interface != 0) batch.put_u32(RTA_OIF, interface);
  batch.end();
  const auto parse = [&](Bytes payload) {
    auto route = parse_route_message(payload, kMainTable);
    if (route && interface != 0 && route->attributes.interface != interface) route.reset();
    return route;
  };
  auto routes = netlink::read_table<Route>(socket_, batch, "list routes", RTM_NEWROUTE, parse);
  if (!routes) {
    const int number = routes.error().error_number();
    // No table, or no such interface: no routes.
    if (number == ENOENT || number == ENODEV) return std::vector<Route>{};
  }
  return routes;
}

Result<std::vector<RouteReply>> NetlinkRoutes::apply(std::span<const RouteEdit> edits) {
  return netlink::change_table<RouteReply>(socket_, edits, "routes", put_edit, reply_of);
}

}  // namespace kernel
