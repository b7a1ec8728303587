#include "store/etcd/watch_session.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Keys per page. etcd 3.4 walks the whole rest of the range for every page, whatever its limit, so many small pages
// cost quadratic time there: 100,000 keys of 1 KB took 1.1 s in pages of 1,000, 0.63 s of 2,000, 0.46 s of 4,000, 0.56
// s of 8,000. The first page is small because nothing is known yet; the others follow the size of the values seen.
constexpr std::int64_t kFirstPageKeys = 1000;
constexpr std::int64_t kLeastPageKeys = 50;
constexpr std::int64_t kMostPageKeys = 4000;
constexpr std::int64_t kPageBytes = 6 << 20;
// Pages in memory: one with the reader and one on its way.
constexpr int kPages = 2;
constexpr base::Duration kReadTimeout = seconds(15);
constexpr base::Duration kFirstRetry = milliseconds(50);
constexpr base::Duration kLastRetry = milliseconds(500);
constexpr base::Duration kDeniedRetry = seconds(1);

}  // namespace

WatchSession::WatchSession(EtcdCore& core, std::vector<std::string> prefixes) : core_(core) {
  for (auto& prefix : prefixes) watched_.push_back({.prefix = std::move(prefix), .next = 0, .partial = {}});
}

std::function<void()> WatchSession::consumed() {
  return [&thread = core_.thread, weak = weak_from_this()] {
    thread.post([weak] {
      if (const auto self = weak.lock()) self->page_consumed();
    });
  };
}

void WatchSession::stop() {
  stopped_ = true;
  core_.thread.cancel(retry_);
  close_stream();
}

void WatchSession::close_stream() {
  if (stream_) std::exchange(stream_, nullptr)->close();
}

void WatchSession::connect() {
  core_.connection.when_ready(std::nullopt, false, [self = shared_from_this()](base::Result<LinkPtr> link) {
    if (self->stopped_) return;
    link ? self->connected(*link) : self->failed(link.error());
  });
}

void WatchSession::connected(const LinkPtr& link) {
  link_ = link;
  report({.connected = true, .peer = link->url, .error = {}});
  if (cluster_id_ != 0 && cluster_id_ != link->cluster_id) {
    core_.log.warning("store.other_cluster", "etcd is another cluster than before, reading everything again",
                      {{"endpoint", link->url}});
    synced_ = false;
  }
  cluster_id_ = link->cluster_id;
  synced_ ? check_revision() : begin_snapshot();
}

void WatchSession::report(ConnectionState state) {
  const std::string text = state.error ? state.error->text() : std::string();
  if (reported_connected_ == state.connected && reported_error_ == text) return;
  reported_connected_ = state.connected;
  reported_error_ = text;
  feed_->push(std::move(state));
}

// Everything that goes wrong ends here or in credentials_refused(); then we connect again.
void WatchSession::failed(const base::Error& error) {
  close_stream();
  report({.connected = false, .peer = {}, .error = error});
  backoff_ =
      error.kind() == base::ErrorKind::kDenied ? kDeniedRetry : std::clamp(2 * backoff_, kFirstRetry, kLastRetry);
  core_.thread.cancel(retry_);
  retry_ = core_.thread.after(backoff_, [this] { connect(); });
}

void WatchSession::credentials_refused(base::Error error) {
  if (token_renewed_) return failed(error);
  token_renewed_ = true;
  close_stream();
  core_.connection.token_refused(*link_);
  connect();
}

void WatchSession::read_range(etcdserverpb::RangeRequest request, RangeOperation::Done done) {
  std::make_shared<RangeOperation>(
      core_,
      RangeOperation::Setup{&Link::kv, &etcdserverpb::KV::Stub::AsyncRange, std::move(request),
                            core_.thread.now() + kReadTimeout, false, true},
      std::move(done))
      ->begin();
}

// --- Snapshot ---

