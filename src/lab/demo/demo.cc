// The story: a cloud comes up, its guests talk, the doors are closed, opened by label and by security group, a guest
// comes; then an agent dies, a host loses etcd, etcd itself dies, and a guest goes. Packets decide whether a step went
// well.
//
// Groups used: "default" (everybody; rules taken away in step 3), "frontend" and "cache" (step 5).
#include "lab/demo/demo.h"

#include <csignal>
#include <cstdio>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/strings.h"
#include "lab/demo/stage.h"
#include "lab/ready.h"
#include "os/files.h"

namespace lab {
namespace {

namespace json = boost::json;
using base::Error;
using base::fail;
using base::Result;
using namespace std::chrono_literals;

constexpr std::uint16_t kDatabase = 5432;
constexpr std::uint16_t kWeb = 80;
constexpr std::uint16_t kCache = 9000;
constexpr int kMatrixOfSix = 240;   // 6 guests, 5 others, 4 services, 2 families
constexpr int kWebToDatabase = 12;  // 3 web guests, 2 databases, 2 families
constexpr int kWebToCache = 6;      // 3 web guests, 1 cache, 2 families
constexpr int kPacketsPerSecond = 1000;

Probe tcp(const Guest& to, std::uint16_t port) { return {"tcp", to.v4.address, port, kMatrixTimeoutMs}; }

// web may open tcp/`port` of db: one policy on each side.
std::vector<Record> web_to_database(std::uint16_t port) {
  const json::object rule{{"action", "Allow"}, {"protocol", "TCP"}};
  json::object in = rule;
  in["source"] = {{"selector", "role == 'web'"}};
  in["destination"] = {{"ports", json::array{port}}};
  json::object out = rule;
  out["destination"] = {{"selector", "role == 'db'"}, {"ports", json::array{port}}};
  return {resource("GlobalNetworkPolicy", "globalnetworkpolicies", "default.db-from-web",
                   {{"tier", "default"},
                    {"order", 100},
                    {"selector", "role == 'db'"},
                    {"types", json::array{"Ingress"}},
                    {"ingress", json::array{in}}}),
          resource("GlobalNetworkPolicy", "globalnetworkpolicies", "default.web-to-db",
                   {{"tier", "default"},
                    {"order", 100},
                    {"selector", "role == 'web'"},
                    {"types", json::array{"Egress"}},
                    {"egress", json::array{out}}})};
}

class Demo {
 public:
  explicit Demo(Lab& lab) : lab_(lab), stage_(lab) {}

  bool run(const DemoOptions& options) {
    stage_.step("1", "Hosts find each other over BGP", [&] { return sessions(); });
    stage_.step("2", "Six guests reach each other", [&] { return everybody(); });
    stage_.step("3", "Default deny: every new flow stops", [&] { return deny(); });
    stage_.step("4", "Allow web -> db on tcp/5432 by label", [&] { return allow_by_label(); });
    stage_.step("5", "Security group with a remote group", [&] { return security_group(); });
    stage_.step("6", "A new guest appears", [&] { return guest_appears(); });
    stage_.step("7", "kill -9 of an agent under traffic", [&] { return agent_dies(); });
    stage_.step("8a", fmt::format("A host is cut from etcd for {} s", options.cut_seconds),
                [&] { return host_is_cut(options.cut_seconds); });
    stage_.step("8b", "etcd is killed for 10 s", [&] { return etcd_dies(); });
    stage_.step("9", "A guest disappears", [&] { return guest_disappears(); });
    fmt::print("{}", stage_.table());
    return stage_.all_good();
  }

 private:
  const Guest& guest(std::string_view name) const { return *lab_.plan().guest(name); }
  const Host& host(std::string_view name) const { return *lab_.plan().host(name); }

