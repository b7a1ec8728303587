#include "store/etcd/etcd_store.h"

#include <fmt/core.h>
#include <grpc/support/log.h>

#include <utility>
#include <vector>

#include "store/etcd/etcd_core.h"
#include "store/etcd/watch_session.h"

namespace store {

using etcdserverpb::Compare;
using etcdserverpb::TxnRequest;

EtcdMetrics::EtcdMetrics(base::MetricRegistry& registry)
    : connects(registry.counter("percale_store_connects_total", "Connections to etcd that became usable.")),
      snapshots(registry.counter("percale_store_snapshots_total", "Complete snapshots read from the datastore.")),
      events(registry.counter("percale_store_events_total", "Changes received from datastore watches.")),
      resumes(registry.counter("percale_store_watch_resumes_total", "Watches resumed after a disconnect.")),
      requests(registry.counter("percale_store_requests_total", "Datastore requests, including snapshot pages.")),
      request_errors(registry.counter("percale_store_request_errors_total", "Datastore requests that failed.")),
      page_seconds(
          registry.summary("percale_store_page_seconds", "Time from asking for a snapshot page to having it.")) {}

KeyValue to_key_value(mvccpb::KeyValue&& from) {
  return KeyValue{.key = std::move(*from.mutable_key()),
                  .value = std::move(*from.mutable_value()),
                  .create_revision = from.create_revision(),
                  .mod_revision = from.mod_revision(),
                  .lease = from.lease()};
}

namespace {

void compare_number(TxnRequest& txn, const std::string& key, Compare::CompareTarget target,
                    Compare::CompareResult result, std::int64_t number) {
  auto* compare = txn.add_compare();
  compare->set_key(key);
  compare->set_target(target);
  compare->set_result(result);
  if (target == Compare::VERSION) compare->set_version(number);
  if (target == Compare::MOD) compare->set_mod_revision(number);
}

void otherwise_read(TxnRequest& txn, const std::string& key) {
  txn.add_failure()->mutable_request_range()->set_key(key);
}

TxnRequest to_txn(const PutRequest& request, std::int64_t lease) {
  TxnRequest txn;
  switch (request.condition) {
    case Condition::kNone: break;
    case Condition::kAbsent: compare_number(txn, request.key, Compare::VERSION, Compare::EQUAL, 0); break;
    case Condition::kPresent: compare_number(txn, request.key, Compare::VERSION, Compare::NOT_EQUAL, 0); break;
    case Condition::kUnmodified:
      compare_number(txn, request.key, Compare::MOD, Compare::EQUAL, request.expected);
      // MOD is 0 for an absent key; without this an `expected` of 0 would create.
      compare_number(txn, request.key, Compare::VERSION, Compare::NOT_EQUAL, 0);
      break;
  }
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(request.key);
  put->set_value(request.value);
  put->set_lease(lease);
  if (request.condition != Condition::kNone) otherwise_read(txn, request.key);
  return txn;
}

// The reply to a compare that failed, from the read that the transaction did instead.
WriteReply refused(etcdserverpb::TxnResponse& reply, bool wanted_absent) {
  WriteReply result{.revision = reply.header().revision(), .current = {}};
  auto* range = reply.mutable_responses(0)->mutable_response_range();
  if (range->kvs_size() == 0) {
    result.status = WriteStatus::kNotFound;
    return result;
  }
  result.status = wanted_absent ? WriteStatus::kExists : WriteStatus::kConflict;
  result.current = to_key_value(std::move(*range->mutable_kvs(0)));
  return result;
}

base::Error name_revision(base::Error error, Revision asked) {
  return is_compacted(error) ? compacted_error(asked) : error;
}

class EtcdStore final : public Store {
 public:
  EtcdStore(EtcdSettings settings, base::Log& log, base::MetricRegistry& metrics)
      : core_(std::move(settings), log, metrics) {}
  ~EtcdStore() override {
    core_.thread.stop([this] { sessions_.clear(); });
  }

  std::unique_ptr<Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                          EventHandler handler) override;
  void read(ReadRequest request, const RequestOptions& options, base::Loop& loop, Done<ReadReply> done) override;
  void put(PutRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) override;
  void remove(RemoveRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) override;
  void commit(Transaction request, const RequestOptions& options, base::Loop& loop, Done<Revision> done) override;
  void compact(Revision revision, const RequestOptions& options, base::Loop& loop, Done<Revision> done) override;
  void status(const RequestOptions& options, base::Loop& loop, Done<StoreStatus> done) override;
  std::string describe() const override { return core_.connection.describe(); }

