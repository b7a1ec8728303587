// Conformance: random policies are programmed into a real kernel and real packets between guests must fare exactly as
// the evaluator says. Each round changes rules, sets and endpoints in place, so incremental programming is tested too.
//
// After each change the packets are also compared with the state of before: a comparison that does not notice a data
// plane that has not followed proves nothing.
//
// conformance_test --flavour=legacy|nft [--seed=N] [--rounds=N] [--dump=FILE]; needs root.
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/check.h"
#include "calc/evaluator.h"
#include "dataplane/dataplane.h"
#include "guests.h"
#include "kernel/conntrack_netlink.h"
#include "kernel/ipset_netlink.h"
#include "kernel/link_monitor.h"
#include "kernel/route_netlink.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/process.h"
#include "testing/rng.h"

namespace testing_world {
namespace {

struct Options {
  kernel::IptablesFlavour flavour = kernel::IptablesFlavour::kNft;
  std::uint64_t seed = 1;
  int rounds = 25;
  std::string dump;  // where the rules and sets go when packets fare otherwise
};
Options options;

class StderrLog final : public base::Log {
 public:
  bool enabled(base::LogLevel level) const override { return level >= base::LogLevel::kWarning; }
  void write(base::LogLevel, std::string_view event, std::string_view text, base::LogFields fields) override {
    std::cerr << event << ": " << text;
    for (const base::LogField& field : fields) std::cerr << ' ' << field.key << '=' << field.value;
    std::cerr << '\n';
  }
};

// A data plane on the real kernel of the current network namespace, run until it is in sync with what it was given.
class RealDataplane final : public dataplane::Listener {
 public:
  explicit RealDataplane(base::Interner& interner) {
    auto programs =
        kernel::find_iptables(options.flavour == kernel::IptablesFlavour::kNft ? kernel::FlavourSetting::kNft
                                                                               : kernel::FlavourSetting::kLegacy,
                              kernel::system_programs());
    CHECK(programs);
    tool4_ = kernel::make_process_iptables(loop_, {programs->save4, programs->restore4, programs->flavour});
    tool6_ = kernel::make_process_iptables(loop_, {programs->save6, programs->restore6, programs->flavour});
    sets_ = *kernel::NetlinkIpSets::open();
    routes_ = *kernel::NetlinkRoutes::open();
    conntrack_ = *kernel::NetlinkConntrackCleaner::open(loop_);
    neighbours_ = *kernel::NetlinkNeighbours::open();
    dataplane::Settings settings;
    settings.render.hostname = interner.intern("host");
    settings.render.interface_prefixes = {"tap"};
    settings.render.openstack = true;
    settings.workload.rp_filter = kernel::default_rp_filter(sysctl_);
    dataplane_ = *dataplane::Dataplane::create(
        loop_, log_, metrics_, settings, {*sets_, *routes_, *conntrack_, *neighbours_, sysctl_, *tool4_, tool6_.get()},
        *this);
    monitor_ = *kernel::LinkMonitor::open(loop_, *dataplane_);
    loop_.post([this] { monitor_->start(); });
  }

  // Returns when the change is in the kernel.
  void apply(const calc::Output& output) {
    loop_.post([this, &output] { dataplane_->update(output); });
    settle();
  }
  void settle() {
    // A turn that finds nothing to do ends without a restore; ask until two questions in a row find it quiet.
    const std::function<void()> ask = [this, &ask] {
      if (in_sync_ && dataplane_->idle()) {
        loop_.stop();
      } else {
        loop_.after(std::chrono::milliseconds(2), ask);
      }
    };
    loop_.after(std::chrono::milliseconds(2), ask);
    loop_.run();
  }
  dataplane::WriteCounts writes() const { return dataplane_->writes(); }
  std::size_t up() const { return up_; }

  void on_workload_status(const model::WorkloadEndpointKey&, const std::shared_ptr<const model::WorkloadInterface>&,
                          std::optional<dataplane::EndpointStatus> status) override {
    if (status == dataplane::EndpointStatus::kUp) ++up_;
  }
  void on_host_status(const model::HostEndpointKey&, std::optional<dataplane::EndpointStatus>) override {}
  void on_first_turn() override {}
  void on_in_sync() override { in_sync_ = true; }
  void on_failed(const base::Error& error) override { FAIL() << error.text(); }

