#include "store/blocking.h"

#include <condition_variable>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "os/event_loop.h"

namespace store {
namespace {
// Keys per request of list(): few enough to stay far below gRPC's limits, many enough that round trips do not count.
constexpr std::int64_t kListPage = 2000;
// The store answers or times out by itself; this much later we stop believing it.
constexpr base::Duration kGrace = std::chrono::seconds(2);
}  // namespace

// A loop that runs only while somebody waits. Timers and descriptors are of no use to a reply.
class BlockingStore::Waiter final : public base::Loop {
 public:
  base::Instant now() const override { return clock_.now(); }
  base::WallTime wall() const override { return clock_.wall(); }
  void post(Task task) override {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }
  base::TimerId after(base::Duration, Task) override {
    CHECK(false);
    return {};
  }
  void cancel(base::TimerId) override {}
  base::WatchId watch_readable(int, Task) override {
    CHECK(false);
    return {};
  }
  void unwatch(base::WatchId) override {}

  // Runs posted tasks until `finished` returns true or `deadline` has passed.
  void run_until(const std::function<bool()>& finished, base::Instant deadline) {
    while (!finished()) {
      Task task;
      {
        std::unique_lock lock(mutex_);
        if (!wake_.wait_until(lock, deadline, [this] { return !tasks_.empty(); })) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

 private:
  os::SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
};

BlockingStore::BlockingStore(Store& store, RequestOptions options)
    : store_(store), options_(options), waiter_(std::make_shared<Waiter>()) {}
BlockingStore::~BlockingStore() = default;

template <typename T>
base::Result<T> BlockingStore::wait(const std::function<void(base::Loop&, Done<T>)>& start) {
  // Shared, because an answer may come after we have stopped waiting.
  auto answer = std::make_shared<std::optional<base::Result<T>>>();
  start(*waiter_, [answer, keep = waiter_](base::Result<T> result) { answer->emplace(std::move(result)); });
  waiter_->run_until([&] { return answer->has_value(); }, waiter_->now() + options_.timeout + kGrace);
  if (!answer->has_value()) return base::fail(base::Error::unavailable(store_.describe() + " did not answer"));
  return std::move(**answer);
}

base::Result<KeyValue> BlockingStore::get(const std::string& key, Revision revision) {
  auto reply = wait<ReadReply>([&](base::Loop& loop, Done<ReadReply> done) {
    store_.read({.key = key, .range_end = {}, .revision = revision}, options_, loop, std::move(done));
  });
  if (!reply) return base::fail(std::move(reply).error());
  if (reply->items.empty()) return base::fail(base::Error::not_found(key + " does not exist"));
  return std::move(reply->items.front());
}

base::Result<Listing> BlockingStore::list(const std::string& prefix, Revision revision) {
  return list_range(prefix, revision, false);
}

base::Result<Listing> BlockingStore::list_keys(const std::string& prefix) { return list_range(prefix, 0, true); }

base::Result<Listing> BlockingStore::list_range(const std::string& prefix, Revision revision, bool keys_only) {
  Listing listing{.revision = revision, .items = {}};
  std::string from = prefix;
  const std::string end = prefix_end(prefix);
  while (true) {
    auto reply = wait<ReadReply>([&](base::Loop& loop, Done<ReadReply> done) {
      store_.read(
          {.key = from, .range_end = end, .revision = listing.revision, .limit = kListPage, .keys_only = keys_only},
          options_, loop, std::move(done));
    });
    if (!reply) return base::fail(std::move(reply).error());
    if (listing.revision == 0) listing.revision = reply->revision;
    const bool more = reply->more && !reply->items.empty();
    if (more) from = reply->items.back().key + '\0';
    listing.items.insert(listing.items.end(), std::make_move_iterator(reply->items.begin()),
                         std::make_move_iterator(reply->items.end()));
    if (!more) return listing;
  }
}

base::Result<WriteReply> BlockingStore::put(PutRequest request) {
  return wait<WriteReply>([&](base::Loop& loop, Done<WriteReply> done) {
    store_.put(std::move(request), options_, loop, std::move(done));
  });
}

base::Result<WriteReply> BlockingStore::put(const std::string& key, std::string value) {
  return put(PutRequest{.key = key, .value = std::move(value)});
}

base::Result<WriteReply> BlockingStore::create(const std::string& key, std::string value) {
  return put(PutRequest{.key = key, .value = std::move(value), .condition = Condition::kAbsent});
}

base::Result<WriteReply> BlockingStore::update(const std::string& key, std::string value, Revision expected) {
  return put(
      PutRequest{.key = key, .value = std::move(value), .condition = Condition::kUnmodified, .expected = expected});
}

base::Result<WriteReply> BlockingStore::remove(const std::string& key, Revision expected) {
  return wait<WriteReply>([&](base::Loop& loop, Done<WriteReply> done) {
    store_.remove({.key = key, .expected = expected}, options_, loop, std::move(done));
  });
}

base::Result<Revision> BlockingStore::commit(Transaction transaction) {
  return wait<Revision>([&](base::Loop& loop, Done<Revision> done) {
    store_.commit(std::move(transaction), options_, loop, std::move(done));
  });
}

base::Result<Revision> BlockingStore::compact(Revision revision) {
  return wait<Revision>(
      [&](base::Loop& loop, Done<Revision> done) { store_.compact(revision, options_, loop, std::move(done)); });
}

base::Result<StoreStatus> BlockingStore::status() {
  return wait<StoreStatus>(
      [&](base::Loop& loop, Done<StoreStatus> done) { store_.status(options_, loop, std::move(done)); });
}

}  // namespace store
