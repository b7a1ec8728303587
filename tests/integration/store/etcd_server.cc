#include "etcd_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "base/fd.h"
#include "base/strings.h"
#include "os/process.h"

namespace store_test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool accepts(int port) {
  const base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

int free_port() {
  const base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  CHECK(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  CHECK(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

EtcdServer::EtcdServer(EtcdOptions options)
    : options_(std::move(options)),
      home_port_(free_port()),
      client_port_(home_port_),
      peer_port_(options_.peer_port != 0 ? options_.peer_port : free_port()) {
  start();
  // An etcd that is killed before it has elected itself for the first time never does so again.
  if (options_.ca_file.empty() && options_.initial_cluster.empty()) ctl({"endpoint", "health"});
}

EtcdServer::~EtcdServer() { kill(); }

std::vector<std::unique_ptr<EtcdServer>> start_cluster() {
  const std::vector<int> ports = {free_port(), free_port(), free_port()};
  std::vector<std::string> peers;
  for (std::size_t i = 0; i < ports.size(); ++i) peers.push_back(fmt::format("m{}=http://127.0.0.1:{}", i, ports[i]));
  std::vector<std::unique_ptr<EtcdServer>> members;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    members.push_back(std::make_unique<EtcdServer>(
        EtcdOptions{.name = fmt::format("m{}", i), .peer_port = ports[i], .initial_cluster = base::join(peers, ",")}));
  }
  for (const auto& member : members) member->ctl({"endpoint", "health", "--command-timeout=20s"});
  return members;
}

std::string EtcdServer::url() const {
  return fmt::format("{}://127.0.0.1:{}", options_.ca_file.empty() ? "http" : "https", client_port_);
}

void EtcdServer::start() {
  client_port_ = home_port_;
  run();
}

void EtcdServer::start_elsewhere() {
  client_port_ = free_port();
  run();
}

void EtcdServer::run() {
  CHECK(pid_ < 0);
  const std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_);
  std::vector<std::string> arguments = {
      "etcd",
      "--data-dir=" + directory_.file("data"),
      "--listen-client-urls=" + (options_.listen_everywhere ? fmt::format("http://0.0.0.0:{}", client_port_) : url()),
      "--advertise-client-urls=" + url(),
      "--listen-peer-urls=" + peer,
      "--initial-advertise-peer-urls=" + peer,
      "--name=" + options_.name,
      "--initial-cluster=" + (options_.initial_cluster.empty() ? options_.name + "=" + peer : options_.initial_cluster),
      "--logger=zap",
      "--log-outputs=" + directory_.file("log"),
      "--log-level=error"};
  if (!options_.ca_file.empty()) {
    arguments.insert(arguments.end(), {"--trusted-ca-file=" + options_.ca_file, "--cert-file=" + options_.cert_file,
                                       "--key-file=" + options_.key_file, "--client-cert-auth"});
  }
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  CHECK(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd : {0, 1, 2}) ::dup2(null, fd);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  for (int i = 0; i < 1000 && !accepts(client_port_); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

void EtcdServer::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void EtcdServer::pause() { ::kill(pid_, SIGSTOP); }
void EtcdServer::unpause() { ::kill(pid_, SIGCONT); }

void EtcdServer::wipe() {
  CHECK(pid_ < 0);
  std::filesystem::remove_all(directory_.file("data"));
}

std::string EtcdServer::ctl(std::vector<std::string> arguments) const {
  std::vector<std::string> command = {"etcdctl", "--endpoints=" + url()};
  if (!options_.ca_file.empty()) {
    command.insert(command.end(),
                   {"--cacert=" + options_.ca_file, "--cert=" + options_.cert_file, "--key=" + options_.key_file});
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto outcome = os::run({.arguments = command, .extra_environment = {"ETCDCTL_API=3"}});
  if (!outcome || !outcome->ok())
    fmt::print(stderr, "etcdctl: {}\n", outcome ? outcome->describe() : outcome.error().text());
  CHECK(outcome && outcome->ok());
  return outcome->output;
}

}  // namespace store_test
