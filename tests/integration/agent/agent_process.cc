#include "agent_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "base/fd.h"

namespace agent_test {

using std::chrono::milliseconds;

Answer get(std::uint16_t port, const std::string& path) {
  const base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string reply;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) {
    reply.append(buffer, static_cast<std::size_t>(got));
  }
  const auto body = reply.find("\r\n\r\n");
  if (reply.size() < 12 || body == std::string::npos) return {};
  return {std::stoi(reply.substr(9, 3)), reply.substr(body + 4)};
}

os::Outcome AgentProcess::program(std::vector<std::string> arguments) {
  auto outcome = os::run({.arguments = std::move(arguments)});
  return outcome ? *outcome : os::Outcome{.status = -1, .errors = outcome.error().text()};
}

void AgentProcess::launch(std::vector<std::string> arguments, std::vector<std::string> environment) {
  outcome_.reset();
  arguments.insert(arguments.begin(), PERCALED);
  environment.insert(environment.begin(), "FELIX_ENDPOINTSTATUSPATHPREFIX=none");  // this machine's own directory
  auto started = os::Process::start(loop_,
                                    {.arguments = std::move(arguments),
                                     .extra_environment = std::move(environment),
                                     .timeout = std::chrono::seconds(90)},
                                    [this](os::Outcome outcome) { outcome_ = std::move(outcome); });
  ASSERT_TRUE(started) << started.error().text();
  agent_ = *std::move(started);
}

bool AgentProcess::wait(const std::function<bool()>& holds) {
  int tries = 0;
  std::function<void()> look = [&] {
    if (holds() || ++tries == 1000) return loop_.stop();
    loop_.after(milliseconds(20), look);
  };
  look();
  loop_.run();
  return holds();
}

bool AgentProcess::ready() {
  return wait([] { return get(kHealthPort, "/readiness").status == 200; });
}

bool AgentProcess::ended() {
  return wait([this] { return outcome_.has_value(); });
}

double AgentProcess::metric(const std::string& name) {
  const std::string text = get(kMetricsPort, "/metrics").body;
  const auto at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

}  // namespace agent_test
