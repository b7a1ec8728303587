// One epoll loop, one small object for each descriptor. Every object is owned by the server and called when its
// descriptor is ready; a 1 ms timer runs only while probes or flows exist.
//
// TCP retransmissions are read from both ends of a flow: the sender's from its own socket, the echo side's from the
// socket the server accepted, reported by the guest it belongs to and summed up by whoever asks.
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/check.h"
#include "base/strings.h"
#include "lab/probe.h"

namespace lab {
namespace {

using base::Fd;
using base::IpAddress;
using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;
using namespace std::chrono_literals;

constexpr auto kResend = 250ms;
constexpr std::size_t kMessage = 32;  // bytes of a probe or a numbered flow message

std::int64_t microseconds(Clock::duration span) {
  return std::chrono::duration_cast<std::chrono::microseconds>(span).count();
}

template <typename T>
T number(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress result;
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes(), 4);
    std::memcpy(&result.storage, &v4, sizeof(v4));
    result.length = sizeof(v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes(), 16);
    std::memcpy(&result.storage, &v6, sizeof(v6));
    result.length = sizeof(v6);
  }
  return result;
}

// IPv4 peers of a dual-stack socket come as ::ffff:a.b.c.d.
std::string text_of_peer(const sockaddr_in6& from) {
  const auto* bytes = from.sin6_addr.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
    return base::to_string(IpAddress::from_bytes(base::Family::kIpv4, bytes + 12));
  }
  return base::to_string(IpAddress::from_bytes(base::Family::kIpv6, bytes));
}

std::uint64_t retransmissions(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_total_retrans : 0;
}

Verdict verdict_of(int error) {
  if (error == ECONNREFUSED || error == ECONNRESET) return Verdict::kRefused;
  if (error == ENETUNREACH || error == EHOSTUNREACH || error == EACCES || error == EPERM) return Verdict::kUnreachable;
  return Verdict::kLost;
}

struct Conversation;

struct RunningProbe {
  std::size_t id = 0;
  Probe probe;
  std::weak_ptr<Conversation> owner;
  Fd fd;
  bool connected = false;
  std::uint16_t echo_id = 0;  // ICMP
  Instant started{};
  Instant next_send{};
  Instant deadline{};
  std::string message;
};

// A connection from the lab.
struct Conversation {
  Fd fd;
  std::string input;
  std::vector<std::pair<std::size_t, Probe>> waiting;
  std::size_t running = 0;
};

// A prober that gets no processor for a while must not be taken for a network that loses packets: its sockets hold what
// arrives meanwhile, and it does not make up for what it has not sent.
constexpr int kReceiveBuffer = 8 << 20;
constexpr std::chrono::milliseconds kCatchUp{20};

void hold_much(int fd) { ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)); }

struct Flow {
  bool tcp = false;
  Fd fd;
  bool connected = false;
  bool quiet = false;
  std::chrono::nanoseconds interval{};
  Instant next{};
  Instant last_echo{};
  std::uint64_t sent = 0;
  std::uint64_t echoed = 0;
  std::uint64_t passed = 0;  // UDP: the number after the highest that was echoed
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_back = 0;
  std::int64_t longest_gap_us = 0;
  std::int64_t first_echo_us = 0;
  std::string state = "running";
};

