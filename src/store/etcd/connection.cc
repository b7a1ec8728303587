#include "store/etcd/connection.h"

#include <fmt/core.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "store/etcd/call.h"
#include "store/store.h"

namespace store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One attempt on one endpoint: TCP, TLS and two round trips even across continents; a lost first SYN is sent again
// after 1 s.
constexpr base::Duration kAttemptTimeout = seconds(3);
// A healthy member answers in a few milliseconds. This much later the next one gets its chance as well.
constexpr base::Duration kStagger = milliseconds(300);
constexpr base::Duration kFirstBackoff = milliseconds(50);
constexpr base::Duration kLastBackoff = milliseconds(500);
constexpr base::Duration kAuthenticateTimeout = seconds(5);
// A peer that fell silent with the connection open is noticed after at most the sum. etcd refuses pings closer than 5
// s.
constexpr milliseconds kKeepaliveEvery = seconds(10);
constexpr milliseconds kKeepaliveTimeout = seconds(5);

bool mentions(const grpc::Status& status, std::string_view text) {
  return status.error_message().find(text) != std::string::npos;
}

bool is_ours(const grpc::Status& status) { return mentions(status, "etcdserver:"); }

}  // namespace

bool is_stale_token(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAUTHENTICATED || mentions(status, "invalid auth token") ||
         mentions(status, "revision in auth store is old") || mentions(status, "revision of auth store is old") ||
         mentions(status, "user name is empty");
}

base::Error to_error(const grpc::Status& status, const std::string& who) {
  using base::Error;
  using base::ErrorKind;
  const std::string& text = status.error_message();
  if (mentions(status, "revision has been compacted")) return compacted_error(0);
  if (is_stale_token(status) || mentions(status, "authentication failed")) {
    return Error(ErrorKind::kDenied, fmt::format("etcd at {} does not accept our user and password ({}); check "
                                                 "ETCD_USERNAME and ETCD_PASSWORD",
                                                 who, text));
  }
  switch (status.error_code()) {
    case grpc::StatusCode::PERMISSION_DENIED:
      return Error(ErrorKind::kDenied,
                   fmt::format("etcd at {} denies permission ({}); grant the user's role the key range", who, text));
    case grpc::StatusCode::UNAVAILABLE:
      if (is_ours(status)) return Error::unavailable(fmt::format("etcd at {} cannot serve now: {}", who, text));
      return Error::unavailable(fmt::format("lost the connection to etcd at {}: {}", who, text));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Error::unavailable(fmt::format("etcd at {} did not answer in time", who));
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::ABORTED:
      return Error::unavailable(fmt::format("etcd at {} cannot serve now: {}", who, text));
    case grpc::StatusCode::UNIMPLEMENTED:
      return Error::unsupported(fmt::format("etcd at {} does not know this call (is it etcd v3?): {}", who, text));
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::NOT_FOUND:
      return Error::invalid(fmt::format("etcd at {} refuses the request: {}", who, text));
    case grpc::StatusCode::OK:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::DATA_LOSS:
    case grpc::StatusCode::DO_NOT_USE: break;
  }
  return Error::unavailable(fmt::format("etcd at {} failed: {}", who, text));
}

struct Connection::Round {
  std::size_t next = 0;     // endpoints tried so far
  std::size_t running = 0;  // attempts without an answer
  std::vector<std::string> reasons;
  bool over = false;
  CompletionThread::Timer stagger = 0;
};

Connection::Connection(CompletionThread& thread, EtcdSettings settings, base::Log& log, base::Counter connects)
    : thread_(thread),
      settings_(std::move(settings)),
      log_(log),
      connects_(std::move(connects)),
      plain_(grpc::InsecureChannelCredentials()),
      start_(settings_.first_endpoint % settings_.endpoints.size()) {
  std::vector<std::string> urls;
  for (const auto& endpoint : settings_.endpoints) urls.push_back(endpoint.url);
  description_ = "etcd at " + base::join(urls, ", ");
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = settings_.ca_pem;
  tls.pem_cert_chain = settings_.cert_pem;
  tls.pem_private_key = settings_.key_pem;
  tls_ = grpc::SslCredentials(tls);
}

Connection::~Connection() = default;

std::shared_ptr<grpc::Channel> Connection::make_channel(const EtcdEndpoint& endpoint) const {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(-1);  // a page of large values passes gRPC's 4 MiB easily
  args.SetMaxSendMessageSize(-1);     // etcd says itself what is too large
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(kKeepaliveEvery.count()));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(kKeepaliveTimeout.count()));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);  // etcd closes connections that ping without a call
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);    // a quiet watch sends no data for hours
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(milliseconds(seconds(3)).count()));
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a fresh channel is a fresh connection
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // etcd is never behind the proxy that some environment names
  return grpc::CreateCustomChannel(endpoint.target, endpoint.tls ? tls_ : plain_, args);
}

void Connection::when_ready(std::optional<base::Instant> deadline, bool patient, Ready ready) {
  if (link_) return ready(link_);
  Waiter waiter{.id = ++last_waiter_, .patient = patient, .ready = std::move(ready)};
  if (deadline) {
    waiter.timer = thread_.after(*deadline - thread_.now(), [this, id = waiter.id] {
      const auto at = std::ranges::find(waiters_, id, &Waiter::id);
      if (at == waiters_.end()) return;
      const Ready late = std::move(at->ready);
      waiters_.erase(at);
      late(base::fail(last_error_.value_or(base::Error::unavailable("cannot reach " + description_ + ": no answer"))));
    });
  }
  waiters_.push_back(std::move(waiter));
  if (!connecting_) begin_round();
}