  Result<Outcome> sessions() {
    const Stopwatch watch;
    const std::string problem = wait_until(40s, [&] { return not_ready(lab_); });
    int established = 0;
    std::vector<std::string> nodes = {std::string(kRouterNode)};
    for (const Host& h : lab_.plan().hosts) nodes.push_back(h.name);
    for (const std::string& node : nodes) {
      auto status = lab_.bird_status(node);
      if (!status) return fail(std::move(status).error());
      for (const auto& row : status->sessions) established += row.established() ? 1 : 0;
    }
    Stage::say("every host peers with the route reflector, over IPv4 and over IPv6");
    return Outcome{
        "6 sessions, both ends Established",
        problem.empty() ? fmt::format("{} ends Established, every guest's route at the router", established) : problem,
        problem.empty() && established == 12, watch.ms()};
  }

  Result<Outcome> everybody() {
    Stage::say("web1 and web2 share a subnet on two hosts, web3 sits behind the router: ICMP, TCP, UDP, IPv4 and IPv6");
    return stage_.agree("everybody reaches everybody", kMatrixOfSix, 15s);
  }

  Result<Outcome> deny() {
    auto sender = lab_.prober("web1");
    if (!sender) return fail(std::move(sender).error());
    if (auto flow = sender->start_flow("old", "tcp", guest("db2").v4.address, kDatabase, 50); !flow)
      return fail(std::move(flow).error());
    if (auto before = stage_.until("web1", tcp(guest("db2"), kDatabase), true); !before)
      return fail(std::move(before).error());
    Stage::say("a TCP connection web1 -> db2 stays open; then the group loses all its rules");
    if (auto put = stage_.put(group_policy(make_group("default"), {})); !put) return fail(std::move(put).error());
    auto blocked = stage_.until("web1", tcp(guest("db2"), kDatabase), false);
    if (!blocked) return fail(std::move(blocked).error());
    auto outcome = stage_.agree("no new flow", 0);
    if (!outcome) return outcome;
    auto flows = sender->flows();
    if (!flows) return fail(std::move(flows).error());
    const FlowReport& old = flows->at("old");
    (void)sender->stop_flow("old");
    outcome->seen += fmt::format("; the open connection is {}", old.state);
    outcome->good = outcome->good && old.state == "running" && *blocked >= 0;
    outcome->ms = *blocked;
    return outcome;
  }

  Result<Outcome> allow_by_label() {
    for (const Record& record : web_to_database(kDatabase)) {
      if (auto put = stage_.put(record); !put) return fail(std::move(put).error());
    }
    auto first = stage_.until("web1", tcp(guest("db2"), kDatabase), true);
    if (!first) return fail(std::move(first).error());
    Stage::say(fmt::format("web1 -> db2: first connection {} ms after the write", *first));
    auto outcome = stage_.agree("exactly web -> db tcp/5432", kWebToDatabase);
    if (outcome) outcome->ms = *first;
    return outcome;
  }

  // As Neutron writes it: members carry the group's label, the rule names the other group.
  Result<Outcome> security_group() {
    const SecurityGroup everybody = make_group("default");
    const SecurityGroup frontend = make_group("frontend");
    const SecurityGroup cache = make_group("cache");
    std::vector<Record> records;
    std::vector<GroupRule> out;
    std::vector<GroupRule> in;
    for (int version : {4, 6}) {
      out.push_back({.ingress = false, .ip_version = version, .protocol = "udp", .remote_group = cache.id});
      in.push_back(
          {.ingress = true, .ip_version = version, .protocol = "udp", .port = kCache, .remote_group = frontend.id});
    }
    records.push_back(group_policy(frontend, out));
    records.push_back(group_policy(cache, in));
    for (const Guest& g : lab_.plan().guests) {
      if (g.role == "web") records.push_back(workload_endpoint(g, {everybody, frontend}));
      if (g.role == "cache") records.push_back(workload_endpoint(g, {everybody, cache}));
    }
    for (const Record& record : records) {
      if (auto put = stage_.put(record); !put) return fail(std::move(put).error());
    }
    auto first = stage_.until("web1", {"udp", guest("cache1").v4.address, kCache, kMatrixTimeoutMs}, true);
    if (!first) return fail(std::move(first).error());
    auto outcome = stage_.agree("and web -> cache udp/9000", kWebToDatabase + kWebToCache);
    if (outcome) outcome->ms = *first;
    return outcome;
  }

