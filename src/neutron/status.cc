#include "neutron/status.h"

#include <boost/json/parse.hpp>

#include <utility>
#include <vector>

#include "base/strings.h"

namespace neutron {

std::optional<StatusKey> parse_status_key(std::string_view rest) {
  const auto parts = base::split(rest, '/');
  if (parts.size() == 2 && parts[1] == "status") return StatusKey{std::string(parts[0]), ""};
  if (parts.size() == 6 && parts[1] == "workload" && parts[2] == "openstack" && parts[4] == "endpoint") {
    return StatusKey{std::string(parts[0]), std::string(parts[5])};
  }
  return std::nullopt;
}

std::string_view neutron_status(const std::string& value) {
  boost::system::error_code error;
  const json::value parsed = json::parse(value, error);
  if (error || !parsed.is_object()) return "ERROR";
  const auto status = text(parsed.get_object(), "status");
  if (status == "up") return "ACTIVE";
  if (status == "down") return "DOWN";
  return "ERROR";
}

void StatusKeeper::lead(bool leader) {
  ++term_;
  subscription_.reset();
  loaded_ = in_snapshot_ = false;
  statuses_.clear();
  old_.clear();
  bound_.clear();
  pending_.clear();
  ready_.clear();
  under_way_ = 0;
  heartbeats_.clear();
  if (!leader) return;
  subscription_ = context_.store.subscribe({context_.region.status_prefix()}, context_.loop,
                                           [this](store::StoreEvent event) { handle(std::move(event)); });
}

void StatusKeeper::handle(store::StoreEvent event) {
  if (std::get_if<store::SnapshotStart>(&event) != nullptr) {
    in_snapshot_ = true;
    old_.clear();
    for (const auto& [port, hosts] : statuses_) {
      for (const auto& [host, status] : hosts) old_.emplace(port, host);
    }
  } else if (const auto* page = std::get_if<store::SnapshotPage>(&event)) {
    for (const auto& item : page->items) take(item, false);
  } else if (std::get_if<store::SnapshotDone>(&event) != nullptr) {
    const auto gone = std::exchange(old_, {});
    for (const auto& [port, host] : gone) {
      statuses_[port].erase(host);
      if (host_of(port) == host) enqueue(port, "ERROR", host);
    }
    loaded_ = true;
    in_snapshot_ = false;
  } else if (const auto* delta = std::get_if<store::Delta>(&event)) {
    for (const auto& change : delta->changes) take(change.item, change.removed);
  }
}

void StatusKeeper::take(const store::KeyValue& item, bool removed) {
  const auto key = parse_status_key(std::string_view(item.key).substr(context_.region.status_prefix().size()));
  if (!key) return;
  if (key->port.empty()) {
    if (!removed) return heartbeat(key->host, item);
    return context_.log.error("neutron.agent_silent", "An agent has stopped reporting", {{"host", key->host}});
  }
  old_.erase({key->port, key->host});
  const std::string_view status = removed ? "ERROR" : neutron_status(item.value);
  auto& hosts = statuses_[key->port];
  const auto known = hosts.find(key->host);
  const bool same = known != hosts.end() && known->second == status;
  if (removed) {
    hosts.erase(key->host);
    if (hosts.empty()) statuses_.erase(key->port);
  } else {
    hosts[key->host] = status;
  }
  // Of a snapshot only what is news; before the first one is complete nothing: the resync compares.
  if (!loaded_ || (same && !old_.empty())) return;
  if (host_of(key->port) == key->host) enqueue(key->port, status, key->host);
}

std::optional<std::string> StatusKeeper::host_of(const std::string& port) const {
  const std::string prefix = context_.region.endpoint_prefix();
  for (const auto& key : mirror_.keys_of({Kind::kPort, port})) {
    if (!key.starts_with(prefix)) continue;
    if (auto parts = parse_endpoint_name(std::string_view(key).substr(prefix.size()))) return std::move(parts->host);
  }
  return std::nullopt;
}

void StatusKeeper::endpoint_changed(const std::string& key) {
  if (!loaded_ || !key.starts_with(context_.region.endpoint_prefix())) return;
  const auto parts = parse_endpoint_name(std::string_view(key).substr(context_.region.endpoint_prefix().size()));
  if (!parts) return;
  const auto host = host_of(parts->port);
  if (!host) {
    bound_.erase(parts->port);
    return enqueue(parts->port, "DOWN", parts->host);
  }
  if (std::exchange(bound_[parts->port], *host) == *host) return;  // an update in place
  const auto hosts = statuses_.find(parts->port);
  if (hosts == statuses_.end()) return;
  if (const auto status = hosts->second.find(*host); status != hosts->second.end()) {
    enqueue(parts->port, status->second, *host);
  }
}

bool StatusKeeper::compare(const std::string& port, std::string_view status, bool has_endpoint) {
  if (!loaded_) return false;
  if (!has_endpoint) {
    if (status != "ACTIVE") return false;
    enqueue(port, "DOWN", "");
    return true;
  }
  const auto host = host_of(port);
  const auto hosts = statuses_.find(port);
  if (!host || hosts == statuses_.end()) return false;
  const auto said = hosts->second.find(*host);
  if (said == hosts->second.end() || said->second == status) return false;
  enqueue(port, said->second, *host);
  return true;
}

void StatusKeeper::enqueue(const std::string& port, std::string_view status, const std::string& host) {
  Pending& pending = pending_[port];
  if (!pending.statuses.empty() && pending.statuses.back().first == status) return;
  pending.statuses.emplace_back(status, host);
  // A flap must be seen as one, but not every one of many: the last ones tell the same story.
  while (pending.statuses.size() > kMostPending)
    pending.statuses.erase(pending.statuses.begin(), pending.statuses.begin() + 2);
  if (!pending.under_way && pending.statuses.size() == 1) ready_.push_back(port);
  pump();
}

void StatusKeeper::pump() {
  while (!ready_.empty() && under_way_ < kAtOnce) {
    const std::string port = std::move(ready_.front());
    ready_.pop_front();
    send(port);
  }
}

void StatusKeeper::send(const std::string& port) {
  const auto found = pending_.find(port);
  if (found == pending_.end() || found->second.under_way) return;
  found->second.under_way = true;
  auto [status, host] = std::move(found->second.statuses.front());
  found->second.statuses.pop_front();
  ++under_way_;
  json::object call{{"call", "set_port_status"}, {"port_id", port}, {"status", status}, {"host", host}};
  work_.call(std::move(call), [this, port, status, host, term = term_](const base::Result<json::value>& answer) {
    if (term != term_) return;
    --under_way_;
    const auto pending = pending_.find(port);
    pending->second.under_way = false;
    if (!answer && pending->second.statuses.empty()) pending->second.statuses.emplace_front(status, host);
    if (pending->second.statuses.empty()) {
      pending_.erase(pending);
    } else if (answer) {
      ready_.push_back(port);
    } else {
      context_.loop.after(kRetry, [this, port, term] {
        if (term != term_) return;
        ready_.push_back(port);
        pump();
      });
    }
    pump();
  });
}

void StatusKeeper::wake() { pump(); }

// --- Heartbeats: the newest of each host, one call at a time ---

void StatusKeeper::heartbeat(const std::string& host, const store::KeyValue& item) {
  Heartbeat& heart = heartbeats_[host];
  if (item.mod_revision <= heart.seen) return;
  heart.seen = item.mod_revision;
  boost::system::error_code error;
  const json::value value = json::parse(item.value, error);
  if (error || !value.is_object()) {
    return context_.log.error("neutron.bad_heartbeat", "An agent's report is no JSON object", {{"host", host}});
  }
  heart.start |= flag(value.get_object(), "first_update", false);
  heart.found = in_snapshot_ ? std::string(text(value.get_object(), "time")) : std::string();
  heart.waiting = true;
  send_heartbeat(host);
}

void StatusKeeper::send_heartbeat(const std::string& host) {
  Heartbeat& heart = heartbeats_[host];
  if (!heart.waiting || heart.under_way) return;
  heart.waiting = false;
  heart.under_way = true;
  const bool start = std::exchange(heart.start, false);
  json::object call{{"call", "report_agent"}, {"host", host}, {"start", start}};
  if (!heart.found.empty()) call["time"] = heart.found;
  work_.call(std::move(call), [this, host, term = term_](const base::Result<json::value>&) {
    if (term != term_) return;
    heartbeats_[host].under_way = false;  // a lost report is replaced by the next one, 30 s later
    send_heartbeat(host);
  });
}

}  // namespace neutron
