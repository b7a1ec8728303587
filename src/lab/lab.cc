// What `up` does, in order: nodes (processes with namespaces), etcd and its network, the underlay and the router,
// resources, BIRD and an agent on every host, guests. Every interface is made inside a namespace, both ends at once, so
// nothing of a lab is ever visible outside and nothing has to be removed when its processes are gone.
#include "lab/lab.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/check.h"
#include "base/strings.h"
#include "bgp/generator.h"
#include "bgp/runtime/bird_control.h"
#include "ipam/ipam.h"
#include "ipam/tunnels.h"
#include "lab/ready.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/pause.h"
#include "os/process.h"
#include "os/random.h"
#include "store/open_store.h"

namespace lab {
namespace {

namespace json = boost::json;
using base::Error;
using base::fail;
using base::Result;
using namespace std::chrono_literals;

constexpr std::uint16_t kEtcdPort = 2379;
constexpr std::uint16_t kHealthPort = 9099;
constexpr auto kUplinkLimit = 5s;

// Mount points that hosts need and that a fresh system may lack. Removed again with the last lab, if a lab made them.
constexpr const char* kMountPoints[] = {"/etc/calico", "/var/lib/calico", "/etc/bird"};

Result<> make_mount_points(const Paths& paths) {
  for (const char* point : kMountPoints) {
    if (std::filesystem::exists(point)) continue;
    if (auto made = os::make_directories(point); !made) return made;
    const std::string note = fmt::format("{}/.made{}", paths.root, base::replace_all(point, "/", "_"));
    if (auto noted = os::write_file_atomic(note, point); !noted) return noted;
  }
  return {};
}

// Removing a directory that is a mount point in another namespace would take the mount away there: only after the last
// lab.
void remove_mount_points(const Paths& paths) {
  if (!Lab::all(paths.root).empty()) return;
  for (const char* point : kMountPoints) {
    const std::string note = fmt::format("{}/.made{}", paths.root, base::replace_all(point, "/", "_"));
    if (!os::file_exists(note)) continue;
    std::error_code ignored;
    std::filesystem::remove(point, ignored);  // fails, rightly, if something was put there
    std::filesystem::remove(note, ignored);
  }
  std::error_code ignored;
  std::filesystem::remove(paths.root, ignored);
}

std::optional<pid_t> read_pid(const std::string& path) {
  auto text = os::read_file(path);
  if (!text) return std::nullopt;
  pid_t pid = 0;
  const auto trimmed = base::trim(*text);
  std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), pid);
  return pid > 0 ? std::optional(pid) : std::nullopt;
}

// The process is alive and belongs to the node: process ids are used again.
bool runs_in(pid_t pid, const Node& node) {
  std::error_code bad;
  const auto own = std::filesystem::read_symlink(fmt::format("/proc/{}/ns/pid", pid), bad);
  if (bad) return false;
  const auto expected = std::filesystem::read_symlink(fmt::format("/proc/{}/ns/pid", node.holder), bad);
  if (bad || own != expected) return false;
  const auto stat = os::read_file(fmt::format("/proc/{}/stat", pid));
  return stat && stat->find(") Z ") == std::string::npos;
}

// In a child, in the host's network: 0 if GET /readiness answers 200.
int ask_readiness() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kHealthPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return 1;
  constexpr std::string_view kRequest = "GET /readiness HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::write(fd, kRequest.data(), kRequest.size()) < 0) return 1;
  char answer[64] = {};
  const auto got = ::read(fd, answer, sizeof(answer) - 1);
  const std::string_view text(answer, got > 0 ? static_cast<std::size_t>(got) : 0);
  return text.size() > 12 && (text.substr(9, 3) == "200" || text.substr(9, 3) == "204") ? 0 : 1;
}

}  // namespace

Lab::Lab(Paths paths, LabOptions options)
    : paths_(std::move(paths)),
      agent_(std::move(options.agent)),
      patience_(options.patience),
      plan_(make_plan(options.topology)) {}