 private:
  // Runs `step` on the store's thread with the request's deadline.
  template <typename Step>
  void on_thread(const RequestOptions& options, Step step) {
    core_.thread.post([this, options, deadline = core_.thread.now() + options.timeout,
                       step = std::move(step)]() mutable { step(deadline, options.wait_for_connection); });
  }
  template <typename T>
  static void answer(base::Loop& loop, const Done<T>& done, base::Result<T> result) {
    loop.post([done, result = std::move(result)]() mutable { done(std::move(result)); });
  }
  template <typename Stub, typename Request, typename Reply>
  void run(typename Operation<Stub, Request, Reply>::Setup setup, typename Operation<Stub, Request, Reply>::Done done) {
    std::make_shared<Operation<Stub, Request, Reply>>(core_, std::move(setup), std::move(done))->begin();
  }
  void run_txn(TxnOperation::Setup setup, TxnOperation::Done done) {
    std::make_shared<TxnOperation>(core_, std::move(setup), std::move(done))->begin();
  }
  void put_with_lease(const PutRequest& request, std::int64_t lease, base::Instant deadline, bool patient,
                      base::Loop& loop, const Done<WriteReply>& done);

  EtcdCore core_;
  std::vector<std::shared_ptr<WatchSession>> sessions_;  // only on the thread
};

// Lives on the reader's thread; the session lives on the store's.
class EtcdSubscription final : public Subscription {
 public:
  EtcdSubscription(CompletionThread& thread, std::shared_ptr<Feed> feed, std::shared_ptr<WatchSession> session)
      : thread_(thread), feed_(std::move(feed)), session_(std::move(session)) {}
  ~EtcdSubscription() override {
    feed_->close();
    thread_.post([session = std::move(session_)] { session->stop(); });
  }

 private:
  CompletionThread& thread_;
  std::shared_ptr<Feed> feed_;
  std::shared_ptr<WatchSession> session_;
};

std::unique_ptr<Subscription> EtcdStore::subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                   EventHandler handler) {
  auto session = std::make_shared<WatchSession>(core_, std::move(prefixes));
  auto feed = std::make_shared<Feed>(reader, std::move(handler), session->consumed());
  session->attach(feed);
  core_.thread.post([this, session] {
    std::erase_if(sessions_, [](const auto& other) { return other->stopped(); });
    sessions_.push_back(session);
    session->start();
  });
  return std::make_unique<EtcdSubscription>(core_.thread, std::move(feed), std::move(session));
}

void EtcdStore::read(ReadRequest request, const RequestOptions& options, base::Loop& loop, Done<ReadReply> done) {
  on_thread(options, [this, request = std::move(request), &loop, done = std::move(done)](base::Instant deadline,
                                                                                         bool patient) {
    etcdserverpb::RangeRequest range;
    range.set_key(request.key);
    range.set_range_end(request.range_end);
    range.set_revision(request.revision);
    range.set_limit(request.limit);
    range.set_keys_only(request.keys_only);
    run<etcdserverpb::KV::Stub, etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>(
        {&Link::kv, &etcdserverpb::KV::Stub::AsyncRange, std::move(range), deadline, patient, true},
        [&loop, done, asked = request.revision](base::Result<Answer<etcdserverpb::RangeResponse>> result) {
          if (!result)
            return answer<ReadReply>(loop, done, base::fail(name_revision(std::move(result).error(), asked)));
          ReadReply reply{.revision = result->reply.header().revision(), .items = {}, .more = result->reply.more()};
          reply.items.reserve(static_cast<std::size_t>(result->reply.kvs_size()));
          for (auto& kv : *result->reply.mutable_kvs()) reply.items.push_back(to_key_value(std::move(kv)));
          answer<ReadReply>(loop, done, std::move(reply));
        });
  });
}

void EtcdStore::put(PutRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) {
  on_thread(options,
            [this, request = std::move(request), &loop, done = std::move(done)](base::Instant deadline, bool patient) {
              if (request.time_to_live.count() <= 0) return put_with_lease(request, 0, deadline, patient, loop, done);
              etcdserverpb::LeaseGrantRequest grant;
              grant.set_ttl(request.time_to_live.count());
              run<etcdserverpb::Lease::Stub, etcdserverpb::LeaseGrantRequest, etcdserverpb::LeaseGrantResponse>(
                  {&Link::lease, &etcdserverpb::Lease::Stub::AsyncLeaseGrant, grant, deadline, patient, true},
                  [this, request, deadline, patient, &loop,
                   done](base::Result<Answer<etcdserverpb::LeaseGrantResponse>> granted) {
                    if (!granted) return answer<WriteReply>(loop, done, base::fail(std::move(granted).error()));
                    put_with_lease(request, granted->reply.id(), deadline, patient, loop, done);
                  });
            });
}

void EtcdStore::put_with_lease(const PutRequest& request, std::int64_t lease, base::Instant deadline, bool patient,
                               base::Loop& loop, const Done<WriteReply>& done) {
  const bool plain = request.condition == Condition::kNone;
  const bool absent = request.condition == Condition::kAbsent;
  run_txn({&Link::kv, &etcdserverpb::KV::Stub::AsyncTxn, to_txn(request, lease), deadline, patient, plain},
          [&loop, done, absent](base::Result<Answer<etcdserverpb::TxnResponse>> result) {
            if (!result) return answer<WriteReply>(loop, done, base::fail(std::move(result).error()));
            auto& reply = result->reply;
            if (!reply.succeeded()) return answer<WriteReply>(loop, done, refused(reply, absent));
            answer<WriteReply>(loop, done, WriteReply{.revision = reply.header().revision(), .current = {}});
          });
}

