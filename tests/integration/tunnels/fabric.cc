#include "fabric.h"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <functional>
#include <thread>

#include "base/check.h"
#include "os/files.h"

namespace tunnel_test {
namespace {

using std::chrono::milliseconds;

constexpr std::uint16_t kVxlanPort = 4789;
constexpr std::uint16_t kForgedPort = 6000;

std::string run(std::vector<std::string> arguments, std::string input = {}, bool may_fail = false) {
  os::Command command;
  command.arguments = std::move(arguments);
  command.input = std::move(input);
  auto done = os::run(std::move(command));
  CHECK(done);
  if (!done->ok() && !may_fail) std::fprintf(stderr, "%s\n", done->describe().c_str());
  CHECK(done->ok() || may_fail);
  return done->output;
}

std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    if (end > at) out.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

sockaddr_storage socket_address(const base::IpAddress& address, std::uint16_t port, socklen_t& length) {
  sockaddr_storage storage{};
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, address.bytes(), 4);
    length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, address.bytes(), 16);
    length = sizeof *v6;
  }
  return storage;
}

void bind_to(const base::Fd& fd, const base::IpAddress& address, std::uint16_t port) {
  socklen_t length = 0;
  const sockaddr_storage storage = socket_address(address, port, length);
  CHECK(bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
}

void send_to(const base::Fd& fd, const base::IpAddress& address, std::uint16_t port, std::uint32_t number) {
  socklen_t length = 0;
  const sockaddr_storage storage = socket_address(address, port, length);
  sendto(fd.get(), &number, sizeof number, 0, reinterpret_cast<const sockaddr*>(&storage), length);
}

base::IpAddress address(const std::string& text) { return *base::parse_address(text); }

}  // namespace

Fabric::Fabric() {
  const std::string tag = "pt" + std::to_string(getpid());
  router_ = tag + "r";
  for (std::size_t i = 0; i < kHosts; ++i) {
    const std::string number = std::to_string(i + 1);
    const bool far = i == 2;
    Host host;
    host.name = std::string(1, static_cast<char>('a' + i));
    host.netns = tag + host.name;
    host.guest = host.netns + "g";
    host.interface = "tapg" + std::to_string(i);
    host.v4 = *base::parse_interface_cidr((far ? "198.51.100." : "192.0.2.") + number + "/24");
    host.v6 = *base::parse_interface_cidr((far ? "2001:db8:2::" : "2001:db8:1::") + number + "/64");
    host.tunnel_v4 = address("10.65.255." + number);
    host.tunnel_v6 = address("fd00:65:ff::" + number);
    host.guest_v4 = address("10.65.0." + number);
    host.guest_v6 = address("fd00:65::" + number);
    hosts_.push_back(host);
  }
  build_network();
  CHECK(os::make_directories(directory_.file("resources")));
  write_resources();
}

Fabric::~Fabric() {
  stopping_ = true;
  for (auto& [number, agent] : agents_) {
    if (!agent.ended) agent.process->send_signal(SIGKILL);
  }
  wait([this] { return std::all_of(agents_.begin(), agents_.end(), [](const auto& a) { return a.second.ended; }); });
  receivers_.clear();
  std::string batch = "netns del " + router_ + "\n";
  for (const Host& host : hosts_) batch += "netns del " + host.guest + "\nnetns del " + host.netns + "\n";
  run({"ip", "-batch", "-"}, batch);
}

