// bridge_process.h: percale-neutron as its own process, with a configuration file and a socket in a temporary
// directory.
#pragma once

#include <sys/types.h>

#include <string>

#include <boost/json/object.hpp>

#include "socket_client.h"
#include "testing/temp_directory.h"

namespace neutron_test {

class BridgeProcess {
 public:
  // `extra` goes into the configuration after [calico]'s etcd options.
  BridgeProcess(const std::string& etcd_url, const std::string& extra = {});
  ~BridgeProcess();
  BridgeProcess(const BridgeProcess&) = delete;
  BridgeProcess& operator=(const BridgeProcess&) = delete;

  void start();
  void terminate();  // SIGTERM, and waits
  void kill();       // SIGKILL, and waits
  const std::string& socket() const { return socket_; }
  pid_t pid() const { return pid_; }

  // One request on a connection of its own; the body parsed (an empty object if there is none).
  boost::json::object ask(const std::string& method, const std::string& path, const boost::json::object& body = {},
                          int* status = nullptr) const;
  // "VmRSS", "VmHWM" in KiB.
  long memory_kib(const std::string& field) const;
  std::string log() const;

 private:
  void wait();

  testing::TempDirectory directory_;
  std::string config_, socket_, log_;
  pid_t pid_ = -1;
};

}  // namespace neutron_test
