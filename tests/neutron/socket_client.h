// socket_client.h: a blocking HTTP client on one Unix connection that stays open, and a shim's worker made of it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <boost/json/value.hpp>

#include "base/fd.h"

namespace neutron_test {

struct ClientReply {
  int status = 0;
  std::string body;
};

class SocketClient {
 public:
  // Connects; aborts the test's process with a message when it cannot within ten seconds.
  explicit SocketClient(const std::string& path);

  // Nothing when the server closed the connection instead of answering.
  std::optional<ClientReply> ask(const std::string& method, const std::string& path, const std::string& body = {});
  bool send(const std::string& bytes);
  std::optional<ClientReply> receive();
  void shut_down();  // both directions; wakes a receive() in another thread
  int fd() const { return fd_.get(); }

 private:
  base::Fd fd_;
  std::string buffer_;
};

// Serves /v1/work on several connections until destroyed.
class FakeWorker {
 public:
  // Gets a call, returns the text of the "result" (JSON), or nothing for an error. Called on the worker's threads.
  using Serve = std::function<std::optional<std::string>(const boost::json::object& call)>;

  FakeWorker(std::string path, int connections, Serve serve);
  ~FakeWorker();

 private:
  void run(SocketClient& client, int number);

  const Serve serve_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::unique_ptr<SocketClient>> clients_;
  std::vector<std::thread> threads_;
};

}  // namespace neutron_test