std::vector<std::string> Lab::all(const std::string& root) {
  std::vector<std::string> names;
  auto entries = os::list_directory(root);
  if (!entries) return names;
  for (const std::string& entry : *entries) {
    if (is_lab_name(entry)) names.push_back(entry);
  }
  return names;
}

Result<std::unique_ptr<Lab>> Lab::create(const Paths& paths, LabOptions options) {
  if (const std::string problem = problem_of(options.topology); !problem.empty()) return fail(Error::invalid(problem));
  if (!options.agent.program.empty() && options.topology.fabric != Fabric::kReflector) {
    return fail(
        Error::invalid("only percaled writes BIRD's configuration; other agents need the fabric \"reflector\""));
  }
  if (::geteuid() != 0) return fail(Error(base::ErrorKind::kDenied, "a lab needs root: it makes network namespaces"));
  if (!find_nodes(paths.lab).empty() || os::file_exists(paths.directory() + "/lab.json")) {
    return fail(Error(base::ErrorKind::kExists, fmt::format("lab {} is there already; take it down first", paths.lab)));
  }
  std::unique_ptr<Lab> lab(new Lab(paths, std::move(options)));
  if (auto built = lab->build(); !built) {
    lab.reset();
    (void)destroy(paths);
    return fail(std::move(built).error());
  }
  return lab;
}

Result<std::unique_ptr<Lab>> Lab::open(const Paths& paths) {
  std::unique_ptr<Lab> lab(new Lab(paths, {}));
  if (auto loaded = lab->load(); !loaded) return fail(std::move(loaded).error());
  lab->nodes_ = find_nodes(paths.lab);
  for (const Host& host : lab->plan_.hosts) {
    if (!lab->nodes_.contains(host.name)) {
      return fail(Error::not_found(fmt::format("lab {} has lost {}; take it down and up again", paths.lab, host.name)));
    }
  }
  return lab;
}

Result<> Lab::destroy(const Paths& paths) {
  stop_nodes(find_nodes(paths.lab));
  std::error_code bad;
  std::filesystem::remove_all(paths.directory(), bad);
  if (bad) return fail(Error::system(bad.value(), fmt::format("remove {}", paths.directory())));
  remove_mount_points(paths);
  return {};
}

Result<> Lab::build() {
  if (auto made = os::make_directories(paths_.directory(), 0755); !made) return made;
  if (auto made = make_mount_points(paths_); !made) return made;
  using Step = Result<> (Lab::*)();
  for (Step step :
       {&Lab::start_nodes, &Lab::wire_management, &Lab::start_etcd, &Lab::wire_underlay, &Lab::start_routers}) {
    if (auto done = (this->*step)(); !done) return done;
  }
  if (auto saved = save(); !saved) return saved;
  // After this there are threads, and no more namespaces are made by this process but by fork and exec.
  const SecurityGroup group = make_group("default");
  std::vector<Record> records = cluster_records(plan_);
  records.push_back(group_policy(group, default_rules(group)));
  for (const Guest& guest : plan_.guests) records.push_back(workload_endpoint(guest, {group}));
  for (const Record& record : records) {
    if (auto written = put(record); !written) return fail(std::move(written).error());
  }
  if (auto allocated = allocate_tunnel_addresses(); !allocated) return allocated;
  // The kernel calls an interface up as much as a second after it is, and agents derive MTUs from interfaces that are
  // up.
  const std::string problem = wait_until(kUplinkLimit * patience_, [&] { return first_uplink_down(); });
  if (!problem.empty()) return fail(Error::internal(problem));
  for (const Host& host : plan_.hosts) {
    if (auto started = start_bird(host); !started) return started;
    if (agent_.is_none()) continue;
    if (auto started = start_agent(host); !started) return started;
  }
  for (const Guest& guest : std::vector(plan_.guests)) {
    if (auto added = add_guest(guest); !added) return added;
  }
  return {};
}

std::string Lab::etcd_url() const { return fmt::format("http://{}:{}", base::to_string(plan_.etcd), kEtcdPort); }

