// host.h: what the node commands take from the machine they run on, so that tests can stand in for it.
//
// Blocking; one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bgp/replies.h"
#include "node/autodetect.h"

namespace node {

struct Process {
  int pid = 0;
  std::vector<std::string> arguments;
  std::string executable;  // "" if it cannot be read
  // True if argument 0 or the executable has this name, with or without a directory.
  bool is(std::string_view name) const;
};

class Host {
 public:
  virtual ~Host() = default;

  virtual base::Result<std::vector<Interface>> interfaces() = 0;
  // The local address by which `host` (address or name) is reached. No packet is sent.
  virtual base::Result<base::IpAddress> local_address_towards(const std::string& host, base::Family family) = 0;
  virtual std::string hostname() = 0;
  virtual base::Result<std::string> read_file(const std::string& path) = 0;  // kNotFound if it is not there
  virtual base::Result<void> write_file(const std::string& path, std::string_view content) = 0;
  virtual base::Result<void> make_directories(const std::string& path) = 0;
  virtual std::vector<Process> processes() = 0;
  // One command on BIRD's control socket. kUnavailable: nobody answers there.
  virtual base::Result<bgp::Reply> ask_bird(const std::string& socket_path, const std::string& command) = 0;
};

std::unique_ptr<Host> make_system_host();

}  // namespace node
