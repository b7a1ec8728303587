#include "guests.h"

#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "os/files.h"
#include "os/process.h"

namespace testing_world {
namespace {

// Long enough for a packet on one machine under load; a probe that passes is seen in far less.
constexpr auto kSettle = std::chrono::milliseconds(120);

void must(std::vector<std::string> arguments, std::string input = {}) {
  os::Command command;
  command.arguments = std::move(arguments);
  command.input = std::move(input);
  auto done = os::run(std::move(command));
  CHECK(done);
  if (!done->ok()) std::fprintf(stderr, "%s\n", done->describe().c_str());
  CHECK(done->ok());
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
  const int on = 1;
  CHECK(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  socklen_t length = 0;
  const sockaddr_storage storage = socket_address(address, port, length);
  CHECK(bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0);
}

// What a UDP probe carries: its index, so that the receiver knows which one arrived.
struct Payload {
  std::uint32_t magic = 0x50455243;
  std::uint32_t index = 0;
};

std::vector<std::uint8_t> echo_request(base::Family family, std::uint16_t index) {
  std::vector<std::uint8_t> packet(8, 0);
  packet[0] = family == base::Family::kIpv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
  packet[4] = 0x50;
  packet[5] = 0x45;
  packet[6] = static_cast<std::uint8_t>(index >> 8);
  packet[7] = static_cast<std::uint8_t>(index);
  if (family == base::Family::kIpv4) {  // the kernel fills in the checksum for IPv6
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < packet.size(); i += 2)
      sum += static_cast<std::uint32_t>(packet[i] << 8 | packet[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    packet[2] = static_cast<std::uint8_t>(~sum >> 8);
    packet[3] = static_cast<std::uint8_t>(~sum);
  }
  return packet;
}

// The index of the echo reply in `data` (with IP header for IPv4), or -1.
int echo_reply(base::Family family, const std::uint8_t* data, ssize_t size) {
  const ssize_t offset = family == base::Family::kIpv4 ? (data[0] & 15) * 4 : 0;
  if (size < offset + 8) return -1;
  const std::uint8_t* icmp = data + offset;
  const std::uint8_t wanted = family == base::Family::kIpv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
  if (icmp[0] != wanted || icmp[4] != 0x50 || icmp[5] != 0x45) return -1;
  return icmp[6] << 8 | icmp[7];
}

}  // namespace

Guests::Guests(std::size_t count) {
  CHECK(unshare(CLONE_NEWNET) == 0);
  must({"ip", "link", "set", "lo", "up"});
  for (const char* path : {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
    CHECK(os::write_in_place(path, "1"));
  }
  // Addresses are usable at once: duplicate address detection takes a second and proves nothing here.
  for (const char* path : {"/proc/sys/net/ipv6/conf/default/accept_dad", "/proc/sys/net/ipv6/conf/all/accept_dad"}) {
    CHECK(os::write_in_place(path, "0"));
  }
  // The host answers ARP for what it can route elsewhere (proxy ARP), so it needs a default route for the guests'
  // gateway.
  must({"ip", "-batch", "-"},
       "link add uplink type veth peer name far-end\nlink set far-end up\nlink set uplink up\n"
       "addr add 10.255.0.1/24 dev uplink\nroute add default via 10.255.0.254\n");
  const std::string tag = "pc" + std::to_string(getpid());
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::uint8_t>(i + 1);
    Guest guest;
    guest.name = tag + "g" + std::to_string(i);
    guest.interface = "tapguest" + std::to_string(i);
    guest.v4 = *base::parse_address("10.9.0." + std::to_string(number));
    guest.v6 = *base::parse_address("fd00:9::" + std::to_string(number));
    guest.mac.bytes = {0xfa, 0x16, 0x3e, 0, 0, number};
    guests_.push_back(guest);
    configure(i);
  }
  for (std::size_t i = 0; i < count; ++i) {
    for (const base::IpAddress& address : {guests_[i].v4, guests_[i].v6}) {
      for (const std::uint16_t port : kOpenPorts) {
        const int family = address.is_v4() ? AF_INET : AF_INET6;
        Receiver receiver{i, in_guest(i, family, SOCK_DGRAM, 0), in_guest(i, family, SOCK_STREAM, 0)};
        bind_to(receiver.udp, address, port);
        bind_to(receiver.tcp, address, port);
        CHECK(listen(receiver.tcp.get(), 64) == 0);
        receivers_.push_back(std::move(receiver));
      }
    }
  }
}

Guests::~Guests() {
  receivers_.clear();
  std::string batch;
  for (const Guest& guest : guests_) batch += "netns del " + guest.name + "\n";
  must({"ip", "-batch", "-"}, batch);
}

void Guests::configure(std::size_t index) {
  const Guest& guest = guests_[index];
  must({"ip", "netns", "add", guest.name});
  must({"ip", "link", "add", guest.interface, "address", "ee:ee:ee:ee:ee:ee", "type", "veth", "peer", "name", "eth0",
        "address", base::to_string(guest.mac), "netns", guest.name});
  must({"ip", "link", "set", guest.interface, "up"});
  must({"ip", "-n", guest.name, "-batch", "-"},
       "link set lo up\nlink set eth0 up\naddr add " + base::to_string(guest.v4) + "/32 dev eth0\naddr add " +
           base::to_string(guest.v6) + "/128 dev eth0 nodad\nroute add 169.254.1.1 dev eth0 scope link\n" +
           "route add default via 169.254.1.1 dev eth0\nroute add default via fe80::ecee:eeff:feee:eeee dev eth0\n");
}

base::Fd Guests::in_guest(std::size_t guest, int family, int type, int protocol) const {
  base::Fd socket_fd;
  std::thread([&] {  // a namespace belongs to a thread
    const base::Fd ns(open(("/run/netns/" + guests_[guest].name).c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(ns && setns(ns.get(), CLONE_NEWNET) == 0);
    socket_fd.reset(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  })
      .join();
  CHECK(socket_fd);
  return socket_fd;
}

void Guests::run(std::vector<Probe>& probes) {
  must({"conntrack", "-F"});
  std::vector<base::Fd> sockets(probes.size());
  for (std::size_t i = 0; i < probes.size(); ++i) {
    Probe& probe = probes[i];
    probe.passed = false;
    const bool v4 = probe.family == base::Family::kIpv4;
    const Guest& from = guests_[probe.from];
    const Guest& to = guests_[probe.to];
    const int family = v4 ? AF_INET : AF_INET6;
    socklen_t length = 0;
    const bool echo = probe.protocol == 1;
    const sockaddr_storage target = socket_address(v4 ? to.v4 : to.v6, echo ? 0 : probe.destination_port, length);
    if (echo) {
      sockets[i] = in_guest(probe.from, family, SOCK_RAW, v4 ? IPPROTO_ICMP : static_cast<int>(IPPROTO_ICMPV6));
      const auto packet = echo_request(probe.family, static_cast<std::uint16_t>(i));
      sendto(sockets[i].get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&target), length);
      continue;
    }
    sockets[i] = in_guest(probe.from, family, probe.protocol == 17 ? SOCK_DGRAM : SOCK_STREAM, 0);
    bind_to(sockets[i], v4 ? from.v4 : from.v6, probe.source_port);
    if (probe.protocol == 17) {
      const Payload payload{0x50455243, static_cast<std::uint32_t>(i)};
      sendto(sockets[i].get(), &payload, sizeof payload, 0, reinterpret_cast<const sockaddr*>(&target), length);
    } else {
      connect(sockets[i].get(), reinterpret_cast<const sockaddr*>(&target), length);  // EINPROGRESS
    }
  }
  std::this_thread::sleep_for(kSettle);

  std::uint8_t buffer[2048];
  for (const Receiver& receiver : receivers_) {
    Payload payload;
    while (recv(receiver.udp.get(), &payload, sizeof payload, 0) == sizeof payload) {
      if (payload.magic == 0x50455243 && payload.index < probes.size()) probes[payload.index].passed = true;
    }
    while (base::Fd(accept(receiver.tcp.get(), nullptr, nullptr))) {
    }
  }
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (probes[i].protocol == 6) {
      pollfd ready{sockets[i].get(), POLLOUT, 0};
      int error = 0;
      socklen_t length = sizeof error;
      probes[i].passed = poll(&ready, 1, 0) == 1 &&
                         getsockopt(sockets[i].get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
      const linger abort_now{1, 0};  // no FIN that a later round could trip over
      setsockopt(sockets[i].get(), SOL_SOCKET, SO_LINGER, &abort_now, sizeof abort_now);
    } else if (probes[i].protocol == 1) {
      ssize_t size = 0;
      while ((size = recv(sockets[i].get(), buffer, sizeof buffer, 0)) > 0) {
        if (echo_reply(probes[i].family, buffer, size) == static_cast<int>(i)) probes[i].passed = true;
      }
    }
  }
}

}  // namespace testing_world
