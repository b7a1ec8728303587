#include "render/iptables/static_chains.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/core.h>

#include "base/check.h"
#include "render/iptables/names.h"

namespace render::iptables {
namespace {

constexpr std::uint8_t kProtocolIpip = 4;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kProtocolIcmpv6 = 58;
constexpr std::string_view kHostAccepted = "Host endpoint policy accepted packet.";

Ports ports(Side side, std::uint16_t port) { return {side, {{port, port}}}; }

// Everything the static chains of one family share.
class StaticChains {
 public:
  StaticChains(const Context& context, Family family)
      : context_(context),
        settings_(context.settings),
        marks_(context.marks),
        family_(family),
        v4_(family == Family::kIpv4) {}

  std::vector<Chain> raw() {
    open(chain::kPrerouting);
    emit({}, clear_all());
    if (settings_.tunnels.vxlan(family_)) emit({ProtocolIs{"udp"}, SinglePort{settings_.vxlan_port}}, NoTrack{});
    for (const auto& prefix : prefixes()) emit({InInterface{prefix}}, SetMark{marks_.scratch0});
    const Match from_workload = MarkEquals{marks_.scratch0, marks_.scratch0};
    emit({from_workload}, jump(chain::kRpfSkip));
    if (v4_ && settings_.openstack) {
      // Kernels differ in how rpfilter sees source 0.0.0.0, which a DHCP client starts from.
      emit({ProtocolIs{"udp"}, Net{Side::kSource, base::Prefix::host(base::IpAddress()), false, true},
            ports(Side::kSource, 68), ports(Side::kDestination, 67)},
           Accept{});
    }
    emit({from_workload, RpfFailed{}}, context_.deny(Table::kRaw));
    emit({MarkClear{marks_.scratch0}}, jump(chain::kFromHost));
    emit({accepted()}, Accept{});

    open(chain::kOutput);
    emit({}, clear_all());
    emit({}, jump(chain::kToHost));
    if (settings_.tunnels.vxlan(family_)) emit({ProtocolIs{"udp"}, SinglePort{settings_.vxlan_port}}, NoTrack{});
    emit({accepted()}, Accept{});

    failsafe(true);
    return std::move(chains_);
  }

  std::vector<Chain> mangle() {
    open(chain::kPrerouting);
    emit({ConntrackState{"RELATED,ESTABLISHED"}}, context_.mangle_allow());
    emit({accepted()}, context_.mangle_allow());
    emit({}, jump(chain::kFromHost));
    emit({accepted()}, context_.mangle_allow(), kHostAccepted);

    open(chain::kPostrouting);
    emit({in_set(own_set::kDscpSources, Side::kSource), in_set(own_set::kAllPools, Side::kDestination, true),
          in_set(own_set::kThisHost, Side::kDestination, true)},
         jump(chain::kEgressDscp), "set dscp for traffic leaving cluster.");
    emit({accepted()}, Return{});
    emit({}, clear_all());
    // Packets DNATted in nat OUTPUT had no final out-interface in filter OUTPUT; their host policy is enforced here.
    emit({ConntrackState{"DNAT"}}, jump(chain::kToHost));
    emit({accepted()}, Return{}, kHostAccepted);

    failsafe(false);
    return std::move(chains_);
  }

  std::vector<Chain> nat() {
    open(chain::kPrerouting);
    emit({}, jump(chain::kFipDnat));
    if (v4_ && settings_.openstack && metadata()) {
      emit({ProtocolIs{"tcp"}, ports(Side::kDestination, 80),
            Net{Side::kDestination, base::Prefix::host(base::IpAddress::v4(0xa9fea9fe))}},
           Dnat{*metadata(), settings_.metadata_port});
    }
    open(chain::kOutput);
    emit({}, jump(chain::kFipDnat));
    open(chain::kPostrouting);
    emit({}, jump(chain::kFipSnat));
    emit({}, jump(chain::kNatOutgoing));
    if (v4_ && settings_.tunnels.ipip && settings_.tunnels.ipip_address) masquerade_device("tunl0");
    if (v4_ && settings_.tunnels.vxlan_v4 && settings_.tunnels.vxlan_address_v4) masquerade_device("vxlan.calico");
    if (!v4_ && settings_.tunnels.vxlan_v6 && settings_.tunnels.vxlan_address_v6) masquerade_device("vxlan-v6.calico");
    return std::move(chains_);
  }

  std::vector<Chain> filter() {
    input();
    workload_to_host();
    forward();
    output();
    failsafe(false);
    return std::move(chains_);
  }

