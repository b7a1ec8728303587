#include "store/memory_store.h"

#include <optional>
#include <utility>

namespace store {

class MemoryStore::Core final : public LocalCore {
 public:
  using LocalCore::broadcast;
  using LocalCore::commit_edits;
  using LocalCore::LocalCore;
  using LocalCore::set_online;
  using LocalCore::set_page_keys;
  using LocalCore::table;

  std::optional<base::Error> offline;
  std::optional<base::Error> failure;
  int failures = 0;

 private:
  base::Result<> before_request(bool) override {
    if (offline) return base::fail(*offline);
    if (failures == 0) return {};
    --failures;
    return base::fail(*failure);
  }
  StoreStatus describe_status() override { return {.cluster_id = 1, .version = "memory", .peer = "memory"}; }
};

MemoryStore::MemoryStore(base::Loop& home) : MemoryStore(std::make_shared<Core>(home)) {}
MemoryStore::MemoryStore(const std::shared_ptr<Core>& core) : LocalStore(core), memory_(core) {}

void MemoryStore::disconnect(base::Error error) {
  memory_->offline = error;
  memory_->set_online(false);
  memory_->broadcast(ConnectionState{.connected = false, .peer = {}, .error = std::move(error)});
}

void MemoryStore::reconnect() {
  memory_->offline.reset();
  memory_->broadcast(ConnectionState{.connected = true, .peer = "memory", .error = {}});
  memory_->set_online(true);
}

void MemoryStore::fail_requests(int count, base::Error error) {
  memory_->failures = count;
  memory_->failure = std::move(error);
}

Revision MemoryStore::write(const std::string& key, std::optional<std::string> value) {
  memory_->commit_edits({{.key = key, .value = std::move(value), .lease = 0, .time_to_live = {}}},
                        memory_->table().revision() + 1);
  return memory_->table().revision();
}

void MemoryStore::compact_now() {
  static_cast<void>(
      memory_->table().compact(memory_->table().revision()));  // fails only when there is nothing to compact
}

void MemoryStore::set_page_keys(std::int64_t keys) { memory_->set_page_keys(keys); }
const Table& MemoryStore::table() const { return memory_->table(); }

}  // namespace store
