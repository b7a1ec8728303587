#include "store/local_store.h"

#include <algorithm>
#include <utility>

namespace store {
namespace {
constexpr int kPages = 2;                                         // one with the reader and one waiting
constexpr base::Duration kRetryExpiry = std::chrono::seconds(1);  // when a key's end of life could not be written
}  // namespace

struct LocalCore::Session {
  std::vector<std::string> prefixes;
  std::shared_ptr<Feed> feed;
  bool started = false;    // a snapshot has begun
  bool synced = false;     // and has ended
  Revision revision = 0;   // of the snapshot; then how far the table's changes were looked at
  Revision told = 0;       // the last revision the reader knows
  std::size_t prefix = 0;  // being paged
  std::string from;
  int pages_held = 0;
};

base::Result<Revision> LocalCore::persist(const std::vector<Edit>&) { return table_.revision() + 1; }

// --- Subscriptions ---

void LocalCore::add_session(const std::shared_ptr<Session>& session) {
  std::erase_if(sessions_, [](const auto& other) { return other->feed->closed(); });
  sessions_.push_back(session);
  for (auto& diagnostic : current_diagnostics()) session->feed->push(std::move(diagnostic));
  if (online_) session->feed->push(ConnectionState{.connected = true, .peer = describe_status().peer, .error = {}});
  advance(*session);
}

void LocalCore::page_consumed(const std::shared_ptr<Session>& session) {
  --session->pages_held;
  advance(*session);
}

void LocalCore::advance(Session& session) {
  if (!online_ || session.feed->closed()) return;
  if (!session.started) restart(session);
  if (!session.synced) send_pages(session);
  if (session.synced) send_changes(session);
}

void LocalCore::restart(Session& session) {
  session.started = true;
  session.synced = false;
  session.revision = session.told = table_.revision();
  session.prefix = 0;
  session.from = session.prefixes.front();
  session.feed->push(SnapshotStart{session.revision});
}

void LocalCore::send_pages(Session& session) {
  while (session.prefix < session.prefixes.size() && session.pages_held < kPages) {
    auto reply = table_.read({.key = session.from,
                              .range_end = prefix_end(session.prefixes[session.prefix]),
                              .revision = session.revision,
                              .limit = page_keys_});
    if (!reply) {  // compacted meanwhile
      restart(session);
      continue;
    }
    if (reply->more) {
      session.from = reply->items.back().key + '\0';
    } else if (++session.prefix < session.prefixes.size()) {
      session.from = session.prefixes[session.prefix];
    }
    if (reply->items.empty()) continue;
    ++session.pages_held;
    session.feed->push(SnapshotPage{std::move(reply->items)});
  }
  if (session.prefix < session.prefixes.size()) return;
  session.synced = true;
  session.feed->push(SnapshotDone{session.revision});
}

void LocalCore::send_changes(Session& session) {
  if (session.revision == table_.revision()) return;
  auto changes = table_.changes_after(session.revision, session.prefixes);
  if (!changes) {
    session.started = false;
    return advance(session);
  }
  session.revision = table_.revision();
  if (changes->empty()) return;
  const Revision to = changes->back().item.mod_revision;
  session.feed->push(Delta{
      .from = std::exchange(session.told, to), .to = to, .changes = *std::move(changes), .received = home_.now()});
}

void LocalCore::advance_all() {
  for (const auto& session : sessions_) advance(*session);
}

void LocalCore::broadcast(const StoreEvent& event) {
  for (const auto& session : sessions_) session->feed->push(event);
}

void LocalCore::set_online(bool online) {
  online_ = online;
  if (online) advance_all();
}

void LocalCore::commit_edits(std::vector<Edit> edits, Revision at) {
  if (table_.commit(std::move(edits), at) == 0) return;
  advance_all();
  if (log_limit_) table_.keep_log(*log_limit_);
}

// --- Requests ---

base::Result<WriteReply> LocalCore::put(const PutRequest& request) {
  const KeyValue* current = table_.find(request.key);
  const auto refuse = [&](WriteStatus status) {
    WriteReply reply{.status = status, .revision = table_.revision(), .current = {}};
    if (current != nullptr) reply.current = *current;
    return reply;
  };
  const bool wants_one = request.condition == Condition::kPresent || request.condition == Condition::kUnmodified;
  if (request.condition == Condition::kAbsent && current != nullptr) return refuse(WriteStatus::kExists);
  if (wants_one && current == nullptr) return refuse(WriteStatus::kNotFound);
  if (request.condition == Condition::kUnmodified && current->mod_revision != request.expected) {
    return refuse(WriteStatus::kConflict);
  }
  const std::int64_t lease = request.time_to_live.count() > 0 ? next_lease() : 0;
  std::vector<Edit> edits{
      {.key = request.key, .value = request.value, .lease = lease, .time_to_live = request.time_to_live}};
  auto at = persist(edits);
  if (!at) return base::fail(std::move(at).error());
  commit_edits(std::move(edits), *at);
  if (lease != 0) expire_later(request.key, lease, request.time_to_live);
  return WriteReply{.revision = *at, .current = {}};
}

void LocalCore::expire_later(const std::string& key, std::int64_t lease, base::Duration time_to_live) {
  home_.after(time_to_live, [weak = weak_from_this(), key, lease] {
    const auto self = weak.lock();
    if (!self) return;
    const auto expired = self->serve(true, [&](LocalCore& core) -> base::Result<Revision> {
      const KeyValue* current = core.table_.find(key);
      if (current == nullptr || current->lease != lease) return core.table_.revision();  // overwritten meanwhile
      return core.commit({.puts = {}, .removals = {key}});
    });
    if (!expired) self->expire_later(key, lease, kRetryExpiry);
  });
}

base::Result<WriteReply> LocalCore::remove(const RemoveRequest& request) {
  const KeyValue* current = table_.find(request.key);
  if (current == nullptr)
    return WriteReply{.status = WriteStatus::kNotFound, .revision = table_.revision(), .current = {}};
  WriteReply reply{.revision = table_.revision(), .current = *current};
  if (request.expected != 0 && current->mod_revision != request.expected) {
    reply.status = WriteStatus::kConflict;
    return reply;
  }
  std::vector<Edit> edits{{.key = request.key, .value = {}, .lease = 0, .time_to_live = {}}};
  auto at = persist(edits);
  if (!at) return base::fail(std::move(at).error());
  commit_edits(std::move(edits), *at);
  reply.revision = *at;
  return reply;
}

base::Result<Revision> LocalCore::commit(const Transaction& request) {
  for (const auto& [key, since] : request.conditions) {
    const KeyValue* current = table_.find(key);
    if (current != nullptr && current->mod_revision > since) return base::fail(condition_failed());
  }
  std::vector<Edit> edits;
  for (const auto& [key, value] : request.puts)
    edits.push_back({.key = key, .value = value, .lease = 0, .time_to_live = {}});
  for (const auto& key : request.removals) {
    if (table_.find(key) != nullptr) edits.push_back({.key = key, .value = {}, .lease = 0, .time_to_live = {}});
  }
  if (edits.empty()) return table_.revision();
  auto at = persist(edits);
  if (!at) return at;
  commit_edits(std::move(edits), *at);
  return at;
}

base::Result<Revision> LocalCore::compact(Revision revision) {
  if (auto done = table_.compact(revision); !done) return base::fail(std::move(done).error());
  return table_.revision();
}

base::Result<StoreStatus> LocalCore::status() {
  StoreStatus status = describe_status();
  status.revision = table_.revision();
  return status;
}

// --- The front ---

namespace {

class LocalSubscription final : public Subscription {
 public:
  explicit LocalSubscription(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}
  ~LocalSubscription() override { feed_->close(); }