Result<> Lab::start_etcd() {
  Program etcd;
  etcd.arguments = {"etcd",
                    "--name",
                    "lab",
                    "--data-dir",
                    paths_.directory() + "/etcd",
                    "--listen-client-urls",
                    fmt::format("http://0.0.0.0:{}", kEtcdPort),
                    "--advertise-client-urls",
                    etcd_url(),
                    "--listen-peer-urls",
                    "http://127.0.0.1:2380",
                    "--initial-advertise-peer-urls",
                    "http://127.0.0.1:2380",
                    "--initial-cluster",
                    "lab=http://127.0.0.1:2380",
                    "--log-level",
                    "warn"};
  auto pid = start_in(node(kEtcdNode), etcd, paths_.log(kEtcdNode, "etcd"));
  if (!pid) return fail(std::move(pid).error());
  return os::write_file_atomic(paths_.pid_file(kEtcdNode, "etcd"), std::to_string(*pid));
}

Result<> Lab::kill_etcd() {
  const auto pid = read_pid(paths_.pid_file(kEtcdNode, "etcd"));
  if (!pid || !runs_in(*pid, node(kEtcdNode))) return fail(Error::not_found("etcd does not run"));
  if (::kill(*pid, SIGKILL) != 0) return fail(Error::system(errno, "kill etcd"));
  return {};
}

Result<store::BlockingStore*> Lab::datastore() {
  if (blocking_) return blocking_.get();
  if (auto entered = enter_network(node(kEtcdNode)); !entered) return fail(std::move(entered).error());
  store::ConnectionSettings settings;
  settings.endpoints = {etcd_url()};
  auto opened = store::open_store(settings, log_, metrics_);
  if (!opened) return fail(std::move(opened).error());
  store_ = std::move(*opened);
  store::RequestOptions options;
  options.timeout = 10s;
  options.wait_for_connection = true;
  blocking_ = std::make_unique<store::BlockingStore>(*store_, options);
  return blocking_.get();
}

Result<store::Revision> Lab::put(const Record& record) {
  auto store = datastore();
  if (!store) return fail(std::move(store).error());
  auto reply = (*store)->put(record.key, record.value);
  if (!reply) return fail(std::move(reply).error());
  return reply->revision;
}

Result<> Lab::remove(const std::string& key) {
  auto store = datastore();
  if (!store) return fail(std::move(store).error());
  auto reply = (*store)->remove(key);
  if (!reply) return fail(std::move(reply).error());
  return {};
}

Result<> Lab::set_pool_mode(PoolMode mode) {
  plan_.topology.pool = mode;
  for (const Record& record : pool_records(plan_)) {
    if (auto written = put(record); !written) return fail(std::move(written).error());
  }
  if (auto allocated = allocate_tunnel_addresses(); !allocated) return allocated;
  return save();
}

// percaled does that for its node by itself; with Calico's agent another daemon does.
Result<> Lab::allocate_tunnel_addresses() {
  if (agent_.program.empty() || agent_.is_none() || plan_.topology.pool == PoolMode::kNone) return {};
  auto store = datastore();
  if (!store) return fail(std::move(store).error());
  const os::SystemClock clock;
  ipam::Ipam ipam(**store, {.wall = [&clock] { return clock.wall(); },
                            .now = [&clock] { return clock.now(); },
                            .jitter = os::make_jitter(),
                            .pause = os::pause});
  for (const Host& host : plan_.hosts) {
    if (auto done = ipam::ensure_tunnel_addresses(ipam, host.name); !done) return fail(std::move(done).error());
  }
  return {};
}

std::string Lab::first_uplink_down() const {
  for (const Host& host : plan_.hosts) {
    auto state = must_run_in(node(host.name), {.arguments = {"cat", "/sys/class/net/eth0/operstate"}});
    if (!state || base::trim(*state) != "up") return fmt::format("the uplink of {} is not up", host.name);
  }
  return {};
}

Result<> Lab::cut_from_etcd(const Host& host, bool cut) {
  return ip_batch(node(kEtcdNode), cut ? fmt::format("link set {} nomaster\n", management_port(host))
                                       : fmt::format("link set {} master mgmt\n", management_port(host)));
}

