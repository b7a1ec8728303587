#include <algorithm>

#include "base/strings.h"
#include "model/decode/decode.h"
#include "model/decode/rewrite.h"

namespace model::decode {
namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmpV6 = 58;
constexpr std::uint8_t kSctp = 132;

std::vector<Port> read_ports(const Field& list, Context& context) {
  std::vector<Port> ports;
  ports.reserve(list.size());
  list.each([&](const Field& element) {
    if (const auto port = read_port(element, context.interner)) ports.push_back(*port);
  });
  return ports;
}

// Kubernetes service accounts by name, as an expression; empty if there are none.
std::string read_account_names(const Field& names) {
  std::string expression;
  names.each([&](const Field& name) {
    const auto literal = quote_literal(name.text());
    if (!literal) return name.refuse("holds both kinds of quotes", "use a valid service account name");
    expression += expression.empty() ? "projectcalico.org/serviceaccount in { " : ", ";
    expression += *literal;
  });
  if (expression.empty()) return expression;
  return *with_label_prefix(expression + " }", "");
}

std::string read_service(const Field& services, std::string_view ns) {
  if (!services.present()) return {};
  const std::string_view name = services.member("name").text();
  const std::string_view own_ns = services.member("namespace").text();
  if (name.empty()) services.refuse("has no name", "name the service or remove the match");
  return std::string(own_ns.empty() ? ns : own_ns).append("/").append(name);
}

void read_entity_selectors(const Field& side, std::string_view ns, Context& context, RuleEntity& entity) {
  const Field accounts = side.member("serviceAccounts");
  const Field selector_field = side.member("selector");
  const auto selector = read_selector(selector_field);
  const auto not_selector = read_selector(side.member("notSelector"));
  const auto namespaces = read_selector(side.member("namespaceSelector"));
  const auto account_selector = read_selector(accounts.member("selector"));
  std::string names = read_account_names(accounts.member("names"));
  if (!selector || !not_selector || !namespaces || !account_selector) return;
  const std::string merged =
      merge_entity_selectors({*selector, *not_selector, *namespaces, *account_selector, std::move(names)}, ns);
  if (!merged.empty()) entity.selector = parse_merged(selector_field, merged, context);
  if (!not_selector->empty()) entity.not_selector = parse_merged(side, *not_selector, context);
}

RuleEntity read_entity(const Field& side, std::string_view ns, Context& context) {
  RuleEntity entity;
  if (!side.present()) return entity;
  entity.nets = read_prefixes(side.member("nets"));
  entity.not_nets = read_prefixes(side.member("notNets"));
  entity.ports = read_ports(side.member("ports"), context);
  entity.not_ports = read_ports(side.member("notPorts"), context);
  entity.service = read_service(side.member("services"), ns);
  read_entity_selectors(side, ns, context, entity);
  return entity;
}

RuleAction read_action(const Field& field) {
  const std::string text = base::to_lower(field.text());
  if (text == "allow") return RuleAction::kAllow;
  if (text == "deny") return RuleAction::kDeny;
  if (text == "log") return RuleAction::kLog;
  if (text == "pass" || text == "next-tier") return RuleAction::kPass;
  field.refuse_text("is not an action", "use Allow, Deny, Log or Pass");
  return RuleAction::kDeny;
}

std::optional<base::Family> read_ip_version(const Field& field) {
  const auto version = field.integer(0, 255);
  if (version == 4) return base::Family::kIpv4;
  if (version == 6) return base::Family::kIpv6;
  if (version) field.refuse("is no IP version", "use 4 or 6");
  return std::nullopt;
}

std::optional<IcmpMatch> read_icmp(const Field& field) {
  constexpr std::int64_t kHighestType = 254;  // 255 is reserved, and other agents refuse it
  const auto type = field.member("type").integer(0, kHighestType);
  const auto code = field.member("code").integer(0, 255);
  if (type)
    return IcmpMatch{static_cast<std::uint8_t>(*type),
                     code ? std::optional(static_cast<std::uint8_t>(*code)) : std::nullopt};
  // The kernel cannot match a code alone; without the match the rule would be wider than it says.
  if (code) field.refuse("has a code but no type", "give the type too");
  return std::nullopt;
}

bool any_port(const RuleEntity& side, bool (*wanted)(const Port&)) {
  return std::any_of(side.ports.begin(), side.ports.end(), wanted) ||
         std::any_of(side.not_ports.begin(), side.not_ports.end(), wanted);
}
bool any_port(const Rule& rule, bool (*wanted)(const Port&)) {
  return any_port(rule.source, wanted) || any_port(rule.destination, wanted);
}

void check_ports(const Field& field, const Rule& rule) {
  if (!rule.protocol) {
    // A named port brings its protocol along.
    if (any_port(rule, [](const Port& port) { return !port.is_named(); })) {
      field.refuse("has numeric ports but no protocol", "set protocol to TCP, UDP or SCTP");
    }
    return;
  }
  const std::uint8_t number = rule.protocol->number;
  const bool has_ports = number == kTcp || number == kUdp || number == kSctp;
  if (!has_ports && any_port(rule, [](const Port&) { return true; })) {
    field.refuse("has ports with a protocol that has none", "set protocol to TCP, UDP or SCTP, or remove the ports");
  }
}

// The kernel accepts an ICMP match only together with the protocol of that family, and would refuse the whole table
// otherwise.
void check_icmp(const Field& field, Rule& rule) {
  if (!rule.icmp && !rule.not_icmp) return;
  const std::uint8_t number = rule.protocol ? rule.protocol->number : 0;
  if (number != kIcmp && number != kIcmpV6) {
    return field.refuse("has an ICMP match without an ICMP protocol", "set protocol to ICMP or ICMPv6");
  }
  const base::Family family = number == kIcmp ? base::Family::kIpv4 : base::Family::kIpv6;
  if (rule.ip_version && *rule.ip_version != family) {
    return field.refuse("has an ICMP protocol of the other IP version", "use ICMP with ipVersion 4, ICMPv6 with 6");
  }
  // The names imply the version; the numbers 1 and 58 say it here.
  if (rule.protocol->name.empty()) rule.ip_version = family;
}

Rule read_rule(const Field& field, std::string_view ns, Context& context) {
  Rule rule;
  rule.action = read_action(field.member("action"));
  rule.ip_version = read_ip_version(field.member("ipVersion"));
  rule.protocol = read_protocol(field.member("protocol"), context.interner);
  rule.not_protocol = read_protocol(field.member("notProtocol"), context.interner);
  rule.icmp = read_icmp(field.member("icmp"));
  rule.not_icmp = read_icmp(field.member("notICMP"));
  rule.source = read_entity(field.member("source"), ns, context);
  rule.destination = read_entity(field.member("destination"), ns, context);
  check_ports(field, rule);
  check_icmp(field, rule);
  // Only a proxy beside the workload could check this; the rule without it would be wider than it says.
  const Field http = field.member("http");
  if (http.present()) http.refuse("cannot be enforced on this platform", "remove the HTTP match");
  const Field metadata = field.member("metadata");
  metadata.member("annotations").each_text([&](const Field&, std::string_view name, std::string_view text) {
    rule.annotations.emplace_back(name, text);
  });
  std::sort(rule.annotations.begin(), rule.annotations.end());
  return rule;
}

}  // namespace

std::vector<Rule> read_rules(const Field& list, std::string_view ns, Context& context) {
  std::vector<Rule> rules;
  rules.reserve(list.size());
  list.each([&](const Field& element) { rules.push_back(read_rule(element, ns, context)); });
  return rules;
}

std::optional<std::string_view> read_selector(const Field& field) {
  std::string_view text = field.text();
  // Blank counts as absent; otherwise blanks stay, for a line feed among them is an error (spec §5.1).
  if (text.find_first_not_of(" \t") == std::string_view::npos) text = {};
  const auto checked = check_selector(text);
  if (checked) return text;
  field.refuse_text(std::string("is not a selector: ").append(checked.error().text()),
                    "write it like role == 'db' && has(site)");
  return std::nullopt;
}

Selector parse_merged(const Field& field, std::string_view merged, Context& context) {
  auto selector = context.selectors.parse(merged);
  if (selector) return *std::move(selector);
  field.refuse(std::string("cannot be joined with its namespace: ").append(selector.error().text()),
               "write a simpler selector");
  return Selector();
}

}  // namespace model::decode
