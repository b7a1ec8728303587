#include "neutron/exchange.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "neutron/translate/port.h"
#include "neutron/translate/security_group.h"
#include "neutron/translate/subnet.h"

namespace neutron {
namespace {

constexpr std::size_t kMostChanged = 1000;     // objects a client may name at once
constexpr std::size_t kObjectsPerRound = 100;  // read and written at once
constexpr std::int64_t kPortsPerPage = 200;    // of the ports that refer to an object
constexpr int kMostAttempts = 20;              // against other writers, before a repair takes over
constexpr std::int64_t kMostRounds = 1000;     // 200,000 ports behind one network

// After this the mirror shows what another bridge was writing while we looked.
constexpr base::Duration kLookLater = std::chrono::seconds(5);

constexpr std::array kReadOrder{Kind::kSubnet, Kind::kAddressGroup, Kind::kSecurityGroup, Kind::kPort};

std::string_view plural(Kind kind) {
  switch (kind) {
    case Kind::kPort: return "ports";
    case Kind::kSecurityGroup: return "security_groups";
    case Kind::kSubnet: return "subnets";
    case Kind::kAddressGroup: return "address_groups";
    case Kind::kNetwork: break;
  }
  return "networks";
}

std::string_view filter_of(Kind kind) {
  switch (kind) {
    case Kind::kNetwork: return "network_id";
    case Kind::kSecurityGroup: return "security_group_id";
    case Kind::kSubnet: return "subnet_id";
    case Kind::kPort:
    case Kind::kAddressGroup: break;
  }
  return {};  // nobody's values have its state
}

json::object to_message(const WorkItem& item) {
  json::object message{{"kind", to_json(to_string(item.object.kind))}, {"id", item.object.id}};
  if (!item.unsure) message["dependants"] = item.dependants;
  if (!item.touch) message["touch"] = false;
  if (!item.filter.empty()) message["filter"] = item.filter;
  if (!item.after.empty()) message["after"] = item.after;
  if (item.attempts > 0) message["attempts"] = item.attempts;
  return message;
}

std::optional<WorkItem> from_message(const json::object& message) {
  const auto kind = parse_kind(text(message, "kind"));
  const auto id = text(message, "id");
  if (!kind || id.empty() || id.find_first_of("/\n") != std::string_view::npos) return std::nullopt;
  WorkItem item;
  item.object = {*kind, std::string(id)};
  item.dependants = flag(message, "dependants", true) && !filter_of(*kind).empty();
  item.unsure = item.dependants && *kind == Kind::kSecurityGroup && member(message, "dependants") == nullptr;
  item.touch = flag(message, "touch", true);
  item.filter = text(message, "filter");
  item.after = text(message, "after");
  item.attempts = static_cast<int>(number(message, "attempts").value_or(0));
  return item;
}

}  // namespace

// One round: the items at hand with what was read about them, and what comes out for the next round.
struct Exchanger::Round {
  struct Pending {
    WorkItem item;
    Wish wish;
  };
  std::map<std::string, std::string> group_names;  // of groups that were read: as labels have them

