// What BGP costs on a host of a cloud of 1,000 nodes that announce 50 routes each. Generating alone, for a mesh and for
// two reflectors; and, as root, with a real BIRD that has the 50,000 routes, the CPU time of a change: the agent's
// (render, stage, check, install) and BIRD's (check, configure, and what it evaluates again). They come from both
// reflectors; from 999 mesh sessions, without and with a router of another AS beside them, or with a file of the
// operator's; or to a reflector from 999 clients. The peers are a process in a namespace of its own that says what has
// to be said.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>

#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <boost/json/object.hpp>

#include "base/strings.h"
#include "bgp/generator.h"
#include "bgp/runtime/bird_runner.h"
#include "bgp/state.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/process.h"
#include "testing/temp_directory.h"

namespace {

using namespace bgp;
using namespace std::chrono_literals;

constexpr int kNodes = 1000;
constexpr int kRoutes = 50;
constexpr std::array kReflectors = {1, 2};  // nodes

std::string address(int node) { return fmt::format("10.192.{}.{}", node / 250, node % 250 + 1); }

model::NodeChange node_change(base::Interner& names, int node) {
  model::Node value;
  value.has_bgp = true;
  value.bgp_ipv4 = *base::parse_interface_cidr(address(node) + "/16");
  value.label_texts["rack"] = std::to_string(node / 40);
  return {{names.intern(fmt::format("node-{:04}", node))}, value};
}

model::IpPoolChange pool_change(const std::string& name, const std::string& cidr) {
  model::IpPool pool;
  pool.cidr = *base::parse_cidr(cidr);
  pool.ipip = model::EncapMode::kNever;  // the ipip module need not be there
  return {{name}, pool};
}

model::DocumentChange block_change(const std::string& cidr) {
  return {{model::DocumentKind::kBlockAffinity, cidr}, std::make_shared<const boost::json::object>()};
}

Settings settings() {
  Settings settings;
  settings.node_name = "node-0000";
  settings.recovery_wait = 5s;
  return settings;
}

enum class Topology { kMesh, kReflected, kMeshAndRouter, kMeshAndFile, kReflector };
bool is_mesh(Topology topology) { return topology != Topology::kReflected && topology != Topology::kReflector; }
constexpr int kRouter = kNodes;  // its number as a peer; it has no Node
constexpr AsNumber kRouterAs = 65001;

// Node 0 is this host.
void fill(base::Interner& names, const std::function<void(const model::Update&)>& apply,
          Topology topology = Topology::kReflected) {
  for (int node = 0; node < kNodes; ++node) {
    model::NodeChange change = node_change(names, node);
    if (node == 0 && topology == Topology::kReflector) change.value->route_reflector_cluster_id = "10.0.0.1";
    apply(change);
  }
  apply(pool_change("pool", "10.0.0.0/9"));
  for (int block = 0; block < kRoutes; ++block) apply(block_change(fmt::format("10.127.{}.0/26", block)));
  const auto document = [](boost::json::object spec) {
    return std::make_shared<const boost::json::object>(boost::json::object{{"spec", std::move(spec)}});
  };
  const auto peer = [&](const std::string& name, boost::json::object spec) {
    apply(model::DocumentChange{{model::DocumentKind::kBgpPeer, name}, document(std::move(spec))});
  };
  if (topology == Topology::kMeshAndRouter) peer("router", {{"peerIP", address(kRouter)}, {"asNumber", kRouterAs}});
  if (topology == Topology::kReflector) peer("clients", {{"node", "node-0000"}, {"peerSelector", "has(rack)"}});
  if (is_mesh(topology)) return;
  apply(model::DocumentChange{{model::DocumentKind::kBgpConfiguration, "default"},
                              document({{"nodeToNodeMeshEnabled", false}})});
  if (topology == Topology::kReflector) return;
  for (const int reflector : kReflectors) {
    peer(fmt::format("rr-{}", reflector), {{"peerIP", address(reflector)}, {"asNumber", kDefaultAs}});
  }
}

void generate_1000_nodes(benchmark::State& state) {
  base::Interner names;
  State inputs(settings());
  fill(names, [&](const model::Update& update) { inputs.apply(update); }, static_cast<Topology>(state.range(0)));
  std::size_t bytes = 0;
  for (auto _ : state) bytes = generate(inputs.inputs()).text.size();
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(generate_1000_nodes)->ArgName("reflectors")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// What a BIRD process, which has one thread, has spent on a processor.
base::Duration cpu_of(int pid) {
  const auto text = os::read_file(fmt::format("/proc/{}/schedstat", pid));
  return std::chrono::nanoseconds(text ? std::atoll(text->c_str()) : 0);
}

base::Duration own_cpu() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto time = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  return time(used.ru_utime) + time(used.ru_stime);
}

double milliseconds(base::Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

int pid_in(const std::string& file) {
  const auto text = os::read_file(file);
  return text ? std::atoi(text->c_str()) : 0;
}

void must(std::vector<std::string> arguments, std::string input = "") {
  const auto outcome = os::run({.arguments = std::move(arguments), .input = std::move(input)});
  if (outcome && outcome->ok()) return;
  fmt::print(stderr, "{}\n", outcome ? outcome->describe() : outcome.error().text());
  std::exit(1);
}

// The bytes of a BGP speaker that announces what all nodes have: OPEN, KEEPALIVE, the routes, end-of-RIB. With a hold
// time of 0 nothing more is ever needed, and nobody has to read what BIRD says.
std::string message(int type, const std::string& body) {
  std::string text(16, '\xFF');
  const auto length = static_cast<unsigned>(19 + body.size());
  text += static_cast<char>(length >> 8);
  text += static_cast<char>(length & 0xFF);
  text += static_cast<char>(type);
  return text + body;
}

std::string packed(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

std::string packed_address(int node) { return packed(base::parse_address(address(node))->v4_host_order(), 4); }

constexpr int kOpen = 1, kUpdate = 2, kKeepalive = 4, kRouteRefresh = 5;

std::string greeting(int speaker, AsNumber as) {
  const std::string ipv4_unicast = packed(0x0104, 2) + packed(1, 2) + packed(1, 2);
  const std::string route_refresh = packed(0x0200, 2);
  const std::string capabilities = ipv4_unicast + route_refresh;
  const std::string parameter =
      packed(2, 1) + packed(static_cast<std::uint32_t>(capabilities.size()), 1) + capabilities;
  return message(kOpen, "\x04" + packed(as, 2) + packed(0, 2) + packed_address(speaker) +
                            packed(static_cast<std::uint32_t>(parameter.size()), 1) + parameter) +
         message(kKeepalive, "");
}

// The routes of the nodes from `first` up to `end`, and end-of-RIB.
std::string routes_of_nodes(int first, int end, AsNumber as) {
  const bool external = as != kDefaultAs;
  std::string text;
  for (int node = first; node < end; ++node) {
    const std::string origin = packed(0x400101, 3) + packed(0, 1);
    const std::string path =
        packed(0x4002, 2) + (external ? packed(4, 1) + packed(0x0201, 2) + packed(as, 2) : packed(0, 1));
    const std::string next_hop = "\x40\x03\x04" + packed_address(node);
    const std::string preference = external ? "" : "\x40\x05\x04" + packed(2147482623, 4);
    const std::string attributes = origin + path + next_hop + preference;
    std::string routes;
    for (int route = 0; route < kRoutes; ++route) {
      const auto block = static_cast<std::uint32_t>((node - 1) * kRoutes + route);
      routes += packed(26, 1) + packed(10u << 24 | block << 6, 4);
    }
    text +=
        message(kUpdate, packed(0, 2) + packed(static_cast<std::uint32_t>(attributes.size()), 2) + attributes + routes);
  }
  return text + message(kUpdate, packed(0, 4));
}

struct Speaker {
  int number = 0;
  int first = 0;  // nodes whose routes it has
  int end = 0;
  AsNumber as = kDefaultAs;
  base::Fd fd = {};
  std::string received = {};

  std::string routes() const { return routes_of_nodes(first, end, as); }
};

void write_all(int fd, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n <= 0) std::_Exit(1);
    done += static_cast<std::size_t>(n);
  }
}

void connect_speaker(Speaker& speaker) {
  const auto endpoint = [](int node, std::uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(base::parse_address(address(node))->v4_host_order());
    return to;
  };
  const sockaddr_in from = endpoint(speaker.number, 0);
  const sockaddr_in to = endpoint(0, 179);
  speaker.fd = base::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(speaker.fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
      ::connect(speaker.fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    std::_Exit(1);
  }
  write_all(speaker.fd.get(), greeting(speaker.number, speaker.as) + speaker.routes());
}

// Throws away what BIRD says, unless it asks for the routes once more. A session that ends is left alone.
void hear(Speaker& speaker) {
  std::array<char, 65536> buffer;
  const ssize_t n = ::read(speaker.fd.get(), buffer.data(), buffer.size());
  if (n <= 0) {
    speaker.fd.reset();
    return;
  }
  speaker.received.append(buffer.data(), static_cast<std::size_t>(n));
  std::size_t at = 0;
  while (speaker.received.size() >= at + 19) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(speaker.received[at + i]); };
    const std::size_t length = static_cast<std::size_t>(byte(16)) << 8 | byte(17);
    if (speaker.received.size() < at + length) break;
    if (byte(18) == kRouteRefresh) write_all(speaker.fd.get(), speaker.routes());
    at += length;
  }
  speaker.received.erase(0, at);
}