 private:
  void open(std::string_view name) { chains_.push_back({std::string(name), {}}); }
  void emit(std::vector<Match> matches, Action action, std::string_view comment = {}) {
    Rule rule{std::move(matches), std::move(action)};
    if (!comment.empty()) rule.comments.emplace_back(comment);
    chains_.back().rules.push_back(std::move(rule));
  }

  std::vector<std::string> prefixes() const {
    std::vector<std::string> patterns;
    for (const std::string& prefix : settings_.interface_prefixes) patterns.push_back(prefix + "+");
    return patterns;
  }
  static Action jump(std::string_view chain) { return Jump{std::string(chain)}; }
  Action clear_all() const { return ClearMark{marks_.all()}; }
  Match accepted() const { return MarkEquals{marks_.accept, marks_.accept}; }
  Match in_set(std::string_view id, Side side, bool negated = false) const {
    return InSet{set_name(family_, id), side, false, negated};
  }
  Match vxlan_port() const { return ports(Side::kDestination, settings_.vxlan_port); }
  std::string vxlan_comment(std::string_view format_before, std::string_view format_after) const {
    return fmt::format("{} {} {}", format_before, v4_ ? "IPv4" : "IPv6", format_after);
  }
  // The metadata service is IPv4 only.
  std::optional<base::IpAddress> metadata() const {
    return settings_.metadata_address && settings_.metadata_address->is_v4() ? settings_.metadata_address
                                                                             : std::nullopt;
  }

  void masquerade_device(const char* device) {
    emit({OutInterface{device}, LocalAddress{Side::kSource, true, true}, LocalAddress{Side::kSource}},
         Masquerade{std::nullopt, settings_.features.masquerade_fully_random});
  }

  void failsafe(bool raw) {
    // In raw, replies have to be let through as well, or untracked policy would see them.
    open(chain::kFailsafeIn);
    failsafe_rules(settings_.failsafe_inbound, Side::kDestination, Side::kSource);
    if (raw) failsafe_rules(settings_.failsafe_outbound, Side::kSource, Side::kSource);
    open(chain::kFailsafeOut);
    failsafe_rules(settings_.failsafe_outbound, Side::kDestination, Side::kDestination);
    if (raw) failsafe_rules(settings_.failsafe_inbound, Side::kSource, Side::kDestination);
  }

  void failsafe_rules(const std::vector<FailsafePort>& list, Side port_side, Side net_side) {
    for (const FailsafePort& entry : list) {
      if (entry.net && entry.net->family() != family_) continue;
      std::vector<Match> matches{ProtocolIs{entry.protocol}, ports(port_side, entry.port)};
      if (entry.net) matches.push_back(Net{net_side, *entry.net});
      emit(std::move(matches), Accept{});
    }
  }

  void input() {
    open(chain::kInput);
    const Match to_local = LocalAddress{Side::kDestination};
    if (v4_ && settings_.tunnels.ipip) {
      emit({ProtocolIs{"", kProtocolIpip}, in_set(own_set::kAllHosts, Side::kSource), to_local},
           context_.filter_allow(), "Allow IPIP packets from Calico hosts");
      emit({ProtocolIs{"", kProtocolIpip}}, context_.deny(Table::kFilter),
           fmt::format("{} IPIP packets from non-Calico hosts", context_.deny_word()));
    }
    if (settings_.tunnels.vxlan(family_)) {
      emit({ProtocolIs{"", kProtocolUdp}, vxlan_port(), in_set(own_set::kVxlanHosts, Side::kSource), to_local},
           context_.filter_allow(), vxlan_comment("Allow", "VXLAN packets from allowed hosts"));
      // IPv4 never rejects here (spec Q12).
      emit({ProtocolIs{"", kProtocolUdp}, vxlan_port(), to_local}, v4_ ? Action(Drop{}) : context_.deny(Table::kFilter),
           vxlan_comment(v4_ ? "Drop" : context_.deny_word(), "VXLAN packets from non-allowed hosts"));
    }
    for (const auto& prefix : prefixes()) emit({InInterface{prefix}}, Goto{std::string(chain::kWorkloadToHost)});
    emit({accepted()}, context_.filter_allow());
    emit({}, clear_all());
    emit({}, jump(chain::kFromHost));
    emit({accepted()}, context_.filter_allow(), kHostAccepted);
  }

