#include "neutron/guard_sweeper.h"

#include <utility>

namespace neutron {
namespace {

constexpr std::size_t kAtOnce = 100;  // in a transaction

}  // namespace

void GuardSweeper::lead(bool leader) {
  leader_ = leader;
  context_.loop.cancel(timer_);
  seen_.clear();
  if (leader) timer_ = context_.loop.after(kPeriod, [this] { sweep(); });
}

void GuardSweeper::sweep() {
  timer_ = context_.loop.after(kPeriod, [this] { sweep(); });
  const std::string prefix = context_.region.guard_prefix();
  context_.store.read({.key = prefix, .range_end = store::prefix_end(prefix), .keys_only = true}, context_.request,
                      context_.loop, [this](const base::Result<store::ReadReply>& reply) { swept(reply); });
}

void GuardSweeper::swept(const base::Result<store::ReadReply>& reply) {
  if (!reply || !leader_) return;
  std::map<std::string, store::Revision> now;
  old_.clear();
  for (const auto& item : reply->items) {
    const auto before = seen_.find(item.key);
    if (before != seen_.end() && before->second == item.mod_revision)
      old_.emplace_back(item.key, item.mod_revision);
    else
      now.emplace(item.key, item.mod_revision);
  }
  seen_ = std::move(now);
  remove_next();
}

void GuardSweeper::remove_next() {
  if (old_.empty()) return;
  store::Transaction transaction;
  while (!old_.empty() && transaction.removals.size() < kAtOnce) {
    auto [key, revision] = std::move(old_.back());
    old_.pop_back();
    transaction.conditions.push_back({key, revision});
    transaction.removals.push_back(std::move(key));
  }
  // Refused if one of them was written meanwhile: the next sweep finds the others again.
  context_.store.commit(std::move(transaction), context_.request, context_.loop,
                        [this](const base::Result<store::Revision>&) { remove_next(); });
}

}  // namespace neutron
