#include "agent/http_server.h"

#include <pthread.h>
#include <csignal>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>
#include <type_traits>

// One thread runs the context, so handlers need no memory fences, which ThreadSanitizer does not understand.
#define BOOST_ASIO_DISABLE_FENCED_BLOCK
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "base/ip.h"
#include "base/strings.h"
#include "os/files.h"

namespace agent {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMaxConnections = 64;  // scrapers and probes are few; more is somebody else
constexpr std::size_t kMaxHeaderBytes = 8192;
constexpr auto kIdleTimeout = std::chrono::seconds(30);
constexpr auto kRestartDelay = std::chrono::seconds(1);

// /etc/hosts only: a static program has no name service, and a health port does not wait for a DNS server.
std::optional<std::string> address_in_hosts_file(const std::string& name) {
  const auto hosts = os::read_file("/etc/hosts");
  if (!hosts) return std::nullopt;
  for (const std::string_view line : base::split(*hosts, '\n')) {
    std::istringstream words{std::string(line.substr(0, line.find('#')))};
    std::string address;
    std::string word;
    words >> address;
    while (words >> word) {
      if (base::equal_ignoring_case(word, name)) return address;
    }
  }
  return std::nullopt;
}

std::optional<asio::ip::address> find_address(const std::string& host) {
  error_code error;
  if (host == "localhost") return asio::ip::make_address("127.0.0.1");
  if (auto address = asio::ip::make_address(host, error); !error) return address;
  if (const auto text = address_in_hosts_file(host)) {
    if (auto address = asio::ip::make_address(*text, error); !error) return address;
  }
  return std::nullopt;
}

// What was wrong with the files, or nothing.
std::string load(ssl::context& context, const HttpTls& tls) {
  error_code error;
  const auto step = [&](const char* what, const std::string& file) {
    return error ? std::string(what) + " " + file + ": " + error.message() : std::string();
  };
  context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 |
                          ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1,
                      error);
  context.use_certificate_chain_file(tls.certificate_file, error);
  if (error) return step("certificate", tls.certificate_file);
  context.use_private_key_file(tls.key_file, ssl::context::pem, error);
  if (error) return step("key", tls.key_file);
  switch (tls.client_auth) {
    case HttpTls::ClientAuth::kNone: context.set_verify_mode(ssl::verify_none, error); return "";
    case HttpTls::ClientAuth::kRequireAny:
      context.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
      context.set_verify_callback([](bool, ssl::verify_context&) { return true; }, error);
      return "";
    case HttpTls::ClientAuth::kVerifyIfGiven: context.set_verify_mode(ssl::verify_peer, error); break;
    case HttpTls::ClientAuth::kRequireAndVerify:
      context.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
      break;
  }
  if (tls.ca_file.empty()) {
    context.set_default_verify_paths(error);
  } else {
    context.load_verify_file(tls.ca_file, error);
  }
  return step("certificates of clients", tls.ca_file);
}

struct Clear {
  explicit Clear(tcp::socket socket) : stream(std::move(socket)) {}
  beast::tcp_stream stream;
  beast::tcp_stream& bottom() { return stream; }
};
struct Secured {
  Secured(tcp::socket socket, std::unique_ptr<ssl::context> c)
      : context(std::move(c)), stream(std::move(socket), *context) {}
  std::unique_ptr<ssl::context> context;  // holds what the handshake calls back
  ssl::stream<beast::tcp_stream> stream;
  beast::tcp_stream& bottom() { return stream.next_layer(); }
};

// One connection: reads a request, answers, and again until the other side closes.
template <typename Channel>
class Session : public std::enable_shared_from_this<Session<Channel>> {
 public:
  template <typename... Arguments>
  Session(const HttpServer::Handler& handler, std::shared_ptr<std::size_t> open, Arguments... channel)
      : channel_(std::move(channel)...), handler_(handler), open_(std::move(open)) {
    ++*open_;
  }
  ~Session() { --*open_; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start() {
    if constexpr (std::is_same_v<Channel, Secured>) {
      channel_.bottom().expires_after(kIdleTimeout);
      channel_.stream.async_handshake(ssl::stream_base::server, [self = this->shared_from_this()](error_code error) {
        if (!error) self->read();
      });
    } else {
      read();
    }
  }

 private:
  void read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    parser_->body_limit(0);
    channel_.bottom().expires_after(kIdleTimeout);
    http::async_read(channel_.stream, buffer_, *parser_,
                     [self = this->shared_from_this()](error_code error, std::size_t) {
                       if (!error) self->answer();
                     });
  }

  void answer() {
    const auto& request = parser_->get();
    HttpReply reply;
    if (request.method() == http::verb::get || request.method() == http::verb::head) {
      const std::string_view target(request.target().data(), request.target().size());
      reply = handler_(target.substr(0, target.find('?')));
    } else {
      reply = {.status = 405, .body = "only GET and HEAD\n"};
    }
    response_ = {};
    response_.version(request.version());
    response_.result(reply.status);
    response_.set(http::field::content_type, reply.content_type);
    response_.keep_alive(request.keep_alive());
    response_.body() = std::move(reply.body);
    response_.prepare_payload();
    if (request.method() == http::verb::head) response_.body().clear();  // the length stays
    channel_.bottom().expires_after(kIdleTimeout);
    http::async_write(channel_.stream, response_, [self = this->shared_from_this()](error_code error, std::size_t) {
      if (error || self->response_.need_eof()) return self->close();
      self->read();
    });
  }