  Result<Outcome> guest_appears() {
    const Guest db3 = make_guest("db3", "host-c", "db", 66, 14);
    if (auto added = lab_.add_guest(db3); !added) return fail(std::move(added).error());
    Stage::say("db3 is plugged in on host-c; its endpoint is written now");
    if (auto put = stage_.put(workload_endpoint(db3, {make_group("default")})); !put)
      return fail(std::move(put).error());
    auto first = stage_.until("web1", tcp(db3, kDatabase), true, 10s);
    if (!first) return fail(std::move(first).error());
    auto outcome = stage_.agree("db3 too is reached by web", kWebToDatabase + kWebToCache + 6);
    if (!outcome) return outcome;
    outcome->seen +=
        *first < 0 ? "; db3 not reached from host-a" : fmt::format("; db3 from host-a after {} ms", *first);
    outcome->good = outcome->good && *first >= 0;
    outcome->ms = *first;
    return outcome;
  }

  // What flows while something happens to an agent or to etcd.
  struct Traffic {
    ProbeClient web1;
    ProbeClient cache1;
    ProbeClient db2;
    std::map<std::string, std::uint64_t> arrivals_before;
    std::map<std::string, FlowReport> echo_before;
  };

  Result<Traffic> start_traffic() {
    auto web1 = lab_.prober("web1");
    auto cache1 = lab_.prober("cache1");
    auto db2 = lab_.prober("db2");
    if (!web1 || !cache1 || !db2) return fail(Error::unavailable("a prober does not answer"));
    Traffic traffic{std::move(*web1), std::move(*cache1), std::move(*db2), {}, {}};
    auto arrivals = traffic.web1.arrivals();
    auto echo = traffic.db2.flows();
    if (!arrivals || !echo) return fail(Error::unavailable("a prober does not answer"));
    traffic.arrivals_before = *arrivals;
    traffic.echo_before = *echo;
    auto started = traffic.web1.start_flow("udp", "udp", guest("cache1").v4.address, kCache, kPacketsPerSecond);
    if (started) started = traffic.web1.start_flow("tcp", "tcp", guest("db2").v4.address, kDatabase, kPacketsPerSecond);
    if (started)
      started = traffic.cache1.start_flow("denied", "udp", guest("web1").v4.address, kCache, kPacketsPerSecond / 5);
    if (!started) return fail(std::move(started).error());
    return traffic;
  }

  struct TrafficReport {
    std::string text;
    bool good = false;
    int longest_pause_ms = 0;
  };

  Result<TrafficReport> stop_traffic(Traffic& traffic) {
    for (const char* id : {"udp", "tcp"}) (void)traffic.web1.quiet_flow(id);
    (void)traffic.cache1.quiet_flow("denied");
    pause_for(300ms);  // what is under way comes back
    auto flows = traffic.web1.flows();
    auto denied = traffic.cache1.flows();
    auto echo = traffic.db2.flows();
    auto arrivals = traffic.web1.arrivals();
    if (!flows || !denied || !echo || !arrivals) return fail(Error::unavailable("a prober does not answer"));
    for (const char* id : {"udp", "tcp"}) (void)traffic.web1.stop_flow(id);
    (void)traffic.cache1.stop_flow("denied");
    const FlowReport& udp = flows->at("udp");
    const FlowReport& stream = flows->at("tcp");
    const std::string key = fmt::format("udp {} {}", base::to_string(guest("cache1").v4.address), kCache);
    const auto lost = udp.sent - udp.echoed;
    const auto again =
        stream.retransmitted + echo->at("echo-side").retransmitted - traffic.echo_before.at("echo-side").retransmitted;
    const auto leaked = (*arrivals)[key] - traffic.arrivals_before[key] + denied->at("denied").echoed;
    TrafficReport report;
    report.text = fmt::format("{} of {} lost, {} retransmitted, {} of {} leaked", lost, udp.sent, again, leaked,
                              denied->at("denied").sent);
    report.good = lost == 0 && again == 0 && leaked == 0 && stream.state == "running" && udp.sent > 1000 &&
                  stream.echoed > 1000 && denied->at("denied").sent > 200;
    report.longest_pause_ms = static_cast<int>(udp.longest_gap_us / 1000);
    return report;
  }

