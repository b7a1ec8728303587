#include "neutron/compaction.h"

#include <algorithm>
#include <charconv>

namespace neutron {
namespace {

constexpr const char* kTrigger = "/calico/compaction/v1/trigger";
constexpr const char* kLast = "/calico/compaction/v1/last";

}  // namespace

CompactionPlan plan_compaction(const CompactionState& state) {
  if (state.trigger_with_lease) return {};
  if (state.trigger_without_lease || !state.last || *state.last > state.current) return {.write_keys = true, .last = 0};
  const CompactionPlan unchanged{.write_keys = true, .last = *state.last};
  if (state.current <= state.min_revisions) return unchanged;
  const std::int64_t keep = std::max(state.min_revisions, state.current - state.last_written);
  const std::int64_t target = state.current - keep;
  if (target <= *state.last) return unchanged;
  return {.write_keys = true, .last = target, .compact_at = target};
}

void Compaction::lead(bool leader) {
  leader_ = leader;
  context_.loop.cancel(timer_);
  if (leader && settings_.period.count() > 0) check();
}

void Compaction::check() {
  timer_ = context_.loop.after(settings_.period, [this] { check(); });
  context_.store.read({.key = kTrigger, .range_end = {}}, context_.request, context_.loop,
                      [this](const base::Result<store::ReadReply>& reply) {
                        if (!reply || !leader_) return;
                        CompactionState state;
                        state.min_revisions = settings_.min_revisions;
                        state.trigger_with_lease = !reply->items.empty() && reply->items.front().lease != 0;
                        state.trigger_without_lease = !reply->items.empty() && reply->items.front().lease == 0;
                        if (!state.trigger_with_lease) read_last(state);
                      });
}

void Compaction::read_last(CompactionState state) {
  context_.store.read({.key = kLast, .range_end = {}}, context_.request, context_.loop,
                      [this, state](const base::Result<store::ReadReply>& reply) mutable {
                        if (!reply || !leader_) return;
                        state.current = reply->revision;
                        if (!reply->items.empty()) {
                          const store::KeyValue& item = reply->items.front();
                          std::int64_t last = 0;
                          const char* end = item.value.data() + item.value.size();
                          const auto [stop, error] = std::from_chars(item.value.data(), end, last);
                          if (error == std::errc() && stop == end) state.last = last;
                          state.last_written = item.mod_revision;
                        }
                        act(plan_compaction(state), state.current);
                      });
}

void Compaction::act(const CompactionPlan& plan, store::Revision current) {
  if (!plan.write_keys) return;
  if (!plan.compact_at) return write_keys(plan.last);
  context_.store.compact(*plan.compact_at, context_.request, context_.loop,
                         [this, plan, current](const base::Result<store::Revision>& done) {
                           if (done) {
                             context_.log.info("neutron.compacted", "etcd's history was compacted",
                                               {{"revision", *plan.compact_at}});
                             return write_keys(plan.last);
                           }
                           context_.log.warning("neutron.compaction_failed",
                                                "etcd was not compacted; somebody else does it, or our user lacks the "
                                                "root role",
                                                {{"error", done.error().text()}});
                           write_keys(current);
                         });
}

void Compaction::write_keys(std::int64_t last) {
  context_.store.put({.key = kLast, .value = std::to_string(last)}, context_.request, context_.loop,
                     [this](const base::Result<store::WriteReply>& reply) {
                       if (!reply) return;
                       store::PutRequest trigger{.key = kTrigger, .value = std::to_string(settings_.pid)};
                       trigger.time_to_live = settings_.period;
                       context_.store.put(std::move(trigger), context_.request, context_.loop,
                                          [](const base::Result<store::WriteReply>&) {});
                     });
}

}  // namespace neutron
