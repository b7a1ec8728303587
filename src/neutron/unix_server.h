// unix_server.h: HTTP/1.1 on a Unix socket, over Boost.Beast; limits and who may connect as docs/neutron-bridge.md
// says.
//
// One thread of its own; handlers are called on `loop`, and answer there. A connection has one request at a time.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
#include "neutron/http.h"

namespace neutron {

struct UnixServerSettings {
  std::string path;
  mode_t mode = 0660;
  std::set<uid_t> users;  // who may connect
  std::size_t most_connections = 512;
  std::chrono::seconds idle_timeout{60};
  std::chrono::seconds request_timeout{10};
};

class UnixServer {
 public:
  struct Handlers {
    std::function<void(HttpRequest, HttpRespond)> request;
    // A connection whose request was handed out, answered or not, is gone.
    std::function<void(ConnectionId)> closed;
  };

  // Listens before it returns. A socket that nobody listens on is replaced; one in use is an error (kExists).
  static base::Result<std::unique_ptr<UnixServer>> start(UnixServerSettings settings, base::Loop& loop, base::Log& log,
                                                         Handlers handlers);
  // Removes the socket, closes all connections, joins the thread. Requests still with the handlers are answered to
  // nobody.
  ~UnixServer();

  static constexpr std::size_t kHeaderLimit = 8192;
  static constexpr std::size_t kBodyLimit = 16u << 20;
  // Bodies above kSmallBody are read for so many connections at once: bounds what clients can make us hold.
  static constexpr std::size_t kSmallBody = 256u << 10;
  static constexpr std::size_t kMostLargeBodies = 8;

 private:
  struct State;
  explicit UnixServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace neutron
