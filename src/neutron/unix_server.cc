#include "neutron/unix_server.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <list>
#include <optional>
#include <thread>
#include <utility>

// One thread runs the context, so handlers need no memory fences, which ThreadSanitizer does not understand.
#define BOOST_ASIO_DISABLE_FENCED_BLOCK
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace neutron {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

constexpr auto kAcceptAgain = std::chrono::milliseconds(100);

}  // namespace

HttpReply error_reply(unsigned status, std::string_view code, std::string_view message, std::string_view attribute) {
  boost::json::object error{{"code", boost::json::string_view(code.data(), code.size())},
                            {"message", boost::json::string_view(message.data(), message.size())}};
  if (!attribute.empty()) error["attribute"] = boost::json::string_view(attribute.data(), attribute.size());
  return {.status = status, .body = boost::json::serialize(boost::json::object{{"error", std::move(error)}})};
}

struct UnixServer::State {
  class Session;

  State(UnixServerSettings s, base::Loop& l, base::Log& lg, Handlers h)
      : settings(std::move(s)), loop(l), log(lg), handlers(std::make_shared<Handlers>(std::move(h))) {}

  void accept();
  void accepted(Protocol::socket socket);
  bool may_connect(Protocol::socket& socket);
  void evict();
  void session_ended(Session& session);

  const UnixServerSettings settings;
  base::Loop& loop;
  base::Log& log;
  const std::shared_ptr<Handlers> handlers;  // also with tasks on the loop, which may run after our end
  const std::shared_ptr<std::atomic<bool>> open = std::make_shared<std::atomic<bool>>(true);
  std::list<Session*> sessions;  // the one that has been idle for longest first
  std::size_t large_bodies = 0;
  ConnectionId last_connection = 0;
  std::shared_ptr<asio::io_context> context = std::make_shared<asio::io_context>(1);
  Protocol::acceptor acceptor{*context};
  asio::steady_timer pause{*context};
  std::thread thread;
};

// One connection: a request, its answer, and again.
class UnixServer::State::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(State& state, Protocol::socket socket, ConnectionId id) : state_(state), id_(id), stream_(std::move(socket)) {
    place_ = state_.sessions.insert(state_.sessions.end(), this);
  }
  ~Session() {
    release_body();
    state_.sessions.erase(place_);
    if (handed_out_) {
      state_.loop.post([handlers = state_.handlers, open = state_.open, id = id_] {
        if (open->load() && handlers->closed) handlers->closed(id);
      });
    }
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bool idle() const { return idle_; }
  bool receiving() const { return receiving_; }  // a part of a request
  void close() {
    idle_ = receiving_ = false;
    const auto self = std::exchange(kept_, nullptr);
    error_code ignored;
    stream_.socket().close(ignored);
  }

  // Waits for the first byte, then for the rest within the shorter time.
  void wait() {
    idle_ = true;
    state_.sessions.splice(state_.sessions.end(), state_.sessions, place_);
    if (buffer_.size() > 0) return read_header();
    stream_.expires_after(state_.settings.idle_timeout);
    stream_.async_read_some(buffer_.prepare(kHeaderLimit),
                            [self = shared_from_this()](error_code error, std::size_t size) {
                              if (error) return;
                              self->buffer_.commit(size);
                              self->read_header();
                            });
  }

 private:
  void read_header() {
    idle_ = false;
    receiving_ = true;
    parser_.emplace();
    parser_->header_limit(kHeaderLimit);
    parser_->body_limit(kBodyLimit);
    stream_.expires_after(state_.settings.request_timeout);
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error == http::error::header_limit) return self->refuse(431, "too_large", "the header is too large");
      if (error == http::error::body_limit) return self->refuse(413, "too_large", "the body is too large");
      if (error && error.category() == http::make_error_code(http::error::end_of_stream).category() &&
          error != http::error::end_of_stream && error != http::error::partial_message) {
        return self->refuse(400, "invalid", "this is no HTTP request");
      }
      if (!error) self->read_body();
    });
  }

  void read_body() {
    const auto length = parser_->content_length();
    if (length && *length > kBodyLimit) return refuse(413, "too_large", "the body is too large");
    if (parser_->chunked() || (length && *length > kSmallBody)) {
      if (state_.large_bodies >= kMostLargeBodies) return refuse(503, "unavailable", "too many large requests at once");
      ++state_.large_bodies;
      large_ = true;
    }
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error == http::error::body_limit) return self->refuse(413, "too_large", "the body is too large");
      if (!error) self->hand_out();
    });
  }

  void hand_out() {
    receiving_ = false;
    auto message = parser_->release();
    HttpRequest request{.connection = id_, .method = std::string(message.method_string()), .path = {}, .body = {}};
    const auto target = message.target();
    request.path = std::string(target.substr(0, target.find('?')));
    request.body = std::move(message.body());
    version_ = message.version();
    keep_alive_ = message.keep_alive();
    head_ = message.method() == http::verb::head;
    stream_.expires_never();  // the handler has its own idea of time
    handed_out_ = true;
    answered_ = false;
    kept_ = shared_from_this();
    watch_for_end();
    state_.loop.post([handlers = state_.handlers, open = state_.open, request = std::move(request),
                      respond = responder()]() mutable {
      if (open->load()) handlers->request(std::move(request), std::move(respond));
    });
  }

  // Goes from the loop back to this session, if there still is one.
  HttpRespond responder() {
    return [context = state_.context, weak = weak_from_this()](HttpReply reply) {
      asio::post(*context, [weak, reply = std::move(reply)]() mutable {
        const auto self = weak.lock();
        if (self && !self->answered_) self->answer(std::move(reply));
      });
    };
  }

  // A client that goes away while it waits for its answer.
  void watch_for_end() {
    stream_.socket().async_wait(Protocol::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (error || self->answered_) return;
      char byte = 0;
      const auto got = ::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN)) self->close();
    });
  }

  void refuse(unsigned status, std::string_view code, std::string_view message) {
    version_ = 11;
    keep_alive_ = false;
    answer(error_reply(status, code, message));
  }

  void answer(HttpReply reply) {
    answered_ = true;
    receiving_ = false;
    kept_.reset();  // the write holds us from here
    release_body();
    error_code ignored;
    stream_.socket().cancel(ignored);  // watch_for_end
    response_ = {};
    response_.version(version_);
    response_.result(reply.status);
    if (reply.status != 204) response_.set(http::field::content_type, reply.content_type);
    response_.keep_alive(keep_alive_);
    response_.body() = std::move(reply.body);
    response_.prepare_payload();
    if (head_) response_.body().clear();
    stream_.expires_after(state_.settings.request_timeout);
    http::async_write(stream_, response_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error || self->response_.need_eof()) {
        error_code unimportant;
        self->stream_.socket().shutdown(Protocol::socket::shutdown_send, unimportant);
        return;
      }
      self->wait();
    });
  }

  void release_body() {
    if (std::exchange(large_, false)) --state_.large_bodies;
  }

  State& state_;
  const ConnectionId id_;
  beast::basic_stream<Protocol> stream_;
  std::list<Session*>::iterator place_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  unsigned version_ = 11;
  bool keep_alive_ = true;
  bool head_ = false;
  bool idle_ = false;
  bool receiving_ = false;
  bool large_ = false;
  bool handed_out_ = false;
  bool answered_ = true;
  std::shared_ptr<Session> kept_;  // while a handler has the request
};

