#include "neutron/writer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/strings.h"

namespace neutron {

std::string guard_value(const std::set<std::string>& keys) {
  return base::join(std::vector<std::string>(keys.begin(), keys.end()), "\n");
}

std::vector<std::string> guarded_keys(const std::string& value) {
  std::vector<std::string> keys;
  for (const std::string_view key : base::split(value, '\n')) {
    if (!key.empty()) keys.emplace_back(key);
  }
  return keys;
}

struct Writer::Job {
  Wish wish;
  Done done;
  std::string guard;
  std::map<std::string, std::optional<store::KeyValue>> keys;  // all that were looked at, without the guard
  std::optional<store::KeyValue> guard_item;
  std::size_t waiting = 0;
  std::optional<base::Error> error;

  void finish(WriteOutcome outcome, std::size_t written = 0, std::string text = {}) {
    done({.outcome = outcome, .keys_written = written, .error = std::move(text)});
  }
};

void Writer::write(Wish wish, Done done) {
  auto job = std::make_shared<Job>();
  job->wish = std::move(wish);
  job->done = std::move(done);
  job->guard = context_.region.guard_key(job->wish.object);
  std::vector<std::string> keys = mirror_.keys_of(job->wish.object);
  for (const auto& [key, desired] : job->wish.translation.keys) keys.push_back(key);
  keys.push_back(job->guard);
  read_keys(job, std::move(keys));
}

void Writer::read_keys(const std::shared_ptr<Job>& job, std::vector<std::string> keys) {
  std::ranges::sort(keys);
  keys.erase(std::ranges::unique(keys).begin(), keys.end());
  job->waiting = keys.size();
  for (auto& key : keys) {
    store::ReadRequest request{.key = key, .range_end = {}};
    context_.store.read(std::move(request), context_.request, context_.loop,
                        [this, job, key](base::Result<store::ReadReply> reply) {
                          if (!reply) {
                            job->error = std::move(reply).error();
                          } else {
                            mirror_.note(reply->revision);
                            std::optional<store::KeyValue> item;
                            if (!reply->items.empty()) item = std::move(reply->items.front());
                            if (key == job->guard)
                              job->guard_item = std::move(item);
                            else
                              job->keys[key] = std::move(item);
                          }
                          if (--job->waiting == 0) all_read(job);
                        });
  }
}

void Writer::all_read(const std::shared_ptr<Job>& job) {
  if (job->error) return job->finish(WriteOutcome::kFailed, 0, job->error->text());
  std::vector<std::string> more;
  if (job->guard_item) {
    for (auto& key : guarded_keys(job->guard_item->value)) {
      if (!job->keys.contains(key)) more.push_back(std::move(key));
    }
  }
  if (!more.empty()) return read_keys(job, std::move(more));
  decide(job);
}

void Writer::decide(const std::shared_ptr<Job>& job) {
  const Wish& wish = job->wish;
  const auto late = [&](const std::optional<store::KeyValue>& item) { return item && item->mod_revision > wish.since; };
  if (late(job->guard_item) || std::ranges::any_of(job->keys, [&](const auto& key) { return late(key.second); })) {
    return job->finish(WriteOutcome::kConflict);
  }
  store::Transaction transaction;
  std::set<std::string> remaining;
  for (const auto& [key, item] : job->keys) {
    transaction.conditions.push_back({key, wish.since});
    const auto desired = wish.translation.keys.find(key);
    if (desired == wish.translation.keys.end()) {
      if (!item) continue;
      if (made_later(item->value, wish.translation.generation) && !wish.accept_older) {
        return job->finish(WriteOutcome::kStale);
      }
      transaction.removals.push_back(key);
      continue;
    }
    if (!item && desired->second.only_update) continue;
    remaining.insert(key);
    std::optional<std::string> stored;
    if (item) stored = item->value;
    Merged merged = merge(stored, desired->second, context_.stamp());
    if (merged.stale && !wish.accept_older) return job->finish(WriteOutcome::kStale);
    if (merged.value) transaction.puts.emplace_back(key, *std::move(merged.value));
  }
  const std::size_t written = transaction.puts.size() + transaction.removals.size();
  if (written == 0 && !wish.touch) return job->finish(WriteOutcome::kDone);
  transaction.conditions.push_back({job->guard, wish.since});
  for (const ObjectId& other : wish.translation.refers_to) {
    if (other != wish.object) transaction.conditions.push_back({context_.region.guard_key(other), wish.since});
  }
  transaction.puts.emplace_back(job->guard, guard_value(remaining));
  commit(job, std::move(transaction), written);
}

void Writer::commit(const std::shared_ptr<Job>& job, store::Transaction transaction, std::size_t written) {
  context_.store.commit(std::move(transaction), context_.request, context_.loop,
                        [this, job, written](base::Result<store::Revision> done) {
                          if (done) {
                            mirror_.note(*done);
                            return job->finish(WriteOutcome::kDone, written);
                          }
                          const bool conflict = done.error().kind() == base::ErrorKind::kConflict;
                          job->finish(conflict ? WriteOutcome::kConflict : WriteOutcome::kFailed, 0,
                                      done.error().text());
                        });
}

void Writer::touch(const ObjectId& object, Done done) {
  auto job = std::make_shared<Job>();
  job->done = std::move(done);
  store::Transaction transaction;
  transaction.puts.emplace_back(context_.region.guard_key(object), "");
  commit(job, std::move(transaction), 0);
}

}  // namespace neutron
