// etcd_core.h: what requests and watches of one EtcdStore share: the thread, the connection, and the life of a unary
// request (wait for a link, call, renew the token, go to another endpoint). Only on the CompletionThread.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/metrics.h"
#include "store/etcd/call.h"
#include "store/etcd/connection.h"
#include "store/store.h"

namespace store {

struct EtcdMetrics {
  explicit EtcdMetrics(base::MetricRegistry& registry);

  base::Counter connects, snapshots, events, resumes, requests, request_errors;
  base::Summary page_seconds;
};

struct EtcdCore {
  EtcdCore(EtcdSettings settings, base::Log& log_, base::MetricRegistry& registry)
      : log(log_), metrics(registry), connection(thread, std::move(settings), log_, metrics.connects) {}

  base::Log& log;
  EtcdMetrics metrics;
  CompletionThread thread;
  Connection connection;
};

// A reply and the link that it came over.
template <typename Reply>
struct Answer {
  Reply reply;
  LinkPtr link;
};

// Another endpoint is asked when a repeatable request has waited this long for its answer.
inline constexpr base::Duration kRepeatAfter = std::chrono::seconds(5);

template <typename Stub, typename Request, typename Reply>
class Operation final : public std::enable_shared_from_this<Operation<Stub, Request, Reply>> {
 public:
  using Method = std::unique_ptr<grpc::ClientAsyncResponseReader<Reply>> (Stub::*)(grpc::ClientContext*, const Request&,
                                                                                   grpc::CompletionQueue*);
  struct Setup {
    std::shared_ptr<Stub> Link::* stub;
    Method method;
    Request request;
    base::Instant deadline;
    bool patient = false;
    bool repeatable = false;
  };
  using Done = std::function<void(base::Result<Answer<Reply>>)>;

  Operation(EtcdCore& core, Setup setup, Done done) : core_(core), setup_(std::move(setup)), done_(std::move(done)) {}

  void begin() {
    core_.connection.when_ready(setup_.deadline, setup_.patient, [self = this->shared_from_this()](auto link) {
      link ? self->call(*std::move(link)) : self->finish(base::fail(std::move(link).error()));
    });
  }

 private:
  void call(LinkPtr link) {
    const base::Duration left = setup_.deadline - core_.thread.now();
    if (left <= base::Duration::zero()) {
      return finish(base::fail(base::Error::unavailable(core_.connection.describe() + " did not answer in time")));
    }
    const bool elsewhere = setup_.repeatable && core_.connection.endpoint_count() > 1;
    Stub& stub = *((*link).*(setup_.stub));
    start_call(core_.thread, stub, setup_.method, setup_.request, elsewhere ? std::min(left, kRepeatAfter) : left,
               link->token, [self = this->shared_from_this(), link](const grpc::Status& status, Reply& reply) {
                 self->ended(link, status, reply);
               });
  }

  void ended(const LinkPtr& link, const grpc::Status& status, Reply& reply) {
    if (status.ok()) return finish(Answer<Reply>{std::move(reply), link});
    if (is_stale_token(status) && !renewed_) {
      renewed_ = true;
      core_.connection.token_refused(*link);
      return begin();
    }
    const auto code = status.error_code();
    const bool broken = code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED;
    if (broken) core_.connection.lost(*link);
    if (broken && setup_.repeatable && core_.thread.now() < setup_.deadline) return begin();
    finish(base::fail(to_error(status, link->url)));
  }

  void finish(base::Result<Answer<Reply>> result) {
    core_.metrics.requests.add();
    if (!result) core_.metrics.request_errors.add();
    done_(std::move(result));
  }

  EtcdCore& core_;
  Setup setup_;
  Done done_;
  bool renewed_ = false;
};

using RangeOperation = Operation<etcdserverpb::KV::Stub, etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>;
using TxnOperation = Operation<etcdserverpb::KV::Stub, etcdserverpb::TxnRequest, etcdserverpb::TxnResponse>;

KeyValue to_key_value(mvccpb::KeyValue&& from);

}  // namespace store
