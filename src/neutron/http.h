// http.h: a request on the bridge's socket, as its handlers see it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace neutron {

using ConnectionId = std::uint64_t;

struct HttpRequest {
  ConnectionId connection = 0;
  std::string method;
  std::string path;  // without the query
  std::string body;
};

struct HttpReply {
  unsigned status = 200;
  std::string body = {};
  std::string content_type = "application/json";
};

// To be called once, on the handler's loop.
using HttpRespond = std::function<void(HttpReply)>;

HttpReply error_reply(unsigned status, std::string_view code, std::string_view message,
                      std::string_view attribute = {});

}  // namespace neutron