  Done done;
  ExchangeOptions options;
  store::Revision since = 0;
  std::int64_t number = 0;
  std::vector<WorkItem> items;               // to be read
  std::vector<WorkItem> next;                // for later rounds
  std::set<std::string> brought;             // objects that were taken in because others need them: at most once each
  std::vector<std::vector<Pending>> writes;  // groups, one after the other: policies before endpoints
  std::vector<ObjectId> unfinished;
  std::vector<std::string> gone_groups;  // whose policies may be named by others
  std::size_t waiting = 0;
  std::size_t keys_written = 0;
  std::string reason;
  bool stale = false;
  bool open_policy = false;  // an endpoint without port security is among them
};

json::object Exchanger::first_message(const std::vector<ObjectId>& objects) {
  json::array changed;
  for (const auto& object : objects) {
    changed.push_back(json::object{{"kind", to_json(to_string(object.kind))}, {"id", object.id}});
  }
  return {{"changed", std::move(changed)}};
}

void Exchanger::step(const json::object& message, ExchangeOptions options, Done done) {
  auto round = std::make_shared<Round>();
  round->done = std::move(done);
  round->options = options;
  const auto refuse = [&](std::string why) {
    round->done({.kind = ExchangeReply::Kind::kBad, .message = {}, .unfinished = {}, .reason = std::move(why)});
  };
  const json::array& changed = list(message, "changed");
  if (changed.size() > kMostChanged) return refuse(fmt::format("more than {} objects at once", kMostChanged));
  for (const auto& entry : changed) {
    auto item = entry.is_object() ? from_message(entry.get_object()) : std::nullopt;
    if (!item) return refuse("'changed' must hold objects with a known kind and an id");
    round->items.push_back(*std::move(item));
  }
  for (const auto& entry : list(message, "brought")) {
    if (const auto* name = entry.if_string()) round->brought.emplace(view(*name));
  }
  round->since = number(message, "since").value_or(0);
  round->number = number(message, "round").value_or(0);
  if (round->number > kMostRounds || !mirror_.ready() || !mirror_.connected()) {
    round->reason = mirror_.connected() ? "not ready yet" : mirror_.problem();
    for (const auto& item : round->items) round->unfinished.push_back(item.object);
    round->items.clear();
    return finish(round);
  }
  if (member(message, "data") == nullptr) {
    round->since = 0;
    return begin(round);
  }
  if (round->since <= 0) return refuse("'data' without the 'since' of a former answer");
  const json::array& specs = list(message, "specs");
  if (list(message, "data").size() != specs.size()) return refuse("'data' needs one ANSWER for each SPEC in 'read'");
  take_answers(round, message);
}

// Networks have no value of their own: only what refers to them is read.
void Exchanger::begin(const std::shared_ptr<Round>& round) {
  round->next = std::exchange(round->items, {});
  touch_networks(round);
}

void Exchanger::touch_networks(const std::shared_ptr<Round>& round) {
  const auto network = std::ranges::find_if(
      round->next, [](const WorkItem& item) { return item.object.kind == Kind::kNetwork && item.filter.empty(); });
  if (network == round->next.end()) return find_referrers(round);
  WorkItem item = std::move(*network);
  round->next.erase(network);
  const ObjectId object = item.object;
  writer_.touch(object, [this, round, item = std::move(item)](const WriteResult& result) mutable {
    if (result.outcome != WriteOutcome::kDone) {
      round->reason = result.error;
      round->unfinished.push_back(item.object);
    } else {
      item.filter = filter_of(Kind::kNetwork);
      item.touch = false;
      round->next.push_back(std::move(item));
    }
    touch_networks(round);
  });
}

// --- What was read ---

void Exchanger::take_answers(const std::shared_ptr<Round>& round, const json::object& message) {
  const json::array& specs = list(message, "specs");
  const json::array& data = list(message, "data");
  std::vector<WorkItem> items = std::exchange(round->items, {});
  round->writes.resize(2);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const json::object& spec = specs[i].is_object() ? specs[i].get_object() : json::object();
    const Answer answer(data[i]);
    const auto kind = text(spec, "kind");
    std::set<std::string_view> ids;
    for (const auto& id : list(spec, "ids")) {
      if (id.is_string()) ids.insert(view(id.get_string()));
    }
    std::vector<WorkItem> rest;
    for (auto& item : items) {
      const bool cascade = !item.filter.empty();
      if (cascade && text(inner(spec, "filter"), item.filter) == item.object.id) {
        take_ports(*round, item, answer);
      } else if (!cascade && kind == plural(item.object.kind) && ids.contains(item.object.id)) {
        const auto& objects = item.object.kind == Kind::kPort            ? answer.ports()
                              : item.object.kind == Kind::kSecurityGroup ? answer.security_groups()
                              : item.object.kind == Kind::kSubnet        ? answer.subnets()
                                                                         : answer.address_groups();
        const auto found = std::ranges::find_if(objects, [&](const json::value& value) {
          return value.is_object() && text(value.get_object(), "id") == item.object.id;
        });
        const json::object* object = found == objects.end() ? nullptr : &found->get_object();
        if (item.object.kind == Kind::kPort)
          take_port(*round, item, object, answer);
        else
          take_object(*round, item, object);
      } else {
        rest.push_back(std::move(item));
      }
    }
    items = std::move(rest);
  }
  for (auto& item : items) round->next.push_back(std::move(item));
  write_next(round);
}

void Exchanger::take_ports(Round& round, const WorkItem& item, const Answer& answer) {
  std::string last;
  for (const auto& value : answer.ports()) {
    const auto* port = value.if_object();
    if (port == nullptr) continue;
    last = std::max(last, std::string(text(*port, "id")));
    if (!is_endpoint_owner(text(*port, "device_owner"))) continue;
    WorkItem one;
    one.object = {Kind::kPort, std::string(text(*port, "id"))};
    one.touch = false;
    take_port(round, one, port, answer);
  }
  if (!answer.more() || last <= item.after) return;
  WorkItem rest = item;
  rest.after = last;
  round.next.push_back(std::move(rest));
}