  void workload_to_host() {
    open(chain::kWorkloadToHost);
    if (!v4_) {
      // Multicast listener query, report and done; router solicitation; neighbour solicitation and advertisement.
      constexpr std::array<std::uint8_t, 6> kTypes{130, 131, 132, 133, 135, 136};
      for (const std::uint8_t type : kTypes) {
        emit({ProtocolIs{"", kProtocolIcmpv6}, Icmp{family_, {type, std::nullopt}}}, context_.filter_allow());
      }
    }
    if (settings_.openstack) {
      if (v4_ && metadata()) {
        emit({ProtocolIs{"tcp"}, Net{Side::kDestination, base::Prefix::host(*metadata()), false, true},
              ports(Side::kDestination, settings_.metadata_port)},
             context_.filter_allow());
      }
      emit({ProtocolIs{"udp"}, ports(Side::kSource, v4_ ? 68 : 546), ports(Side::kDestination, v4_ ? 67 : 547)},
           context_.filter_allow());
      emit({ProtocolIs{"udp"}, ports(Side::kDestination, 53)}, context_.filter_allow());
    }
    emit({}, jump(chain::kFromWorkload));
    emit({}, to_host_action(), "Configured DefaultEndpointToHostAction");
  }

  Action to_host_action() const {
    switch (settings_.endpoint_to_host) {
      case ToHostAction::kDrop: return Drop{};
      case ToHostAction::kReturn: return Return{};
      case ToHostAction::kAccept: return Accept{};
      case ToHostAction::kReject: return Reject{};
    }
    CHECK(false);
  }

  void forward() {
    open(chain::kForward);
    emit({}, ClearMark{marks_.all() & ~marks_.accept});
    emit({MarkClear{marks_.accept}}, jump(chain::kFromHostForward));
    for (const auto& prefix : prefixes()) {
      emit({InInterface{prefix}}, jump(chain::kFromWorkload));
      emit({OutInterface{prefix}}, jump(chain::kToWorkload));
    }
    emit({}, jump(chain::kToHostForward));
    emit({}, jump(chain::kCidrBlock));
  }

  void output() {
    open(chain::kOutput);
    emit({accepted()}, context_.filter_allow());
    // A host may always reach its own workloads.
    for (const auto& prefix : prefixes()) emit({OutInterface{prefix}}, Return{});
    const Match from_local = LocalAddress{Side::kSource};
    if (v4_ && settings_.tunnels.ipip) {
      emit({ProtocolIs{"", kProtocolIpip}, in_set(own_set::kAllHosts, Side::kDestination), from_local},
           context_.filter_allow(), "Allow IPIP packets to other Calico hosts");
    }
    if (settings_.tunnels.vxlan(family_)) {
      emit({ProtocolIs{"", kProtocolUdp}, vxlan_port(), from_local, in_set(own_set::kVxlanHosts, Side::kDestination)},
           context_.filter_allow(), vxlan_comment("Allow", "VXLAN packets to other allowed hosts"));
    }
    emit({}, clear_all());
    emit({ConntrackState{"DNAT", true}}, jump(chain::kToHost));
    emit({accepted()}, context_.filter_allow(), kHostAccepted);
  }