// percaled writes BIRD's file itself; for any other agent the lab does, as an operator would with Calico's scripts.
std::string Lab::bird_configuration(const Host& host) const {
  bgp::Inputs inputs;
  inputs.settings.node_name = host.name;
  inputs.settings.address_v4 = host.v4;
  inputs.settings.address_v6 = host.v6;
  inputs.settings.as_number = kAs;
  if (agent_.program.empty()) return bgp::minimal_configuration(inputs.settings);
  inputs.settings.peers = {{.address = router_id(), .as_number = kAs, .port = {}, .password = {}},
                           {.address = router_id_v6(), .as_number = kAs, .port = {}, .password = {}}};
  return bgp::generate(inputs).text;
}

Result<> Lab::start_bird(const Host& host, bool again) {
  const std::string file = paths_.node(host.name) + "/etc-bird/bird.conf";
  if (!os::file_exists(file)) {
    if (auto written = os::write_file_atomic(file, bird_configuration(host), 0640); !written) return written;
  }
  Program bird{
      .arguments = {"bird", "-f", "-c", "/etc/bird/bird.conf", "-s", "/run/bird/bird.ctl", "-P", "/run/bird/bird.pid"}};
  if (again) bird.arguments.emplace_back("-R");
  auto pid = start_in(node(host.name), bird, paths_.log(host.name, "bird"));
  if (!pid) return fail(std::move(pid).error());
  return os::write_file_atomic(paths_.pid_file(host.name, "bird"), std::to_string(*pid));
}

Result<> Lab::kill_bird(const Host& host) {
  const auto pid = read_pid(paths_.pid_file(host.name, "bird"));
  if (!pid || !runs_in(*pid, node(host.name))) return fail(Error::not_found("BIRD does not run on " + host.name));
  if (::kill(*pid, SIGKILL) != 0) return fail(Error::system(errno, "kill BIRD"));
  return {};
}

std::vector<std::string> Lab::environment() const {
  return {"DATASTORE_TYPE=etcdv3", "ETCD_ENDPOINTS=" + etcd_url(), "XTABLES_LOCKFILE=/run/xtables.lock"};
}

std::vector<std::string> Lab::agent_environment(const Host& host) const {
  std::vector<std::string> all = environment();
  for (const char* entry :
       {"FELIX_DATASTORETYPE=etcdv3", "FELIX_HEALTHENABLED=true", "FELIX_LOGSEVERITYSCREEN=info",
        "FELIX_LOGFILEPATH=none", "FELIX_NFTABLESMODE=Disabled", "FELIX_BPFENABLED=false",
        "FELIX_PROMETHEUSMETRICSENABLED=true", "FELIX_ENDPOINTSTATUSPATHPREFIX=none",
        "FELIX_USAGEREPORTINGENABLED=false", "FELIX_REQUIREMTUFILE=false", "FELIX_TUNNELADDRESSMODE=Enabled"}) {
    all.emplace_back(entry);
  }
  all.push_back("FELIX_ETCDENDPOINTS=" + etcd_url());
  all.push_back("FELIX_FELIXHOSTNAME=" + host.name);
  all.push_back("NODENAME=" + host.name);
  all.push_back("FELIX_IPTABLESBACKEND=" + agent_.backend);
  all.insert(all.end(), agent_.environment.begin(), agent_.environment.end());
  return all;
}

Result<> Lab::start_agent(const Host& host) {
  std::string program = agent_.program;
  if (program.empty()) program = (std::filesystem::path(own_program()).parent_path() / "percaled").string();
  auto pid = start_in(node(host.name), {.arguments = {program}, .environment = agent_environment(host)},
                      paths_.log(host.name, "agent"));
  if (!pid) return fail(std::move(pid).error());
  return os::write_file_atomic(paths_.pid_file(host.name, "agent"), std::to_string(*pid));
}