// A process of its own, so that its work is nobody's here. With a hold time of 0 it need not say that it lives.
[[noreturn]] void speak(const std::string& network, std::vector<Speaker> speakers) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const base::Fd there(::open(network.c_str(), O_RDONLY | O_CLOEXEC));
  if (::setns(there.get(), CLONE_NEWNET) != 0) std::_Exit(1);
  std::vector<pollfd> waiting;
  for (Speaker& speaker : speakers) {
    connect_speaker(speaker);
    waiting.push_back({.fd = speaker.fd.get(), .events = POLLIN, .revents = 0});
  }
  for (;;) {
    ::poll(waiting.data(), waiting.size(), -1);
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      hear(speakers[i]);
      waiting[i].fd = speakers[i].fd.get();
    }
  }
}

// This host and what it peers with, up, kept for all benchmarks of one topology.
class Host {
 public:
  static Host* get(benchmark::State& state) {
    if (::geteuid() != 0) {
      state.SkipWithError("needs root");
      return nullptr;
    }
    static std::unique_ptr<Host> host;
    const auto topology = static_cast<Topology>(state.range(0));
    if (!host || host->topology_ != topology) {
      host.reset();
      host.reset(new Host(topology));
    }
    return host.get();
  }

  ~Host() {
    runner_.reset();
    for (const int pid : {bird_, holder_, speaker_}) {
      if (pid > 0) ::kill(pid, SIGKILL);
    }
  }

