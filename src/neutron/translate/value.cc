#include "neutron/translate/value.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <utility>

namespace neutron {
namespace {

std::optional<json::object> parse_object(const std::string& text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

bool is_resource(const json::object& object) {
  const auto* metadata = object.if_contains("metadata");
  const auto* spec = object.if_contains("spec");
  return metadata != nullptr && metadata->is_object() && spec != nullptr && spec->is_object();
}

json::object skeleton(const Desired& desired) {
  return {{"kind", to_json(desired.kind)},
          {"apiVersion", "projectcalico.org/v3"},
          {"metadata", json::object{}},
          {"spec", json::object{}}};
}

void compare_members(const json::object& before, const json::object& after, std::string_view where,
                     std::vector<std::string>& members) {
  const auto add = [&](json::string_view name) {
    members.push_back(std::string(where) + "." + std::string(name.data(), name.size()));
  };
  for (const auto& [name, value] : after) {
    const auto* old = before.if_contains(name);
    if (old == nullptr || *old != value) add(name);
  }
  for (const auto& [name, value] : before) {
    if (!after.contains(name)) add(name);
  }
}

void set_text(json::object& object, json::string_view name, std::string_view value) { object[name] = to_json(value); }

// The map as it will be, or nothing if it is right.
std::optional<json::object> changed_map(const json::object& metadata, json::string_view name, const json::object& wish,
                                        const std::vector<std::string_view>& kept) {
  if (wish.empty()) return std::nullopt;
  const json::object& old = inner(metadata, {name.data(), name.size()});
  json::object map = wish;
  for (const std::string_view label : kept) {
    const auto* value = old.if_contains(to_json(label));
    if (value != nullptr && !map.contains(to_json(label))) map[to_json(label)] = *value;
  }
  if (map == old) return std::nullopt;
  return map;
}

std::int64_t generation_of(const json::object& metadata) { return number(metadata, "generation").value_or(0); }

Merged merge_raw(const std::optional<std::string>& stored, const Desired& desired) {
  if (stored == desired.raw) return {};
  return {.value = desired.raw, .stale = false, .members = {""}};
}

}  // namespace

Merged merge(const std::optional<std::string>& stored, const Desired& desired, const Stamp& stamp) {
  if (desired.kind.empty()) return merge_raw(stored, desired);
  Merged merged;
  std::optional<json::object> object = stored ? parse_object(*stored) : std::nullopt;
  const bool usable = object && is_resource(*object);
  if (!usable) {
    object = skeleton(desired);
    merged.members.emplace_back();
  }
  auto& metadata = object->at("metadata").as_object();
  auto& spec = object->at("spec").as_object();
  const auto stored_generation = generation_of(metadata);
  const std::array<std::pair<json::string_view, const json::object*>, 2> maps{
      {{"annotations", &desired.annotations}, {"labels", &desired.labels}}};
  std::array<std::optional<json::object>, 2> changed;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    changed[i] = changed_map(metadata, maps[i].first, *maps[i].second, desired.kept_labels);
    if (changed[i] && usable) {
      compare_members(inner(metadata, {maps[i].first.data(), maps[i].first.size()}), *changed[i],
                      "metadata." + std::string(maps[i].first.data(), maps[i].first.size()), merged.members);
    }
  }
  const bool spec_differs = spec != desired.spec;
  if (spec_differs && usable) compare_members(spec, desired.spec, "spec", merged.members);
  if (usable && !changed[0] && !changed[1] && !spec_differs) return merged;

  merged.stale = desired.generation != 0 && desired.generation < stored_generation;
  set_text(metadata, "name", desired.name);
  if (!desired.ns.empty()) set_text(metadata, "namespace", desired.ns);
  metadata.erase("resourceVersion");
  if (text(metadata, "creationTimestamp").empty()) set_text(metadata, "creationTimestamp", stamp.time);
  if (text(metadata, "uid").empty()) set_text(metadata, "uid", stamp.uid);
  if (desired.generation != 0) metadata["generation"] = desired.generation;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (changed[i]) metadata[maps[i].first] = *std::move(changed[i]);
  }
  spec = desired.spec;
  merged.value = json::serialize(*object);
  return merged;
}

bool made_later(const std::string& stored, std::int64_t generation) {
  if (generation == 0) return false;
  const auto object = parse_object(stored);
  return object && generation_of(inner(*object, "metadata")) > generation;
}

}  // namespace neutron