std::optional<pid_t> Lab::agent_pid(const Host& host) const {
  const auto pid = read_pid(paths_.pid_file(host.name, "agent"));
  return pid && runs_in(*pid, node(host.name)) ? pid : std::nullopt;
}

Result<> Lab::kill_agent(const Host& host, int signal) {
  const auto pid = agent_pid(host);
  if (!pid) return fail(Error::not_found(fmt::format("no agent runs on {}", host.name)));
  if (::kill(*pid, signal) != 0) return fail(Error::system(errno, "kill"));
  return {};
}

bool Lab::agent_ready(const Host& host) const {
  if (agent_.is_none()) return true;
  const auto status = call_in(node(host.name), ask_readiness);
  return status && *status == 0;
}

Result<bgp::BgpStatus> Lab::bird_status(std::string_view name) const {
  os::EventLoop loop;
  bgp::BirdControl control(loop, bird_socket(name));
  bgp::BgpStatus status;
  std::optional<Error> error;
  control.command("show status", [&](const Result<bgp::Reply>& reply) {
    if (!reply)
      error = reply.error();
    else
      status.daemon = bgp::parse_status(*reply);
  });
  control.command("show protocols", [&](const Result<bgp::Reply>& reply) {
    if (reply) {
      for (bgp::ProtocolRow& row : bgp::parse_protocols(*reply)) {
        if (row.type == "BGP") status.sessions.push_back(std::move(row));
      }
    }
    loop.stop();
  });
  loop.run();
  if (error) return fail(std::move(*error));
  status.daemon_up = true;
  return status;
}

Result<> Lab::add_guest(const Guest& guest) {
  const Node* host = find_node(guest.host);
  if (host == nullptr) return fail(Error::not_found("no host " + guest.host));
  auto made = start_node(paths_, guest.name, NodeKind::kGuest);
  if (!made) return fail(std::move(made).error());
  nodes_[guest.name] = *made;
  auto done = ip_batch(
      *host, fmt::format("link add {0} address {1} type veth peer name eth0 address {2} netns {3}\nlink set {0} up\n",
                         guest.tap, guest.tap_mac, guest.mac, made->holder));
  if (!done) return done;
  auto tap_mac = base::parse_mac(guest.tap_mac);
  CHECK(tap_mac.has_value());
  // As a VM gets it from DHCP and router advertisements: its subnet on the link, everything else through the gateway;
  // IPv6 through the tap's link-local address (spec dataplane §17.2).
  done = ip_batch(*made, fmt::format("addr add {} dev eth0\naddr add {}/128 dev eth0 nodad\nlink set eth0 up\n"
                                     "route add default via {}\nroute add ::/0 via {} dev eth0\n",
                                     base::to_string(guest.v4), base::to_string(guest.v6),
                                     base::to_string(guest.gateway_v4), base::to_string(link_local(*tap_mac))));
  if (!done) return done;
  if (agent_.is_none()) {
    if (auto routed = route_by_hand(guest); !routed) return routed;
  }
  if (plan_.guest(guest.name) == nullptr) plan_.guests.push_back(guest);
  return save();
}

// Without an agent, what an agent would do for connectivity, with every packet allowed.
Result<> Lab::route_by_hand(const Guest& guest) {
  auto done =
      ip_batch(node(guest.host), fmt::format("route add {0}/32 dev {2} proto boot scope link metric 1024\n"
                                             "route add {1}/128 dev {2} proto boot metric 1024\n",
                                             base::to_string(guest.v4.address), base::to_string(guest.v6), guest.tap));
  if (!done) return done;
  return write_sysctls(node(guest.host), {{fmt::format("net/ipv4/conf/{}/proxy_arp", guest.tap), "1"},
                                          {fmt::format("net/ipv4/neigh/{}/proxy_delay", guest.tap), "0"}});
}

Result<> Lab::remove_guest(std::string_view name) {
  const Node* found = find_node(name);
  if (found == nullptr) return fail(Error::not_found(fmt::format("no guest {}", name)));
  stop_node(*found);  // its interface, and with it the tap, go with the namespace
  nodes_.erase(std::string(name));
  std::erase_if(plan_.guests, [&](const Guest& guest) { return guest.name == name; });
  return save();
}