void EtcdStore::remove(RemoveRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) {
  on_thread(options,
            [this, request = std::move(request), &loop, done = std::move(done)](base::Instant deadline, bool patient) {
              TxnRequest txn;
              if (request.expected != 0) {
                compare_number(txn, request.key, Compare::MOD, Compare::EQUAL, request.expected);
                otherwise_read(txn, request.key);
              }
              auto* removal = txn.add_success()->mutable_request_delete_range();
              removal->set_key(request.key);
              removal->set_prev_kv(true);
              run_txn({&Link::kv, &etcdserverpb::KV::Stub::AsyncTxn, std::move(txn), deadline, patient, false},
                      [&loop, done](base::Result<Answer<etcdserverpb::TxnResponse>> result) {
                        if (!result) return answer<WriteReply>(loop, done, base::fail(std::move(result).error()));
                        auto& reply = result->reply;
                        if (!reply.succeeded()) return answer<WriteReply>(loop, done, refused(reply, false));
                        WriteReply done_reply{.revision = reply.header().revision(), .current = {}};
                        auto* removed = reply.mutable_responses(0)->mutable_response_delete_range();
                        if (removed->prev_kvs_size() == 0) {
                          done_reply.status = WriteStatus::kNotFound;
                        } else {
                          done_reply.current = to_key_value(std::move(*removed->mutable_prev_kvs(0)));
                        }
                        answer<WriteReply>(loop, done, std::move(done_reply));
                      });
            });
}

void EtcdStore::commit(Transaction request, const RequestOptions& options, base::Loop& loop, Done<Revision> done) {
  on_thread(options,
            [this, request = std::move(request), &loop, done = std::move(done)](base::Instant deadline, bool patient) {
              TxnRequest txn;
              // MOD is 0 for an absent key.
              for (const auto& [key, since] : request.conditions) {
                compare_number(txn, key, Compare::MOD, Compare::LESS, since + 1);
              }
              for (const auto& [key, value] : request.puts) {
                auto* put = txn.add_success()->mutable_request_put();
                put->set_key(key);
                put->set_value(value);
              }
              for (const auto& key : request.removals) txn.add_success()->mutable_request_delete_range()->set_key(key);
              run_txn({&Link::kv, &etcdserverpb::KV::Stub::AsyncTxn, std::move(txn), deadline, patient,
                       request.conditions.empty()},
                      [&loop, done](base::Result<Answer<etcdserverpb::TxnResponse>> result) {
                        if (!result) return answer<Revision>(loop, done, base::fail(std::move(result).error()));
                        if (!result->reply.succeeded()) {
                          return answer<Revision>(loop, done, base::fail(condition_failed()));
                        }
                        answer<Revision>(loop, done, result->reply.header().revision());
                      });
            });
}

void EtcdStore::compact(Revision revision, const RequestOptions& options, base::Loop& loop, Done<Revision> done) {
  on_thread(options, [this, revision, &loop, done = std::move(done)](base::Instant deadline, bool patient) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    run<etcdserverpb::KV::Stub, etcdserverpb::CompactionRequest, etcdserverpb::CompactionResponse>(
        {&Link::kv, &etcdserverpb::KV::Stub::AsyncCompact, request, deadline, patient, false},
        [&loop, done, revision](base::Result<Answer<etcdserverpb::CompactionResponse>> result) {
          if (!result)
            return answer<Revision>(loop, done, base::fail(name_revision(std::move(result).error(), revision)));
          answer<Revision>(loop, done, result->reply.header().revision());
        });
  });
}

void EtcdStore::status(const RequestOptions& options, base::Loop& loop, Done<StoreStatus> done) {
  on_thread(options, [this, &loop, done = std::move(done)](base::Instant deadline, bool patient) {
    run<etcdserverpb::Maintenance::Stub, etcdserverpb::StatusRequest, etcdserverpb::StatusResponse>(
        {&Link::maintenance, &etcdserverpb::Maintenance::Stub::AsyncStatus, {}, deadline, patient, true},
        [&loop, done](base::Result<Answer<etcdserverpb::StatusResponse>> result) {
          if (!result) return answer<StoreStatus>(loop, done, base::fail(std::move(result).error()));
          const auto& header = result->reply.header();
          answer<StoreStatus>(loop, done,
                              StoreStatus{.revision = header.revision(),
                                          .cluster_id = header.cluster_id(),
                                          .version = result->reply.version(),
                                          .peer = result->link->url});
        });
  });
}

}  // namespace

std::unique_ptr<Store> make_etcd_store(EtcdSettings settings, base::Log& log, base::MetricRegistry& metrics) {
  // gRPC would write to standard error; what matters of it is in our own errors.
  gpr_set_log_function([](gpr_log_func_args*) {});
  return std::make_unique<EtcdStore>(std::move(settings), log, metrics);
}

}  // namespace store
