#include "bridge_process.h"

#include <signal.h>
#include <sys/wait.h>

#include <sstream>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/check.h"
#include "os/files.h"
#include "os/process.h"

namespace neutron_test {

BridgeProcess::BridgeProcess(const std::string& etcd_url, const std::string& extra)
    : socket_(directory_.file("neutron.sock")), log_(directory_.file("log")) {
  config_ = directory_.write("neutron.conf",
                             "[percale]\nlog_level = debug\netcd_endpoints = " + etcd_url + "\n[calico]\n" + extra);
  start();
}

BridgeProcess::~BridgeProcess() { kill(); }

void BridgeProcess::start() {
  auto pid = os::start_detached({.arguments = {PERCALE_NEUTRON, "--config-file", config_, "--socket", socket_}}, log_);
  CHECK(pid);
  pid_ = *pid;
}

void BridgeProcess::terminate() {
  ::kill(pid_, SIGTERM);
  wait();
}

void BridgeProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  wait();
}

void BridgeProcess::wait() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

boost::json::object BridgeProcess::ask(const std::string& method, const std::string& path,
                                       const boost::json::object& body, int* status) const {
  SocketClient client(socket_);
  const auto reply = client.ask(method, path, method == "POST" ? boost::json::serialize(body) : "");
  CHECK(reply);
  if (status != nullptr) *status = reply->status;
  return reply->body.empty() ? boost::json::object() : boost::json::parse(reply->body).as_object();
}

long BridgeProcess::memory_kib(const std::string& field) const {
  std::istringstream lines(*os::read_file("/proc/" + std::to_string(pid_) + "/status"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
  }
  return -1;
}

std::string BridgeProcess::log() const {
  const auto text = os::read_file(log_);
  return text ? *text : "";
}

}  // namespace neutron_test
