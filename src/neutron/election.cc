#include "neutron/election.h"

#include <charconv>
#include <utility>

namespace neutron {
namespace {

constexpr base::Duration kFollow = std::chrono::seconds(20);  // look even without an event
constexpr base::Duration kRetry = std::chrono::seconds(1);    // plus up to a second

// "host:123"; nothing for other texts, which count as a living leader.
std::optional<std::pair<std::string, int>> parse_value(const std::string& value) {
  const auto colon = value.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  int pid = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data() + colon + 1, end, pid);
  if (error != std::errc() || stop != end || pid <= 0) return std::nullopt;
  return std::pair{value.substr(0, colon), pid};
}

}  // namespace

void Election::start() { look(); }

void Election::again(base::Duration delay) {
  context_.loop.cancel(timer_);
  timer_ = context_.loop.after(delay, [this] { leader_ ? refresh() : look(); });
}

void Election::wake() {
  if (leader_ || busy_ || stopped_) return;
  if (mirror_.find(context_.region.election_key()) == nullptr) again(base::Duration(0));
}

void Election::look() {
  if (stopped_ || busy_) return;
  busy_ = true;
  context_.store.read({.key = context_.region.election_key(), .range_end = {}}, context_.request, context_.loop,
                      [this](const base::Result<store::ReadReply>& reply) {
                        busy_ = false;
                        looked(reply);
                      });
}

void Election::looked(const base::Result<store::ReadReply>& reply) {
  if (stopped_) return;
  if (!reply) return again(kRetry);
  mirror_.note(reply->revision);
  if (reply->items.empty()) return write(store::Condition::kAbsent, 0);
  const store::KeyValue& item = reply->items.front();
  const auto holder = parse_value(item.value);
  if (holder && holder->first == settings_.name && !settings_.process_exists(holder->second)) return remove_dead(item);
  again(kFollow);
}

// A process of this host that died without giving the key up.
void Election::remove_dead(const store::KeyValue& item) {
  busy_ = true;
  context_.store.remove({.key = item.key, .expected = item.mod_revision}, context_.request, context_.loop,
                        [this](const base::Result<store::WriteReply>& reply) {
                          busy_ = false;
                          if (!stopped_) again(reply ? base::Duration(0) : kRetry);
                        });
}

// The key has to be written again each time, not only its lease kept: followers of upstream wait for an event.
void Election::refresh() {
  if (!stopped_ && !busy_) write(store::Condition::kUnmodified, ours_);
}

void Election::write(store::Condition condition, store::Revision expected) {
  busy_ = true;
  store::PutRequest put{.key = context_.region.election_key(), .value = value()};
  put.condition = condition;
  put.expected = expected;
  put.time_to_live = kLease;
  context_.store.put(std::move(put), context_.request, context_.loop,
                     [this](const base::Result<store::WriteReply>& reply) {
                       busy_ = false;
                       written(reply);
                     });
}

void Election::written(const base::Result<store::WriteReply>& reply) {
  if (stopped_) return;
  if (!reply || reply->status != store::WriteStatus::kDone) {
    set_leader(false);
    return again(kRetry + std::chrono::duration_cast<base::Duration>(kRetry * settings_.jitter()));
  }
  mirror_.note(reply->revision);
  ours_ = reply->revision;
  // For upstream's drivers of before there were regions; nobody depends on its success.
  store::PutRequest legacy{.key = "/calico/openstack/v1/neutron_election", .value = value()};
  legacy.time_to_live = kLease;
  context_.store.put(std::move(legacy), context_.request, context_.loop, [](const base::Result<store::WriteReply>&) {});
  set_leader(true);
  again(kRefresh);
}

void Election::set_leader(bool leader) {
  if (leader_ == leader) return;
  leader_ = leader;
  context_.log.info("neutron.leader", leader ? "This bridge leads the region" : "This bridge leads no more",
                    {{"name", value()}});
  changed_(leader);
}

void Election::stop(std::function<void()> done) {
  stopped_ = true;
  context_.loop.cancel(timer_);
  if (!leader_) return done();
  leader_ = false;
  context_.store.remove({.key = context_.region.election_key(), .expected = ours_}, context_.request, context_.loop,
                        [done = std::move(done)](const base::Result<store::WriteReply>&) { done(); });
}

}  // namespace neutron