bool UnixServer::State::may_connect(Protocol::socket& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (settings.users.contains(peer.uid)) return true;
  log.warning("neutron.denied", "A user who may not was on the socket", {{"uid", peer.uid}, {"pid", peer.pid}});
  return false;
}

void UnixServer::State::accept() {
  acceptor.async_accept([this](error_code error, Protocol::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {  // no descriptors left: what comes waits in the kernel
      evict();
      pause.expires_after(kAcceptAgain);
      return pause.async_wait([this](error_code ended) {
        if (!ended) accept();
      });
    }
    accepted(std::move(socket));
    accept();
  });
}

void UnixServer::State::accepted(Protocol::socket socket) {
  if (!may_connect(socket)) {
    // Written without waiting: a peer that does not read must not cost us anything.
    const std::string body = error_reply(403, "denied", "this user may not talk to the bridge").body;
    const std::string text =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    [[maybe_unused]] const auto sent =
        ::send(socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  if (sessions.size() >= settings.most_connections) evict();
  if (sessions.size() >= settings.most_connections + 1) return;
  std::make_shared<Session>(*this, std::move(socket), ++last_connection)->wait();
}

// Makes room by closing whoever has been idle for longest; where nobody is, whoever has been sending a request for
// longest. Requests that are being answered stay.
void UnixServer::State::evict() {
  for (const bool idle : {true, false}) {
    for (Session* session : sessions) {
      if (idle ? session->idle() : session->receiving()) return session->close();
    }
  }
}

UnixServer::UnixServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

base::Result<std::unique_ptr<UnixServer>> UnixServer::start(UnixServerSettings settings, base::Loop& loop,
                                                            base::Log& log, Handlers handlers) {
  auto state = std::make_unique<State>(std::move(settings), loop, log, std::move(handlers));
  const std::string& path = state->settings.path;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return base::fail(base::Error::invalid("the socket's path is too long", path));
  }
  const Protocol::endpoint endpoint(path);
  error_code error;
  Protocol::socket probe(*state->context);
  probe.connect(endpoint, error);
  if (!error) {
    return base::fail(base::Error(base::ErrorKind::kExists, "another bridge listens on " + path));
  }
  if (error == asio::error::connection_refused) ::unlink(path.c_str());
  // Bound and ready under another name first: whoever sees the socket can use it.
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());
  state->acceptor.open(Protocol(), error);
  if (!error) state->acceptor.bind(Protocol::endpoint(fresh), error);
  if (!error && ::chmod(fresh.c_str(), state->settings.mode) != 0)
    error.assign(errno, boost::system::system_category());
  if (!error) state->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error && ::rename(fresh.c_str(), path.c_str()) != 0) error.assign(errno, boost::system::system_category());
  if (error) return base::fail(base::Error::system(error.value(), "cannot listen on " + path));
  state->accept();
  state->thread = std::thread([context = state->context]() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ::pthread_setname_np(::pthread_self(), "socket");
    context->run();
  });
  return std::unique_ptr<UnixServer>(new UnixServer(std::move(state)));
}

UnixServer::~UnixServer() {
  state_->open->store(false);
  ::unlink(state_->settings.path.c_str());
  asio::post(*state_->context, [state = state_.get()] {
    error_code ignored;
    state->acceptor.close(ignored);
    state->pause.cancel();
    for (State::Session* session : state->sessions) session->close();
  });
  // Every session ends by its socket; nothing else keeps the context busy.
  state_->thread.join();
}

}  // namespace neutron