void WatchSession::begin_snapshot() {
  close_stream();
  synced_ = false;
  ++snapshot_;
  first_page_ = true;
  page_keys_ = kFirstPageKeys;
  revision_ = 0;
  paging_ = 0;
  page_key_ = watched_.front().prefix;
  for (auto& watched : watched_) watched.partial.clear();
  pages_held_ < kPages ? request_page() : void(page_wanted_ = true);
}

void WatchSession::request_page() {
  page_wanted_ = false;
  page_asked_ = core_.thread.now();
  etcdserverpb::RangeRequest request;
  request.set_key(page_key_);
  request.set_range_end(prefix_end(watched_[paging_].prefix));
  request.set_revision(revision_);
  request.set_limit(page_keys_);
  read_range(std::move(request), [self = shared_from_this(), snapshot = snapshot_](auto result) {
    if (self->stopped_ || snapshot != self->snapshot_) return;
    if (result) return self->page_arrived(*std::move(result));
    if (is_compacted(result.error())) return self->begin_snapshot();
    self->failed(result.error());
  });
}

void WatchSession::page_arrived(Answer<etcdserverpb::RangeResponse> answer) {
  if (answer.link->cluster_id != cluster_id_) return connected(answer.link);
  link_ = answer.link;
  backoff_ = {};
  token_renewed_ = false;
  auto& range = answer.reply;
  core_.metrics.page_seconds.observe(std::chrono::duration<double>(core_.thread.now() - page_asked_).count());
  if (first_page_) {
    first_page_ = false;
    revision_ = range.header().revision();
    feed_->push(SnapshotStart{revision_});
  }
  if (range.kvs_size() > 0) {
    const auto bytes = static_cast<std::int64_t>(range.ByteSizeLong());
    page_keys_ = std::clamp(kPageBytes * range.kvs_size() / bytes, kLeastPageKeys, kMostPageKeys);
  }
  SnapshotPage page;
  page.items.reserve(static_cast<std::size_t>(range.kvs_size()));
  for (auto& kv : *range.mutable_kvs()) page.items.push_back(to_key_value(std::move(kv)));
  const bool more = range.more() && !page.items.empty();
  if (more) {
    page_key_ = page.items.back().key + '\0';
  } else if (++paging_ < watched_.size()) {
    page_key_ = watched_[paging_].prefix;
  }
  const bool last = paging_ == watched_.size();
  if (!page.items.empty()) {
    ++pages_held_;
    // Ask first: the server then works while the page is on its way to the reader.
    if (!last && pages_held_ < kPages) {
      request_page();
    } else if (!last) {
      page_wanted_ = true;
    }
    feed_->push(std::move(page));
  } else if (!last) {
    request_page();
  }
  if (last) snapshot_done();
}

void WatchSession::page_consumed() {
  --pages_held_;
  if (page_wanted_ && !stopped_) request_page();
}

void WatchSession::snapshot_done() {
  core_.metrics.snapshots.add();
  synced_ = true;
  for (auto& watched : watched_) watched.next = revision_ + 1;
  feed_->push(SnapshotDone{revision_});
  open_stream();
}

// --- Watches ---

void WatchSession::check_revision() {
  etcdserverpb::RangeRequest request;
  request.set_key(watched_.front().prefix);
  request.set_limit(1);
  request.set_keys_only(true);
  read_range(std::move(request), [self = shared_from_this(), snapshot = snapshot_](auto result) {
    if (self->stopped_ || snapshot != self->snapshot_) return;
    if (!result) return self->failed(result.error());
    if (result->link->cluster_id != self->cluster_id_) return self->connected(result->link);
    self->link_ = result->link;
    if (result->reply.header().revision() < self->revision_) {
      self->core_.log.warning("store.revision_went_back",
                              "etcd is older than what was read before, reading everything again",
                              {{"revision", result->reply.header().revision()}, {"seen", self->revision_}});
      return self->begin_snapshot();
    }
    self->core_.metrics.resumes.add();
    self->open_stream();
  });
}