void Connection::lost(const Link& link) {
  if (!link_ || link_->number != link.number) return;
  link_.reset();
  start_ = (link.endpoint + 1) % settings_.endpoints.size();
}

void Connection::token_refused(const Link& link) {
  if (!link_ || link_->number != link.number) return;
  Link renewed = *link_;
  link_.reset();
  connecting_ = true;
  authenticate(std::move(renewed));
}

void Connection::begin_round() {
  connecting_ = true;
  start_next_attempt(std::make_shared<Round>());
}

void Connection::start_next_attempt(const std::shared_ptr<Round>& round) {
  if (round->over || round->next == settings_.endpoints.size()) return;
  Link link;
  link.endpoint = (start_ + round->next++) % settings_.endpoints.size();
  ++round->running;
  const auto& endpoint = settings_.endpoints[link.endpoint];
  link.url = endpoint.url;
  link.channel = make_channel(endpoint);
  link.maintenance = etcdserverpb::Maintenance::NewStub(link.channel);
  auto& stub = *link.maintenance;
  if (round->next < settings_.endpoints.size()) {
    round->stagger = thread_.after(kStagger, [this, round] { start_next_attempt(round); });
  }
  start_call(thread_, stub, &etcdserverpb::Maintenance::Stub::AsyncStatus, etcdserverpb::StatusRequest(),
             kAttemptTimeout, {},
             [this, round, link = std::move(link)](const grpc::Status& status, etcdserverpb::StatusResponse& reply) {
               attempt_ended(round, link, status, reply);
             });
}

void Connection::attempt_ended(const std::shared_ptr<Round>& round, Link link, const grpc::Status& status,
                               const etcdserverpb::StatusResponse& reply) {
  --round->running;
  if (round->over) return;
  const bool tls = settings_.endpoints[link.endpoint].tls;
  if (!status.ok()) {
    const std::string why = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED
                                ? "no answer"
                                : explain_connect_failure(status.error_message(), tls);
    return attempt_failed(round, link.url, why);
  }
  if (reply.leader() == 0) return attempt_failed(round, link.url, "it has no leader (is the cluster's majority up?)");
  round->over = true;
  thread_.cancel(round->stagger);
  link.kv = etcdserverpb::KV::NewStub(link.channel);
  link.watch = etcdserverpb::Watch::NewStub(link.channel);
  link.lease = etcdserverpb::Lease::NewStub(link.channel);
  link.cluster_id = reply.header().cluster_id();
  link.version = reply.version();
  start_ = link.endpoint;
  settings_.username.empty() ? established(std::move(link)) : authenticate(std::move(link));
}

void Connection::attempt_failed(const std::shared_ptr<Round>& round, const std::string& url, const std::string& why) {
  round->reasons.push_back(url + ": " + why);
  if (round->next < settings_.endpoints.size()) {
    thread_.cancel(round->stagger);
    return start_next_attempt(round);
  }
  if (round->running > 0) return;
  round->over = true;
  round_failed(base::Error::unavailable("cannot reach etcd at " + base::join(round->reasons, "; ")));
}

void Connection::authenticate(Link link) {
  if (settings_.username.empty()) {
    return round_failed(base::Error(base::ErrorKind::kDenied, fmt::format("etcd at {} wants a user and password; set "
                                                                          "ETCD_USERNAME and ETCD_PASSWORD",
                                                                          link.url)));
  }
  const std::shared_ptr<etcdserverpb::Auth::Stub> auth = etcdserverpb::Auth::NewStub(link.channel);
  etcdserverpb::AuthenticateRequest request;
  request.set_name(settings_.username);
  request.set_password(settings_.password);
  start_call(
      thread_, *auth, &etcdserverpb::Auth::Stub::AsyncAuthenticate, request, kAuthenticateTimeout, {},
      [this, auth, link = std::move(link)](const grpc::Status& status, etcdserverpb::AuthenticateResponse& reply) {
        Link done = link;
        if (mentions(status, "authentication is not enabled")) {
          done.token.clear();
          return established(std::move(done));
        }
        if (!status.ok()) {
          start_ = (link.endpoint + 1) % settings_.endpoints.size();
          return round_failed(to_error(status, link.url));
        }
        done.token = reply.token();
        established(std::move(done));
      });
}

void Connection::established(Link link) {
  link.number = ++last_link_;
  connects_.add();
  link_ = std::make_shared<const Link>(std::move(link));
  connecting_ = false;
  backoff_ = {};
  last_error_.reset();
  log_.info("store.connected", "connected to etcd", {{"endpoint", link_->url}, {"version", link_->version}});
  auto waiters = std::exchange(waiters_, {});
  const LinkPtr link_now = link_;
  for (auto& waiter : waiters) {
    thread_.cancel(waiter.timer);
    waiter.ready(link_now);
  }
}

void Connection::round_failed(const base::Error& error) {
  if (!last_error_) log_.warning("store.unreachable", "cannot use etcd, trying again", {{"error", error.text()}});
  last_error_ = error;
  connecting_ = false;
  fail_waiters(error, error.kind() == base::ErrorKind::kDenied);
  if (waiters_.empty() || connecting_) return;
  connecting_ = true;
  backoff_ = std::clamp(2 * backoff_, kFirstBackoff, kLastBackoff);
  thread_.after(backoff_, [this] { waiters_.empty() ? void(connecting_ = false) : begin_round(); });
}

void Connection::fail_waiters(const base::Error& error, bool all) {
  std::vector<Waiter> failed, kept;
  for (auto& waiter : waiters_) (all || !waiter.patient ? failed : kept).push_back(std::move(waiter));
  waiters_ = std::move(kept);
  for (auto& waiter : failed) {
    thread_.cancel(waiter.timer);
    waiter.ready(base::fail(error));
  }
}

}  // namespace store