 private:
  std::shared_ptr<Feed> feed_;
};

}  // namespace

std::unique_ptr<Subscription> LocalStore::subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                    EventHandler handler) {
  auto session = std::make_shared<LocalCore::Session>();
  session->prefixes = std::move(prefixes);
  base::Loop& home = core_->home();
  const auto consumed = [&home, weak_core = std::weak_ptr(core_), weak_session = std::weak_ptr(session)] {
    home.post([weak_core, weak_session] {
      const auto core = weak_core.lock();
      const auto held = weak_session.lock();
      if (core && held) core->page_consumed(held);
    });
  };
  session->feed = std::make_shared<Feed>(reader, std::move(handler), consumed);
  home.post([weak = std::weak_ptr(core_), session] {
    if (const auto core = weak.lock()) core->add_session(session);
  });
  return std::make_unique<LocalSubscription>(session->feed);
}

template <typename T, typename Work>
void LocalStore::run(bool writes, base::Loop& loop, Done<T> done, Work work) {
  core_->home().post([weak = std::weak_ptr(core_), writes, &loop, done = std::move(done), work = std::move(work)] {
    const auto core = weak.lock();
    if (!core) return;
    loop.post([done, result = core->serve(writes, work)]() mutable { done(std::move(result)); });
  });
}

void LocalStore::read(ReadRequest request, const RequestOptions&, base::Loop& loop, Done<ReadReply> done) {
  run(false, loop, std::move(done), [request = std::move(request)](LocalCore& core) { return core.read(request); });
}
void LocalStore::put(PutRequest request, const RequestOptions&, base::Loop& loop, Done<WriteReply> done) {
  run(true, loop, std::move(done), [request = std::move(request)](LocalCore& core) { return core.put(request); });
}
void LocalStore::remove(RemoveRequest request, const RequestOptions&, base::Loop& loop, Done<WriteReply> done) {
  run(true, loop, std::move(done), [request = std::move(request)](LocalCore& core) { return core.remove(request); });
}
void LocalStore::commit(Transaction request, const RequestOptions&, base::Loop& loop, Done<Revision> done) {
  run(true, loop, std::move(done), [request = std::move(request)](LocalCore& core) { return core.commit(request); });
}
void LocalStore::compact(Revision revision, const RequestOptions&, base::Loop& loop, Done<Revision> done) {
  run(false, loop, std::move(done), [revision](LocalCore& core) { return core.compact(revision); });
}
void LocalStore::status(const RequestOptions&, base::Loop& loop, Done<StoreStatus> done) {
  run(false, loop, std::move(done), [](LocalCore& core) { return core.status(); });
}

}  // namespace store