  struct Cost {
    base::Duration agent{};
    base::Duration bird{};
  };

  // A change and what follows from it until BIRD is quiet again, without what a host spends anyway: BIRD scans the
  // kernel's 50,000 routes every 2 s. What is left over by chance is what nothing_changes says.
  Cost apply(const std::function<void(BirdRunner&)>& change) {
    const Cost before = spent();
    const base::Instant start = loop_.now();
    change(*runner_);
    Cost window;
    do {
      const Cost last = spent();
      run_for(kWindow);
      window = {spent().agent - last.agent, spent().bird - last.bird};
    } while (window.bird > idle_.bird + kQuiet);
    run_for(kWindow);
    const double windows = static_cast<double>((loop_.now() - start).count()) / static_cast<double>(kWindow.count());
    const auto net = [&](base::Duration now, base::Duration then, base::Duration idle) {
      return now - then - std::chrono::nanoseconds(std::llround(static_cast<double>(idle.count()) * windows));
    };
    const Cost after = spent();
    return {net(after.agent, before.agent, idle_.agent), net(after.bird, before.bird, idle_.bird)};
  }

 private:
  static constexpr base::Duration kWindow = 2s;  // one scan
  static constexpr base::Duration kQuiet = 20ms;
  static constexpr base::Duration kLoaded = 200ms;  // of a window: no longer busy with the first routes

