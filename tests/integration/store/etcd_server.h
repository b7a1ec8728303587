// etcd_server.h: a private etcd process on free loopback ports, with its data in a temporary directory. Dies with the
// test.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "testing/temp_directory.h"

namespace store_test {

struct EtcdOptions {
  // PEM files; all set: https with client certificates required.
  std::string ca_file = {}, cert_file = {}, key_file = {};
  bool listen_everywhere = false;  // not only on 127.0.0.1
  // A member of a larger cluster; it cannot serve before most of the others have been started.
  std::string name = "default";
  int peer_port = 0;
  std::string initial_cluster = {};
};

class EtcdServer {
 public:
  explicit EtcdServer(EtcdOptions options = {});
  ~EtcdServer();
  EtcdServer(const EtcdServer&) = delete;
  EtcdServer& operator=(const EtcdServer&) = delete;

  // Starts on the same ports and data as before and waits until the port accepts connections.
  void start();
  // The same data on another client port, until kill().
  void start_elsewhere();
  void kill();   // SIGKILL, and waits for its end
  void pause();  // SIGSTOP: connections stay open, nobody answers
  void unpause();
  void wipe();  // removes the data; REQUIRES that it does not run
  std::string url() const;
  // Runs etcdctl with --endpoints; returns its output. Aborts the test when it fails.
  std::string ctl(std::vector<std::string> arguments) const;

 private:
  void run();

  EtcdOptions options_;
  testing::TempDirectory directory_;
  const int home_port_;
  int client_port_;
  int peer_port_;
  pid_t pid_ = -1;
};

// Three members on this machine, started and with a leader.
std::vector<std::unique_ptr<EtcdServer>> start_cluster();

// A loopback port nobody listens on.
int free_port();

}  // namespace store_test
