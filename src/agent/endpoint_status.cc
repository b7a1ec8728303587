#include "agent/endpoint_status.h"

#include <algorithm>

#include "base/check.h"

namespace agent {

void StatusTable::enqueue(const std::string& key) {
  if (queued_.insert(key).second) queue_.push_back(key);
}

void StatusTable::set(const std::string& key, std::string value) {
  std::string& wanted = wanted_[key];
  if (wanted == value) return;
  wanted = std::move(value);
  enqueue(key);
}

void StatusTable::clear(const std::string& key) {
  wanted_.erase(key);
  enqueue(key);
}

StatusWrites StatusTable::next(std::size_t limit) {
  CHECK(in_flight_.empty());
  while (!queue_.empty() && in_flight_.size() < limit) {
    const std::string key = std::move(queue_.front());
    queue_.pop_front();
    queued_.erase(key);
    const auto wanted = wanted_.find(key);
    const auto known = known_.find(key);
    if (wanted == wanted_.end()) {
      in_flight_.removals.push_back(key);
    } else if (known == known_.end() || known->second != wanted->second) {
      in_flight_.puts.emplace_back(key, wanted->second);
    }
  }
  return in_flight_;
}

void StatusTable::written(bool succeeded) {
  const StatusWrites done = std::exchange(in_flight_, {});
  for (const auto& [key, value] : done.puts) {
    if (succeeded) known_[key] = value;
    if (!succeeded) enqueue(key);
  }
  for (const std::string& key : done.removals) {
    if (succeeded) known_.erase(key);
    if (!succeeded) enqueue(key);
  }
}

void StatusTable::observe(const std::vector<std::pair<std::string, std::string>>& listed) {
  CHECK(in_flight_.empty());
  known_.clear();
  for (const auto& [key, value] : listed) {
    known_[key] = value;
    const auto wanted = wanted_.find(key);
    if (wanted == wanted_.end() || wanted->second != value) enqueue(key);
  }
  for (const auto& [key, value] : wanted_) {
    if (!known_.contains(key)) enqueue(key);
  }
}

EndpointStatusReporter::EndpointStatusReporter(base::Loop& loop, StatusStore& store, base::Log& log,
                                               base::MetricRegistry& metrics, EndpointStatusOptions options,
                                               std::function<double()> jitter)
    : loop_(loop),
      store_(store),
      log_(log),
      options_(std::move(options)),
      jitter_(std::move(jitter)),
      writes_(metrics.counter("percale_status_writes", "Transactions with endpoint statuses.")),
      failures_(metrics.counter("percale_status_write_failures",
                                "Endpoint status transactions that failed, to be repeated.")) {}

EndpointStatusReporter::~EndpointStatusReporter() {
  loop_.cancel(write_timer_);
  loop_.cancel(resync_timer_);
}

base::Duration EndpointStatusReporter::tick() const {
  const base::Duration delay = std::max(options_.delay, kMinDelay);
  return delay + base::Duration(static_cast<std::int64_t>(static_cast<double>(delay.count()) * 0.1 * jitter_()));
}

void EndpointStatusReporter::set(const std::string& key, std::string value) {
  table_.set(key, std::move(value));
  schedule();
}

void EndpointStatusReporter::clear(const std::string& key) {
  table_.clear(key);
  schedule();
}

void EndpointStatusReporter::in_sync() {
  if (in_sync_) return;
  in_sync_ = true;
  resync_due_ = true;
  schedule();
}

void EndpointStatusReporter::schedule() {
  if (busy_ || write_timer_ != base::TimerId{}) return;
  if (!resync_due_ && !table_.has_work()) return;
  // Even without delay in a turn of its own: what the data plane says in one go is then written in one go.
  write_timer_ = loop_.after(next_write_ - loop_.now(), [this] {
    write_timer_ = {};
    resync_due_ ? resync() : write();
  });
}

void EndpointStatusReporter::write() {
  StatusWrites writes = table_.next(kBatch);
  if (writes.empty()) {
    table_.written(true);
    return schedule();
  }
  busy_ = true;
  next_write_ = loop_.now() + tick();
  const std::size_t count = writes.size();
  store_.write(std::move(writes), [this, count](base::Result<> result) {
    busy_ = false;
    table_.written(result.has_value());
    writes_.add();
    if (!result) {
      failures_.add();
      if (!failing_) {
        log_.warning("status.write_failed",
                     "Endpoint statuses cannot be written; they will be when the datastore is back",
                     {{"error", result.error().text()}, {"keys", count}});
      }
    } else if (failing_) {
      log_.info("status.write_recovered", "Endpoint statuses are written again");
    }
    failing_ = !result;
    schedule();
  });
}

void EndpointStatusReporter::resync() {
  busy_ = true;
  next_write_ = loop_.now() + tick();
  resynced({}, 0);
}

void EndpointStatusReporter::resynced(std::vector<std::pair<std::string, std::string>> so_far,
                                      std::size_t next_prefix) {
  if (next_prefix < options_.prefixes.size()) {
    store_.list(options_.prefixes[next_prefix], [this, so_far = std::move(so_far), next_prefix](auto listed) mutable {
      if (!listed) {
        log_.debug("status.list_failed", "Own status keys cannot be read yet", {{"error", listed.error().text()}});
        busy_ = false;
        // Statuses must not wait for the comparison; it is tried again with the next one.
        resync_due_ = false;
        loop_.cancel(resync_timer_);
        resync_timer_ = loop_.after(tick(), [this] {
          resync_due_ = true;
          schedule();
        });
        return schedule();
      }
      so_far.insert(so_far.end(), std::make_move_iterator(listed->begin()), std::make_move_iterator(listed->end()));
      resynced(std::move(so_far), next_prefix + 1);
    });
    return;
  }
  table_.observe(so_far);
  busy_ = false;
  resync_due_ = false;
  next_write_ = loop_.now();  // listing costs the datastore no commit
  loop_.cancel(resync_timer_);
  resync_timer_ = loop_.after(tick() * kTicksBetweenResyncs, [this] {
    resync_due_ = true;
    schedule();
  });
  schedule();
}

}  // namespace agent