  explicit Host(Topology topology) : topology_(topology) {
    if (topology == Topology::kReflected) {
      for (const int node : kReflectors) speakers_.push_back({.number = node, .first = 1, .end = kNodes});
    } else {
      for (int node = 1; node < kNodes; ++node) speakers_.push_back({.number = node, .first = node, .end = node + 1});
    }
    if (topology == Topology::kMeshAndRouter)
      speakers_.push_back({.number = kRouter, .first = kRouter, .end = kRouter + 1, .as = kRouterAs});
    if (::unshare(CLONE_NEWNET) != 0) std::abort();
    const auto holder =
        os::start_detached({.arguments = {"unshare", "-n", "sleep", "3600"}}, directory_.file("holder"));
    if (!holder) std::abort();
    holder_ = *holder;
    run_for(500ms);  // until `unshare` has run
    const std::string inside = std::to_string(holder_);
    must({"ip", "link", "set", "lo", "up"});
    must({"ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", inside});
    must({"ip", "addr", "add", address(0) + "/16", "dev", "v0"});
    must({"ip", "link", "set", "v0", "up"});
    std::string batch = "link set lo up\nlink set v1 up\n";
    for (const Speaker& peer : speakers_) batch += fmt::format("addr add {}/16 dev v1\n", address(peer.number));
    must({"nsenter", "-t", inside, "-n", "ip", "-batch", "-"}, batch);
    must({"ip", "tuntap", "add", "tunl0", "mode", "tun"});  // stands in for the module's
    must({"ip", "link", "set", "tunl0", "up"});
    start_runner();
  }
  void start_runner() {
    RunnerOptions options;
    options.config_path = directory_.file("bird.conf");
    options.socket_path = directory_.file("bird.ctl");
    options.pid_path = directory_.file("bird.pid");
    options.group = options.user = "";
    options.supervise = true;
    Settings own = settings();
    own.log_file = "/dev/null";
    own.include_file = directory_.file("local.conf");
    if (topology_ == Topology::kMeshAndFile) directory_.write("local.conf", "watchdog warning 1 s;\n");
    runner_ = std::make_unique<BirdRunner>(loop_, log_, metrics_, own, options);
    fill(names_, [&](const model::Update& update) { runner_->apply(update); }, topology_);
    runner_->in_sync();
    run_until([&] { return runner_->status().sessions.size() == speakers_.size(); });
    bird_ = pid_in(options.pid_path);
    speaker_ = ::fork();
    if (speaker_ == 0) speak(fmt::format("/proc/{}/ns/net", holder_), std::move(speakers_));
    run_until([&] { return std::ranges::all_of(runner_->status().sessions, &ProtocolRow::established); });
    run_for(20s);
    // A reflector sends each route to each client: 50 million.
    for (base::Duration before{}, spending = 1s; spending > kLoaded; spending = cpu_of(bird_) - before) {
      before = cpu_of(bird_);
      run_for(kWindow);
    }
    constexpr int kIdleWindows = 5;
    const Cost before = spent();
    run_for(kIdleWindows * kWindow);
    idle_ = {(spent().agent - before.agent) / kIdleWindows, (spent().bird - before.bird) / kIdleWindows};
    fmt::print(
        "{} sessions with {} routes each; BIRD {} MB, this process {} MB; every 2 s BIRD {:.1f} ms, agent {:.1f} ms\n",
        speakers_.size(), (speakers_[0].end - speakers_[0].first) * kRoutes, resident_megabytes(bird_),
        resident_megabytes(::getpid()), milliseconds(idle_.bird), milliseconds(idle_.agent));
  }

  Cost spent() const { return {own_cpu(), cpu_of(bird_)}; }

  static long resident_megabytes(int pid) {
    const auto statm = os::read_file(fmt::format("/proc/{}/statm", pid));
    if (!statm) return 0;
    return std::atol(std::string(base::split(*statm, ' ')[1]).c_str()) * ::sysconf(_SC_PAGESIZE) >> 20;
  }

