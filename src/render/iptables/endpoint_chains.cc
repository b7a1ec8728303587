#include "render/iptables/endpoint_chains.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/check.h"
#include "render/iptables/names.h"

namespace render::iptables {
namespace {

// Everything in which the ten kinds of endpoint chain differ (table of spec §9).
struct Shape {
  Table table = Table::kFilter;
  std::string_view failsafe;  // chain, empty if none
  Action allow = Accept{};    // for established connections
  bool drop_vxlan = false;    // encapsulated packets from the endpoint
  bool drop_ipip = false;
  TrafficLimits limits;
};

class ChainBuilder {
 public:
  ChainBuilder(const Context& context, const Policies& policies, std::string name, const PolicyList& list, Shape shape)
      : context_(context), marks_(context.marks), policies_(policies), list_(list), shape_(std::move(shape)) {
    out_.chain.name = std::move(name);
    out_.direction = list.direction;
  }

  EndpointChain admin_down() {
    emit({}, deny(), "Endpoint admin disabled");
    return std::move(out_);
  }

  EndpointChain build() {
    limit_packets();
    if (list_.stage != Stage::kUntracked) track_connections();
    if (shape_.limits.connections > 0) {
      emit({}, LimitConnections{shape_.limits.connections},
           fmt::format("Reject connections over {} connection limit", direction_word()));
    }
    if (!shape_.failsafe.empty()) emit({}, Jump{std::string(shape_.failsafe)});
    emit({}, ClearMark{marks_.accept | marks_.pass});
    drop_encapsulated();
    for (const TierStep& tier : list_.tiers) add_tier(tier);
    add_end();
    return std::move(out_);
  }

 private:
  void emit(std::vector<Match> matches, Action action, std::string comment = {}) {
    Rule rule{std::move(matches), std::move(action)};
    if (!comment.empty()) rule.comments.push_back(std::move(comment));
    out_.chain.rules.push_back(std::move(rule));
  }
  Action deny() const { return context_.deny(shape_.table); }
  std::string_view drop_word() const { return std::holds_alternative<Reject>(deny()) ? "Reject" : "Drop"; }
  const char* direction_word() const { return list_.direction == Direction::kIngress ? "ingress" : "egress"; }
  Match accepted() const { return MarkEquals{marks_.accept, marks_.accept}; }

  void limit_packets() {
    const TrafficLimits& limits = shape_.limits;
    if (limits.packet_rate <= 0) return;
    constexpr std::int64_t kDefaultBurst = 5;  // of the kernel's limit match
    const std::uint32_t mark = marks_.scratch0;
    const std::string clear = fmt::format("Clear {} packet rate limit mark", direction_word());
    emit({}, ClearMark{mark}, clear);
    emit({}, LimitPacketRate{limits.packet_rate, limits.packet_burst > 0 ? limits.packet_burst : kDefaultBurst, mark},
         fmt::format("Mark packets within {} packet rate limit", direction_word()));
    emit({MarkEquals{mark, mark, true}}, Drop{},
         fmt::format("Drop packets over {} packet rate limit", direction_word()));
    emit({}, ClearMark{mark}, clear);
  }

  void track_connections() {
    const Match established = ConntrackState{"RELATED,ESTABLISHED"};
    if (!std::holds_alternative<Accept>(shape_.allow)) emit({established}, SetMark{marks_.accept});
    emit({established}, shape_.allow);
    if (context_.settings.conntrack_invalid_check) emit({ConntrackState{"INVALID"}}, deny());
  }

  // Before policy, so that no policy can allow a guest to speak to another host's tunnel.
  void drop_encapsulated() {
    if (shape_.drop_vxlan) {
      const std::uint16_t port = context_.settings.vxlan_port;
      emit({ProtocolIs{"", 17}, Ports{Side::kDestination, {{port, port}}}}, deny(),
           fmt::format("{} VXLAN encapped packets originating in workloads", drop_word()));
    }
    if (shape_.drop_ipip) {
      emit({ProtocolIs{"", 4}}, deny(),
           fmt::format("{} IPinIP encapped packets originating in workloads", drop_word()));
    }
  }

