#include "neutron/resync.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

#include "neutron/translate/cluster.h"
#include "neutron/translate/port.h"
#include "neutron/translate/security_group.h"
#include "neutron/translate/subnet.h"
#include "neutron/writer.h"

namespace neutron {
namespace {

constexpr std::size_t kMostOperations = 100;  // etcd takes 128 in a transaction
constexpr std::size_t kMostConditions = 120;  // likewise
constexpr std::size_t kAgainAtOnce = 100;     // objects looked at once more in one exchange
constexpr std::size_t kMostDifferences = 1000;
constexpr std::size_t kMostWarnings = 100;
constexpr int kConfigAttempts = 5;

std::int64_t milliseconds(base::Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

std::string without_dashes(std::string uid) {
  std::erase(uid, '-');
  return uid;
}

}  // namespace

// One transaction of several objects.
struct Resync::Batch {
  std::map<std::string, store::Revision> conditions;
  store::Transaction transaction;
  std::vector<ObjectId> objects;
  std::size_t created = 0, updated = 0, deleted = 0;
};

struct Resync::Phase {
  std::string_view name;    // in the result
  std::string_view plural;  // in a SPEC
  Kind kind = Kind::kPort;
  std::vector<std::string> prefixes = {};

  std::string after = {};
  std::unordered_set<std::string> listed = {};
  std::vector<ObjectId> again = {};
  std::size_t neutron_items = 0, etcd_items = 0, correct = 0, created = 0, updated = 0, deleted = 0;
  std::string error = {};
  base::Instant began{};
};

struct Resync::Run {
  ResyncOptions options;
  std::function<void(json::object)> done;
  base::Instant began{};
  std::string started_at;
  base::Duration in_neutron{0};
  std::vector<Phase> phases;
  std::size_t phase = 0;
  // The page at hand.
  store::Revision since = 0;
  bool more = false;
  std::shared_ptr<Batch> batch;
  std::size_t waiting = 0;
  // The result.
  json::object results;
  json::array differences;
  json::array warnings;
  std::size_t statuses = 0;
  std::string error;
  std::string deserted = {};  // why, if no worker came to answer a phase