  void run_until(const std::function<bool()>& condition) {
    std::function<void()> tick = [&] {
      if (condition()) return loop_.stop();
      loop_.after(50ms, tick);
    };
    loop_.after(0ms, tick);
    loop_.run();
  }
  void run_for(base::Duration time) {
    loop_.after(time, [this] { loop_.stop(); });
    loop_.run();
  }

  const Topology topology_;
  std::vector<Speaker> speakers_;
  Cost idle_;  // of one window
  testing::TempDirectory directory_;
  os::EventLoop loop_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  base::Interner names_;
  std::unique_ptr<BirdRunner> runner_;
  int holder_ = 0;
  int speaker_ = 0;
  int bird_ = 0;
};

void measure(benchmark::State& state, const std::function<void(BirdRunner&, int)>& change) {
  Host* host = Host::get(state);
  if (host == nullptr) return;
  int round = 0;
  Host::Cost total;
  for (auto _ : state) {
    const Host::Cost cost = host->apply([&](BirdRunner& runner) { change(runner, round); });
    ++round;
    total.agent += cost.agent;
    total.bird += cost.bird;
    state.SetIterationTime(milliseconds(cost.agent + cost.bird) / 1e3);
  }
  state.counters["agent_ms"] = milliseconds(total.agent) / round;
  state.counters["bird_ms"] = milliseconds(total.bird) / round;
}

void nothing_changes(benchmark::State& state) {
  measure(state, [](BirdRunner&, int) {});
}
void a_node_joins_or_leaves(benchmark::State& state) {
  base::Interner names;
  measure(state, [&](BirdRunner& runner, int round) {
    model::NodeChange change = node_change(names, kNodes + 1);
    if (round % 2 == 1) change.value.reset();
    runner.apply(change);
  });
}
void own_guest_comes_or_goes(benchmark::State& state) {
  measure(state, [](BirdRunner&, int round) {
    must({"ip", "route", round % 2 == 0 ? "add" : "del", "10.126.1.1/32", "dev", "v0", "proto", "static"});
  });
}
void own_block_comes_or_goes(benchmark::State& state) {
  measure(state, [](BirdRunner& runner, int round) {
    model::DocumentChange change = block_change("10.126.0.0/26");
    if (round % 2 == 1) change.value.reset();
    runner.apply(change);
  });
}
void change_pool(benchmark::State& state, model::EncapMode ipip) {
  measure(state, [ipip](BirdRunner& runner, int round) {
    model::IpPoolChange change = pool_change("second", "172.16.0.0/16");
    change.value->ipip = ipip;
    if (round % 2 == 1) change.value.reset();
    runner.apply(change);
  });
}
void a_pool_comes_or_goes(benchmark::State& state) { change_pool(state, model::EncapMode::kNever); }
void a_tunnelled_pool_comes_or_goes(benchmark::State& state) { change_pool(state, model::EncapMode::kAlways); }

// Topology by topology: setting one up takes a minute.
const bool registered = [] {
  const std::pair<Topology, const char*> kTopologies[] = {{Topology::kReflected, "two_reflectors"},
                                                          {Topology::kMesh, "mesh"},
                                                          {Topology::kMeshAndRouter, "mesh_and_router"},
                                                          {Topology::kMeshAndFile, "mesh_and_own_file"},
                                                          {Topology::kReflector, "reflector"}};
  for (const auto& [topology, name] : kTopologies) {
    const auto add = [topology = topology, name = name](const char* what, void (*run)(benchmark::State&)) {
      benchmark::RegisterBenchmark(fmt::format("{}/{}", name, what).c_str(), run)
          ->Arg(static_cast<int>(topology))
          ->UseManualTime()
          ->Iterations(6)
          ->Unit(benchmark::kMillisecond);
    };
    add("nothing_changes", nothing_changes);
    add("a_node_joins_or_leaves", a_node_joins_or_leaves);
    add("own_guest_comes_or_goes", own_guest_comes_or_goes);
    add("own_block_comes_or_goes", own_block_comes_or_goes);
    add("a_pool_comes_or_goes", a_pool_comes_or_goes);
    add("a_tunnelled_pool_comes_or_goes", a_tunnelled_pool_comes_or_goes);
  }
  return true;
}();

}  // namespace