Result<ProbeClient> Lab::prober(std::string_view guest) const {
  return ProbeClient::connect(paths_.probe_socket(guest));
}

const Node* Lab::find_node(std::string_view name) const {
  const auto found = nodes_.find(std::string(name));
  return found == nodes_.end() ? nullptr : &found->second;
}

const Node& Lab::node(std::string_view name) const {
  const Node* found = find_node(name);
  CHECK(found != nullptr);
  return *found;
}

bool Lab::has_kernel_route(std::string_view name, const base::IpAddress& address) const {
  const std::string wanted = base::to_string(address);
  auto shown = must_run_in(node(name), {.arguments = {"ip", address.is_v4() ? "-4" : "-6", "route", "show", wanted},
                                        .enter = Enter::kNetwork});
  return shown && shown->find(wanted) != std::string::npos;
}

const Guest* Lab::first_without_route(std::string_view name) const {
  std::string routes = "\n";
  for (const char* family : {"-4", "-6"}) {
    auto shown = must_run_in(node(name), {.arguments = {"ip", family, "route", "show"}, .enter = Enter::kNetwork});
    if (shown) routes += *shown;
  }
  const auto known = [&](const base::IpAddress& address) {
    return routes.find(fmt::format("\n{} ", base::to_string(address))) != routes.npos;
  };
  for (const Guest& guest : plan_.guests) {
    if (!known(guest.v4.address) || !known(guest.v6)) return &guest;
  }
  return nullptr;
}

Result<> Lab::save() const {
  json::array guests;
  for (const Guest& guest : plan_.guests) {
    guests.push_back({{"name", guest.name},
                      {"host", guest.host},
                      {"role", guest.role},
                      {"network", guest.v4.address.bytes()[1]},
                      {"number", guest.v4.address.bytes()[3]}});
  }
  json::array environment;
  for (const std::string& entry : agent_.environment) environment.emplace_back(entry);
  const json::object state{{"fabric", to_string(plan_.topology.fabric)},
                           {"hosts", plan_.topology.hosts},
                           {"pool", to_string(plan_.topology.pool)},
                           {"patience", patience_},
                           {"agent", agent_.program},
                           {"backend", agent_.backend},
                           {"environment", environment},
                           {"guests", guests}};
  return os::write_file_atomic(paths_.directory() + "/lab.json", json::serialize(state) + "\n");
}

Result<> Lab::load() {
  auto text = os::read_file(paths_.directory() + "/lab.json");
  if (!text) return fail(Error::not_found(fmt::format("there is no lab {}", paths_.lab)));
  boost::system::error_code bad;
  const json::value root = json::parse(*text, bad);
  if (bad || !root.is_object()) return fail(Error::invalid("lab.json does not parse; take the lab down"));
  try {
    Topology topology;
    topology.fabric = parse_fabric(json::value_to<std::string>(root.at("fabric"))).value();
    topology.hosts = root.at("hosts").to_number<int>();
    topology.pool = parse_pool_mode(json::value_to<std::string>(root.at("pool"))).value();
    plan_ = make_plan(topology);
    patience_ = root.at("patience").to_number<int>();
    agent_.program = json::value_to<std::string>(root.at("agent"));
    agent_.backend = json::value_to<std::string>(root.at("backend"));
    agent_.environment = json::value_to<std::vector<std::string>>(root.at("environment"));
    plan_.guests.clear();
    for (const json::value& entry : root.at("guests").as_array()) {
      plan_.guests.push_back(make_guest(json::value_to<std::string>(entry.at("name")),
                                        json::value_to<std::string>(entry.at("host")),
                                        json::value_to<std::string>(entry.at("role")),
                                        entry.at("network").to_number<int>(), entry.at("number").to_number<int>()));
    }
  } catch (const std::exception& e) {
    return fail(Error::invalid(fmt::format("lab.json does not read: {}; take the lab down", e.what())));
  }
  return {};
}

}  // namespace lab
