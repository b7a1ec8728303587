// http_server.h: the agent's small HTTP server for health and metrics. One thread for all its ports, over Boost.Beast.
//
// A port that cannot be bound, or breaks later, is logged and tried again every second (spec felix-agent §2.9). Answers
// only GET and HEAD; requests, connections and times are bounded, since /metrics may be open to a network. Thread
// rules: serve() and the destructor from the owner's thread; handlers run on the server's thread, must not block and
// must not throw.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace agent {

struct HttpReply {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
};

// HTTPS: TLS 1.2 or 1.3. The files are read again for each connection, so a renewed certificate needs no restart.
struct HttpTls {
  enum class ClientAuth : std::uint8_t {
    kRequireAndVerify,
    kRequireAny,  // any certificate, of whomever
    kVerifyIfGiven,
    kNone,
  };
  std::string certificate_file;  // PEM, with the intermediate ones
  std::string key_file;
  std::string ca_file;  // that clients' certificates are checked against; empty: the system's
  ClientAuth client_auth = ClientAuth::kRequireAndVerify;
};

class HttpServer {
 public:
  // The path without the query; status 404 for what the handler does not know.
  using Handler = std::function<HttpReply(std::string_view path)>;

  explicit HttpServer(base::Log& log);
  ~HttpServer();  // closes everything and joins the thread
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Starts to serve `handler` on host:port, under `name` in messages. The host is an address, "localhost" (the IPv4
  // loopback, as Calico's agent binds it), a name of /etc/hosts, or empty for all addresses of both families. Port 0
  // takes any free one. With `tls` nothing is served in clear, and nothing at all while its files cannot be used.
  void serve(const std::string& name, const std::string& host, std::uint16_t port, Handler handler,
             std::optional<HttpTls> tls = {});

  // For tests: the port in use, once bound; 0 before.
  std::uint16_t port_of(const std::string& name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace agent
