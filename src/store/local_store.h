// local_store.h: a Store over a Table that lives on a loop of this process; common to MemoryStore and DirectoryStore.
//
// LocalCore lives on its home loop; LocalStore is the thread-safe front. Tasks hold the core weakly, so a store may be
// destroyed while some are still queued.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/feed.h"
#include "store/store.h"
#include "store/table.h"

namespace store {

class LocalCore : public std::enable_shared_from_this<LocalCore> {
 public:
  explicit LocalCore(base::Loop& home) : home_(home) {}
  virtual ~LocalCore() = default;

  base::Loop& home() { return home_; }

  struct Session;
  void add_session(const std::shared_ptr<Session>& session);
  void page_consumed(const std::shared_ptr<Session>& session);

  // One request, between before_request() and after_request().
  template <typename Work>
  auto serve(bool writes, Work work) {
    auto ready = before_request(writes);
    auto result = ready ? work(*this) : decltype(work(*this))(base::fail(std::move(ready).error()));
    after_request();
    return result;
  }
  base::Result<ReadReply> read(const ReadRequest& request) { return table_.read(request); }
  base::Result<WriteReply> put(const PutRequest& request);
  base::Result<WriteReply> remove(const RemoveRequest& request);
  base::Result<Revision> commit(const Transaction& request);
  base::Result<Revision> compact(Revision revision);
  base::Result<StoreStatus> status();

 protected:
  // Around each request. An error is the request's answer; after_request() is called in any case.
  virtual base::Result<> before_request(bool /*writes*/) { return {}; }
  virtual void after_request() {}
  // Makes the edits last before they are committed. Returns the revision to commit at.
  virtual base::Result<Revision> persist(const std::vector<Edit>& edits);
  virtual StoreStatus describe_status() = 0;
  // What a new subscriber is told beside the data.
  virtual std::vector<Diagnostic> current_diagnostics() { return {}; }

  // Commits without persisting and tells the subscribers.
  void commit_edits(std::vector<Edit> edits, Revision at);
  void broadcast(const StoreEvent& event);
  // While offline, sessions receive nothing but what is broadcast.
  void set_online(bool online);
  bool online() const { return online_; }
  void set_page_keys(std::int64_t keys) { page_keys_ = keys; }
  void set_log_limit(std::size_t changes) { log_limit_ = changes; }
  // Removes the key after `time_to_live` if it still has this lease then.
  void expire_later(const std::string& key, std::int64_t lease, base::Duration time_to_live);
  std::int64_t next_lease() { return ++last_lease_; }

  Table& table() { return table_; }

 private:
  void advance(Session& session);
  void restart(Session& session);
  void send_pages(Session& session);
  void send_changes(Session& session);
  void advance_all();

  base::Loop& home_;
  Table table_;
  bool online_ = true;
  std::int64_t page_keys_ = 1000;
  std::optional<std::size_t> log_limit_;
  std::int64_t last_lease_ = 0;
  std::vector<std::shared_ptr<Session>> sessions_;
};

class LocalStore : public Store {
 public:
  std::unique_ptr<Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                          EventHandler handler) override;
  void read(ReadRequest request, const RequestOptions& options, base::Loop& loop, Done<ReadReply> done) override;
  void put(PutRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) override;
  void remove(RemoveRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) override;
  void commit(Transaction request, const RequestOptions& options, base::Loop& loop, Done<Revision> done) override;
  void compact(Revision revision, const RequestOptions& options, base::Loop& loop, Done<Revision> done) override;
  void status(const RequestOptions& options, base::Loop& loop, Done<StoreStatus> done) override;

 protected:
  LocalStore() = default;
  explicit LocalStore(std::shared_ptr<LocalCore> core) : core_(std::move(core)) {}
  void set_core(std::shared_ptr<LocalCore> core) { core_ = std::move(core); }  // before any use

 private:
  template <typename T, typename Work>
  void run(bool writes, base::Loop& loop, Done<T> done, Work work);

  std::shared_ptr<LocalCore> core_;
};

}  // namespace store