  Result<Outcome> agent_dies() {
    const Host& a = host("host-a");
    Stage::say(
        "UDP web1 -> cache1 and a TCP stream web1 -> db2, 1,000 messages a second each; cache1 -> web1 is denied");
    auto traffic = start_traffic();
    if (!traffic) return fail(std::move(traffic).error());
    const auto sessions_before = lab_.bird_status(a.name);
    pause_for(1s);
    Stage::say("kill -9 of the agent of host-a; it stays away for a second and a half");
    if (!lab_.agent_options().is_none()) {
      if (auto killed = lab_.kill_agent(a, SIGKILL); !killed) return fail(std::move(killed).error());
    }
    pause_for(1500ms);
    const Stopwatch restart;
    if (!lab_.agent_options().is_none()) {
      if (auto started = lab_.start_agent(a); !started) return fail(std::move(started).error());
    }
    const std::string problem = wait_until(
        15s, [&] { return lab_.agent_ready(a) ? std::string() : std::string("the agent is not ready again"); });
    const int ready_ms = restart.ms();
    Stage::say(fmt::format("the new agent was ready after {} ms", ready_ms));
    pause_for(1500ms);
    auto report = stop_traffic(*traffic);
    if (!report) return fail(std::move(report).error());
    // Rows carry the time of the last change: equal rows mean that no session has moved.
    const auto sessions_after = lab_.bird_status(a.name);
    if (!sessions_before || !sessions_after || sessions_before->sessions != sessions_after->sessions) {
      report->good = false;
      report->text += "; BGP sessions have moved";
    }
    return Outcome{"no packet lost, none retransmitted, none leaked", problem.empty() ? report->text : problem,
                   problem.empty() && report->good, ready_ms};
  }

  Result<Outcome> host_is_cut(int seconds) {
    const Host& c = host("host-c");
    const Guest& db2 = guest("db2");
    const Guest& db3 = guest("db3");
    auto store = lab_.datastore();
    if (!store) return fail(std::move(store).error());
    if (auto cut = lab_.cut_from_etcd(c, true); !cut) return fail(std::move(cut).error());
    const Stopwatch away;
    pause_for(500ms);
    Stage::say(
        "packets between host-c and etcd are dropped from now on; web -> db moves from tcp/5432 to tcp/80; etcd "
        "compacts");
    for (const Record& record : web_to_database(kWeb)) {
      if (auto put = stage_.put(record); !put) return fail(std::move(put).error());
    }
    auto followed = stage_.until("web1", tcp(db2, kWeb), true);
    auto revision = stage_.lab().put(web_to_database(kWeb)[0]);
    if (!followed || !revision) return fail(Error::unavailable("the datastore or a prober does not answer"));
    if (auto compacted = (*store)->compact(*revision); !compacted) return fail(std::move(compacted).error());
    auto stopped = stage_.until("web1", tcp(db2, kDatabase), false);
    if (!stopped) return fail(std::move(stopped).error());
    Stage::say(fmt::format("host-a and host-b follow after {} ms; waiting until {} s are over", *followed, seconds));
    while (away.ms() < seconds * 1000) pause_for(100ms);
    // Both ends are on host-c, so only its own rules decide.
    auto old_rule = stage_.passes("web3", tcp(db3, kDatabase));
    auto new_rule = stage_.passes("web3", {"tcp", db3.v4.address, kWeb, 300});
    if (!old_rule || !new_rule) return fail(Error::unavailable("a prober does not answer"));
    if (auto healed = lab_.cut_from_etcd(c, false); !healed) return fail(std::move(healed).error());
    const Stopwatch healing;
    auto opened = stage_.until("web3", tcp(db3, kWeb), true, 15s);
    auto closed = stage_.until("web3", tcp(db3, kDatabase), false);
    if (!opened || !closed) return fail(Error::unavailable("a prober does not answer"));
    const int healed_ms = *opened;
    auto outcome = stage_.agree("others follow, it keeps its rules, then", kWebToDatabase + kWebToCache + 6, 5s);
    if (!outcome) return outcome;
    const bool kept = *old_rule && !*new_rule;
    outcome->expected = "the others follow, it keeps its old rules, and converges within 5 s of healing";
    outcome->seen = fmt::format("others {} ms, {} its rules, healed {} ms; {} differ", *followed,
                                kept ? "kept" : "LOST", healed_ms, outcome->good ? "0" : "flows");
    outcome->good =
        outcome->good && kept && *followed >= 0 && *stopped >= 0 && healed_ms >= 0 && healed_ms <= 5000 && *closed >= 0;
    outcome->ms = healed_ms;
    return outcome;
  }