class Server {
 public:
  explicit Server(Fd listener) : listener_(std::move(listener)) {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    CHECK(epoll_ && timer_);
    watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_conversation(); });
    watch(timer_.get(), EPOLLIN, [this](std::uint32_t) { tick(); });
    for (std::uint16_t port : kProbePorts) listen_on(port);
    for (base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) open_icmp(family);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 64> events{};
    while (true) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        const auto found = handlers_.find(event.data.fd);
        if (found == handlers_.end()) continue;
        const auto handler = found->second;  // may unwatch itself
        (*handler)(event.events);
      }
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {  // we are process 1 here
      }
    }
  }

 private:
  using Callback = std::function<void(std::uint32_t)>;

  void watch(int fd, std::uint32_t events, Callback callback) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    const int operation = handlers_.contains(fd) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    CHECK(::epoll_ctl(epoll_.get(), operation, fd, &event) == 0);
    handlers_[fd] = std::make_shared<Callback>(std::move(callback));
  }

  void unwatch(int fd) {
    if (handlers_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }

  // --- answering ---

  void listen_on(std::uint16_t port) {
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
      auto fd = std::make_shared<Fd>(::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      const int one = 1;
      const int zero = 0;
      ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
      ::setsockopt(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
      sockaddr_in6 any{};
      any.sin6_family = AF_INET6;
      any.sin6_port = htons(port);
      CHECK(::bind(fd->get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0);
      if (type == SOCK_DGRAM) {
        hold_much(fd->get());
        watch(fd->get(), EPOLLIN, [this, fd, port](std::uint32_t) { echo_datagrams(fd->get(), port); });
      } else {
        CHECK(::listen(fd->get(), 256) == 0);
        watch(fd->get(), EPOLLIN, [this, fd, port](std::uint32_t) { accept_streams(fd->get(), port); });
      }
    }
  }

  void echo_datagrams(int fd, std::uint16_t port) {
    char buffer[2048];
    sockaddr_in6 from{};
    socklen_t size = sizeof(from);
    while (true) {
      const auto got = ::recvfrom(fd, buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) return;
      ++arrivals_[fmt::format("udp {} {}", text_of_peer(from), port)];
      ::sendto(fd, buffer, static_cast<std::size_t>(got), 0, reinterpret_cast<const sockaddr*>(&from), size);
      size = sizeof(from);
    }
  }

  void accept_streams(int listener, std::uint16_t port) {
    sockaddr_in6 from{};
    socklen_t size = sizeof(from);
    while (true) {
      auto fd = std::make_shared<Fd>(
          ::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
      size = sizeof(from);
      if (!*fd) return;
      const int one = 1;
      ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
      ++arrivals_[fmt::format("tcp {} {}", text_of_peer(from), port)];
      watch(fd->get(), EPOLLIN, [this, fd](std::uint32_t) { echo_stream(fd->get()); });
    }
  }

  void echo_stream(int fd) {
    char buffer[16384];
    while (true) {
      const auto got = ::read(fd, buffer, sizeof(buffer));
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return unwatch(fd);  // the callback owns the descriptor
      echo_retransmissions_ = std::max(echo_retransmissions_, retransmissions(fd));
      (void)!::send(fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL);
    }
  }

  // --- talking to the lab ---

  void accept_conversation() {
    auto conversation = std::make_shared<Conversation>();
    conversation->fd.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!conversation->fd) return;
    watch(conversation->fd.get(), EPOLLIN, [this, conversation](std::uint32_t) { hear(conversation); });
  }

  void hear(const std::shared_ptr<Conversation>& conversation) {
    char buffer[16384];
    const auto got = ::recv(conversation->fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return unwatch(conversation->fd.get());
    conversation->input.append(buffer, static_cast<std::size_t>(got));
    for (auto end = conversation->input.find('\n'); end != std::string::npos; end = conversation->input.find('\n')) {
      const std::string line = conversation->input.substr(0, end);
      conversation->input.erase(0, end + 1);
      obey(conversation, line);
    }
  }

  static void say(Conversation& conversation, const std::string& text) {
    (void)!::send(conversation.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }

  void obey(const std::shared_ptr<Conversation>& conversation, const std::string& line) {
    const auto words = base::split(line, ' ');
    if (words[0] == "probe" && words.size() == 6) {
      auto target = base::parse_address(words[3]);
      if (!target) return say(*conversation, "bad address\n");
      conversation->waiting.push_back(
          {number<std::size_t>(words[1]),
           {std::string(words[2]), *target, number<std::uint16_t>(words[4]), number<int>(words[5])}});
    } else if (words[0] == "go") {
      for (auto& [id, probe] : std::exchange(conversation->waiting, {})) start_probe(conversation, id, probe);
      if (conversation->running == 0) say(*conversation, "done\n");
    } else if (words[0] == "flow" && words.size() == 6) {
      start_flow(*conversation, words);
    } else if (words[0] == "flows") {
      report_flows(*conversation);
    } else if (words[0] == "stop" && words.size() == 2) {
      if (const auto flow = flows_.find(std::string(words[1])); flow != flows_.end()) {
        unwatch(flow->second->fd.get());
        flows_.erase(flow);
      }
      say(*conversation, "ok\n");
    } else if (words[0] == "quiet" && words.size() == 2) {
      if (const auto flow = flows_.find(std::string(words[1])); flow != flows_.end()) flow->second->quiet = true;
      say(*conversation, "ok\n");
    } else if (words[0] == "arrivals") {
      std::string text;
      for (const auto& [what, count] : arrivals_) text += fmt::format("arrival {} {}\n", what, count);
      say(*conversation, text + "done\n");
    } else {
      say(*conversation, "not understood\n");
    }
  }

  // --- probes ---

  void start_probe(const std::shared_ptr<Conversation>& conversation, std::size_t id, const Probe& probe) {
    auto running = std::make_shared<RunningProbe>();
    running->id = id;
    running->probe = probe;
    running->owner = conversation;
    running->started = Clock::now();
    running->next_send = running->started;
    running->deadline = running->started + std::chrono::milliseconds(probe.timeout_ms);
    running->message = fmt::format("{:<{}}", fmt::format("probe {} {}", ++last_message_, id), kMessage);
    ++conversation->running;
    probes_.insert(running);
    arm();
    if (probe.protocol == "icmp") {
      running->echo_id = ++last_echo_id_;
      echoes_[{probe.target.family(), running->echo_id}] = running;
      return send_probe(running);
    }
    open_probe(running);
  }

  void open_probe(const std::shared_ptr<RunningProbe>& running) {
    const bool tcp = running->probe.protocol == "tcp";
    const SocketAddress target = socket_address(running->probe.target, running->probe.port);
    running->fd.reset(
        ::socket(target.storage.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!running->fd) return finish(running, verdict_of(errno));
    take_fresh_port(running->fd.get(), running->probe.target.is_v4());
    if (::connect(running->fd.get(), target.get(), target.length) != 0 && errno != EINPROGRESS) {
      return finish(running, verdict_of(errno));
    }
    watch(running->fd.get(), tcp ? EPOLLOUT : EPOLLIN, [this, running](std::uint32_t) { advance(running); });
    if (!tcp) send_probe(running);
  }

  // A probe asks whether a new flow passes, so it must not come from a port that an earlier probe to the same target
  // used: connection tracking would still know that flow, and let it pass whatever the policy says now. The kernel's
  // own choice is random and meets an old one about once in 28,000 probes; these are taken in turn, below the range
  // that the kernel takes the flows' ports from.
  void take_fresh_port(int fd, bool v4) {
    constexpr std::uint16_t kFirst = 10'000;
    constexpr std::uint16_t kLast = 32'767;
    for (int attempts = 0; attempts < 100; ++attempts) {
      last_port_ = last_port_ < kFirst || last_port_ >= kLast ? kFirst : static_cast<std::uint16_t>(last_port_ + 1);
      const SocketAddress any = socket_address(*base::parse_address(v4 ? "0.0.0.0" : "::"), last_port_);
      if (::bind(fd, any.get(), any.length) == 0) return;
    }
  }

  void advance(const std::shared_ptr<RunningProbe>& running) {
    if (running->probe.protocol == "tcp" && !running->connected) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(running->fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return finish(running, verdict_of(error));
      running->connected = true;
      watch(running->fd.get(), EPOLLIN, [this, running](std::uint32_t) { advance(running); });
      return send_probe(running);
    }
    char buffer[256];
    const auto got = ::recv(running->fd.get(), buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return finish(running, verdict_of(errno));
    if (std::string_view(buffer, static_cast<std::size_t>(got)) == running->message)
      finish(running, Verdict::kOk);
    else if (got == 0)
      finish(running, Verdict::kRefused);
  }

  void send_probe(const std::shared_ptr<RunningProbe>& running) {
    running->next_send = Clock::now() + kResend;
    if (running->probe.protocol == "icmp") return send_echo(running);
    if (::send(running->fd.get(), running->message.data(), running->message.size(), MSG_NOSIGNAL) < 0 &&
        errno != EAGAIN) {
      finish(running, verdict_of(errno));
    }
  }

  void finish(std::shared_ptr<RunningProbe> running, Verdict verdict) {
    if (probes_.erase(running) == 0) return;
    if (running->fd) unwatch(running->fd.get());
    echoes_.erase({running->probe.target.family(), running->echo_id});
    const auto owner = running->owner.lock();
    if (!owner) return;
    say(*owner, fmt::format("result {} {} {}\n", running->id, to_string(verdict),
                            microseconds(Clock::now() - running->started)));
    if (--owner->running == 0) say(*owner, "done\n");
  }

  // --- ICMP: one raw socket a family, answers told apart by their identifier ---

  void open_icmp(base::Family family) {
    const bool v4 = family == base::Family::kIpv4;
    Fd& fd = v4 ? icmp4_ : icmp6_;
    fd.reset(::socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                      v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6}));
    CHECK(fd.get() >= 0);
    watch(fd.get(), EPOLLIN, [this, family](std::uint32_t) { hear_echoes(family); });
  }

  static std::uint16_t checksum(const std::string& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
      sum += static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]) << 8 |
                                        static_cast<unsigned char>(bytes[i + 1]));
    }
    while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
  }

  void send_echo(const std::shared_ptr<RunningProbe>& running) {
    const bool v4 = running->probe.target.is_v4();
    std::string packet(8, '\0');
    packet[0] = static_cast<char>(v4 ? int{ICMP_ECHO} : int{ICMP6_ECHO_REQUEST});
    packet[4] = static_cast<char>(running->echo_id >> 8);
    packet[5] = static_cast<char>(running->echo_id & 0xFF);
    packet += running->message;
    if (v4) {  // the kernel fills in the IPv6 one
      const std::uint16_t sum = checksum(packet);
      packet[2] = static_cast<char>(sum >> 8);
      packet[3] = static_cast<char>(sum & 0xFF);
    }
    const SocketAddress target = socket_address(running->probe.target, 0);
    const int fd = v4 ? icmp4_.get() : icmp6_.get();
    if (::sendto(fd, packet.data(), packet.size(), 0, target.get(), target.length) < 0 && errno != EAGAIN) {
      finish(running, verdict_of(errno));
    }
  }

  void hear_echoes(base::Family family) {
    const bool v4 = family == base::Family::kIpv4;
    std::array<unsigned char, 2048> buffer{};
    while (true) {
      const auto got = ::recv(v4 ? icmp4_.get() : icmp6_.get(), buffer.data(), buffer.size(), 0);
      if (got < 0) return;
      const std::size_t header = v4 ? (buffer[0] & 0x0Fu) * 4 : 0;  // raw IPv4 sockets deliver the IP header too
      if (static_cast<std::size_t>(got) < header + 8) continue;
      const int reply = v4 ? int{ICMP_ECHOREPLY} : int{ICMP6_ECHO_REPLY};
      if (buffer[header] != reply) continue;
      const auto id = static_cast<std::uint16_t>(buffer[header + 4] << 8 | buffer[header + 5]);
      const auto found = echoes_.find({family, id});
      if (found != echoes_.end()) finish(found->second, Verdict::kOk);
    }
  }

  // --- flows ---

  void start_flow(Conversation& conversation, const std::vector<std::string_view>& words) {
    auto target = base::parse_address(words[3]);
    if (!target) return say(conversation, "bad address\n");
    auto flow = std::make_shared<Flow>();
    flow->tcp = words[2] == "tcp";
    const SocketAddress address = socket_address(*target, number<std::uint16_t>(words[4]));
    flow->fd.reset(
        ::socket(address.storage.ss_family, (flow->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    if (flow->tcp) ::setsockopt(flow->fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (!flow->fd || (::connect(flow->fd.get(), address.get(), address.length) != 0 && errno != EINPROGRESS)) {
      return say(conversation, fmt::format("connect: {}\n", std::strerror(errno)));
    }
    if (!flow->tcp) hold_much(flow->fd.get());
    flow->interval = std::chrono::nanoseconds(1'000'000'000 / std::max(1, number<int>(words[5])));
    flow->next = Clock::now();
    flow->last_echo = flow->next;
    flow->connected = !flow->tcp;
    watch(flow->fd.get(), flow->tcp ? EPOLLOUT : EPOLLIN, [this, flow](std::uint32_t) { flow_ready(flow); });
    flows_[std::string(words[1])] = flow;
    arm();
    say(conversation, "ok\n");
  }

  void flow_ready(const std::shared_ptr<Flow>& flow) {
    if (!flow->connected) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(flow->fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return end_flow(*flow, error);
      flow->connected = true;
      flow->next = flow->last_echo = Clock::now();
      return watch(flow->fd.get(), EPOLLIN, [this, flow](std::uint32_t) { flow_ready(flow); });
    }
    char buffer[16384];
    while (true) {
      const auto got = ::recv(flow->fd.get(), buffer, sizeof(buffer), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got < 0 && !flow->tcp) return;  // an ICMP error for a datagram: it simply was not echoed
      if (got <= 0) return end_flow(*flow, got == 0 ? ECONNRESET : errno);
      flow->bytes_back += static_cast<std::uint64_t>(got);
      flow->echoed = flow->tcp ? flow->bytes_back / kMessage : flow->echoed + 1;
      if (!flow->tcp) {
        const std::string_view message(buffer, static_cast<std::size_t>(got));
        flow->passed = std::max(flow->passed, number<std::uint64_t>(message.substr(0, message.find(' '))) + 1);
      }
      const Instant now = Clock::now();
      flow->longest_gap_us = std::max(flow->longest_gap_us, microseconds(now - flow->last_echo));
      if (flow->first_echo_us == 0) flow->first_echo_us = microseconds(now.time_since_epoch());
      flow->last_echo = now;
    }
  }

  void end_flow(Flow& flow, int error) {
    flow.state = error == ECONNRESET ? "reset" : error == ECONNREFUSED ? "refused" : "failed";
    unwatch(flow.fd.get());
  }

  void send_due(Flow& flow, Instant now) {
    if (!flow.connected || flow.quiet || flow.state != "running") return;
    flow.next = std::max(flow.next, now - kCatchUp);
    for (; flow.next <= now; flow.next += flow.interval) {
      const std::string message = fmt::format("{:<{}}", flow.sent, kMessage);
      if (::send(flow.fd.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0 && flow.tcp) return;
      ++flow.sent;
    }
  }

  void report_flows(Conversation& conversation) {
    std::string text;
    for (const auto& [id, flow] : flows_) {
      const auto retransmitted = flow->tcp && flow->state == "running" ? retransmissions(flow->fd.get()) : 0;
      const std::uint64_t lost = flow->passed > flow->echoed ? flow->passed - flow->echoed : 0;
      text += fmt::format("flow {} {} {} {} {} {} {} {}\n", id, flow->sent, flow->echoed, lost, retransmitted,
                          flow->longest_gap_us, flow->first_echo_us, flow->state);
    }
    text += fmt::format("flow echo-side 0 0 0 {} 0 0 running\n", echo_retransmissions_);
    say(conversation, text + "done\n");
  }

  // --- time ---

  void arm() {
    const bool wanted = !probes_.empty() || !flows_.empty();
    if (wanted == armed_) return;
    armed_ = wanted;
    itimerspec span{};
    if (wanted) span.it_value.tv_nsec = span.it_interval.tv_nsec = 1'000'000;
    ::timerfd_settime(timer_.get(), 0, &span, nullptr);
  }

  void tick() {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof(expirations));
    const Instant now = Clock::now();
    const std::vector<std::shared_ptr<RunningProbe>> all(probes_.begin(), probes_.end());
    for (const auto& running : all) {
      if (now >= running->deadline)
        finish(running, Verdict::kLost);
      else if (now >= running->next_send && running->probe.protocol != "tcp")
        send_probe(running);
    }
    for (const auto& [id, flow] : flows_) send_due(*flow, now);
    arm();
  }

  Fd listener_;
  Fd epoll_;
  Fd timer_;
  Fd icmp4_;
  Fd icmp6_;
  bool armed_ = false;
  std::unordered_map<int, std::shared_ptr<Callback>> handlers_;
  std::set<std::shared_ptr<RunningProbe>> probes_;
  std::map<std::pair<base::Family, std::uint16_t>, std::shared_ptr<RunningProbe>> echoes_;
  std::map<std::string, std::shared_ptr<Flow>> flows_;
  std::map<std::string, std::uint64_t> arrivals_;
  std::uint64_t echo_retransmissions_ = 0;
  std::uint64_t last_message_ = 0;
  std::uint16_t last_echo_id_ = 0;
  std::uint16_t last_port_ = 0;  // of probes
};

}  // namespace

base::Result<Fd> ProbeServer::listen(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path))
    return base::fail(base::Error::invalid("socket path is too long", socket_path));
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  ::unlink(socket_path.c_str());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd.get(), 16) != 0) {
    return base::fail(base::Error::system(errno, socket_path));
  }
  return fd;
}

void ProbeServer::serve(Fd listener) {
  static Server server(std::move(listener));
  server.run();
}

}  // namespace lab