  const Context& context_;
  const Settings& settings_;
  const Marks& marks_;
  Family family_;
  bool v4_;
  std::vector<Chain> chains_;
};

template <typename Map>
std::vector<std::pair<std::string, const typename Map::value_type*>> by_text(const Map& map) {
  std::vector<std::pair<std::string, const typename Map::value_type*>> sorted;
  for (const auto& entry : map) sorted.emplace_back(base::to_string(entry.first), &entry);
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

Match bare_net(Side side, const base::IpAddress& address) {
  return Net{side, base::Prefix::host(address), false, true};
}

}  // namespace

std::map<std::string, Hooks> render_hooks(const Context& context, Table table) {
  std::map<std::string, Hooks> hooks;
  const auto insert = [&](std::string_view kernel, std::string_view ours) {
    hooks[std::string(kernel)].inserted = render_hooks(kernel, {{{}, Jump{std::string(ours)}}});
  };
  const auto append = [&](std::string_view kernel, const std::vector<Rule>& rules) {
    hooks[std::string(kernel)].appended = render_hooks(std::string(kernel) + "*appends*", rules);
  };
  const std::uint32_t accept = context.marks.accept;
  switch (table) {
    case Table::kRaw:
      insert("PREROUTING", chain::kPrerouting);
      insert("OUTPUT", chain::kOutput);
      break;
    case Table::kMangle:
      insert("PREROUTING", chain::kPrerouting);
      insert("POSTROUTING", chain::kPostrouting);
      break;
    case Table::kNat:
      insert("PREROUTING", chain::kPrerouting);
      insert("OUTPUT", chain::kOutput);
      // After kube-proxy's masquerade rules, so that those clear their mark first.
      append("POSTROUTING", {{{}, Jump{std::string(chain::kPostrouting)}}});
      break;
    case Table::kFilter:
      insert("INPUT", chain::kInput);
      insert("FORWARD", chain::kForward);
      insert("OUTPUT", chain::kOutput);
      // The mark left on the rest tells mangle POSTROUTING that the packet was forwarded.
      append("FORWARD", {{{MarkEquals{accept, accept}}, context.filter_allow(), {"Policy explicitly accepted packet."}},
                         {{}, SetMark{accept}}});
      break;
  }
  return hooks;
}

std::vector<Chain> render_static(const Context& context, Family family, Table table) {
  StaticChains chains(context, family);
  switch (table) {
    case Table::kRaw: return chains.raw();
    case Table::kMangle: return chains.mangle();
    case Table::kNat: return chains.nat();
    case Table::kFilter: return chains.filter();
  }
  CHECK(false);
}

// Sorted as texts, as Calico does, so that the rules' hashes are the same.
Chain render_cidr_block(const Context& context, const std::vector<base::Prefix>& ranges) {
  Chain chain{std::string(chain::kCidrBlock), {}};
  const LoopPrevention how = context.settings.loop_prevention;
  if (how == LoopPrevention::kDisabled) return chain;
  std::map<std::string, base::Prefix> sorted;
  for (const base::Prefix& range : ranges) sorted.emplace(base::to_string(range), range);
  for (const auto& [text, range] : sorted) {
    const Action action = how == LoopPrevention::kReject ? Action(Reject{}) : Action(Drop{});
    chain.rules.push_back({{Net{Side::kDestination, range}}, action});
  }
  return chain;
}

Chain render_nat_outgoing(const Context& context, Family family, bool active) {
  const Settings& settings = context.settings;
  Chain chain{std::string(chain::kNatOutgoing), {}};
  if (!active) return chain;
  std::vector<Match> base{InSet{set_name(family, own_set::kNatPools), Side::kSource},
                          InSet{set_name(family, own_set::kAllPools), Side::kDestination, false, true}};
  if (settings.nat_exclude_hosts) {
    base.push_back(InSet{set_name(family, own_set::kAllHosts), Side::kDestination, false, true});
  }
  const auto emit = [&](std::string_view protocol, Action action) {
    std::vector<Match> matches = base;
    if (!protocol.empty()) matches.push_back(ProtocolIs{std::string(protocol)});
    if (!settings.nat_outgoing_interface.empty()) matches.push_back(OutInterface{settings.nat_outgoing_interface});
    chain.rules.push_back({std::move(matches), std::move(action)});
  };
  const auto translate = [&](std::optional<calc::PortRange> range) -> Action {
    // An address of the other family could not load (spec Q24).
    if (settings.nat_outgoing_address && settings.nat_outgoing_address->family() == family) {
      return Snat{*settings.nat_outgoing_address, range, settings.features.snat_fully_random};
    }
    return Masquerade{range, settings.features.masquerade_fully_random};
  };
  if (settings.nat_port_range) {
    for (const char* protocol : {"tcp", "udp"}) {
      emit(protocol, translate(settings.nat_port_range));
      emit(protocol, Return{});
    }
  }
  emit({}, translate(std::nullopt));
  return chain;
}

Chain render_fip_dnat(const NatMap& nat) {
  Chain chain{std::string(chain::kFipDnat), {}};
  for (const auto& [text, entry] : by_text(nat.inbound)) {
    chain.rules.push_back({{bare_net(Side::kDestination, entry->first)}, Dnat{entry->second}});
  }
  return chain;
}

Chain render_fip_snat(const Context& context, const NatMap& nat) {
  Chain chain{std::string(chain::kFipSnat), {}};
  for (const auto& [text, entry] : by_text(nat.hairpin)) {
    chain.rules.push_back({{bare_net(Side::kDestination, entry->first), bare_net(Side::kSource, entry->first)},
                           Snat{entry->second, std::nullopt, context.settings.features.snat_fully_random}});
  }
  return chain;
}

Chain render_egress_dscp(const DscpMap& dscp) {
  Chain chain{std::string(chain::kEgressDscp), {}};
  // One rule per address: iptables would turn a list into several rules with one id (spec Q3).
  for (const auto& [text, entry] : by_text(dscp)) {
    chain.rules.push_back({{bare_net(Side::kSource, entry->first)}, SetDscp{entry->second}});
  }
  return chain;
}

Chain render_rpf_skip(const SpoofMap& spoof) {
  Chain chain{std::string(chain::kRpfSkip), {}};
  for (const auto& [interface, prefixes] : spoof) {
    for (const base::Prefix& prefix : prefixes) {
      chain.rules.push_back({{InInterface{interface}, Net{Side::kSource, prefix}}, Accept{}});
    }
  }
  return chain;
}

}  // namespace render::iptables