  Result<Outcome> etcd_dies() {
    // The stream of the traffic needs tcp/5432 again.
    for (const Record& record : web_to_database(kDatabase)) {
      if (auto put = stage_.put(record); !put) return fail(std::move(put).error());
    }
    auto open = stage_.until("web1", tcp(guest("db2"), kDatabase), true);
    auto store = lab_.datastore();
    if (!open || !store) return fail(Error::unavailable("the datastore or a prober does not answer"));
    auto traffic = start_traffic();
    if (!traffic) return fail(std::move(traffic).error());
    Stage::say("kill -9 of etcd");
    if (auto killed = lab_.kill_etcd(); !killed) return fail(std::move(killed).error());
    const Stopwatch away;
    pause_for(500ms);
    store::BlockingStore impatient((*store)->async(), {.timeout = 2s, .wait_for_connection = false});
    auto refused = impatient.put("/calico/lab/test", "x");
    const bool clear =
        !refused && refused.error().kind() == base::ErrorKind::kUnavailable && !refused.error().text().empty();
    Stage::say(refused ? "a write went through without etcd" : "a write says: " + refused.error().text());
    while (away.ms() < 10'000) pause_for(100ms);
    auto report = stop_traffic(*traffic);
    if (!report) return fail(std::move(report).error());
    if (auto started = lab_.start_etcd(); !started) return fail(std::move(started).error());
    const Stopwatch back;
    std::string problem = wait_until(10s, [&] {
      auto put = impatient.put("/calico/lab/test", "x");
      return put ? std::string() : put.error().text();
    });
    for (const Record& record : web_to_database(kWeb)) {
      if (auto put = stage_.put(record); !put) return fail(std::move(put).error());
    }
    auto applied = stage_.until("web1", tcp(guest("db2"), kWeb), true, 15s);
    if (!applied) return fail(std::move(applied).error());
    const int recovered_ms = back.ms();
    auto outcome = stage_.agree("traffic unchanged, then all recovers", kWebToDatabase + kWebToCache + 6, 10s);
    if (!outcome) return outcome;
    outcome->expected = "writes fail with a clear error, traffic is unchanged, all recovers";
    outcome->seen = fmt::format("{}; {}; recovered{}", clear ? "clear error" : "NO clear error", report->text,
                                outcome->good ? "" : " NOT");
    outcome->good = outcome->good && clear && report->good && problem.empty() && *applied >= 0;
    outcome->ms = recovered_ms;
    return outcome;
  }

  Result<std::string> connections(const Host& h, const Guest& g) {
    std::string all;
    for (const auto& [family, address] :
         {std::pair{"ipv4", base::to_string(g.v4.address)}, {"ipv6", base::to_string(g.v6)}}) {
      for (const char* side : {"-s", "-d"}) {
        auto listed = must_run_in(lab_.node(h.name), {.arguments = {"conntrack", "-L", "-f", family, side, address}});
        if (!listed) return fail(std::move(listed).error());
        all += *listed;
      }
    }
    return all;
  }

  Result<Outcome> guest_disappears() {
    const Guest db3 = guest("db3");
    const Host& c = host("host-c");
    if (auto fresh = stage_.passes("web3", tcp(db3, kWeb)); !fresh) return fail(std::move(fresh).error());
    auto before = connections(c, db3);
    if (!before) return fail(std::move(before).error());
    Stage::say("db3's endpoint is deleted, then its interface");
    if (auto removed = lab_.remove(endpoint_key(db3)); !removed) return fail(std::move(removed).error());
    const Stopwatch watch;
    const auto routes_left = [&] {
      std::string left;
      std::vector<std::string> nodes = {std::string(kRouterNode)};
      for (const Host& h : lab_.plan().hosts) nodes.push_back(h.name);
      for (const std::string& node : nodes) {
        if (lab_.has_kernel_route(node, db3.v4.address) || lab_.has_kernel_route(node, db3.v6)) left += " " + node;
      }
      return left;
    };
    std::string left = wait_until(5s, routes_left);
    const int withdrawn_ms = watch.ms();
    const std::string entries = wait_until(3s, [&] {
      auto now = connections(c, db3);
      return now ? *now : now.error().text();
    });
    if (auto removed = lab_.remove_guest("db3"); !removed) return fail(std::move(removed).error());
    auto outcome = stage_.agree("the rest is unchanged", kWebToDatabase + kWebToCache);
    if (!outcome) return outcome;
    outcome->expected = "its route is withdrawn everywhere, its conntrack entries are gone";
    outcome->seen = fmt::format("routes left:{}; conntrack entries: {} before, {} after", left.empty() ? " none" : left,
                                before->empty() ? "none" : "some", entries.empty() ? "none" : "SOME");
    outcome->good = outcome->good && left.empty() && entries.empty() && !before->empty();
    outcome->ms = withdrawn_ms;
    return outcome;
  }

  Lab& lab_;
  Stage stage_;
};

void show_logs(const Lab& lab) {
  for (const Host& host : lab.plan().hosts) {
    auto text = os::read_file(lab.paths().log(host.name, "agent"));
    if (!text) continue;
    const auto lines = base::split(*text, '\n');
    const std::size_t first = lines.size() > 12 ? lines.size() - 12 : 0;
    fmt::print("\nlast lines of the agent of {}:\n", host.name);
    for (std::size_t i = first; i < lines.size(); ++i) fmt::print("  {}\n", lines[i]);
  }
}

}  // namespace

int play(const DemoOptions& options, const Topology& topology, const std::string& opening,
         const std::function<bool(Lab&)>& story) {
  const Paths paths{.lab = options.name};
  const Stopwatch total;
  (void)Lab::destroy(paths);
  fmt::print("{}\n", opening);
  std::fflush(stdout);
  auto lab = Lab::create(paths, {.topology = topology, .agent = options.agent, .patience = options.patience});
  if (!lab) {
    fmt::print(stderr, "percalectl lab demo: {}\n", lab.error().text());
    return 1;
  }
  Stage::say(fmt::format("built in {} ms", total.ms()));
  const bool good = story(**lab);
  if (!good) show_logs(**lab);
  fmt::print("\n{} in {:.1f} s\n", good ? "Every step went as expected," : "NOT every step went as expected,",
             total.ms() / 1000.0);
  if (options.keep) {
    fmt::print("The lab is still up: percalectl lab status {0}; percalectl lab down {0}\n", options.name);
  } else {
    lab->reset();
    (void)Lab::destroy(paths);
  }
  return good ? 0 : 1;
}

int run_demo(const DemoOptions& options) {
  return play(options, {},
              "Three hosts, a router, etcd and six guests, each in namespaces of its own; real BIRD, real packets.",
              [&](Lab& lab) { return Demo(lab).run(options); });
}

}  // namespace lab