 private:
  os::EventLoop loop_;
  StderrLog log_;
  base::MetricRegistry metrics_;
  kernel::ProcSysctl sysctl_;
  std::unique_ptr<kernel::IptablesTool> tool4_;
  std::unique_ptr<kernel::IptablesTool> tool6_;
  std::unique_ptr<kernel::NetlinkIpSets> sets_;
  std::unique_ptr<kernel::NetlinkRoutes> routes_;
  std::unique_ptr<kernel::NetlinkConntrackCleaner> conntrack_;
  std::unique_ptr<kernel::NetlinkNeighbours> neighbours_;
  std::unique_ptr<dataplane::Dataplane> dataplane_;
  std::unique_ptr<kernel::LinkMonitor> monitor_;
  bool in_sync_ = false;
  std::size_t up_ = 0;
};

// Makes random states around the given guests.
class RandomPolicies {
 public:
  RandomPolicies(std::uint64_t seed, base::Interner& interner, const std::vector<Guest>& guests)
      : rng_(seed), interner_(interner), guests_(guests) {}

  calc::State next() {
    calc::State state;
    for (int i = 0; i < kSets; ++i) state.sets.emplace(net_set(i), random_net_set());
    for (int i = 0; i < kSets; ++i) state.sets.emplace(port_set(i), random_port_set());
    for (int i = 0; i < kPolicies; ++i) state.policies.emplace(policy_key(i), random_policy());
    for (int i = 0; i < 2; ++i) {
      auto profile = std::make_shared<calc::ActiveProfile>();
      // No pass rules: the mark of a tier that passed is still set in profile chains, so there such a rule returns
      // every packet. Calico's chains say the same, byte for byte (docs/bugs.md).
      profile->ingress = without_pass(random_rules());
      profile->egress = without_pass(random_rules());
      state.profiles.emplace(interner_.intern("profile" + std::to_string(i)), std::move(profile));
    }
    for (const Guest& guest : guests_) state.workloads.emplace(key_of(guest), random_workload(guest));
    return state;
  }

  model::WorkloadEndpointKey key_of(const Guest& guest) {
    return {interner_.intern("openstack"), "host-openstack-" + guest.interface + "-eth0"};
  }
  std::uint16_t some_port() {
    const std::uint16_t ports[] = {53, 80, 5000, 5001, 1024, 4000, 9999, 33000};
    return ports[rng_.index(std::size(ports))];
  }
  testing::Rng& rng() { return rng_; }

 private:
  static constexpr int kSets = 3;
  static constexpr int kPolicies = 5;

  // Short: kernel names are cut to 31 characters.
  static std::string net_set(int i) { return "s:nets" + std::to_string(i); }
  static std::string port_set(int i) { return "n:ports" + std::to_string(i); }
  model::PolicyKey policy_key(int i) {
    return {model::PolicyKind::kGlobalNetworkPolicy, {}, interner_.intern("policy" + std::to_string(i))};
  }

  base::Prefix some_prefix() {
    const Guest& guest = rng_.pick(guests_);
    const base::IpAddress& address = rng_.one_in(2) ? guest.v4 : guest.v6;
    const int bits = base::address_bits(address.family());
    const int shorter[] = {0, 0, 0, 1, 2, 8};
    return base::Prefix{address, static_cast<std::uint8_t>(bits - shorter[rng_.index(6)])}.masked();
  }
  calc::IpSet random_net_set() {
    calc::IpSet set;
    for (std::uint64_t n = rng_.below(4); n > 0; --n) set.members.push_back({some_prefix()});
    return sorted(std::move(set));
  }
  calc::IpSet random_port_set() {
    calc::IpSet set;
    set.type = calc::SetType::kIpPort;
    for (std::uint64_t n = rng_.below(5); n > 0; --n) {
      const Guest& guest = rng_.pick(guests_);
      const auto protocol = static_cast<std::uint8_t>(rng_.one_in(2) ? 6 : 17);
      set.members.push_back({base::Prefix::host(rng_.one_in(2) ? guest.v4 : guest.v6), protocol, some_port()});
    }
    return sorted(std::move(set));
  }
  static calc::IpSet sorted(calc::IpSet set) {
    std::sort(set.members.begin(), set.members.end());
    set.members.erase(std::unique(set.members.begin(), set.members.end()), set.members.end());
    return set;
  }

