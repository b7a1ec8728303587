// command.h: `percalectl neutron …`: talks to a bridge over its socket.
#pragma once

#include <span>
#include <string>

#include "base/result.h"

namespace neutron {

// What follows "neutron" on the command line. Exit status: 0 done, 1 failed, 2 the command line is wrong.
int run_command(std::span<const std::string> arguments);

struct SocketReply {
  int status = 0;
  std::string body;
};
// One HTTP request over a Unix socket, blocking; for command lines. kUnavailable when nobody listens.
base::Result<SocketReply> ask_socket(const std::string& socket, const std::string& method, const std::string& path,
                                     const std::string& body);

}  // namespace neutron
