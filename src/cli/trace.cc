#include "cli/trace.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/strings.h"
#include "calc/print.h"
#include "cli/commands.h"
#include "cli/world.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using base::Family;
using model::Resource;

namespace {

namespace json = boost::json;

constexpr std::uint16_t kDefaultSourcePort = 40000;  // any ephemeral port
constexpr std::uint8_t kEchoRequest = 8;
constexpr std::uint8_t kEchoRequestV6 = 128;

struct ProtocolName {
  std::string_view name;
  std::uint8_t number;
};
constexpr ProtocolName kProtocols[] = {{"icmp", 1},    {"tcp", 6},    {"udp", 17},
                                       {"icmpv6", 58}, {"sctp", 132}, {"udplite", 136}};

Error invalid(std::string text) { return Error(ErrorKind::kInvalid, std::move(text)); }

std::optional<unsigned> parse_number(std::string_view text, unsigned limit) {
  unsigned value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size() || value > limit) return std::nullopt;
  return value;
}

std::vector<base::IpAddress> addresses_of(const Resource& endpoint) {
  const std::string_view member =
      endpoint.kind == &model::kinds::kWorkloadEndpoint ? "spec.ipNetworks" : "spec.expectedIPs";
  std::vector<base::IpAddress> addresses;
  const json::value* list = model::find(endpoint, member);
  if (list == nullptr || !list->is_array()) return addresses;
  for (const json::value& entry : list->get_array()) {
    if (!entry.is_string()) continue;
    const auto prefix = base::parse_cidr_or_address(entry.get_string().c_str());
    if (prefix) addresses.push_back(prefix->address);
  }
  return addresses;
}

bool is_called(const Resource& endpoint, std::string_view ns, std::string_view name) {
  if (!ns.empty() && endpoint.ns() != ns) return false;
  const json::object& spec = endpoint.spec();
  return endpoint.name() == name || model::text_of(spec, "endpoint") == name ||
         model::text_of(spec, "workload") == name || model::text_of(spec, "interfaceName") == name;
}

const Resource* owner_of(const base::IpAddress& address, const std::vector<Resource>& workloads,
                         const std::vector<Resource>& hosts) {
  for (const auto* list : {&workloads, &hosts}) {
    for (const Resource& endpoint : *list) {
      const auto own = addresses_of(endpoint);
      if (std::ranges::find(own, address) != own.end()) return &endpoint;
    }
  }
  return nullptr;
}

// The verdict at one end, with everything needed to print it.
struct Decision {
  const Resource* endpoint = nullptr;  // null: nobody decides here
  std::string node;
  calc::Direction direction = calc::Direction::kIngress;
  std::optional<calc::Verdict> verdict;
  std::string note;       // why there is no verdict although there is an endpoint
  std::string rule_text;  // the deciding rule as its resource has it
};

const Resource* find_policy_resource(Client& client, const calc::Verdict& verdict, std::optional<Resource>& kept) {
  const bool profile = verdict.reason == calc::Verdict::Reason::kProfileRule;
  const std::string_view kind_name = profile ? "Profile" : to_string(verdict.policy.kind);
  const model::Kind* kind = model::find_kind(kind_name);
  if (kind == nullptr) return nullptr;
  auto found = client.get(*kind, profile ? "" : verdict.policy.ns.view(),
                          profile ? verdict.profile.view() : verdict.policy.name.view());
  if (!found) return nullptr;
  kept = *std::move(found);
  return &*kept;
}

std::string rule_text(Client& client, const calc::Verdict& verdict, calc::Direction direction) {
  using Reason = calc::Verdict::Reason;
  if (verdict.reason != Reason::kPolicyRule && verdict.reason != Reason::kProfileRule) return {};
  std::optional<Resource> kept;
  const Resource* resource = find_policy_resource(client, verdict, kept);
  if (resource == nullptr) return {};
  const json::object shown = display_object(*resource);
  const json::value* rules =
      model::find(shown, direction == calc::Direction::kIngress ? "spec.ingress" : "spec.egress");
  if (rules == nullptr || !rules->is_array() || verdict.rule >= rules->get_array().size()) return {};
  return json::serialize(rules->get_array()[verdict.rule]);
}

Decision decide(Client& client, World& world, const Resource* endpoint, calc::Direction direction,
                const calc::Packet& packet, std::vector<model::Diagnostic>& problems) {
  Decision decision{endpoint, {}, direction, {}, {}, {}};
  if (endpoint == nullptr) return decision;
  decision.node = model::text_of(endpoint->spec(), "node");
  HostView view = world.view_of(decision.node);
  for (const model::Diagnostic& problem : view.problems) {
    if (std::ranges::find(problems, problem) == problems.end()) problems.push_back(problem);
  }
  if (endpoint->kind == &model::kinds::kWorkloadEndpoint) {
    const model::WorkloadEndpointKey key{world.intern(endpoint->ns()), std::string(endpoint->name())};
    const auto found = view.state.workloads.find(key);
    if (found != view.state.workloads.end())
      decision.verdict = calc::evaluate(view.state, *found->second, direction, packet);
  } else {
    const auto found = view.state.host_endpoints.find(model::HostEndpointKey{world.intern(endpoint->name())});
    if (found != view.state.host_endpoints.end()) {
      decision.verdict = calc::evaluate(view.state, *found->second, calc::PolicyList::kNormal, direction, packet);
    }
  }
  if (!decision.verdict) {
    decision.note = "the agent on " + decision.node + " does not know this endpoint; nothing passes";
  } else {
    decision.rule_text = rule_text(client, *decision.verdict, direction);
  }
  return decision;
}