  calc::PortRange some_range() {
    const std::uint16_t first = some_port();
    return {first, static_cast<std::uint16_t>(rng_.one_in(3) ? first + rng_.below(2000) : first)};
  }
  // All prefixes of one family, as validation demands of a rule.
  std::vector<base::Prefix> some_prefixes(base::Family family, std::uint64_t most) {
    std::vector<base::Prefix> out;
    for (std::uint64_t n = rng_.below(most + 1); n > 0; --n) {
      const base::Prefix prefix = some_prefix();
      if (prefix.family() == family) out.push_back(prefix);
    }
    return out;
  }
  calc::RuleSide random_side(bool ports, base::Family family) {
    calc::RuleSide side;
    if (rng_.one_in(3)) side.nets = some_prefixes(family, 3);
    if (rng_.one_in(5)) side.not_nets = some_prefixes(family, 2);
    if (rng_.one_in(3)) side.sets.push_back(net_set(static_cast<int>(rng_.below(kSets))));
    if (rng_.one_in(6)) side.not_sets.push_back(net_set(static_cast<int>(rng_.below(kSets))));
    if (ports && rng_.one_in(2)) {
      // Now and then more than fit into one multiport match.
      for (std::uint64_t n = rng_.one_in(6) ? 20 : 1 + rng_.below(3); n > 0; --n) side.ports.push_back(some_range());
    }
    if (ports && rng_.one_in(6)) side.not_ports.push_back(some_range());
    if (ports && rng_.one_in(5)) side.port_sets.push_back(port_set(static_cast<int>(rng_.below(kSets))));
    if (ports && rng_.one_in(8)) side.not_port_sets.push_back(port_set(static_cast<int>(rng_.below(kSets))));
    return side;
  }
  model::Protocol protocol(std::string_view name, std::uint8_t number, bool by_name) {
    return {by_name ? interner_.intern(name) : base::Symbol(), number};
  }
  calc::Rule random_rule() {
    calc::Rule rule;
    const model::RuleAction actions[] = {model::RuleAction::kAllow, model::RuleAction::kAllow,
                                         model::RuleAction::kAllow, model::RuleAction::kDeny,
                                         model::RuleAction::kDeny,  model::RuleAction::kPass};
    rule.action = actions[rng_.index(std::size(actions))];
    const base::Family family = rng_.one_in(3) ? base::Family::kIpv6 : base::Family::kIpv4;
    bool ports = false;
    switch (rng_.below(6)) {
      case 0:
      case 1: rule.protocol = protocol("tcp", 6, rng_.one_in(2)), ports = true; break;
      case 2:
      case 3: rule.protocol = protocol("udp", 17, rng_.one_in(2)), ports = true; break;
      case 4:
        rule.protocol = family == base::Family::kIpv4 ? protocol("icmp", 1, true) : protocol("icmpv6", 58, true);
        if (rng_.one_in(2)) {
          const std::uint8_t echo = family == base::Family::kIpv4 ? 8 : 128;
          rule.icmp = model::IcmpMatch{static_cast<std::uint8_t>(rng_.one_in(4) ? 3 : echo), {}};
          if (rng_.one_in(2)) rule.icmp->code = 0;
        }
        break;
      default:
        if (rng_.one_in(2)) rule.not_protocol = rng_.one_in(2) ? protocol("tcp", 6, true) : protocol("udp", 17, false);
        break;
    }
    if (rng_.one_in(4)) rule.ip_version = family;
    rule.source = random_side(ports, family);
    rule.destination = random_side(ports, family);
    return rule;
  }
  std::vector<calc::Rule> random_rules() {
    std::vector<calc::Rule> rules;
    for (std::uint64_t n = rng_.below(6); n > 0; --n) rules.push_back(random_rule());
    // Guests of a world that denies everything tell nothing.
    if (rng_.one_in(3)) rules.emplace_back();
    return rules;
  }
  static std::vector<calc::Rule> without_pass(std::vector<calc::Rule> rules) {
    std::erase_if(rules, [](const calc::Rule& rule) { return rule.action == model::RuleAction::kPass; });
    return rules;
  }
  std::shared_ptr<const calc::ActivePolicy> random_policy() {
    auto policy = std::make_shared<calc::ActivePolicy>();
    policy->tier = interner_.intern("default");
    // Few selectors, so that neighbouring policies form groups.
    policy->selector = rng_.one_in(2) ? "all()" : "has(group)";
    policy->ingress = random_rules();
    policy->egress = random_rules();
    return policy;
  }
  std::shared_ptr<const calc::LocalWorkload> random_workload(const Guest& guest) {
    auto interface = std::make_shared<model::WorkloadInterface>();
    interface->orchestrator = "openstack";
    interface->workload = "openstack/" + guest.interface;
    interface->endpoint = "eth0";
    interface->name = guest.interface;
    interface->mac = guest.mac;
    interface->addresses = {guest.v4, guest.v6};
    auto workload = std::make_shared<calc::LocalWorkload>();
    workload->interface = std::move(interface);
    for (int tier = 0; tier < 2; ++tier) {
      calc::TierPolicies policies;
      policies.tier = interner_.intern(tier == 0 ? "first" : "second");
      policies.default_action = rng_.one_in(3) ? model::TierAction::kPass : model::TierAction::kDeny;
      for (int i = 0; i < kPolicies; ++i) {
        if (i % 2 != tier) continue;
        if (rng_.one_in(2)) policies.ingress.push_back(policy_key(i));
        if (rng_.one_in(2)) policies.egress.push_back(policy_key(i));
      }
      if (!policies.ingress.empty() || !policies.egress.empty()) workload->tiers.push_back(std::move(policies));
    }
    for (int i = 0; i < 2; ++i) {
      if (rng_.one_in(2)) workload->profiles.push_back(interner_.intern("profile" + std::to_string(i)));
    }
    return workload;
  }

