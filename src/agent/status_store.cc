#include "agent/status_store.h"

#include "store/store.h"

namespace agent {
namespace {

constexpr base::Duration kWriteTimeout = std::chrono::seconds(2);
constexpr base::Duration kListTimeout = std::chrono::seconds(10);

class StatusOverStore final : public StatusStore {
 public:
  StatusOverStore(store::Store& store, base::Loop& loop) : store_(store), loop_(loop) {}

  void put_for(std::string key, std::string value, std::chrono::seconds time_to_live, Done done) override {
    store::PutRequest request;
    request.key = std::move(key);
    request.value = std::move(value);
    request.time_to_live = time_to_live;
    store_.put(std::move(request), {.timeout = kWriteTimeout}, loop_,
               [alive = std::weak_ptr(alive_), done = std::move(done)](base::Result<store::WriteReply> reply) {
                 if (alive.expired()) return;
                 reply ? done({}) : done(base::fail(std::move(reply).error()));
               });
  }

  void write(StatusWrites writes, Done done) override {
    store_.commit({std::move(writes.puts), std::move(writes.removals)}, {.timeout = kWriteTimeout}, loop_,
                  [alive = std::weak_ptr(alive_), done = std::move(done)](base::Result<store::Revision> reply) {
                    if (alive.expired()) return;
                    reply ? done({}) : done(base::fail(std::move(reply).error()));
                  });
  }

  void list(std::string prefix, Listed listed) override {
    store::ReadRequest request;
    request.range_end = store::prefix_end(prefix);
    request.key = std::move(prefix);
    store_.read(std::move(request), {.timeout = kListTimeout}, loop_,
                [alive = std::weak_ptr(alive_), listed = std::move(listed)](base::Result<store::ReadReply> reply) {
                  if (alive.expired()) return;
                  if (!reply) return listed(base::fail(std::move(reply).error()));
                  std::vector<std::pair<std::string, std::string>> items;
                  for (store::KeyValue& item : reply->items)
                    items.emplace_back(std::move(item.key), std::move(item.value));
                  listed(std::move(items));
                });
  }

 private:
  store::Store& store_;
  base::Loop& loop_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // answers that come after us are dropped
};

}  // namespace

std::unique_ptr<StatusStore> make_status_store(store::Store& store, base::Loop& loop) {
  return std::make_unique<StatusOverStore>(store, loop);
}

}  // namespace agent