  Phase& now() { return phases[phase]; }
};

Resync::Resync(Context& context, Mirror& mirror, Repairs& repairs, WorkQueue& work, Ports ports)
    : context_(context), mirror_(mirror), repairs_(repairs), work_(work), ports_(std::move(ports)) {}

Resync::~Resync() = default;

void Resync::start(ResyncOptions options, std::function<void(json::object)> done) {
  run_ = std::make_unique<Run>();
  run_->options = std::move(options);
  run_->done = std::move(done);
  run_->began = context_.loop.now();
  run_->started_at = rfc3339(context_.loop.wall());
  const Region& region = context_.region;
  run_->phases = {{"subnets", "subnets", Kind::kSubnet, {region.subnet_prefix()}},
                  {"address_groups", "address_groups", Kind::kAddressGroup, {region.network_set_prefix()}},
                  {"policy", "security_groups", Kind::kSecurityGroup, {region.policy_prefix()}},
                  {"endpoints", "ports", Kind::kPort, {region.live_migration_prefix(), region.endpoint_prefix()}},
                  {"config", "", Kind::kNetwork, {}}};
  next_phase();
}

void Resync::next_phase() {
  if (run_->phase == run_->phases.size()) return finish();
  Phase& phase = run_->now();
  phase.began = context_.loop.now();
  if (phase.plural.empty()) return config_phase();
  // The phase before has waited for a worker long enough.
  if (!run_->deserted.empty() && work_.workers() == 0) return phase_failed(run_->deserted);
  if (!mirror_.ready() || !mirror_.connected()) {
    return phase_failed(mirror_.connected() ? "etcd has not been read yet" : mirror_.problem());
  }
  for (const auto& prefix : phase.prefixes) {
    mirror_.each(prefix, [&](const std::string& key, const Mirror::Entry&) {
      const auto owner = context_.region.owner(key);
      if (owner && owner->kind == phase.kind) ++phase.etcd_items;
    });
  }
  next_page();
}

void Resync::next_page() {
  Phase& phase = run_->now();
  json::object spec{{"kind", to_json(phase.plural)}, {"limit", kPage}};
  if (!phase.after.empty()) spec["after"] = phase.after;
  run_->since = mirror_.reached();
  const base::Instant asked = context_.loop.now();
  work_.call({{"call", "list"}, {"spec", std::move(spec)}}, [this, asked](base::Result<json::value> answer) {
    run_->in_neutron += context_.loop.now() - asked;
    if (!answer) {
      if (work_.workers() == 0) run_->deserted = answer.error().text();
      return phase_failed(answer.error().text());
    }
    take_page(*answer);
  });
}

void Resync::take_page(const json::value& data) {
  Phase& phase = run_->now();
  const Answer answer(data);
  const json::array& objects = phase.kind == Kind::kPort            ? answer.ports()
                               : phase.kind == Kind::kSecurityGroup ? answer.security_groups()
                               : phase.kind == Kind::kSubnet        ? answer.subnets()
                                                                    : answer.address_groups();
  run_->more = false;
  run_->waiting = 1;  // this function
  const std::string before = phase.after;
  for (const auto& value : objects) {
    const auto* object = value.if_object();
    if (object == nullptr || text(*object, "id").empty()) continue;
    phase.after = std::max(phase.after, std::string(text(*object, "id")));
    take_object(*object, answer);
  }
  run_->more = answer.more() && phase.after > before;
  flush();
  if (--run_->waiting == 0) page_done();
}

Translation Resync::translate(const json::object& object, const Answer& answer) const {
  switch (run_->now().kind) {
    case Kind::kSubnet: return translate_subnet(object, context_.region);
    case Kind::kAddressGroup: return translate_address_group(object, context_.region);
    case Kind::kSecurityGroup: return translate_security_group(object, context_.region);
    case Kind::kPort: return translate_port(object, answer, context_.region, context_.port);
    case Kind::kNetwork: break;
  }
  return {};
}

void Resync::take_object(const json::object& object, const Answer& answer) {
  Phase& phase = run_->now();
  const ObjectId id{phase.kind, std::string(text(object, "id"))};
  phase.listed.insert(id.id);
  Translation wish = translate(object, answer);
  for (const auto& note : wish.notes) warn(note);
  const std::vector<std::string> existing = mirror_.keys_of(id);
  if (phase.kind == Kind::kPort && ports_.port_status && is_endpoint_owner(text(object, "device_owner"))) {
    if (ports_.port_status(id.id, text(object, "status"), !wish.keys.empty())) ++run_->statuses;
  }
  if (!wish.keys.empty()) ++phase.neutron_items;
  if (phase.kind == Kind::kPort && is_without_port_security(object) && !wish.keys.empty()) {
    // Written once; nobody but an operator removes it.
    const std::string key = context_.region.open_policy_key();
    if (mirror_.find(key) == nullptr && !run_->options.dry_run) {
      context_.store.put({.key = key,
                          .value = *merge({}, open_policy(context_.region), context_.stamp()).value,
                          .condition = store::Condition::kAbsent},
                         context_.request, context_.loop, [](const base::Result<store::WriteReply>&) {});
    }
  }

  // What was written since the page was asked for may have been made from a later state than the page's.
  const auto since_page = [&](const Mirror::Entry& entry) { return entry.revision > run_->since; };
  for (const auto& key : existing) {
    if (wish.keys.contains(key)) continue;
    const Mirror::Entry& entry = *mirror_.find(key);
    if (since_page(entry) || made_later(entry.value, wish.generation)) return phase.again.push_back(id);
  }

  Batch edits;
  std::set<std::string> remaining;
  for (const auto& [key, desired] : wish.keys) {
    const Mirror::Entry* entry = mirror_.find(key);
    if (entry == nullptr && desired.only_update) continue;
    remaining.insert(key);
    std::optional<std::string> stored;
    if (entry != nullptr) stored = entry->value;
    Merged merged = merge(stored, desired, context_.stamp());
    if (!merged.value) {
      ++phase.correct;
      continue;
    }
    if (merged.stale || (entry != nullptr && since_page(*entry))) return phase.again.push_back(id);
    difference(key, entry == nullptr ? "create" : "update", merged.members);
    edits.conditions.emplace(key, entry == nullptr ? 0 : entry->revision);
    edits.transaction.puts.emplace_back(key, *std::move(merged.value));
    ++(entry == nullptr ? edits.created : edits.updated);
  }
  for (const auto& key : existing) {
    if (wish.keys.contains(key)) continue;
    difference(key, "delete", {});
    edits.conditions.emplace(key, mirror_.find(key)->revision);
    edits.transaction.removals.push_back(key);
    ++edits.deleted;
  }
  if (edits.transaction.puts.empty() && edits.transaction.removals.empty()) return;
  if (run_->options.dry_run) {
    phase.created += edits.created;
    phase.updated += edits.updated;
    phase.deleted += edits.deleted;
    return;
  }
  const std::string guard = context_.region.guard_key(id);
  // The guard names keys that the mirror may not show yet: not if it was written in what the mirror shows.
  edits.conditions.emplace(guard, std::min(run_->since, mirror_.shows(id.kind)));
  for (const auto& other : wish.refers_to) edits.conditions.emplace(context_.region.guard_key(other), run_->since);
  if (edits.created + edits.deleted > 0) edits.transaction.puts.emplace_back(guard, guard_value(remaining));

  const auto operations = [](const Batch& batch) {
    return batch.transaction.puts.size() + batch.transaction.removals.size();
  };
  if (run_->batch && (operations(*run_->batch) + operations(edits) > kMostOperations ||
                      run_->batch->conditions.size() + edits.conditions.size() > kMostConditions)) {
    flush();
  }
  if (!run_->batch) run_->batch = std::make_shared<Batch>();
  Batch& batch = *run_->batch;
  for (const auto& [key, since] : edits.conditions) {
    const auto [at, added] = batch.conditions.emplace(key, since);
    if (!added) at->second = std::min(at->second, since);
  }
  std::ranges::move(edits.transaction.puts, std::back_inserter(batch.transaction.puts));
  std::ranges::move(edits.transaction.removals, std::back_inserter(batch.transaction.removals));
  batch.objects.push_back(id);
  batch.created += edits.created;
  batch.updated += edits.updated;
  batch.deleted += edits.deleted;
}

void Resync::flush() {
  if (!run_->batch) return;
  auto batch = std::exchange(run_->batch, nullptr);
  for (const auto& [key, since] : batch->conditions) batch->transaction.conditions.push_back({key, since});
  ++run_->waiting;
  store::Transaction transaction = std::move(batch->transaction);
  context_.store.commit(std::move(transaction), context_.request, context_.loop,
                        [this, batch](base::Result<store::Revision> done) { committed(batch, std::move(done)); });
}

void Resync::committed(const std::shared_ptr<Batch>& batch, base::Result<store::Revision> done) {
  Phase& phase = run_->now();
  if (done) {
    mirror_.note(*done);
    phase.created += batch->created;
    phase.updated += batch->updated;
    phase.deleted += batch->deleted;
  } else if (done.error().kind() == base::ErrorKind::kConflict) {
    phase.again.insert(phase.again.end(), batch->objects.begin(), batch->objects.end());
  } else {
    phase.error = done.error().text();
  }
  if (--run_->waiting == 0) page_done();
}

void Resync::page_done() {
  Phase& phase = run_->now();
  if (!phase.error.empty()) return phase_failed(std::exchange(phase.error, {}));
  if (run_->more) return next_page();
  look_again();
}

// Whoever lost against another writer; then what the mirror has and Neutron did not list.
void Resync::look_again() {
  Phase& phase = run_->now();
  if (!phase.again.empty()) {
    std::vector<ObjectId> some;
    while (!phase.again.empty() && some.size() < kAgainAtOnce) {
      some.push_back(std::move(phase.again.back()));
      phase.again.pop_back();
    }
    if (run_->options.dry_run) return look_again();
    return repairs_.run(some, {}, [this](const Repairs::Outcome& outcome) {
      run_->now().updated += outcome.written;
      repairs_.add(outcome.unfinished);
      look_again();
    });
  }
  std::set<ObjectId> missing;
  for (const auto& prefix : phase.prefixes) {
    mirror_.each(prefix, [&](const std::string& key, const Mirror::Entry&) {
      auto owner = context_.region.owner(key);
      if (owner && owner->kind == phase.kind && !phase.listed.contains(owner->id)) missing.insert(*std::move(owner));
    });
  }
  check_missing({missing.begin(), missing.end()});
}

void Resync::check_missing(std::vector<ObjectId> missing) {
  if (missing.empty()) return remove_malformed();
  std::vector<ObjectId> some;
  while (!missing.empty() && some.size() < kAgainAtOnce) {
    some.push_back(std::move(missing.back()));
    missing.pop_back();
  }
  for (const auto& object : some) run_->now().listed.insert(object.id);
  if (!run_->options.dry_run) {
    std::vector<std::string> keys;
    for (const auto& object : some) {
      for (auto& key : mirror_.keys_of(object)) keys.push_back(std::move(key));
    }
    return repairs_.run(some, {}, [this, missing, keys](const Repairs::Outcome& outcome) {
      for (const auto& key : keys) difference(key, "delete", {});
      run_->now().deleted += outcome.written;
      repairs_.add(outcome.unfinished);
      check_missing(missing);
    });
  }
  json::array ids;
  for (const auto& object : some) ids.emplace_back(object.id);
  json::object spec{{"kind", to_json(run_->now().plural)}, {"ids", std::move(ids)}};
  work_.call({{"call", "list"}, {"spec", std::move(spec)}}, [this, some, missing](base::Result<json::value> answer) {
    if (!answer) return phase_failed(answer.error().text());
    std::set<std::string_view> there;
    const json::object& data = answer->is_object() ? answer->get_object() : json::object();
    for (const auto& value : list(data, run_->now().plural)) {
      if (value.is_object()) there.insert(text(value.get_object(), "id"));
    }
    for (const auto& object : some) {
      if (there.contains(object.id)) continue;  // created since its page was read
      for (const auto& key : mirror_.keys_of(object)) {
        difference(key, "delete", {});
        ++run_->now().deleted;
      }
    }
    check_missing(missing);
  });
}

// The namespace's endpoints are all Neutron's: one whose name says nothing belongs to nobody.
void Resync::remove_malformed() {
  Phase& phase = run_->now();
  if (phase.kind != Kind::kPort) return phase_done();
  std::vector<store::KeyValue> malformed;
  mirror_.each(context_.region.endpoint_prefix(), [&](const std::string& key, const Mirror::Entry& entry) {
    if (!context_.region.owner(key)) malformed.push_back({.key = key, .value = {}, .mod_revision = entry.revision});
  });
  for (const auto& item : malformed) difference(item.key, "delete", {});
  phase.deleted += malformed.size();
  if (malformed.empty() || run_->options.dry_run) return phase_done();
  remove_listed(std::move(malformed), [this](const base::Result<>& done) {
    if (!done) return phase_failed(done.error().text());
    phase_done();
  });
}

void Resync::phase_failed(const std::string& why) {
  run_->now().error = why;
  if (run_->error.empty()) run_->error = fmt::format("{}: {}", run_->now().name, why);
  phase_done();
}

void Resync::phase_done() {
  const Phase& phase = run_->now();
  json::object result{{"neutron_items", phase.neutron_items},
                      {"etcd_items", phase.etcd_items},
                      {"correct", phase.correct},
                      {"created", phase.created},
                      {"updated", phase.updated},
                      {"deleted", phase.deleted},
                      {"total_ms", milliseconds(context_.loop.now() - phase.began)}};
  if (!phase.error.empty()) result["error"] = phase.error;
  run_->results[to_json(phase.name)] = std::move(result);
  run_->batch = nullptr;
  ++run_->phase;
  next_phase();
}

void Resync::finish() {
  const auto run = std::move(run_);
  json::object result;
  result["ok"] = run->error.empty();
  result["dry_run"] = run->options.dry_run;
  result["trigger"] = run->options.trigger;
  result["started_at"] = run->started_at;
  result["finished_at"] = rfc3339(context_.loop.wall());
  result["total_ms"] = milliseconds(context_.loop.now() - run->began);
  result["neutron_ms"] = milliseconds(run->in_neutron);
  result["phases"] = std::move(run->results);
  result["statuses"] = run->statuses;
  result["warnings"] = std::move(run->warnings);
  result["error"] = run->error.empty() ? json::value(nullptr) : json::value(run->error);
  result["differences"] = std::move(run->differences);
  run->done(std::move(result));
}

// --- ClusterInformation, FelixConfiguration, legacy data ---

void Resync::write_defaults(std::function<void(base::Result<>)> done) {
  adjust(std::string(kClusterInformationKey), 0, [this, done = std::move(done)](base::Result<> first) {
    if (!first) return done(std::move(first));
    adjust(std::string(kFelixConfigurationKey), 0, done);
  });
}

void Resync::config_phase() {
  write_defaults([this](const base::Result<>& done) {
    if (!done) return phase_failed(done.error().text());
    if (!context_.region.configured()) return legacy_phase(false);
    // The region-less names are left over from before the region was configured, unless somebody lives there.
    context_.store.read({.key = Region::make("")->election_key(), .range_end = {}}, context_.request, context_.loop,
                        [this](const base::Result<store::ReadReply>& reply) {
                          if (!reply) return phase_failed(reply.error().text());
                          const bool inhabited = !reply->items.empty();
                          if (inhabited) {
                            warn(
                                "another Neutron without openstack_region uses this etcd; its data is left alone, but "
                                "upstream's driver would remove it: give it a region");
                          }
                          legacy_phase(!inhabited);
                        });
  });
}

void Resync::legacy_phase(bool without_region) {
  std::vector<std::string> legacy{"/calico/dhcp/v1/subnet/"};
  if (without_region) {
    const Region none = *Region::make("");
    legacy.push_back(none.endpoint_prefix());
    legacy.push_back(none.policy_prefix() + std::string(Region::kPolicyPrefix));
  }
  remove_legacy(std::move(legacy), [this](const base::Result<>& removed) {
    if (!removed) return phase_failed(removed.error().text());
    phase_done();
  });
}

void Resync::adjust(const std::string& key, int attempt, std::function<void(base::Result<>)> done) {
  context_.store.read({.key = key, .range_end = {}}, context_.request, context_.loop,
                      [this, key, attempt, done = std::move(done)](base::Result<store::ReadReply> reply) mutable {
                        if (!reply) return done(base::fail(std::move(reply).error()));
                        mirror_.note(reply->revision);
                        std::optional<std::string> stored;
                        if (!reply->items.empty()) stored = reply->items.front().value;
                        const Adjusted adjusted =
                            key == kClusterInformationKey
                                ? adjust_cluster_information(stored, good_cluster_information_,
                                                             without_dashes(context_.fresh_uid()), context_.stamp())
                                : adjust_felix_configuration(stored, context_.stamp());
                        for (const auto& note : adjusted.notes) context_.log.error("neutron.cluster_information", note);
                        if (key == kClusterInformationKey)
                          good_cluster_information_ = adjusted.value ? adjusted.value : stored;
                        if (!adjusted.value) return done({});
                        if (run_) {
                          difference(key, stored ? "update" : "create", adjusted.members);
                          if (attempt == 0 && !run_->phases.empty() && run_->phase < run_->phases.size()) {
                            ++(stored ? run_->now().updated : run_->now().created);
                          }
                          if (run_->options.dry_run) return done({});
                        }
                        store::PutRequest put{.key = key, .value = *adjusted.value};
                        put.condition = stored ? store::Condition::kUnmodified : store::Condition::kAbsent;
                        put.expected = stored ? reply->items.front().mod_revision : 0;
                        context_.store.put(std::move(put), context_.request, context_.loop,
                                           [this, key, attempt,
                                            done = std::move(done)](base::Result<store::WriteReply> written) mutable {
                                             if (!written) return done(base::fail(std::move(written).error()));
                                             if (written->status == store::WriteStatus::kDone) return done({});
                                             if (attempt + 1 == kConfigAttempts)
                                               return done(base::fail(store::refusal(*written, key)));
                                             adjust(key, attempt + 1, std::move(done));
                                           });
                      });
}

void Resync::remove_legacy(std::vector<std::string> prefixes, std::function<void(base::Result<>)> done) {
  if (prefixes.empty()) return done({});
  const std::string prefix = std::move(prefixes.back());
  prefixes.pop_back();
  context_.store.read(
      {.key = prefix, .range_end = store::prefix_end(prefix)}, context_.request, context_.loop,
      [this, prefixes = std::move(prefixes), done = std::move(done)](base::Result<store::ReadReply> reply) mutable {
        if (!reply) return done(base::fail(std::move(reply).error()));
        for (const auto& item : reply->items) difference(item.key, "delete", {});
        run_->now().deleted += reply->items.size();
        if (run_->options.dry_run) reply->items.clear();
        remove_listed(std::move(reply->items),
                      [this, prefixes = std::move(prefixes), done = std::move(done)](base::Result<> removed) mutable {
                        if (!removed) return done(std::move(removed));
                        remove_legacy(std::move(prefixes), std::move(done));
                      });
      });
}

// A key that has been written again meanwhile stays.
void Resync::remove_listed(std::vector<store::KeyValue> items, std::function<void(base::Result<>)> done) {
  if (items.empty()) return done({});
  const store::KeyValue item = std::move(items.back());
  items.pop_back();
  context_.store.remove(
      {.key = item.key, .expected = item.mod_revision}, context_.request, context_.loop,
      [this, items = std::move(items), done = std::move(done)](base::Result<store::WriteReply> reply) mutable {
        if (!reply) return done(base::fail(std::move(reply).error()));
        remove_listed(std::move(items), std::move(done));
      });
}

void Resync::difference(const std::string& key, std::string_view action, const std::vector<std::string>& members) {
  if (!run_ || run_->differences.size() >= kMostDifferences) return;
  json::array names;
  for (const auto& name : members) names.emplace_back(name);
  run_->differences.push_back(json::object{{"key", key}, {"action", to_json(action)}, {"members", std::move(names)}});
}

void Resync::warn(const std::string& text) {
  if (run_->warnings.size() < kMostWarnings) run_->warnings.emplace_back(text);
}

}  // namespace neutron