void Exchanger::take_port(Round& round, const WorkItem& item, const json::object* port, const Answer& answer) {
  Wish wish{.object = item.object, .translation = {}, .since = round.since, .touch = item.touch};
  if (port != nullptr) {
    wish.translation = translate_port(*port, answer, context_.region, context_.port);
    log_notes(wish.translation);
    if (!wish.translation.keys.empty()) {
      // A policy must be there before the endpoint that it protects.
      bool later = false;
      for (const ObjectId& other : wish.translation.refers_to) {
        later |= other.kind == Kind::kSecurityGroup && needs_first(round, other);
      }
      if (later) return round.next.push_back(item);
      round.open_policy |= is_without_port_security(*port);
    }
  }
  round.writes[1].push_back({item, std::move(wish)});
}

void Exchanger::take_object(Round& round, const WorkItem& item, const json::object* object) {
  Wish wish{.object = item.object, .translation = {}, .since = round.since, .touch = item.touch};
  if (object != nullptr) {
    switch (item.object.kind) {
      case Kind::kSecurityGroup:
        wish.translation = translate_security_group(*object, context_.region);
        round.group_names[item.object.id] = sanitised(text(*object, "name"), kGroupNameLimit);
        for (const auto& rule : list(*object, "security_group_rules")) {
          const auto addresses = rule.is_object() ? text(rule.get_object(), "remote_address_group_id") : "";
          if (!addresses.empty()) needs_first(round, {Kind::kAddressGroup, std::string(addresses)});
        }
        break;
      case Kind::kSubnet: wish.translation = translate_subnet(*object, context_.region); break;
      case Kind::kAddressGroup: wish.translation = translate_address_group(*object, context_.region); break;
      case Kind::kPort:
      case Kind::kNetwork: break;
    }
    log_notes(wish.translation);
  } else if (item.object.kind == Kind::kSecurityGroup && item.dependants) {
    round.gone_groups.push_back(item.object.id);
  }
  round.writes[0].push_back({item, std::move(wish)});
}

// Takes `object` in if etcd lacks it. Returns whether it has to be waited for.
bool Exchanger::needs_first(Round& round, const ObjectId& object) {
  if (!mirror_.keys_of(object).empty()) return false;
  const std::string name = std::string(to_string(object.kind)) + "/" + object.id;
  if (round.brought.insert(name).second) {
    WorkItem item;
    item.object = object;
    round.next.insert(round.next.begin(), std::move(item));
    return true;
  }
  // Named in this round already and not yet written?
  return std::ranges::any_of(round.next,
                             [&](const WorkItem& item) { return item.object == object && item.filter.empty(); });
}

// --- What is written ---

void Exchanger::write_next(const std::shared_ptr<Round>& round) {
  while (!round->writes.empty() && round->writes.front().empty()) round->writes.erase(round->writes.begin());
  if (round->writes.empty()) return touch_networks(round);
  if (round->open_policy && round->writes.size() == 1 && mirror_.find(context_.region.open_policy_key()) == nullptr) {
    round->open_policy = false;
    store::PutRequest put{.key = context_.region.open_policy_key(),
                          .value = *merge({}, open_policy(context_.region), context_.stamp()).value,
                          .condition = store::Condition::kAbsent};
    return context_.store.put(std::move(put), context_.request, context_.loop,
                              [this, round](const base::Result<store::WriteReply>&) { write_next(round); });
  }
  auto group = std::move(round->writes.front());
  round->writes.erase(round->writes.begin());
  round->waiting = group.size();
  for (auto& pending : group) {
    pending.wish.accept_older = round->options.accept_older;
    writer_.write(std::move(pending.wish), [this, round, item = pending.item](const WriteResult& result) {
      written(*round, item, result);
      if (--round->waiting == 0) write_next(round);
    });
  }
}

void Exchanger::written(Round& round, const WorkItem& item, const WriteResult& result) {
  round.keys_written += result.keys_written;
  if (result.outcome == WriteOutcome::kFailed) {
    round.reason = result.error;
    round.unfinished.push_back(item.object);
  } else if (result.outcome != WriteOutcome::kDone) {
    WorkItem again = item;
    if (++again.attempts < kMostAttempts) {
      round.next.push_back(std::move(again));
    } else {
      round.reason = result.outcome == WriteOutcome::kStale ? "Neutron's database shows an older state than etcd"
                                                            : "others keep writing about the same object";
      round.unfinished.push_back(item.object);
      round.stale |= result.outcome == WriteOutcome::kStale;
    }
  } else if (item.dependants && item.object.kind != Kind::kPort) {
    if (item.unsure) {
      const auto name = round.group_names.find(item.object.id);
      if (name == round.group_names.end()) return;  // gone: no port can be in it
      context_.loop.after(kLookLater, [this, id = item.object.id, label = name->second] {
        if (late_) late_(ports_with_former_name(id, label));
      });
      if (ports_with_former_name(item.object.id, name->second).empty()) return;
    }
    WorkItem ports = item;
    ports.unsure = false;
    ports.filter = filter_of(item.object.kind);
    ports.dependants = false;
    ports.touch = false;
    ports.attempts = 0;
    round.next.push_back(std::move(ports));
  }
}