bool allows(const Decision& decision) {
  if (decision.endpoint == nullptr) return true;
  return decision.verdict && decision.verdict->action == calc::Verdict::Action::kAllow;
}

std::string_view reason_word(calc::Verdict::Reason reason) {
  using Reason = calc::Verdict::Reason;
  switch (reason) {
    case Reason::kPolicyRule: return "policy rule";
    case Reason::kProfileRule: return "profile rule";
    case Reason::kEndOfTier: return "end of tier";
    case Reason::kNoProfile: return "no policy or profile allows it";
    case Reason::kAdminDown: return "endpoint is disabled";
    case Reason::kForwardDefault: return "no forward policy";
    case Reason::kEndOfList: return "end of list";
  }
  return "";
}

std::string text_of_decision(const Decision& decision) {
  const bool egress = decision.direction == calc::Direction::kEgress;
  std::string text = egress ? "egress   " : "ingress  ";
  if (decision.endpoint == nullptr) return text + "no endpoint of the cluster has this address: nothing decides here\n";
  text += decision.endpoint->id() + " on " + decision.node + "\n         ";
  if (!decision.verdict) return text + "deny: " + decision.note + "\n";
  text += calc::to_string(*decision.verdict, decision.direction) + "\n";
  if (!decision.rule_text.empty()) text += "         " + decision.rule_text + "\n";
  return text;
}

json::value json_of_decision(const Decision& decision) {
  if (decision.endpoint == nullptr) return nullptr;
  json::object out{{"endpoint", decision.endpoint->id()}, {"node", decision.node}};
  out["verdict"] = allows(decision) ? "allow" : "deny";
  if (!decision.verdict) {
    out["reason"] = decision.note;
    return out;
  }
  const calc::Verdict& verdict = *decision.verdict;
  using Reason = calc::Verdict::Reason;
  out["reason"] = reason_word(verdict.reason);
  if (!verdict.tier.empty()) out["tier"] = verdict.tier.view();
  if (!verdict.policy.name.empty()) out["policy"] = model::policy_id(verdict.policy);
  if (!verdict.profile.empty()) out["profile"] = verdict.profile.view();
  if (verdict.reason == Reason::kPolicyRule || verdict.reason == Reason::kProfileRule) out["rule"] = verdict.rule;
  json::error_code failure;
  if (json::value rule = json::parse(decision.rule_text, failure); !failure) out["ruleText"] = std::move(rule);
  return out;
}

}  // namespace

base::Result<TraceProtocol> parse_trace_protocol(std::string_view text) {
  const auto slash = text.find('/');
  TraceProtocol protocol{base::to_lower(text.substr(0, slash)), 0, false, {}};
  const auto named = std::ranges::find(kProtocols, protocol.name, &ProtocolName::name);
  if (named != std::end(kProtocols)) {
    protocol.number = named->number;
  } else if (const auto number = parse_number(protocol.name, 255); number && *number > 0) {
    protocol.number = static_cast<std::uint8_t>(*number);
  } else {
    return base::fail(
        invalid("unknown protocol '" + std::string(text) + "', expected for example tcp/443, udp/53 or icmp"));
  }
  protocol.is_icmp = protocol.number == 1 || protocol.number == 58;
  if (slash != text.npos) {
    const auto port = parse_number(text.substr(slash + 1), protocol.is_icmp ? 255 : 65535);
    if (!port) return base::fail(invalid("'" + std::string(text.substr(slash + 1)) + "' is not a port number"));
    protocol.port = static_cast<std::uint16_t>(*port);
  }
  const bool needs_port =
      protocol.number == 6 || protocol.number == 17 || protocol.number == 132 || protocol.number == 136;
  if (needs_port && !protocol.port)
    return base::fail(invalid("'" + protocol.name + "' needs a port, as in " + protocol.name + "/80"));
  return protocol;
}