void Fabric::build_network() {
  run({"ip", "netns", "add", router_});
  run({"ip", "-n", router_, "-batch", "-"},
      "link set lo up\nlink add br0 type bridge forward_delay 0\nlink set br0 up\n"
      "addr add 192.0.2.254/24 dev br0\naddr add 2001:db8:1::fe/64 dev br0 nodad\n");
  in(router_, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  for (std::size_t i = 0; i < kHosts; ++i) build_host(i);
}

void Fabric::build_host(std::size_t number) {
  const Host& host = hosts_[number];
  const bool far = number == 2;
  const std::string port = "to" + host.name;
  run({"ip", "netns", "add", host.netns});
  run({"ip", "netns", "add", host.guest});
  run({"ip", "-n", router_, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.netns});
  run({"ip", "-n", router_, "-batch", "-"}, far ? "link set " + port + " up\naddr add 198.51.100.254/24 dev " + port +
                                                      "\naddr add 2001:db8:2::fe/64 dev " + port + " nodad\n"
                                                : "link set " + port + " master br0\nlink set " + port + " up\n");
  // Addresses are usable at once: duplicate address detection takes a second and proves nothing here.
  in(host.netns, "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0");
  run({"ip", "-n", host.netns, "-batch", "-"},
      "link set lo up\nlink set eth0 up\naddr add " + base::to_string(host.v4) + " dev eth0\naddr add " +
          base::to_string(host.v6) + " dev eth0 nodad\nroute add default via " +
          (far ? "198.51.100.254" : "192.0.2.254") + "\nroute add default via " +
          (far ? "2001:db8:2::fe" : "2001:db8:1::fe") + "\n");
  run({"ip", "-n", host.netns, "link", "add", host.interface, "address", "ee:ee:ee:ee:ee:ee", "type", "veth", "peer",
       "name", "eth0", "address", "fa:16:3e:00:00:0" + std::to_string(number + 1), "netns", host.guest});
  run({"ip", "-n", host.netns, "link", "set", host.interface, "up"});
  run({"ip", "-n", host.guest, "-batch", "-"},
      "link set lo up\nlink set eth0 up\naddr add " + base::to_string(host.guest_v4) + "/32 dev eth0\naddr add " +
          base::to_string(host.guest_v6) +
          "/128 dev eth0 nodad\nroute add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1 dev "
          "eth0\nroute add default via fe80::ecee:eeff:feee:eeee dev eth0\n");
  for (const base::IpAddress& own : {host.guest_v4, host.guest_v6}) {
    receivers_.push_back(socket_in(host.guest, own.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
    bind_to(receivers_.back(), own, kPort);
  }
}

void Fabric::write(const std::string& name, const std::string& yaml) {
  CHECK(os::write_file_atomic(directory_.file("resources/" + name), "apiVersion: projectcalico.org/v3\n" + yaml));
}

void Fabric::write_resources() {
  write("cluster.yaml",
        "kind: ClusterInformation\nmetadata: {name: default}\nspec: {clusterType: openstack, datastoreReady: true}\n");
  write("felix.yaml",
        "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {interfacePrefix: tap, endpointReportingEnabled: "
        "false, programClusterRoutes: Enabled}\n");
  write("open.yaml",
        "kind: Profile\nmetadata: {name: open}\nspec: {ingress: [{action: Allow}], egress: [{action: Allow}]}\n");
  for (std::size_t i = 0; i < kHosts; ++i) {
    const Host& host = hosts_[i];
    set_tunnel_address(i, host.tunnel_v4);
    const std::string number = std::to_string(i);
    write("guest-" + number + ".yaml",
          "kind: WorkloadEndpoint\nmetadata: {name: " + host.name + "-openstack-vm" + number +
              "-port, namespace: openstack}\nspec: {orchestrator: openstack, workload: vm" + number +
              ", node: " + host.name + ", endpoint: port, interfaceName: " + host.interface +
              ", mac: 'fa:16:3e:00:00:0" + std::to_string(i + 1) + "', profiles: [open], ipNetworks: [" +
              base::to_string(host.guest_v4) + "/32, '" + base::to_string(host.guest_v6) + "/128']}\n");
  }
}

void Fabric::set_tunnel_address(std::size_t number, const std::optional<base::IpAddress>& address) {
  const Host& host = hosts_[number];
  write("node-" + host.name + ".yaml", "kind: Node\nmetadata: {name: " + host.name +
                                           "}\nspec: {bgp: {ipv4Address: " + base::to_string(host.v4) +
                                           ", ipv6Address: '" + base::to_string(host.v6) + "'}, " +
                                           (address ? "ipv4VXLANTunnelAddr: " + base::to_string(*address) + ", " : "") +
                                           "ipv6VXLANTunnelAddr: '" + base::to_string(host.tunnel_v6) + "'}\n");
}

void Fabric::set_mode(base::Family family, const std::string& vxlan_mode) {
  const bool v4 = family == base::Family::kIpv4;
  write(v4 ? "pool4.yaml" : "pool6.yaml", std::string("kind: IPPool\nmetadata: {name: ") + (v4 ? "pool4" : "pool6") +
                                              "}\nspec: {cidr: '" + (v4 ? "10.65.0.0/16" : "fd00:65::/32") +
                                              "', vxlanMode: " + vxlan_mode + ", ipipMode: Never}\n");
}

void Fabric::start_agents() {
  for (std::size_t i = 0; i < kHosts; ++i) start(i);
}

void Fabric::start(std::size_t number) {
  const Host& host = hosts_[number];
  os::Command command;
  command.arguments = {"ip", "netns", "exec", host.netns, PERCALED, "-c", directory_.file("felix.cfg")};
  command.extra_environment = {"DATASTORE_TYPE=dir:" + directory_.file("resources"),
                               "FELIX_FELIXHOSTNAME=" + host.name,
                               "FELIX_LOGFILEPATH=none",
                               "FELIX_LOGSEVERITYSYS=none",
                               "FELIX_IPTABLESBACKEND=NFT",
                               "FELIX_BIRDMODE=Disabled",
                               "XTABLES_LOCKFILE=" + directory_.file(host.name + ".lock")};
  command.timeout = std::chrono::minutes(10);
  auto started = os::Process::start(loop_, std::move(command), [this, number](os::Outcome outcome) {
    agents_[number].ended = true;
    if (stopping_) return;
    constexpr int kRestart = 129;
    if (outcome.status != kRestart) std::fprintf(stderr, "agent %zu: %s\n", number, outcome.describe().c_str());
    ++restarts_;
    loop_.post([this, number] { start(number); });
  });
  CHECK(started);
  agents_[number] = {*std::move(started), false};
}

bool Fabric::wait(const std::function<bool()>& holds) {
  int tries = 0;
  const std::function<void()> look = [&] {
    if (holds() || ++tries == 2000) return loop_.stop();
    loop_.after(milliseconds(20), look);
  };
  look();
  loop_.run();
  return holds();
}

void Fabric::pass(milliseconds time) {
  loop_.after(time, [this] { loop_.stop(); });
  loop_.run();
}

std::string Fabric::in(const std::string& netns, const std::string& line, bool may_fail) {
  std::vector<std::string> arguments = {"ip", "netns", "exec", netns};
  for (std::string& word : words(line)) arguments.push_back(std::move(word));
  return run(std::move(arguments), {}, may_fail);
}

base::Fd Fabric::socket_in(const std::string& netns, int family, int type, int protocol) {
  base::Fd made;
  std::thread([&] {  // a namespace belongs to a thread
    const base::Fd ns(open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(ns && setns(ns.get(), CLONE_NEWNET) == 0);
    made.reset(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  })
      .join();
  CHECK(made);
  return made;
}

bool Fabric::reaches(std::size_t from, std::size_t to, base::Family family) {
  const bool v4 = family == base::Family::kIpv4;
  const base::Fd sender = socket_in(hosts_[from].guest, v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  const base::Fd& receiver = receivers_[2 * to + (v4 ? 0 : 1)];
  const std::uint32_t number = ++probes_;
  send_to(sender, v4 ? hosts_[to].guest_v4 : hosts_[to].guest_v6, kPort, number);
  for (int i = 0; i < 60; ++i) {
    std::uint32_t got = 0;
    while (recv(receiver.get(), &got, sizeof got, 0) == sizeof got) {
      if (got == number) return true;
    }
    std::this_thread::sleep_for(milliseconds(2));
  }
  return false;
}

std::vector<std::uint8_t> forged_packet(const Host& to, const base::IpAddress& from_guest) {
  std::vector<std::uint8_t> bytes = {0x08, 0, 0, 0, 0, 0x10, 0, 0};  // VXLAN, VNI 4096
  const std::string text = Fabric::in(to.netns, "cat /sys/class/net/vxlan.calico/address");
  const base::MacAddress mac = *base::parse_mac(text.substr(0, text.find('\n')));
  bytes.insert(bytes.end(), mac.bytes.begin(), mac.bytes.end());
  bytes.insert(bytes.end(), {0x02, 0, 0, 0, 0, 0x99, 0x08, 0x00});
  std::vector<std::uint8_t> ip = {0x45, 0, 0, 29, 0, 1, 0, 0, 64, IPPROTO_UDP, 0, 0};
  ip.insert(ip.end(), from_guest.bytes(), from_guest.bytes() + 4);
  ip.insert(ip.end(), to.guest_v4.bytes(), to.guest_v4.bytes() + 4);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < ip.size(); i += 2) sum += static_cast<std::uint32_t>(ip[i] << 8 | ip[i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  ip[10] = static_cast<std::uint8_t>(~sum >> 8);
  ip[11] = static_cast<std::uint8_t>(~sum);
  bytes.insert(bytes.end(), ip.begin(), ip.end());
  bytes.insert(bytes.end(), {0x17, 0x71, 0x17, 0x70, 0, 9, 0, 0, 'x'});  // UDP 6001 → 6000, no checksum
  return bytes;
}

// --- Capture

Capture::Capture(const Fabric& fabric, std::size_t host) : fabric_(fabric) {
  const std::string& netns = fabric.hosts()[host].netns;
  sockaddr_ll uplink{};
  uplink.sll_family = AF_PACKET;
  uplink.sll_protocol = htons(ETH_P_ALL);
  uplink.sll_ifindex = std::stoi(Fabric::in(netns, "cat /sys/class/net/eth0/ifindex"));
  socket_ = Fabric::socket_in(netns, AF_PACKET, SOCK_DGRAM, 0);
  const int size = 8 << 20;
  CHECK(setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0);
  CHECK(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&uplink), sizeof uplink) == 0);
}

Seen Capture::seen() {
  const auto is_guest = [this](base::Family family, const std::uint8_t* bytes) {
    const base::IpAddress found = base::IpAddress::from_bytes(family, bytes);
    return std::any_of(fabric_.hosts().begin(), fabric_.hosts().end(),
                       [&](const Host& host) { return found == host.guest_v4 || found == host.guest_v6; });
  };
  Seen seen;
  std::uint8_t packet[128];
  for (ssize_t got = 0; (got = recv(socket_.get(), packet, sizeof packet, 0)) > 0;) {
    const bool v4 = packet[0] >> 4 == 4;
    if (got < (v4 ? 28 : 48)) continue;
    const base::Family family = v4 ? base::Family::kIpv4 : base::Family::kIpv6;
    const std::uint8_t* const transport = packet + (v4 ? (packet[0] & 15) * 4 : 40);
    const int port = transport[2] << 8 | transport[3];
    if (packet[v4 ? 9 : 6] == IPPROTO_UDP && port == kVxlanPort) {
      ++seen.encapsulated;
    } else if (is_guest(family, packet + (v4 ? 16 : 24))) {
      ++seen.plain;
    }
  }
  return seen;
}

// --- Stranger

struct Stranger::Work {
  base::Fd sender;
  base::Fd receiver;
  sockaddr_storage target{};
  socklen_t length = 0;
  std::vector<std::uint8_t> packet;
  std::atomic<bool> go{true};
  std::size_t received = 0;
  std::thread thread;
};

Stranger::Stranger(Fabric& fabric, std::size_t to, std::vector<std::uint8_t> packet) : work_(std::make_unique<Work>()) {
  const Host& host = fabric.hosts()[to];
  work_->sender = Fabric::socket_in(fabric.router(), AF_INET, SOCK_DGRAM, 0);
  work_->receiver = Fabric::socket_in(host.guest, AF_INET, SOCK_DGRAM, 0);
  bind_to(work_->receiver, host.guest_v4, kForgedPort);
  work_->target = socket_address(host.v4.address, kVxlanPort, work_->length);
  work_->packet = std::move(packet);
  work_->thread = std::thread([work = work_.get()] {
    char byte = 0;
    while (work->go) {
      sendto(work->sender.get(), work->packet.data(), work->packet.size(), 0,
             reinterpret_cast<const sockaddr*>(&work->target), work->length);
      std::this_thread::sleep_for(milliseconds(1));
      while (recv(work->receiver.get(), &byte, 1, 0) == 1) ++work->received;
    }
  });
}

Stranger::~Stranger() {
  if (work_->thread.joinable()) stop();
}

std::size_t Stranger::stop() {
  work_->go = false;
  work_->thread.join();
  return work_->received;
}

// --- Stream

struct Stream::Work {
  base::Fd sender;
  base::Fd receiver;
  base::IpAddress target;
  std::atomic<bool> go{true};
  std::uint32_t sent = 0;
  std::vector<bool> received;
  std::thread thread;
};

namespace {
constexpr std::uint16_t kStreamPort = 5001;
constexpr milliseconds kStillUnderWay{200};
}  // namespace

Stream::Stream(Fabric& fabric, std::size_t from, std::size_t to) : work_(std::make_unique<Work>()) {
  const std::vector<Host>& hosts = fabric.hosts();
  work_->sender = Fabric::socket_in(hosts[from].guest, AF_INET, SOCK_DGRAM, 0);
  work_->receiver = Fabric::socket_in(hosts[to].guest, AF_INET, SOCK_DGRAM, 0);
  bind_to(work_->receiver, hosts[to].guest_v4, kStreamPort);
  work_->target = hosts[to].guest_v4;
  work_->thread = std::thread([work = work_.get()] {
    const auto drain = [work] {
      std::uint32_t number = 0;
      while (recv(work->receiver.get(), &number, sizeof number, 0) == sizeof number) {
        if (number < work->received.size()) work->received[number] = true;
      }
    };
    while (work->go) {
      work->received.push_back(false);
      send_to(work->sender, work->target, kStreamPort, work->sent++);
      std::this_thread::sleep_for(milliseconds(1));
      drain();
    }
    std::this_thread::sleep_for(kStillUnderWay);
    drain();
  });
}

Stream::~Stream() {
  if (work_->thread.joinable()) stop();
}

Stream::Result Stream::stop() {
  work_->go = false;
  work_->thread.join();
  Result result{.sent = work_->sent};
  std::size_t gap = 0;
  for (const bool arrived : work_->received) {
    gap = arrived ? 0 : gap + 1;
    result.lost += arrived ? 0 : 1;
    result.longest_gap = std::max(result.longest_gap, gap);
  }
  return result;
}

}  // namespace tunnel_test
