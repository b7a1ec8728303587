// connection.h: keeps one usable link to an etcd cluster that has several endpoints.
//
// Connecting: every endpoint gets a fresh channel and a Status call, the next one starting as soon as the one before
// has failed or has kept us waiting for kStagger; the first that answers, and has a leader, wins. Then Authenticate, if
// a user is set. A link is used until somebody reports it lost; the next round starts with the endpoint after it.
// Rounds that fail are repeated with backoff for as long as anybody waits.
//
// Why not gRPC's own load balancing over several addresses: it cannot verify each endpoint's own name in TLS, does not
// notice a member that lives but has lost its cluster, and its reconnect timers are not ours.
//
// Only on the CompletionThread.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "etcd.grpc.pb.h"
#include "store/etcd/completion_thread.h"
#include "store/etcd/endpoint.h"

namespace store {

struct Link {
  std::uint64_t number = 0;  // every link has its own
  std::size_t endpoint = 0;
  std::string url;
  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<etcdserverpb::KV::Stub> kv;
  std::shared_ptr<etcdserverpb::Watch::Stub> watch;
  std::shared_ptr<etcdserverpb::Lease::Stub> lease;
  std::shared_ptr<etcdserverpb::Maintenance::Stub> maintenance;
  std::uint64_t cluster_id = 0;
  std::string version;
  std::string token;  // empty: no authentication
};
using LinkPtr = std::shared_ptr<const Link>;

// What a gRPC status means to us. `who` is the endpoint's URL.
base::Error to_error(const grpc::Status& status, const std::string& who);
// The token is unknown, expired, or of an older state of the user table: authenticating again may help.
bool is_stale_token(const grpc::Status& status);

class Connection {
 public:
  using Ready = std::function<void(base::Result<LinkPtr>)>;

  Connection(CompletionThread& thread, EtcdSettings settings, base::Log& log, base::Counter connects);
  ~Connection();

  // Calls `ready` with a link, at once if there is one. Without one: with an error when `deadline` has passed or,
  // unless `patient`, as soon as every endpoint has failed once. Without a deadline it waits for ever.
  void when_ready(std::optional<base::Instant> deadline, bool patient, Ready ready);
  // The link does not work any more. Nothing happens if it is not the current one.
  void lost(const Link& link);
  // The server did not accept the link's token: the next link will have a new one.
  void token_refused(const Link& link);

  const std::string& describe() const { return description_; }
  std::size_t endpoint_count() const { return settings_.endpoints.size(); }

 private:
  struct Round;
  struct Waiter {
    std::uint64_t id = 0;
    bool patient = false;
    Ready ready;
    CompletionThread::Timer timer = 0;
  };

  void begin_round();
  void start_next_attempt(const std::shared_ptr<Round>& round);
  void attempt_ended(const std::shared_ptr<Round>& round, Link link, const grpc::Status& status,
                     const etcdserverpb::StatusResponse& reply);
  void attempt_failed(const std::shared_ptr<Round>& round, const std::string& url, const std::string& why);
  void authenticate(Link link);
  void established(Link link);
  void round_failed(const base::Error& error);
  void fail_waiters(const base::Error& error, bool all);
  std::shared_ptr<grpc::Channel> make_channel(const EtcdEndpoint& endpoint) const;

  CompletionThread& thread_;
  EtcdSettings settings_;
  base::Log& log_;
  base::Counter connects_;
  std::string description_;
  std::shared_ptr<grpc::ChannelCredentials> tls_, plain_;

  LinkPtr link_;
  bool connecting_ = false;
  std::size_t start_ = 0;
  std::uint64_t last_link_ = 0;
  std::uint64_t last_waiter_ = 0;
  base::Duration backoff_{};
  std::optional<base::Error> last_error_;
  std::vector<Waiter> waiters_;
};

}  // namespace store