base::Result<TraceEnd> find_trace_end(std::string_view word, const std::vector<Resource>& workloads,
                                      const std::vector<Resource>& hosts) {
  if (const auto address = base::parse_address(word)) {
    return TraceEnd{owner_of(*address, workloads, hosts), {*address}};
  }
  const auto slash = word.find('/');
  const std::string_view ns = slash == word.npos ? "" : word.substr(0, slash);
  const std::string_view name = slash == word.npos ? word : word.substr(slash + 1);
  std::vector<const Resource*> found;
  for (const auto* list : {&workloads, &hosts}) {
    for (const Resource& endpoint : *list) {
      if (is_called(endpoint, ns, name)) found.push_back(&endpoint);
    }
  }
  if (found.empty()) {
    return base::fail(
        Error(ErrorKind::kNotFound, "no endpoint is called '" + std::string(word) +
                                        "' (give an address, or the name of a workload or host endpoint)"));
  }
  if (found.size() > 1) {
    std::vector<std::string> names;
    for (const Resource* endpoint : found) names.push_back(endpoint->id());
    return base::fail(invalid("'" + std::string(word) + "' may be any of " + base::join(names, ", ")));
  }
  TraceEnd end{found.front(), addresses_of(*found.front())};
  if (end.addresses.empty()) return base::fail(invalid(found.front()->id() + " has no address"));
  return end;
}

base::Result<calc::Packet> make_packet(const TraceEnd& from, const TraceEnd& to, const TraceProtocol& protocol,
                                       std::optional<Family> family, std::uint16_t source_port) {
  const auto first_of = [](const TraceEnd& end, Family wanted) {
    return std::ranges::find(end.addresses, wanted, &base::IpAddress::family);
  };
  for (const Family candidate : {Family::kIpv4, Family::kIpv6}) {
    if (family && candidate != *family) continue;
    const auto source = first_of(from, candidate);
    const auto destination = first_of(to, candidate);
    if (source == from.addresses.end() || destination == to.addresses.end()) continue;
    calc::Packet packet{.source = *source, .destination = *destination, .protocol = protocol.number};
    if (protocol.is_icmp) {
      const bool v4 = candidate == Family::kIpv4;
      packet.protocol = v4 ? 1 : 58;
      packet.icmp_type = static_cast<std::uint8_t>(protocol.port.value_or(v4 ? kEchoRequest : kEchoRequestV6));
    } else if (packet.has_ports()) {
      packet.source_port = source_port;
      packet.destination_port = protocol.port.value_or(0);
    }
    return packet;
  }
  return base::fail(invalid("the two ends have no addresses of one IP version" +
                            std::string(family ? (*family == Family::kIpv4 ? " 4" : " 6") : "")));
}

int run_trace(Session& session, const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positionals();
  const std::string output = arguments.value("output", "text");
  if (output != "text" && output != "json") return session.fail("unrecognized output format '" + output + "'");
  const auto protocol = parse_trace_protocol(words[2]);
  if (!protocol) return session.fail(protocol.error().text());
  const std::string version = arguments.value("ip-version");
  if (!version.empty() && version != "4" && version != "6") return session.fail("--ip-version must be 4 or 6");
  const auto port = parse_number(arguments.value("source-port", std::to_string(kDefaultSourcePort)), 65535);
  if (!port) return session.fail("--source-port must be a port number");
  std::optional<Family> family;
  if (!version.empty()) family = version == "4" ? Family::kIpv4 : Family::kIpv6;

  const auto connected = session.checked_client(arguments);
  if (!connected) return session.fail(connected.error().text());
  Client& client = **connected;
  const auto workloads = client.list(model::kinds::kWorkloadEndpoint, {});
  if (!workloads) return session.fail(workloads.error().text());
  const auto hosts = client.list(model::kinds::kHostEndpoint, {});
  if (!hosts) return session.fail(hosts.error().text());
  const auto from = find_trace_end(words[0], workloads->items, hosts->items);
  if (!from) return session.fail(from.error().text());
  const auto to = find_trace_end(words[1], workloads->items, hosts->items);
  if (!to) return session.fail(to.error().text());
  const auto packet = make_packet(*from, *to, *protocol, family, static_cast<std::uint16_t>(*port));
  if (!packet) return session.fail(packet.error().text());
  auto world = World::read(client.store());
  if (!world) return session.fail(world.error().text());

  std::vector<model::Diagnostic> problems;
  const Decision egress = decide(client, *world, from->endpoint, calc::Direction::kEgress, *packet, problems);
  const Decision ingress = decide(client, *world, to->endpoint, calc::Direction::kIngress, *packet, problems);
  const bool allowed = allows(egress) && allows(ingress);
  for (const model::Diagnostic& problem : problems)
    session.environment().print_error("Warning: " + to_string(problem) + "\n");
  if (output == "json") {
    const json::object shown{{"packet", calc::to_string(*packet)},
                             {"verdict", allowed ? "allow" : "deny"},
                             {"egress", json_of_decision(egress)},
                             {"ingress", json_of_decision(ingress)}};
    session.environment().print(model::to_go_json_indented(shown) + "\n");
  } else {
    session.environment().print(calc::to_string(*packet) + ": " + (allowed ? "ALLOW" : "DENY") + "\n" +
                                text_of_decision(egress) + text_of_decision(ingress));
  }
  return 0;
}

}  // namespace cli
