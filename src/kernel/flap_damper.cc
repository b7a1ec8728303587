#include "kernel/flap_damper.h"

#include <algorithm>
#include <utility>

namespace kernel {

void FlapDamper::push(const std::string& interface, LinkUpdate update, bool delayed, base::Instant now) {
  const auto found = queues_.find(interface);
  if (found == queues_.end() && !delayed) return deliver_(interface, update);
  if (const auto* change = std::get_if<AddressChange>(&update); change && change->present && found != queues_.end()) {
    std::deque<Waiting>& queue = found->second;
    const auto deletion = std::find_if(queue.begin(), queue.end(), [&](const Waiting& waiting) {
      const auto* other = std::get_if<AddressChange>(&waiting.update);
      return other && !other->present && other->address == change->address;
    });
    if (deletion != queue.end()) {
      queue.erase(deletion);
      if (queue.empty()) queues_.erase(found);
      return;
    }
  }
  queues_[interface].push_back({.ready = delayed ? now + kDelay : now, .update = std::move(update)});
}

void FlapDamper::release(base::Instant now) {
  for (auto it = queues_.begin(); it != queues_.end();) {
    std::deque<Waiting>& queue = it->second;
    while (!queue.empty() && queue.front().ready <= now) {
      const Waiting waiting = std::move(queue.front());
      queue.pop_front();
      deliver_(it->first, waiting.update);
    }
    it = queue.empty() ? queues_.erase(it) : std::next(it);
  }
}

std::optional<base::Instant> FlapDamper::next_due() const {
  std::optional<base::Instant> due;
  for (const auto& [interface, queue] : queues_) due = due ? std::min(*due, queue.front().ready) : queue.front().ready;
  return due;
}

}  // namespace kernel