  testing::Rng rng_;
  base::Interner& interner_;
  const std::vector<Guest>& guests_;
};

calc::Changes everything_in(const calc::State& state) {
  calc::Changes changes;
  changes.sets_created = state.sets;
  changes.policies = state.policies;
  changes.profiles = state.profiles;
  changes.workloads = state.workloads;
  return changes;
}

// What turns `before` into `after`, sets as member deltas.
calc::Changes difference(const calc::State& before, const calc::State& after) {
  calc::Changes changes = everything_in(after);
  changes.sets_created.clear();
  for (const auto& [id, set] : after.sets) {
    const auto& old = before.sets.at(id).members;
    calc::IpSetDelta delta;
    std::set_difference(set.members.begin(), set.members.end(), old.begin(), old.end(),
                        std::back_inserter(delta.added));
    std::set_difference(old.begin(), old.end(), set.members.begin(), set.members.end(),
                        std::back_inserter(delta.removed));
    if (!delta.added.empty() || !delta.removed.empty()) changes.sets_changed.emplace(id, std::move(delta));
  }
  return changes;
}

// For the one who has to find out why.
void dump_kernel() {
  if (options.dump.empty()) return;
  std::string text;
  const std::string flavour(kernel::to_string(options.flavour));
  for (std::vector<std::string> arguments : {std::vector<std::string>{"iptables-" + flavour + "-save", "-c"},
                                             {"ip6tables-" + flavour + "-save", "-c"},
                                             {"ipset", "list"}}) {
    os::Command command;
    command.arguments = std::move(arguments);
    if (auto done = os::run(std::move(command))) text += done->output;
  }
  if (auto written = os::write_file_atomic(options.dump, text); !written) std::cerr << written.error().text() << '\n';
}

std::vector<Probe> all_probes(testing::Rng& rng, std::size_t guests) {
  std::vector<Probe> probes;
  std::uint16_t source_port = 1024;
  for (std::size_t from = 0; from < guests; ++from) {
    for (std::size_t to = 0; to < guests; ++to) {
      if (from == to) continue;
      for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
        for (const std::uint16_t port : kOpenPorts) {
          probes.push_back({from, to, family, 17, ++source_port, port});
          probes.push_back({from, to, family, 6, static_cast<std::uint16_t>(20000 + rng.below(20000)), port});
        }
        probes.push_back({from, to, family, 1, 0, 0});
      }
    }
  }
  return probes;
}

calc::Packet packet_of(const Probe& probe, const std::vector<Guest>& guests) {
  const bool v4 = probe.family == base::Family::kIpv4;
  calc::Packet packet;
  packet.source = v4 ? guests[probe.from].v4 : guests[probe.from].v6;
  packet.destination = v4 ? guests[probe.to].v4 : guests[probe.to].v6;
  packet.protocol = probe.protocol != 1 ? probe.protocol : static_cast<std::uint8_t>(v4 ? 1 : 58);
  packet.source_port = probe.source_port;
  packet.destination_port = probe.destination_port;
  if (probe.protocol == 1) packet.icmp_type = v4 ? 8 : 128;
  return packet;
}

struct Comparison {
  std::size_t allowed = 0;
  std::size_t denied = 0;
  std::vector<std::string> differences;
};

Comparison compare(const calc::State& state, RandomPolicies& random, Guests& guests, std::vector<Probe> probes) {
  guests.run(probes);
  Comparison out;
  for (const Probe& probe : probes) {
    const calc::Packet packet = packet_of(probe, guests.all());
    const auto& from = *state.workloads.at(random.key_of(guests.all()[probe.from]));
    const auto& to = *state.workloads.at(random.key_of(guests.all()[probe.to]));
    const calc::Verdict leaving = calc::evaluate(state, from, calc::Direction::kEgress, packet);
    const calc::Verdict entering = calc::evaluate(state, to, calc::Direction::kIngress, packet);
    const bool allowed =
        leaving.action == calc::Verdict::Action::kAllow && entering.action == calc::Verdict::Action::kAllow;
    ++(allowed ? out.allowed : out.denied);
    if (allowed != probe.passed) {
      out.differences.push_back(calc::to_string(packet) + (probe.passed ? " passed" : " was lost") +
                                "; out: " + calc::to_string(leaving, calc::Direction::kEgress) +
                                "; in: " + calc::to_string(entering, calc::Direction::kIngress));
    }
  }
  return out;
}

TEST(Conformance, PacketsFareAsTheEvaluatorSays) {
  base::Interner interner;
  Guests guests(3);
  RandomPolicies random(options.seed, interner, guests.all());
  RealDataplane real(interner);
  calc::State state = random.next();
  real.apply(calc::Snapshot{everything_in(state)});
  EXPECT_EQ(real.up(), guests.all().size());
  std::size_t allowed = 0;
  std::size_t denied = 0;
  std::size_t noticed = 0;
  for (int round = 0; round < options.rounds; ++round) {
    const auto probes = all_probes(random.rng(), guests.all().size());
    const Comparison seen = compare(state, random, guests, probes);
    allowed += seen.allowed;
    denied += seen.denied;
    for (const std::string& difference : seen.differences) ADD_FAILURE() << "round " << round << ": " << difference;
    if (!seen.differences.empty()) {
      dump_kernel();
      return;
    }
    calc::State next = random.next();
    real.apply(calc::Delta{difference(state, next)});
    // The same packets judged by the state of before: a data plane that had not followed would look like this.
    if (!compare(state, random, guests, probes).differences.empty()) ++noticed;
    state = std::move(next);
  }
  std::cout << options.rounds << " rounds, seed " << options.seed << ": " << allowed << " packets allowed, " << denied
            << " denied as they should be; a stale data plane would have been noticed in " << noticed << " rounds\n";
  // A comparison in which nearly all packets fare alike would prove little.
  EXPECT_GT(allowed, (allowed + denied) / 20);
  EXPECT_GT(denied, (allowed + denied) / 20);
  EXPECT_GT(noticed, static_cast<std::size_t>(options.rounds) / 2);
}

TEST(Conformance, RestartWithNothingChangedWritesNothing) {
  base::Interner interner;
  Guests guests(2);
  RandomPolicies random(options.seed + 1, interner, guests.all());
  const calc::State state = random.next();
  {
    RealDataplane first(interner);
    first.apply(calc::Snapshot{everything_in(state)});
    EXPECT_GT(first.writes().total(), 0u);
  }
  RealDataplane second(interner);
  second.apply(calc::Snapshot{everything_in(state)});
  const dataplane::WriteCounts writes = second.writes();
  EXPECT_EQ(writes.sets, 0u);
  EXPECT_EQ(writes.rules, 0u);
  EXPECT_EQ(writes.routes, 0u);
  EXPECT_EQ(writes.neighbours, 0u);
  EXPECT_EQ(writes.sysctls, 0u);
  EXPECT_EQ(second.up(), guests.all().size());
}

}  // namespace
}  // namespace testing_world

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = argument.substr(argument.find('=') + 1);
    if (argument.starts_with("--flavour=")) {
      testing_world::options.flavour =
          value == "nft" ? kernel::IptablesFlavour::kNft : kernel::IptablesFlavour::kLegacy;
    } else if (argument.starts_with("--seed=")) {
      testing_world::options.seed = std::stoull(value);
    } else if (argument.starts_with("--rounds=")) {
      testing_world::options.rounds = std::stoi(value);
    } else if (argument.starts_with("--dump=")) {
      testing_world::options.dump = value;
    } else {
      std::cerr << "unknown argument " << argument << '\n';
      return 2;
    }
  }
  // Of its own, so that a lock held elsewhere on the machine does not delay iptables-legacy here.
  const std::string lock = "/tmp/percale-conformance-" + std::to_string(getpid()) + ".lock";
  setenv("XTABLES_LOCKFILE", lock.c_str(), 1);
  const int status = RUN_ALL_TESTS();
  unlink(lock.c_str());
  return status;
}