// Groups whose rules named a group that is gone: Neutron has dropped those rules.
void Exchanger::find_referrers(const std::shared_ptr<Round>& round) {
  if (round->gone_groups.empty()) return finish(round);
  const std::string prefix = context_.region.policy_prefix() + std::string(Region::kPolicyPrefix);
  store::ReadRequest request{.key = prefix, .range_end = store::prefix_end(prefix)};
  context_.store.read(
      std::move(request), context_.request, context_.loop, [this, round](base::Result<store::ReadReply> reply) {
        const auto gone = std::exchange(round->gone_groups, {});
        if (!reply) {
          round->reason = reply.error().text();
          for (const auto& id : gone) round->unfinished.push_back({Kind::kSecurityGroup, id});
          return finish(round);
        }
        mirror_.note(reply->revision);
        for (const auto& item : reply->items) {
          const auto owner = context_.region.owner(item.key);
          const bool names_one =
              owner && std::ranges::any_of(gone, [&](const std::string& id) {
                return owner->id != id && item.value.find(std::string(kGroupLabel) + id + ")") != std::string::npos;
              });
          if (!names_one) continue;
          WorkItem referrer;
          referrer.object = *owner;
          referrer.touch = false;
          round->next.push_back(std::move(referrer));
        }
        finish(round);
      });
}

void Exchanger::finish(const std::shared_ptr<Round>& round) {
  ExchangeReply reply;
  reply.written = round->keys_written;
  reply.stale = round->stale;
  if (round->next.empty()) {
    reply.kind = round->unfinished.empty() ? ExchangeReply::Kind::kDone : ExchangeReply::Kind::kDeferred;
    reply.unfinished = std::move(round->unfinished);
    reply.reason = std::move(round->reason);
    return round->done(std::move(reply));
  }
  reply.kind = ExchangeReply::Kind::kRead;
  reply.unfinished = std::move(round->unfinished);
  json::array specs;
  json::array changed;
  std::size_t left = kObjectsPerRound;
  for (const Kind kind : kReadOrder) {
    json::array ids;
    for (const auto& item : round->next) {
      if (item.object.kind == kind && item.filter.empty() && left > 0) {
        ids.emplace_back(item.object.id);
        --left;
      }
    }
    if (!ids.empty()) specs.push_back(json::object{{"kind", to_json(plural(kind))}, {"ids", std::move(ids)}});
  }
  const auto cascade = std::ranges::find_if(round->next, [](const WorkItem& item) { return !item.filter.empty(); });
  if (cascade != round->next.end() && left == kObjectsPerRound) {  // one page at a time, when nothing else is left
    json::object spec{{"kind", "ports"},
                      {"filter", json::object{{to_json(cascade->filter), cascade->object.id}}},
                      {"limit", kPortsPerPage}};
    if (!cascade->after.empty()) spec["after"] = cascade->after;
    specs.push_back(std::move(spec));
  }
  for (const auto& item : round->next) changed.push_back(to_message(item));
  json::array brought;
  for (const auto& name : round->brought) brought.emplace_back(name);
  reply.message["result"] = "read";
  reply.message["read"] = specs;
  reply.message["continue"] = json::object{{"since", mirror_.reached()},
                                           {"round", round->number + 1},
                                           {"changed", std::move(changed)},
                                           {"specs", std::move(specs)},
                                           {"brought", std::move(brought)}};
  round->done(std::move(reply));
}

std::vector<ObjectId> Exchanger::ports_with_former_name(const std::string& group, const std::string& name) const {
  const std::string label = fmt::format("\"{}{}\":", kGroupLabel, group);
  const std::string now = "\"" + name + "\"";
  std::vector<ObjectId> ports;
  mirror_.each(context_.region.endpoint_prefix(), [&](const std::string& key, const Mirror::Entry& entry) {
    const auto at = entry.value.find(label);
    if (at == std::string::npos) return;
    std::string_view rest = std::string_view(entry.value).substr(at + label.size());
    if (rest.starts_with(' ')) rest.remove_prefix(1);  // as Python writes
    if (rest.starts_with(now)) return;
    if (auto owner = context_.region.owner(key)) ports.push_back(*std::move(owner));
  });
  return ports;
}

void Exchanger::log_notes(const Translation& translation) {
  for (const auto& note : translation.notes) context_.log.warning("neutron.not_honoured", note);
}

}  // namespace neutron
