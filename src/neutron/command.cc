#include "neutron/command.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/fd.h"
#include "neutron/translate/json.h"

namespace neutron {
namespace {

constexpr std::string_view kDefaultSocket = "/run/percale/neutron.sock";

constexpr std::string_view kUsage =
    "Usage:\n"
    "  percalectl neutron resync [--socket PATH] [--dry-run]   make etcd equal to Neutron's database\n"
    "  percalectl neutron status [--socket PATH]               what the bridge is doing\n"
    "\n"
    "Both print JSON. --dry-run prints what would be written. Exit status: 0 done, 1 failed.\n";

struct Arguments {
  std::string verb;
  std::string socket{kDefaultSocket};
  bool dry_run = false;
  bool help = false;
  bool bad = false;
};

Arguments parse(std::span<const std::string> words) {
  Arguments result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      result.help = true;
    } else if (word == "--dry-run") {
      result.dry_run = true;
    } else if (word.starts_with("--socket=")) {
      result.socket = word.substr(9);
    } else if (word == "--socket" && i + 1 < words.size()) {
      result.socket = words[++i];
    } else if (!word.starts_with("-") && result.verb.empty()) {
      result.verb = word;
    } else {
      result.bad = true;
    }
  }
  result.bad |= result.verb != "resync" && result.verb != "status";
  return result;
}

base::Result<base::Fd> connect_to(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof(address.sun_path)) {
    return base::fail(base::Error::invalid("the socket's path is too long", socket));
  }
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return base::fail(base::Error::system(errno, "socket"));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const std::string why = std::strerror(errno);
    return base::fail(
        base::Error::unavailable("no bridge at " + socket + ": " + why + "; is percale-neutron running?"));
  }
  return fd;
}

// What a resync prints that came to no result of its own.
void print_failure(std::string_view why) {
  std::puts(json::serialize(json::object{{"ok", false}, {"error", to_json(why)}}).c_str());
}

}  // namespace

base::Result<SocketReply> ask_socket(const std::string& socket, const std::string& method, const std::string& path,
                                     const std::string& body) {
  auto fd = connect_to(socket);
  if (!fd) return base::fail(std::move(fd).error());
  const std::string request =
      method + " " + path +
      " HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
      body;
  for (std::size_t sent = 0; sent < request.size();) {
    const auto n = ::send(fd->get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail(base::Error::system(errno, "cannot send to " + socket));
    sent += static_cast<std::size_t>(n);
  }
  std::string answer;
  std::array<char, 65536> buffer;
  while (true) {
    const auto n = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail(base::Error::system(errno, "cannot read from " + socket));
    if (n == 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(n));
  }
  SocketReply reply;
  const auto head = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 ") || head == std::string::npos) {
    return base::fail(base::Error::unavailable("the bridge closed the connection without an answer"));
  }
  std::from_chars(answer.data() + 9, answer.data() + 12, reply.status);
  reply.body = answer.substr(head + 4);
  return reply;
}

int run_command(std::span<const std::string> words) {
  const Arguments arguments = parse(words);
  if (arguments.help || arguments.bad) {
    std::fputs(std::string(kUsage).c_str(), arguments.help ? stdout : stderr);
    return arguments.help ? 0 : 2;
  }
  const bool resync = arguments.verb == "resync";
  const auto reply = ask_socket(arguments.socket, resync ? "POST" : "GET", resync ? "/v1/resync" : "/v1/status",
                                resync ? (arguments.dry_run ? R"({"dry_run": true})" : "{}") : "");
  if (!reply) {
    std::fprintf(stderr, "%s\n", reply.error().text().c_str());
    if (resync) print_failure(reply.error().text());
    return 1;
  }
  boost::system::error_code error;
  const json::value result = json::parse(reply->body, error);
  const bool usable = !error && result.is_object();
  if (resync && (reply->status != 200 || !usable)) {
    const std::string_view why = usable ? text(inner(result.get_object(), "error"), "message") : std::string_view();
    print_failure(why.empty() ? std::string_view(reply->body) : why);
    return 1;
  }
  std::puts(reply->body.c_str());
  if (reply->status != 200 || !usable) return 1;
  return !resync || flag(result.get_object(), "ok", false) ? 0 : 1;
}

}  // namespace neutron
