#include "ipam/access.h"

#include <algorithm>
#include <utility>

namespace ipam {
namespace {

constexpr int kLongestStep = 7;
constexpr base::Duration kFirstPause = std::chrono::milliseconds(4);
// Between attempts to reach a datastore that is away: it restarts in seconds, and many may be waiting for it.
constexpr base::Duration kOutagePause = std::chrono::milliseconds(250);

}  // namespace

void Backoff::wait() {
  const double longest = static_cast<double>(kFirstPause.count()) * static_cast<double>(1 << step_);
  step_ = std::min(step_ + 1, kLongestStep);
  sources_.pause(base::Duration(static_cast<std::int64_t>(longest * sources_.jitter())));
}

Access::Access(store::BlockingStore& store, Sources sources, Patience patience)
    : store_(store), sources_(std::move(sources)), patience_(patience) {}

template <typename T>
base::Result<T> Access::persist(const std::function<base::Result<T>()>& call,
                                const std::function<std::optional<T>()>& before_repeat) {
  const base::Instant began = sources_.now();
  while (true) {
    auto result = call();
    if (result || result.error().kind() != base::ErrorKind::kUnavailable) return result;
    if (sources_.now() - began >= patience_.outage) return result;
    sources_.pause(kOutagePause / 2 + base::Duration(static_cast<std::int64_t>(
                                          static_cast<double>(kOutagePause.count()) * sources_.jitter())));
    if (before_repeat == nullptr) continue;
    if (auto settled = before_repeat()) return *std::move(settled);
  }
}

base::Result<std::optional<store::KeyValue>> Access::get(const std::string& key) {
  using Found = std::optional<store::KeyValue>;
  return persist<Found>([&]() -> base::Result<Found> {
    auto item = store_.get(key);
    if (item) return Found(*std::move(item));
    if (item.error().kind() == base::ErrorKind::kNotFound) return Found();
    return base::fail(std::move(item).error());
  });
}

base::Result<store::Listing> Access::list(const std::string& prefix) {
  return persist<store::Listing>([&] { return store_.list(prefix); });
}

base::Result<store::Listing> Access::list_keys(const std::string& prefix) {
  return persist<store::Listing>([&] { return store_.list_keys(prefix); });
}

base::Result<WriteResult> Access::write(const std::string& key, const std::string& value, store::Revision expected) {
  bool unanswered = false;
  const auto judge = [&](const std::optional<store::KeyValue>& current) -> WriteResult {
    if (current && current->value == value) return {Written::kDone, current->mod_revision};
    return {Written::kUnclear, 0};
  };
  return persist<WriteResult>(
      [&]() -> base::Result<WriteResult> {
        const auto reply = expected == 0 ? store_.create(key, value) : store_.update(key, value, expected);
        if (!reply) return base::fail(reply.error());
        if (reply->status == store::WriteStatus::kDone) return WriteResult{Written::kDone, reply->revision};
        // An earlier attempt of ours may be what refuses this one.
        if (unanswered) return judge(reply->current);
        return WriteResult{Written::kRefused, 0};
      },
      [&]() -> std::optional<WriteResult> {
        unanswered = true;
        const auto item = store_.get(key);
        if (!item && item.error().kind() != base::ErrorKind::kNotFound) return std::nullopt;  // still away
        const bool untouched = item ? item->mod_revision == expected : expected == 0;
        if (untouched) return std::nullopt;
        return judge(item ? std::optional(*item) : std::nullopt);
      });
}

base::Result<WriteResult> Access::create(const std::string& key, const std::string& value) {
  return write(key, value, 0);
}

base::Result<WriteResult> Access::update(const std::string& key, const std::string& value, store::Revision expected) {
  return write(key, value, expected);
}

base::Result<WriteResult> Access::remove(const std::string& key, store::Revision expected) {
  bool unanswered = false;
  return persist<WriteResult>(
      [&]() -> base::Result<WriteResult> {
        const auto reply = store_.remove(key, expected);
        if (!reply) return base::fail(reply.error());
        const bool gone = reply->status == store::WriteStatus::kDone || reply->status == store::WriteStatus::kNotFound;
        if (gone) return WriteResult{Written::kDone, reply->revision};
        return WriteResult{unanswered ? Written::kUnclear : Written::kRefused, 0};
      },
      [&]() -> std::optional<WriteResult> {
        unanswered = true;
        return std::nullopt;
      });
}

base::Result<void> Access::put(const std::string& key, const std::string& value) {
  const auto done = persist<store::Revision>([&]() -> base::Result<store::Revision> {
    auto reply = store_.put(key, value);
    if (!reply) return base::fail(std::move(reply).error());
    return reply->revision;
  });
  if (!done) return base::fail(done.error());
  return {};
}

}  // namespace ipam