void WatchSession::open_stream() {
  watch_ids_.clear();
  created_ = 0;
  std::vector<etcdserverpb::WatchCreateRequest> watches;
  for (auto& watched : watched_) {
    watched.partial.clear();
    auto& create = watches.emplace_back();
    create.set_key(watched.prefix);
    create.set_range_end(prefix_end(watched.prefix));
    create.set_start_revision(watched.next);
    create.set_progress_notify(true);
    create.set_fragment(true);
  }
  stream_ = std::make_shared<WatchStream>(
      core_.thread, link_, std::move(watches),
      WatchStream::Handlers{.response = [this](etcdserverpb::WatchResponse& reply) { response(reply); },
                            .ended = [this](const grpc::Status& status) { stream_ended(status); }});
  stream_->open();
}

void WatchSession::response(etcdserverpb::WatchResponse& reply) {
  const auto self = shared_from_this();
  if (reply.canceled()) return watch_cancelled(reply);
  if (reply.created()) return watch_created(reply);
  watch_events(reply);
}

void WatchSession::watch_created(const etcdserverpb::WatchResponse& reply) {
  watch_ids_.emplace(reply.watch_id(), created_);
  if (++created_ < watched_.size()) return;
  backoff_ = {};
  token_renewed_ = false;
}

void WatchSession::watch_cancelled(const etcdserverpb::WatchResponse& reply) {
  if (reply.compact_revision() > 0) {
    core_.log.info("store.compacted", "etcd has compacted what this watch was waiting for, reading everything again",
                   {{"compact_revision", reply.compact_revision()}, {"seen", revision_}});
    return begin_snapshot();
  }
  const auto& reason = reply.cancel_reason();
  const bool denied = reason.find("permission denied") != reason.npos || reason.find("auth") != reason.npos;
  const base::Error error(
      denied ? base::ErrorKind::kDenied : base::ErrorKind::kUnavailable,
      fmt::format("etcd at {} ended the watch: {}", link_->url, reason.empty() ? "no reason given" : reason));
  // etcd 3.4 calls an expired token "permission denied", too.
  if (denied && !link_->token.empty()) return credentials_refused(error);
  failed(error);
}

void WatchSession::watch_events(etcdserverpb::WatchResponse& reply) {
  const base::Instant received = core_.thread.now();
  const auto at = watch_ids_.find(reply.watch_id());
  if (at == watch_ids_.end()) return;
  Watched& watched = watched_[at->second];
  for (auto& event : *reply.mutable_events()) {
    Change change;
    change.removed = event.type() == mvccpb::Event::DELETE;
    change.item = to_key_value(std::move(*event.mutable_kv()));
    watched.partial.push_back(std::move(change));
  }
  if (reply.fragment()) return;
  if (watched.partial.empty()) {  // a progress notice
    watched.next = std::max(watched.next, reply.header().revision() + 1);
    return;
  }
  Delta delta{.from = revision_, .to = revision_, .changes = std::exchange(watched.partial, {}), .received = received};
  for (const auto& change : delta.changes) delta.to = std::max(delta.to, change.item.mod_revision);
  watched.next = delta.changes.back().item.mod_revision + 1;
  revision_ = delta.to;
  core_.metrics.events.add(delta.changes.size());
  feed_->push(std::move(delta));
}

void WatchSession::stream_ended(const grpc::Status& status) {
  const auto self = shared_from_this();
  stream_.reset();
  if (stopped_) return;
  if (is_stale_token(status)) return credentials_refused(to_error(status, link_->url));
  core_.connection.lost(*link_);
  const base::Error error = status.ok()
                                ? base::Error::unavailable(fmt::format("etcd at {} closed the watch", link_->url))
                                : to_error(status, link_->url);
  core_.log.warning("store.watch_lost", "etcd watch ended, resuming",
                    {{"revision", revision_}, {"error", error.text()}});
  failed(error);
}

}  // namespace store
