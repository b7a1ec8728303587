#include "neutron/translate/port.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "neutron/translate/address_pairs.h"

namespace neutron {
namespace {

constexpr std::string_view kProjectId = "projectcalico.org/openstack-project-id";
constexpr std::string_view kProjectName = "projectcalico.org/openstack-project-name";
constexpr std::string_view kProjectParent = "projectcalico.org/openstack-project-parent-id";
constexpr std::size_t kInterfaceIdLength = 11;
constexpr std::int64_t kMostConnections = 4294967295;

std::string project_of(const json::object& port) {
  const std::string_view id = text(port, "project_id");
  return std::string(id.empty() ? text(port, "tenant_id") : id);
}

std::vector<std::string> group_ids(const json::object& port) {
  std::vector<std::string> ids;
  for (const auto& item : list(port, "security_groups")) {
    if (const auto* id = item.if_string()) ids.emplace_back(view(*id));
  }
  std::ranges::sort(ids);
  return ids;
}

class PortTranslation {
 public:
  PortTranslation(const json::object& port, const Answer& answer, const Region& region, const PortSettings& settings)
      : port_(port), answer_(answer), region_(region), settings_(settings) {}

  Translation run() {
    result_.generation = number(port_, "revision_number").value_or(0);
    refer();
    if (!wants_endpoint()) return std::move(result_);
    const std::string_view host = text(port_, "binding:host_id");
    const std::string name = endpoint_name({std::string(host), std::string(device_), std::string(id_)});
    Desired desired{.kind = "WorkloadEndpoint", .name = name, .ns = region_.ns()};
    desired.generation = result_.generation;
    // A passing state while Neutron binds again (any change of binding:profile): what runs must not blink.
    desired.only_update = text(port_, "binding:vif_type") == "unbound";
    add_labels(desired);
    add_annotations(desired);
    add_spec(desired, host);
    result_.keys.emplace(region_.endpoint_prefix() + name, std::move(desired));
    // Live migration: LiveMigration and the destination's endpoint belong here, as two more keys of the port.
    return std::move(result_);
  }

 private:
  void refer() {
    const auto add = [&](Kind kind, std::string_view id) {
      if (!id.empty()) result_.refers_to.push_back({kind, std::string(id)});
    };
    add(Kind::kNetwork, text(port_, "network_id"));
    for (const auto& item : list(port_, "fixed_ips")) {
      if (const auto* ip = item.if_object()) add(Kind::kSubnet, text(*ip, "subnet_id"));
    }
    for (const auto& id : group_ids(port_)) add(Kind::kSecurityGroup, id);
    std::ranges::sort(result_.refers_to);
    result_.refers_to.erase(std::ranges::unique(result_.refers_to).begin(), result_.refers_to.end());
  }

  bool wants_endpoint() {
    if (!is_endpoint_owner(text(port_, "device_owner"))) return false;
    if (text(port_, "binding:host_id").empty()) return false;
    if (device_.find('/') != std::string_view::npos) {
      note("its device_id contains '/', which no endpoint name can; it has no networking");
      return false;
    }
    const json::object* network = answer_.network(text(port_, "network_id"));
    // An interface without endpoint is closed, which is what "down" means.
    return flag(port_, "admin_state_up", true) && (network == nullptr || flag(*network, "admin_state_up", true));
  }

  void add_labels(Desired& desired) {
    json::object& labels = desired.labels;
    for (const auto& id : group_ids(port_)) {
      const json::object* group = answer_.group(id);
      const std::string name = sanitised(group == nullptr ? "" : text(*group, "name"), kGroupNameLimit);
      labels[std::string(kGroupLabel) + id] = name;
      if (!name.empty()) labels[std::string(kGroupNameLabel) + name] = id;
    }
    labels["projectcalico.org/namespace"] = region_.ns();
    labels["projectcalico.org/orchestrator"] = "openstack";
    const std::string project_id = project_of(port_);
    labels[to_json(kProjectId)] = project_id;
    if (const json::object* project = answer_.project(project_id)) {
      labels[to_json(kProjectName)] = sanitised(text(*project, "name"), kLabelValueLimit);
      if (const auto parent = text(*project, "parent_id"); !parent.empty()) {
        labels[to_json(kProjectParent)] = to_json(parent);
      }
    } else {
      desired.kept_labels = {kProjectName, kProjectParent};
    }
    if (const json::object* network = answer_.network(text(port_, "network_id"))) {
      labels["projectcalico.org/openstack-network-name"] = sanitised(text(*network, "name"), kLabelValueLimit);
    }
    if (is_without_port_security(port_)) labels[to_json(kPortSecurityLabel)] = "off";
  }

  void add_annotations(Desired& desired) {
    desired.annotations[to_json(kNetworkAnnotation)] = to_json(text(port_, "network_id"));
    add_dhcp_options(desired);
    const json::array& assignments = list(port_, "dns_assignment");
    if (assignments.empty()) return;
    if (const auto* first = assignments.front().if_object()) {
      if (const auto fqdn = text(*first, "fqdn"); !fqdn.empty()) {
        desired.annotations["openstack.projectcalico.org/fqdn"] = to_json(fqdn);
      }
    }
  }

  void add_dhcp_options(Desired& desired) {
    std::vector<model::DhcpOption> options;
    for (const auto& item : list(port_, "extra_dhcp_opts")) {
      const auto* given = item.if_object();
      if (given == nullptr) continue;
      auto option = read_dhcp_option(*given);
      if (const auto problem = model::dhcp_option_problem(option); !problem.empty()) {
        note("a DHCP option is left out: " + problem);
      } else if (options.size() < model::kMostDhcpOptions) {
        options.push_back(std::move(option));
      }
    }
    if (options.empty()) return;
    std::ranges::sort(options);
    desired.annotations[to_json(model::kDhcpOptionsAnnotation)] = model::print_dhcp_options(options);
  }

