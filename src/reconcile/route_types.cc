#include "reconcile/route_types.h"

namespace reconcile {

RouteKey make_route_key(const base::Prefix& prefix, std::uint32_t metric, std::uint8_t tos) {
  const bool defaulted = metric == 0 && prefix.family() == base::Family::kIpv6;
  return RouteKey{.prefix = prefix.masked(), .tos = tos, .metric = defaulted ? kDefaultMetricIpv6 : metric};
}

bool same_route(const Route& a, const Route& b) {
  if (a.key != b.key || a.attributes.exotic || b.attributes.exotic) return false;
  if (a.key.prefix.family() == base::Family::kIpv4) return a.attributes == b.attributes;
  RouteAttributes left = a.attributes;
  RouteAttributes right = b.attributes;
  left.scope = right.scope = RouteScope::kUniverse;
  // Routes without a device hang on the loopback in IPv6.
  if (left.type != RouteType::kUnicast) left.interface = right.interface = 0;
  return left == right;
}

std::string to_string(const Route& route, std::string_view interface_name) {
  const RouteAttributes& attributes = route.attributes;
  std::string text;
  switch (attributes.type) {
    case RouteType::kUnicast: break;
    case RouteType::kLocal: text = "local "; break;
    case RouteType::kBlackhole: text = "blackhole "; break;
    case RouteType::kUnreachable: text = "unreachable "; break;
    case RouteType::kProhibit: text = "prohibit "; break;
    case RouteType::kThrow: text = "throw "; break;
    case RouteType::kOther: text = "other "; break;
  }
  text += base::to_string(route.key.prefix);
  if (attributes.gateway) text += " via " + base::to_string(*attributes.gateway);
  if (!interface_name.empty()) {
    text.append(" dev ").append(interface_name);
  } else if (attributes.interface != 0) {
    text += " dev " + std::to_string(attributes.interface);
  }
  if (attributes.scope == RouteScope::kLink) text += " scope link";
  text += " proto " + std::to_string(attributes.protocol);
  if (route.key.tos != 0) text += " tos " + std::to_string(route.key.tos);
  text += " metric " + std::to_string(route.key.metric);
  if (attributes.mtu != 0) text += " mtu " + std::to_string(attributes.mtu);
  if (attributes.source) text += " src " + base::to_string(*attributes.source);
  if (attributes.onlink) text += " onlink";
  return text;
}

}  // namespace reconcile
