// testing_host.h: a machine that exists only in a test.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "node/host.h"
#include "node/prober.h"

namespace node {

class FakeHost final : public Host {
 public:
  base::Result<std::vector<Interface>> interfaces() override { return interfaces_; }
  base::Result<base::IpAddress> local_address_towards(const std::string& host, base::Family) override {
    return base::fail(base::Error::not_found("cannot look up " + host));
  }
  std::string hostname() override { return "Test-Host"; }
  base::Result<std::string> read_file(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return base::fail(base::Error::not_found(path + " does not exist"));
    return found->second;
  }
  base::Result<void> write_file(const std::string& path, std::string_view content) override {
    files_[path] = content;
    return {};
  }
  base::Result<void> make_directories(const std::string&) override { return {}; }
  std::vector<Process> processes() override { return processes_; }
  base::Result<bgp::Reply> ask_bird(const std::string& socket_path, const std::string& command) override {
    const auto found = bird_.find({socket_path, command});
    if (found == bird_.end()) return base::fail(base::Error::unavailable("connect to " + socket_path));
    bgp::ReplyReader reader;
    reader.feed(found->second);
    return reader.next().value_or(bgp::Reply{});
  }

  std::vector<Interface> interfaces_;
  std::map<std::string, std::string> files_;
  std::vector<Process> processes_;
  std::map<std::pair<std::string, std::string>, std::string> bird_;  // by socket and command
};

// A host on which everything works, until a test takes something away.
class FakeProber final : public Prober {
 public:
  std::string kernel_release() override { return release_; }
  std::string machine() override { return machine_; }
  base::Result<std::string> read_file(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return base::fail(base::Error::not_found(path + " does not exist"));
    return found->second;
  }
  Trial try_facility(Facility facility) override {
    const auto found = trials_.find(facility);
    return found == trials_.end() ? Trial{Trial::Outcome::kWorks, {}} : found->second;
  }
  base::Result<std::string> output_of(const std::vector<std::string>& command) override {
    const auto found = programs_.find(command.front());
    if (found == programs_.end()) return base::fail(base::Error::not_found("no " + command.front()));
    return found->second;
  }
  Reach connect_tcp(const base::IpAddress& address, int port) override {
    const auto found = ports_.find({address, port});
    return found == ports_.end() ? Reach::kOpen : found->second;
  }
  Reach echo_through_ipip(const base::IpAddress& address) override {
    const auto found = tunnels_.find(address);
    return found == tunnels_.end() ? Reach::kOpen : found->second;
  }

  std::string release_ = "6.1.0-56-amd64";
  std::string machine_ = "x86_64";
  std::map<std::string, std::string> files_ = {{"/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"}};
  std::map<Facility, Trial> trials_;
  std::map<std::string, std::string> programs_;
  std::map<std::pair<base::IpAddress, int>, Reach> ports_;
  std::map<base::IpAddress, Reach> tunnels_;
};

}  // namespace node