  void close() {
    if constexpr (std::is_same_v<Channel, Secured>) {
      channel_.stream.async_shutdown([self = this->shared_from_this()](error_code) {});
    } else {
      error_code ignored;
      channel_.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    }
  }

  Channel channel_;
  const HttpServer::Handler& handler_;  // of the Port, which lives as long as the io_context runs
  std::shared_ptr<std::size_t> open_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

// One bound port; binds again after failures.
class Port {
 public:
  Port(asio::io_context& context, base::Log& log, std::string name, std::string host, std::uint16_t port,
       HttpServer::Handler handler, std::optional<HttpTls> tls)
      : log_(log),
        name_(std::move(name)),
        host_(std::move(host)),
        port_(port),
        handler_(std::move(handler)),
        tls_(std::move(tls)),
        acceptor_(context),
        timer_(context) {}

  void start() {
    if (const std::string problem = bind(); !problem.empty()) return retry(problem);
    last_problem_.clear();
    error_code ignored;
    bound_.store(acceptor_.local_endpoint(ignored).port());
    log_.info("http.listening", "Serving " + name_, {{"host", host_}, {"port", bound_.load()}});
    accept();
  }
  std::uint16_t bound() const { return bound_.load(); }

 private:
  // What went wrong, or nothing.
  std::string bind() {
    if (tls_) {
      if (const std::string problem = make_context().second; !problem.empty()) return problem;
    }
    error_code error;
    std::optional<asio::ip::address> address;
    if (!host_.empty()) {
      address = find_address(host_);
      if (!address) return "'" + host_ + "' is neither an address nor a name in /etc/hosts";
    }
    tcp::endpoint endpoint(address.value_or(asio::ip::address_v6::any()), port_);
    acceptor_.open(endpoint.protocol(), error);
    if (error && !address) {  // a kernel without IPv6
      endpoint = tcp::endpoint(tcp::v4(), port_);
      acceptor_.open(endpoint.protocol(), error);
    }
    if (error) return error.message();
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!address && endpoint.protocol() == tcp::v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    return error ? error.message() : "";
  }

  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error == asio::error::no_descriptors || error == asio::error::no_memory) return retry(error.message());
      if (!error && *open_ < kMaxConnections) serve(std::move(socket));
      accept();
    });
  }

  std::pair<std::unique_ptr<ssl::context>, std::string> make_context() const {
    auto made = std::make_unique<ssl::context>(ssl::context::tls_server);
    std::string problem = load(*made, *tls_);
    return {std::move(made), std::move(problem)};
  }

  void serve(tcp::socket socket) {
    if (!tls_) return std::make_shared<Session<Clear>>(handler_, open_, std::move(socket))->start();
    auto [made, problem] = make_context();
    if (problem != last_problem_ && !problem.empty()) {
      log_.error("http.tls", "Cannot serve " + name_ + ": " + problem, {{"host", host_}, {"port", port_}});
    }
    last_problem_ = problem;
    if (!problem.empty()) return;
    std::make_shared<Session<Secured>>(handler_, open_, std::move(socket), std::move(made))->start();
  }

  void retry(const std::string& problem) {
    bound_.store(0);
    error_code ignored;
    acceptor_.close(ignored);
    if (problem != last_problem_) {  // once, not every second
      log_.error("http.bind_failed", "Cannot serve " + name_ + ": " + problem + "; trying again every second",
                 {{"host", host_}, {"port", port_}});
      last_problem_ = problem;
    }
    timer_.expires_after(kRestartDelay);
    timer_.async_wait([this](error_code error) {
      if (!error) start();
    });
  }

  base::Log& log_;
  const std::string name_;
  const std::string host_;
  const std::uint16_t port_;
  const HttpServer::Handler handler_;
  const std::optional<HttpTls> tls_;
  tcp::acceptor acceptor_;
  asio::steady_timer timer_;
  std::atomic<std::uint16_t> bound_ = 0;
  std::string last_problem_;
  std::shared_ptr<std::size_t> open_ = std::make_shared<std::size_t>(0);  // shared with sessions, one thread
};

}  // namespace

struct HttpServer::State {
  explicit State(base::Log& l) : log(l) {}
  base::Log& log;
  std::map<std::string, std::unique_ptr<Port>> ports;  // before the context: its handlers refer to them
  asio::io_context context{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::thread thread;
};

HttpServer::HttpServer(base::Log& log) : state_(std::make_unique<State>(log)) {}

HttpServer::~HttpServer() {
  if (!state_->thread.joinable()) return;
  state_->work.reset();
  state_->context.stop();
  state_->thread.join();
  // Sockets and timers belong to the context: they go before it does.
  for (auto& [name, port] : state_->ports) port.reset();
}

void HttpServer::serve(const std::string& name, const std::string& host, std::uint16_t port, Handler handler,
                       std::optional<HttpTls> tls) {
  auto& slot = state_->ports[name];
  if (slot) return;  // Once it listens, another host or port has no effect until the process restarts.
  slot = std::make_unique<Port>(state_->context, state_->log, name, host, port, std::move(handler), std::move(tls));
  asio::post(state_->context, [p = slot.get()] { p->start(); });
  if (state_->thread.joinable()) return;
  state_->work.emplace(state_->context.get_executor());
  state_->thread = std::thread([this]() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ::pthread_setname_np(::pthread_self(), "http");
    state_->context.run();
  });
}

std::uint16_t HttpServer::port_of(const std::string& name) const {
  const auto found = state_->ports.find(name);
  return found == state_->ports.end() ? std::uint16_t{0} : found->second->bound();
}

}  // namespace agent
