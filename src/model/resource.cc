#include "model/resource.h"

#include <utility>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/check.h"
#include "base/strings.h"
#include "model/kinds/kinds.h"

namespace model {
namespace {

constexpr std::string_view kRoot = "/calico/resources/v3/projectcalico.org/";

// operator[] of Boost 1.81 makes room before it looks, so even for a member that is there it may move all others, and
// references into them dangle. Hence the look first.
boost::json::object& child_object(boost::json::object& parent, std::string_view name) {
  boost::json::value* child = parent.if_contains(name);
  if (child == nullptr) child = &parent[name];
  if (!child->is_object()) child->emplace_object();
  return child->get_object();
}

const boost::json::object* metadata_map(const boost::json::object& body, std::string_view name) {
  const boost::json::value* map = find(body, name);
  return map != nullptr && map->is_object() ? &map->get_object() : nullptr;
}

std::string print(const Problem& problem) {
  std::string text = problem.field;
  if (problem.value) text += " = '" + *problem.value + "'";
  if (!problem.reason.empty()) text += " (" + problem.reason + ")";
  return text;
}

}  // namespace

void Problems::add(std::string field, std::optional<std::string> value, std::string reason) {
  problems_.push_back({std::move(field), std::move(value), std::move(reason)});
}

void Problems::add_tag(std::string field, std::string value, std::string_view tag) {
  std::string reason = "Reason: failed to validate Field: " + field + " because of Tag: " + std::string(tag) + " ";
  add(std::move(field), std::move(value), std::move(reason));
}

void Problems::add_schema(std::string path, std::string reason) {
  schema_.push_back({std::move(path), std::nullopt, std::move(reason)});
}

std::vector<Problem> Problems::take() {
  std::vector<Problem> all = std::move(problems_);
  all.insert(all.end(), std::make_move_iterator(schema_.begin()), std::make_move_iterator(schema_.end()));
  problems_.clear();
  schema_.clear();
  return all;
}

std::string to_string(std::span<const Problem> problems) {
  CHECK(!problems.empty());
  if (problems.size() == 1) return "error with field " + print(problems.front());
  std::string text = "error with the following fields:\n";
  for (const Problem& problem : problems) text += "-  " + print(problem) + "\n";
  return text;
}

std::string_view Resource::metadata_text(std::string_view member) const {
  const boost::json::value* metadata = body.if_contains("metadata");
  if (metadata == nullptr || !metadata->is_object()) return {};
  return text_of(metadata->get_object(), member);
}

boost::json::object& Resource::metadata() { return child_object(body, "metadata"); }

boost::json::object& Resource::spec() { return child_object(body, "spec"); }

const boost::json::object& Resource::spec() const {
  static const boost::json::object kEmpty;
  const boost::json::value* spec = body.if_contains("spec");
  return spec != nullptr && spec->is_object() ? spec->get_object() : kEmpty;
}

const boost::json::object* Resource::labels() const { return metadata_map(body, "metadata.labels"); }

const boost::json::object* Resource::annotations() const { return metadata_map(body, "metadata.annotations"); }

void Resource::set_metadata(std::string_view member, std::string_view text) {
  if (text.empty()) {
    metadata().erase(member);
  } else {
    metadata()[member] = text;
  }
}

std::string Resource::id() const {
  std::string text(kind->name);
  text += "(";
  if (kind->namespaced) text += std::string(ns()) + "/";
  return text + std::string(name()) + ")";
}

Resource make_resource(const Kind& kind, std::string_view name, std::string_view ns) {
  Resource resource{&kind, {{"kind", kind.name}, {"apiVersion", kApiVersion}}};
  resource.set_metadata("name", name);
  if (!ns.empty()) resource.set_metadata("namespace", ns);
  resource.spec();
  return resource;
}

const boost::json::value* find(const boost::json::object& object, std::string_view path) {
  const auto dot = path.find('.');
  const boost::json::value* member = object.if_contains(path.substr(0, dot));
  if (dot == path.npos || member == nullptr) return member;
  return member->is_object() ? find(member->get_object(), path.substr(dot + 1)) : nullptr;
}

const boost::json::value* find(const Resource& resource, std::string_view path) { return find(resource.body, path); }

std::string_view text_of(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find(object, path);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

bool flag_of(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find(object, path);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::optional<std::int64_t> number_of(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find(object, path);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64() && std::in_range<std::int64_t>(value->get_uint64())) {
    return static_cast<std::int64_t>(value->get_uint64());
  }
  return std::nullopt;
}

void store_policy_name(Resource& resource) {
  if (!resource.kind->stores_policy_name) return;
  child_object(resource.metadata(), "annotations")[kPolicyNameAnnotation] =
      boost::json::serialize(boost::json::object{{"name", resource.name()}});
}

base::Result<void> restore_policy_name(Resource& resource) {
  if (!resource.kind->stores_policy_name) return {};
  if (const boost::json::object* annotations = resource.annotations()) {
    if (const boost::json::value* stored = annotations->if_contains(kPolicyNameAnnotation)) {
      boost::json::error_code error;
      const boost::json::value names = boost::json::parse(stored->is_string() ? stored->get_string() : "", error);
      if (error || !names.is_object()) {
        return base::fail(base::Error::invalid("annotation projectcalico.org/metadata is not a JSON object"));
      }
      const std::string name(text_of(names.get_object(), "name"));
      boost::json::object& metadata = resource.metadata();
      boost::json::object& rest = metadata["annotations"].get_object();
      rest.erase(kPolicyNameAnnotation);
      if (rest.empty()) metadata.erase("annotations");
      if (!name.empty()) resource.set_metadata("name", name);
      return {};
    }
  }
  const std::string_view tier = text_of(resource.body, "spec.tier");
  constexpr std::string_view kLegacyPrefix = "default.";
  if ((tier.empty() || tier == "default") && resource.name().starts_with(kLegacyPrefix)) {
    const std::string name(resource.name().substr(kLegacyPrefix.size()));
    resource.set_metadata("name", name);
  }
  return {};
}

std::string resource_prefix(const Kind& kind, std::string_view ns) {
  std::string key(kRoot);
  key += kind.plural;
  key += "/";
  if (kind.namespaced && !ns.empty()) {
    key += ns;
    key += "/";
  }
  return key;
}

std::string resource_key(const Kind& kind, std::string_view ns, std::string_view name) {
  return resource_prefix(kind, ns) + std::string(name);
}

std::optional<ResourceKey> parse_resource_key(std::string_view key) {
  if (!key.starts_with(kRoot)) return std::nullopt;
  const auto parts = base::split(key.substr(kRoot.size()), '/');
  const Kind* kind = find_kind_by_plural(parts.front());
  if (kind == nullptr || parts.size() != (kind->namespaced ? 3u : 2u) || parts.back().empty()) return std::nullopt;
  return ResourceKey{kind, kind->namespaced ? std::string(parts[1]) : "", std::string(parts.back())};
}

base::Result<std::string> workload_endpoint_name(const boost::json::object& spec) {
  const std::string_view orchestrator = text_of(spec, "orchestrator");
  std::string_view workload_member = "workload";
  if (orchestrator == "k8s") workload_member = "pod";
  if (orchestrator == "cni") workload_member = "containerID";

  std::string name;
  const auto append = [&](std::string_view member, std::string_view part) -> base::Result<void> {
    const std::string field = "error with field " + std::string(member);
    if (part.empty()) {
      // Upstream checks the node before it has a value to show.
      const std::string shown = member == "node" ? "" : " = ''";
      return base::fail({base::ErrorKind::kInvalid, field + shown + " (field should be assigned)"});
    }
    if (part.front() == '-' || part.back() == '-') {
      return base::fail({base::ErrorKind::kInvalid,
                         field + " = '" + std::string(part) + "' (field must not begin or end with a '-')"});
    }
    if (!name.empty()) name += "-";
    name += base::replace_all(part, "-", "--");
    return {};
  };
  if (auto ok = append("node", text_of(spec, "node")); !ok) return base::fail(ok.error());
  if (auto ok = append("orchestrator", orchestrator); !ok) return base::fail(ok.error());
  const std::string_view workload = orchestrator == "libnetwork" ? orchestrator : text_of(spec, workload_member);
  if (auto ok = append(workload_member, workload); !ok) return base::fail(ok.error());
  if (auto ok = append("endpoint", text_of(spec, "endpoint")); !ok) return base::fail(ok.error());
  return name;
}

}  // namespace model