  void add_spec(Desired& desired, std::string_view host) {
    json::object& spec = desired.spec;
    spec["orchestrator"] = "openstack";
    spec["workload"] = to_json(device_);
    spec["node"] = to_json(host);
    spec["endpoint"] = to_json(id_);
    spec["interfaceName"] = "tap" + std::string(id_.substr(0, kInterfaceIdLength));
    spec["mac"] = to_json(text(port_, "mac_address"));
    add_addresses(spec);
    add_floating_ips(spec);
    add_limits(spec);
  }

  void add_addresses(json::object& spec) {
    std::vector<std::pair<std::string_view, std::string_view>> fixed;  // address, subnet: the order of upstream's query
    for (const auto& item : list(port_, "fixed_ips")) {
      if (const auto* ip = item.if_object()) fixed.emplace_back(text(*ip, "ip_address"), text(*ip, "subnet_id"));
    }
    std::ranges::sort(fixed);
    json::array networks;
    for (const auto& [ip, subnet_id] : fixed) {
      const auto address = base::parse_address(ip);
      if (!address) {
        note(fmt::format("its fixed IP '{}' is no address and is left out", ip));
        continue;
      }
      networks.emplace_back(std::string(ip) + (address->is_v4() ? "/32" : "/128"));
      const json::object* subnet = answer_.subnet(subnet_id);
      const std::string_view gateway = subnet == nullptr ? std::string_view() : text(*subnet, "gateway_ip");
      if (!gateway.empty()) spec[address->is_v4() ? "ipv4Gateway" : "ipv6Gateway"] = to_json(gateway);
    }
    const AddressPairs pairs = read_address_pairs(list(port_, "allowed_address_pairs"), settings_.spoofing_allowed);
    for (const auto& problem : pairs.problems) note(problem);
    json::array allowed;
    for (const auto& address : pairs.routed) {
      networks.emplace_back(address);
      allowed.emplace_back(address);
    }
    spec["ipNetworks"] = std::move(networks);
    spec["allowedIps"] = std::move(allowed);
    add_spoofing(spec, pairs.source_only);
  }

  void add_spoofing(json::object& spec, const std::vector<std::string>& prefixes) {
    json::array sources;
    if (is_without_port_security(port_)) {
      if (settings_.spoofing_allowed) {
        sources = {"0.0.0.0/0", "::/0"};
      } else {
        note(
            "it is without port security, but its own addresses stay its only sources: FelixConfiguration 'default' "
            "lacks workloadSourceSpoofing: Any");
      }
    } else {
      for (const auto& prefix : prefixes) sources.emplace_back(prefix);
    }
    if (!sources.empty()) spec["allowSpoofedSourcePrefixes"] = std::move(sources);
  }

  void add_floating_ips(json::object& spec) {
    std::vector<std::pair<std::string_view, std::string_view>> nats;
    for (const json::object* floating : answer_.floating_ips(id_)) {
      nats.emplace_back(text(*floating, "fixed_ip_address"), text(*floating, "floating_ip_address"));
    }
    if (nats.empty()) return;
    std::ranges::sort(nats);
    json::array list;
    for (const auto& [internal, external] : nats) {
      list.push_back(json::object{{"internalIP", to_json(internal)}, {"externalIP", to_json(external)}});
    }
    spec["ipNATs"] = std::move(list);
  }

  // QoS: a policy's rules add their members here.
  void add_limits(json::object& spec) {
    json::object controls;
    const auto add = [&](json::string_view name, std::int64_t limit) {
      if (limit != 0) controls[name] = std::clamp<std::int64_t>(limit, 1, kMostConnections);
    };
    add("ingressMaxConnections", settings_.max_ingress_connections);
    add("egressMaxConnections", settings_.max_egress_connections);
    if (!controls.empty()) spec["qosControls"] = std::move(controls);
  }

  void note(std::string_view text) { result_.notes.push_back(fmt::format("port {}: {}", id_, text)); }

  const json::object& port_;
  const Answer& answer_;
  const Region& region_;
  const PortSettings& settings_;
  const std::string_view id_ = text(port_, "id");
  const std::string_view device_ = text(port_, "device_id");
  Translation result_;
};

}  // namespace

bool is_endpoint_owner(std::string_view device_owner) {
  return device_owner.starts_with("compute:") || device_owner.starts_with("kuryr:container");
}

model::DhcpOption read_dhcp_option(const json::object& option) {
  return {.ip_version = static_cast<int>(number(option, "ip_version").value_or(4)),
          .name = std::string(text(option, "opt_name")),
          .value = std::string(text(option, "opt_value"))};
}

bool is_without_port_security(const json::object& port) { return !flag(port, "port_security_enabled", true); }

Translation translate_port(const json::object& port, const Answer& answer, const Region& region,
                           const PortSettings& settings) {
  return PortTranslation(port, answer, region, settings).run();
}

Desired open_policy(const Region& region) {
  Desired desired{.kind = "NetworkPolicy", .name = std::string(Region::kOpenPolicy), .ns = region.ns()};
  const json::array everything{json::object{{"action", "Allow"}}};
  desired.spec = {
      {"ingress", everything}, {"egress", everything}, {"selector", fmt::format("{} == 'off'", kPortSecurityLabel)}};
  return desired;
}

}  // namespace neutron
