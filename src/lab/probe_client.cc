#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fmt/core.h>

#include "base/strings.h"
#include "lab/probe.h"

namespace lab {

using base::Error;
using base::fail;
using base::Result;

namespace {

template <typename T>
T number(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kLost: return "lost";
    case Verdict::kRefused: return "refused";
    case Verdict::kUnreachable: return "unreachable";
  }
  return "";
}

Result<ProbeClient> ProbeClient::connect(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path))
    return fail(Error::invalid("socket path is too long", socket_path));
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail(Error::system(errno, fmt::format("prober {}", socket_path)));
  }
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return ProbeClient(std::move(fd));
}

Result<> ProbeClient::send(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto sent = ::send(fd_.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return fail(Error::system(errno, "send to a prober"));
    at += static_cast<std::size_t>(sent);
  }
  return {};
}

Result<std::string> ProbeClient::line() {
  while (true) {
    if (const auto end = buffer_.find('\n'); end != buffer_.npos) {
      std::string text = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return text;
    }
    char chunk[8192];
    const auto got = ::recv(fd_.get(), chunk, sizeof(chunk), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(Error::system(got == 0 ? EPIPE : errno, "answer of a prober"));
    buffer_.append(chunk, static_cast<std::size_t>(got));
  }
}

Result<> ProbeClient::expect_ok() {
  auto text = line();
  if (!text) return fail(std::move(text).error());
  if (*text != "ok") return fail(Error::internal("prober: " + *text));
  return {};
}

Result<> ProbeClient::begin(const std::vector<Probe>& probes) {
  std::string text;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const Probe& p = probes[i];
    text += fmt::format("probe {} {} {} {} {}\n", i, p.protocol, base::to_string(p.target), p.port, p.timeout_ms);
  }
  outstanding_ = probes.size();
  return send(text + "go\n");
}

Result<std::vector<ProbeResult>> ProbeClient::finish() {
  std::vector<ProbeResult> results(outstanding_);
  while (true) {
    auto text = line();
    if (!text) return fail(std::move(text).error());
    if (*text == "done") return results;
    const auto words = base::split(*text, ' ');
    const auto index = words.size() == 4 ? number<std::size_t>(words[1]) : results.size();
    if (index >= results.size()) return fail(Error::internal("prober: " + *text));
    for (Verdict verdict : {Verdict::kOk, Verdict::kLost, Verdict::kRefused, Verdict::kUnreachable}) {
      if (words[2] == to_string(verdict)) results[index].verdict = verdict;
    }
    results[index].microseconds = number<std::int64_t>(words[3]);
  }
}

Result<std::vector<ProbeResult>> ProbeClient::run(const std::vector<Probe>& probes) {
  if (auto begun = begin(probes); !begun) return fail(std::move(begun).error());
  return finish();
}

Result<> ProbeClient::start_flow(const std::string& id, const std::string& protocol, const base::IpAddress& target,
                                 std::uint16_t port, int per_second) {
  auto sent = send(fmt::format("flow {} {} {} {} {}\n", id, protocol, base::to_string(target), port, per_second));
  return sent ? expect_ok() : sent;
}

Result<> ProbeClient::quiet_flow(const std::string& id) {
  auto sent = send(fmt::format("quiet {}\n", id));
  return sent ? expect_ok() : sent;
}

Result<> ProbeClient::stop_flow(const std::string& id) {
  auto sent = send(fmt::format("stop {}\n", id));
  return sent ? expect_ok() : sent;
}

Result<std::map<std::string, FlowReport>> ProbeClient::flows() {
  if (auto sent = send("flows\n"); !sent) return fail(std::move(sent).error());
  std::map<std::string, FlowReport> reports;
  while (true) {
    auto text = line();
    if (!text) return fail(std::move(text).error());
    if (*text == "done") return reports;
    const auto words = base::split(*text, ' ');
    if (words.size() != 9) return fail(Error::internal("prober: " + *text));
    reports[std::string(words[1])] = {.sent = number<std::uint64_t>(words[2]),
                                      .echoed = number<std::uint64_t>(words[3]),
                                      .lost = number<std::uint64_t>(words[4]),
                                      .retransmitted = number<std::uint64_t>(words[5]),
                                      .longest_gap_us = number<std::int64_t>(words[6]),
                                      .first_echo_us = number<std::int64_t>(words[7]),
                                      .state = std::string(words[8])};
  }
}

Result<std::map<std::string, std::uint64_t>> ProbeClient::arrivals() {
  if (auto sent = send("arrivals\n"); !sent) return fail(std::move(sent).error());
  std::map<std::string, std::uint64_t> counts;
  while (true) {
    auto text = line();
    if (!text) return fail(std::move(text).error());
    if (*text == "done") return counts;
    const auto words = base::split(*text, ' ');
    if (words.size() != 5) return fail(Error::internal("prober: " + *text));
    counts[fmt::format("{} {} {}", words[1], words[2], words[3])] = number<std::uint64_t>(words[4]);
  }
}

}  // namespace lab
