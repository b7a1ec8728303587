// node checksystem (spec cli §11.2; the requirements page's list). Keeps calicoctl's lines and adds what it does not
// check.

#include <algorithm>
#include <set>
#include <utility>

#include <boost/json/array.hpp>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"
#include "node/interfaces.h"
#include "node/requirements.h"

namespace cli {

using base::Error;

namespace {

constexpr int kEtcdPort = 2379;
constexpr std::size_t kNameColumns = 20;
constexpr std::string_view kMet = "System meets minimum system requirements to run Calico!\n";
constexpr std::string_view kNotMet = "system doesn't meet one or more minimum systems requirements to run Calico";

// "https://10.0.0.1:2379" -> "10.0.0.1".
std::string host_of(std::string_view endpoint) {
  if (const auto scheme = endpoint.find("://"); scheme != endpoint.npos) endpoint.remove_prefix(scheme + 3);
  endpoint = endpoint.substr(0, endpoint.find('/'));
  if (endpoint.starts_with('[')) return std::string(endpoint.substr(1, endpoint.find(']') - 1));
  return std::string(endpoint.substr(0, endpoint.find(':')));
}

int port_of(std::string_view endpoint) {
  const auto colon = endpoint.rfind(':');
  const auto digits = colon == endpoint.npos ? std::string_view() : endpoint.substr(colon + 1);
  const bool number = !digits.empty() && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  return number && digits.size() <= 5 ? std::stoi(std::string(digits)) : kEtcdPort;
}

void add_nodes(Client& client, node::Host& host, node::ClusterView& view) {
  std::set<base::IpAddress> own;
  for (const node::Interface& interface : host.interfaces().value_or(std::vector<node::Interface>{})) {
    for (const base::Prefix& address : interface.addresses) own.insert(address.address);
  }
  const auto nodes = client.list(model::kinds::kNode, {});
  if (!nodes) return;  // said by what follows: the server does not answer
  for (const model::Resource& node : nodes->items) {
    for (const std::string_view path : {"bgp.ipv4Address", "bgp.ipv6Address"}) {
      const auto address = base::parse_interface_cidr(model::text_of(node.spec(), path));
      if (address && !own.contains(address->address))
        view.nodes.push_back({std::string(node.name()), address->address});
    }
  }
  const auto pools = client.list(model::kinds::kIpPool, {});
  if (!pools) return;
  view.uses_ipip = std::ranges::any_of(pools->items, [](const model::Resource& pool) {
    const auto mode = model::text_of(pool.spec(), "ipipMode");
    return mode == "Always" || mode == "CrossSubnet";
  });
}

std::optional<node::ClusterView> look_at_cluster(Session& session, const Arguments& arguments) {
  const auto choice = choose_connection(session.globals().datastore, arguments.value("config"), session.environment());
  if (!choice) return std::nullopt;
  node::ClusterView view{.etcd = base::join(choice->settings.endpoints, ", "), .server_version = std::string()};
  for (const std::string& endpoint : choice->settings.endpoints) {
    const std::string host = host_of(endpoint);
    const auto address = base::parse_address(host);
    // A name is resolved by the client; the version it gets is the proof then. So is it for ports of one's own.
    if (address && port_of(endpoint) == kEtcdPort) view.etcd_hosts.push_back({host, *address});
  }
  const auto client = session.client(arguments);
  if (!client) {
    view.server_version = base::fail(client.error());
    return view;
  }
  const auto status = (*client)->store().status();
  if (!status) {
    view.server_version = base::fail(status.error());
    return view;
  }
  view.server_version = status->version;
  add_nodes(**client, session.environment().host(), view);
  return view;
}

std::string result_line(const node::Finding& finding) {
  std::string name = finding.name;
  if (name.size() < kNameColumns) name.resize(kNameColumns, ' ');
  return "\t\t" + name + "\t\t\t\t\t" + std::string(to_string(finding.verdict)) + "\n";
}

std::string as_text(const std::vector<node::Finding>& findings) {
  std::string text, section;
  for (const node::Finding& finding : findings) {
    if (finding.section != section) {
      section = finding.section;
      text += "Checking " + section + "...\n";
    }
    text += result_line(finding);
    if (finding.verdict == node::Verdict::kOk) continue;
    if (finding.name == "ip6_tables" && finding.verdict == node::Verdict::kFail)
      text += "WARNING: IPv6 will be unavailable as ip6_tables kernel module is not found\n";
    if (!finding.detail.empty()) text += "\t\t    " + finding.detail + "\n";
    if (!finding.remedy.empty()) text += "\t\t    What to do: " + finding.remedy + "\n";
  }
  return text;
}

std::string as_json(const std::vector<node::Finding>& findings, bool met) {
  boost::json::array list;
  for (const node::Finding& finding : findings) {
    list.push_back(boost::json::object{{"section", finding.section},
                                       {"name", finding.name},
                                       {"verdict", std::string(to_string(finding.verdict))},
                                       {"detail", finding.detail},
                                       {"remedy", finding.remedy}});
  }
  return model::to_go_json_indented(boost::json::object{{"requirementsMet", met}, {"findings", std::move(list)}}) +
         "\n";
}

// Hosts without IPv6 guests do well without ip6_tables, as upstream has it.
bool is_miss(const node::Finding& finding) {
  return finding.verdict == node::Verdict::kFail && finding.name != "ip6_tables";
}

}  // namespace

int run_node_checksystem(Session& session, const Arguments& arguments) {
  const std::string output = arguments.value("output", "text");
  if (output != "text" && output != "json") return session.fail("unrecognized output format '" + output + "'");
  const node::CheckInput input{.cluster = look_at_cluster(session, arguments),
                               .kernel_config = arguments.value("kernel-config")};
  const auto findings = node::check_system(session.environment().prober(), input);
  const bool met = std::ranges::none_of(findings, is_miss);
  if (output == "json") {
    session.environment().print(as_json(findings, met));
    return met ? 0 : 1;
  }
  session.environment().print(as_text(findings));
  if (!met) return session.fail(kNotMet);
  session.environment().print(kMet);
  return 0;
}

}  // namespace cli
