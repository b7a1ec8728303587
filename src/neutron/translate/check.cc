#include "neutron/translate/check.h"

#include <fmt/core.h>

#include "base/ip.h"
#include "neutron/translate/address_pairs.h"
#include "neutron/translate/security_group.h"

namespace neutron {
namespace {

using Outcome = std::optional<Refusal>;

constexpr std::string_view kSpoofingRemedy =
    "set workloadSourceSpoofing: Any in FelixConfiguration 'default' if machines may use any source address";

// The request's object beside its former self.
class Change {
 public:
  explicit Change(const CheckRequest& request) : now_(request.object), before_(request.original) {}

  const json::object& now() const { return now_; }
  bool changed(std::string_view attribute) const {
    if (before_ == nullptr) return true;
    const json::value* now = member(now_, attribute);
    const json::value* before = member(*before_, attribute);
    if (now == nullptr || before == nullptr) return now != before;
    return *now != *before;
  }

 private:
  const json::object& now_;
  const json::object* before_;
};

Outcome refuse(std::string_view attribute, std::string message) {
  return Refusal{std::string(attribute), std::move(message)};
}

Outcome check_qos(const Change& change) {
  // QoS: goes when a policy's rules are translated.
  if (text(change.now(), "qos_policy_id").empty() || !change.changed("qos_policy_id")) return {};
  return refuse("qos_policy_id", "QoS policies are not supported yet; remove qos_policy_id");
}

Outcome check_pairs(const Change& change, const PortSettings& settings) {
  if (!change.changed("allowed_address_pairs")) return {};
  const auto pairs = read_address_pairs(list(change.now(), "allowed_address_pairs"), settings.spoofing_allowed);
  if (pairs.problems.empty()) return {};
  return refuse("allowed_address_pairs", pairs.problems.front());
}

Outcome check_dhcp_options(const json::array& options) {
  if (options.size() > model::kMostDhcpOptions) {
    return refuse("extra_dhcp_opts", fmt::format("more than {} DHCP options", model::kMostDhcpOptions));
  }
  for (const auto& item : options) {
    const auto* option = item.if_object();
    const std::string problem =
        option == nullptr ? "a DHCP option is an object" : model::dhcp_option_problem(read_dhcp_option(*option));
    if (!problem.empty()) return refuse("extra_dhcp_opts", problem);
  }
  return {};
}

// A port without owner may become a machine's, with everything it has by then.
bool may_be_endpoint(const json::object& port) {
  const auto owner = text(port, "device_owner");
  return owner.empty() || is_endpoint_owner(owner);
}

Outcome check_port(const Change& change, const PortSettings& settings) {
  const json::object& port = change.now();
  if (!may_be_endpoint(port)) return {};
  const bool becomes = change.changed("device_owner") && is_endpoint_owner(text(port, "device_owner"));
  const auto touched = [&](std::string_view attribute) { return becomes || change.changed(attribute); };

  const auto vnic = text(port, "binding:vnic_type");
  if (!vnic.empty() && vnic != "normal" && touched("binding:vnic_type")) {
    return refuse("binding:vnic_type", fmt::format("VNIC type '{}' is not supported; use 'normal'", vnic));
  }
  if (is_endpoint_owner(text(port, "device_owner")) && touched("device_id") &&
      text(port, "device_id").find('/') != std::string_view::npos) {
    return refuse("device_id", "device_id of a machine's port must not contain '/'");
  }
  if (touched("extra_dhcp_opts")) {
    if (auto refusal = check_dhcp_options(list(port, "extra_dhcp_opts"))) return refusal;
  }
  if (is_without_port_security(port) && !settings.spoofing_allowed && touched("port_security_enabled")) {
    return refuse("port_security_enabled",
                  fmt::format("a port without port security needs agents that allow it; {}", kSpoofingRemedy));
  }
  if (auto refusal = check_pairs(change, settings)) return refusal;
  // Live migration: goes when the destination's endpoint is translated.
  if (!text(inner(port, "binding:profile"), "migrating_to").empty() && change.changed("binding:profile")) {
    return refuse("binding:profile", "live migration is not supported yet; migrate the machine cold");
  }
  return check_qos(change);
}

Outcome check_network(const Change& change) {
  const auto type = text(change.now(), "provider:network_type");
  if (!type.empty() && type != "local" && type != "flat" && change.changed("provider:network_type")) {
    return refuse("provider:network_type", fmt::format("network type '{}' is not supported; use 'local'", type));
  }
  if (flag(change.now(), "vlan_transparent", false) && change.changed("vlan_transparent")) {
    return refuse("vlan_transparent", "VLAN transparency is not supported: networks are routed");
  }
  return check_qos(change);
}

Outcome check_group(const Change& change) {
  if (!flag(change.now(), "stateful", true) && change.changed("stateful")) {
    return refuse("stateful", "stateless security groups are not supported: replies are always allowed");
  }
  return {};
}

Outcome check_rule(const json::object& rule) {
  const auto translated = translate_rule(rule);
  if (translated) return {};
  const std::string& message = translated.error().text();
  const bool about_ports = message.find("port") != std::string::npos || message.find("ICMP") != std::string::npos;
  return refuse(about_ports ? "port_range_min" : "protocol", message);
}

Outcome check_address_group(const json::object& group) {
  for (const auto& item : list(group, "addresses")) {
    const auto* address = item.if_string();
    if (address == nullptr || !base::parse_cidr_or_address(view(*address))) {
      return refuse("addresses", "an address group holds addresses and prefixes only");
    }
  }
  return {};
}

Outcome check_floating_ip(const Change& change) { return check_qos(change); }

}  // namespace

std::optional<Refusal> check_request(const CheckRequest& request, const PortSettings& settings) {
  if (request.operation == "delete") return {};
  const Change change(request);
  const std::string_view kind = request.kind;
  if (kind == "port") return check_port(change, settings);
  if (kind == "network") return check_network(change);
  if (kind == "security_group") return check_group(change);
  if (kind == "security_group_rule") return check_rule(request.object);
  if (kind == "address_group") return check_address_group(request.object);
  if (kind == "floatingip") return check_floating_ip(change);
  if (kind == "trunk") return refuse("", "trunks are not supported: ports are routed, not tagged");
  if (kind == "qos_policy") return refuse("", "QoS policies are not supported yet");
  if (kind == "port_forwarding") return refuse("", "port forwarding is not supported; use a floating IP");
  return {};
}

}  // namespace neutron