  void add_tier(const TierStep& tier) {
    emit({}, ClearMark{marks_.pass}, fmt::format("Start of tier {}", tier.tier.view()));
    bool enforced = false;
    for (PolicyGroup& group : group_policies(policies_, list_.direction, tier.policies)) {
      enforced = enforced || !group.active.empty();
      if (!group.chain.empty()) {
        jump_to(group.chain);
        out_.groups.push_back(std::move(group));
        continue;
      }
      for (const model::PolicyKey& policy : group.active) jump_to(policy_chain(policy, list_.direction));
    }
    const bool ends = list_.stage == Stage::kNormal || list_.stage == Stage::kForward;
    if (ends && enforced && tier.default_action != model::TierAction::kPass) {
      emit({MarkClear{marks_.pass}}, deny(),
           fmt::format("End of tier {}. {} if no policies passed packet", tier.tier.view(), drop_word()));
    }
  }

  void jump_to(std::string chain) {
    emit({MarkClear{marks_.pass}}, Jump{std::move(chain)});
    if (list_.stage == Stage::kUntracked) emit({accepted()}, NoTrack{});
    emit({accepted()}, Return{}, "Return if policy accepted");
  }

  void add_end() {
    if (list_.stage == Stage::kForward && !list_.any_tier) {
      emit({}, SetMark{marks_.accept}, "Allow forwarded traffic by default");
      emit({}, Return{}, "Return for accepted forward traffic");
    }
    if (list_.stage != Stage::kNormal) return;
    for (const base::Symbol profile : list_.profiles) {
      emit({}, Jump{profile_chain(profile, list_.direction)});
      emit({accepted()}, Return{}, "Return if profile accepted");
    }
    emit({}, deny(), fmt::format("{} if no profiles matched", drop_word()));
  }

  const Context& context_;
  const Marks& marks_;
  const Policies& policies_;
  const PolicyList& list_;
  Shape shape_;
  EndpointChain out_;
};

std::string name_of(std::string_view prefix, std::string_view interface) { return length_limited(prefix, interface); }

}  // namespace

std::vector<EndpointChain> render_workload(const Context& context, const Policies& policies, std::string_view interface,
                                           const calc::LocalWorkload& endpoint) {
  std::vector<EndpointChain> chains;
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const bool from = direction == Direction::kEgress;
    const PolicyList list = policy_list(endpoint, direction);
    Shape shape{.table = Table::kFilter,
                .failsafe = {},
                .allow = context.filter_allow(),
                .drop_vxlan = from && !context.settings.allow_vxlan_from_workloads,
                .drop_ipip = from && !context.settings.allow_ipip_from_workloads,
                .limits = traffic_limits(*endpoint.interface, direction)};
    ChainBuilder builder(context, policies,
                         name_of(from ? chain::kFromWorkloadPrefix : chain::kToWorkloadPrefix, interface), list,
                         std::move(shape));
    chains.push_back(endpoint.interface->active ? builder.build() : builder.admin_down());
  }
  return chains;
}

std::vector<EndpointChain> render_host(const Context& context, const Policies& policies, Table table,
                                       std::string_view interface, const calc::LocalHostEndpoint& endpoint) {
  std::vector<EndpointChain> chains;
  const auto add = [&](std::string_view prefix, Stage stage, Direction direction, std::string_view failsafe,
                       Action allow) {
    const PolicyList list = policy_list(endpoint, stage, direction);
    Shape shape{.table = table, .failsafe = failsafe, .allow = std::move(allow), .limits = {}};
    chains.push_back(ChainBuilder(context, policies, name_of(prefix, interface), list, std::move(shape)).build());
  };
  using enum Direction;
  switch (table) {
    case Table::kFilter:
      add(chain::kToHostPrefix, Stage::kNormal, kEgress, chain::kFailsafeOut, context.filter_allow());
      add(chain::kFromHostPrefix, Stage::kNormal, kIngress, chain::kFailsafeIn, context.filter_allow());
      add(chain::kToHostForwardPrefix, Stage::kForward, kEgress, {}, context.filter_allow());
      add(chain::kFromHostForwardPrefix, Stage::kForward, kIngress, {}, context.filter_allow());
      break;
    case Table::kMangle:
      add(chain::kToHostPrefix, Stage::kNormal, kEgress, chain::kFailsafeOut, Return{});
      if (!endpoint.pre_dnat_tiers.empty()) {
        add(chain::kFromHostPrefix, Stage::kPreDnat, kIngress, chain::kFailsafeIn, context.mangle_allow());
      }
      break;
    case Table::kRaw:
      if (endpoint.untracked_tiers.empty()) break;
      add(chain::kToHostPrefix, Stage::kUntracked, kEgress, chain::kFailsafeOut, Accept{});
      add(chain::kFromHostPrefix, Stage::kUntracked, kIngress, chain::kFailsafeIn, Accept{});
      break;
    case Table::kNat: CHECK(false);
  }
  return chains;
}

}  // namespace render::iptables
