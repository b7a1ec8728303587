#include "socket_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <boost/json/parse.hpp>

namespace neutron_test {

SocketClient::SocketClient(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  for (int attempt = 0; attempt < 100; ++attempt) {
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::fprintf(stderr, "cannot connect to %s: %s\n", path.c_str(), std::strerror(errno));
  std::abort();
}

bool SocketClient::send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const auto n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

std::optional<ClientReply> SocketClient::receive() {
  std::size_t body = 0;
  std::size_t length = 0;
  std::array<char, 65536> chunk;
  while (true) {
    if (body == 0) {
      const auto end = buffer_.find("\r\n\r\n");
      if (end != std::string::npos) {
        body = end + 4;
        const auto field = buffer_.find("Content-Length: ");
        if (field != std::string::npos && field < end) {
          std::from_chars(buffer_.data() + field + 16, buffer_.data() + end, length);
        }
      }
    }
    if (body > 0 && buffer_.size() >= body + length) {
      ClientReply reply;
      std::from_chars(buffer_.data() + 9, buffer_.data() + 12, reply.status);
      reply.body = buffer_.substr(body, length);
      buffer_.erase(0, body + length);
      return reply;
    }
    const auto n = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (n <= 0) return std::nullopt;
    buffer_.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

std::optional<ClientReply> SocketClient::ask(const std::string& method, const std::string& path,
                                             const std::string& body) {
  if (!send(method + " " + path + " HTTP/1.1\r\nHost: bridge\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\n\r\n" + body)) {
    return std::nullopt;
  }
  return receive();
}

void SocketClient::shut_down() { ::shutdown(fd_.get(), SHUT_RDWR); }

FakeWorker::FakeWorker(std::string path, int connections, Serve serve) : serve_(std::move(serve)) {
  for (int i = 0; i < connections; ++i) {
    clients_.push_back(std::make_unique<SocketClient>(path));
    threads_.emplace_back([this, client = clients_.back().get(), i] { run(*client, i); });
  }
}

FakeWorker::~FakeWorker() {
  stopping_ = true;
  for (const auto& client : clients_) client->shut_down();
  for (auto& thread : threads_) thread.join();
}

void FakeWorker::run(SocketClient& client, int number) {
  const std::string worker = R"("worker": "test:)" + std::to_string(number) + "\"";
  std::string next = "{" + worker + "}";
  while (!stopping_) {
    const auto reply = client.ask("POST", "/v1/work", next);
    if (!reply) return;
    next = "{" + worker + "}";
    if (reply->status != 200) continue;
    const boost::json::object call = boost::json::parse(reply->body).as_object();
    const auto result = serve_(call);
    const std::string id = std::to_string(call.at("id").to_number<std::uint64_t>());
    next = "{" + worker + ", \"id\": " + id + ", " +
           (result ? "\"result\": " + *result : R"("error": {"message": "database is away"})") + "}";
  }
}

}  // namespace neutron_test
