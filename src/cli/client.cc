#include "cli/client.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>

#include "model/kinds/kinds.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using model::Resource;

namespace {

constexpr std::string_view kDefaultProfile = "projectcalico-default-allow";
constexpr int kUpdateTries = 5;
constexpr base::Duration kUpdatePause = std::chrono::seconds(1);

Resource default_profile() {
  Resource profile = model::make_resource(model::kinds::kProfile, kDefaultProfile);
  profile.set_metadata("resourceVersion", "1");
  for (const std::string_view direction : {"ingress", "egress"}) {
    profile.spec()[direction] = boost::json::array{boost::json::object{{"action", "Allow"}}};
  }
  return profile;
}

bool is_default_profile(const model::Kind& kind, std::string_view name) {
  return &kind == &model::kinds::kProfile && name == kDefaultProfile;
}

base::Result<store::Revision> parse_revision(std::string_view text) {
  store::Revision revision = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (failure != std::errc() || end != text.data() + text.size()) {
    return base::fail(Error(ErrorKind::kInvalid, "error with field ResourceVersion = '" + std::string(text) +
                                                     "' (parsing \"" + std::string(text) + "\": invalid syntax)"));
  }
  return revision;
}

base::Result<void> require_namespace(const model::Kind& kind, std::string_view ns) {
  if (!kind.namespaced || !ns.empty()) return {};
  return base::fail(
      Error(ErrorKind::kInvalid,
            "error with field Metadata.Namespace = '' (namespace is not specified on namespaced resource)"));
}

base::Error invalid(model::Problems& problems) { return Error(ErrorKind::kInvalid, to_string(problems.take())); }

// What calicoctl refuses to touch, whatever the datastore holds.
base::Result<void> check_writable(const Resource& resource, std::string_view operation) {
  if (resource.kind == &model::kinds::kClusterInformation) {
    return base::fail(not_supported(operation, "ClusterInformation", ""));
  }
  if (resource.kind == &model::kinds::kNetworkPolicy && resource.name().starts_with("knp.default.")) {
    return base::fail(not_supported(operation, resource.id(),
                                    "kubernetes network policies must be managed through the kubernetes API"));
  }
  return {};
}

base::Error profile_is_built_in(std::string_view operation, std::string_view verb) {
  return not_supported(operation, "Profile(" + std::string(kDefaultProfile) + ")",
                       "The profile \"" + std::string(kDefaultProfile) +
                           "\" is a default provided by Calico and cannot be " + std::string(verb));
}

}  // namespace

Error does_not_exist(std::string_view id) {
  return Error(ErrorKind::kNotFound, "resource does not exist: " + std::string(id) + " with error: <nil>");
}

Error already_exists(std::string_view id) {
  return Error(ErrorKind::kExists, "resource already exists: " + std::string(id) + " with error: <nil>");
}

Error update_conflict(std::string_view id) {
  return Error(ErrorKind::kConflict, "update conflict: " + std::string(id));
}

Error not_supported(std::string_view operation, std::string_view id, std::string_view reason) {
  std::string text = "operation " + std::string(operation) + " is not supported on " + std::string(id);
  if (!reason.empty()) text += ": " + std::string(reason);
  return Error(ErrorKind::kUnsupported, std::move(text));
}

std::string describe_id(const model::Kind& kind, std::string_view ns, std::string_view name) {
  return model::make_resource(kind, name, ns).id();
}

Client::Client(store::BlockingStore& store, ClientSources sources) : store_(store), sources_(std::move(sources)) {}

base::Result<Resource> Client::decode(const model::Kind& kind, const store::KeyValue& item,
                                      model::ReadReason why) const {
  auto resource = model::decode_stored(kind, item.value);
  base::Result<void> named = resource ? model::restore_policy_name(*resource) : base::Result<void>();
  if (!resource || !named) {
    const std::string cause = resource ? named.error().text() : resource.error().text();
    return base::fail(Error(ErrorKind::kInvalid, "failed to parse datastore entry key=" + item.key +
                                                     "; value=" + item.value + ": " + cause));
  }
  resource->set_metadata("resourceVersion", std::to_string(item.mod_revision));
  if (kind.after_read != nullptr) kind.after_read(*resource, why);
  return resource;
}

// Releases before 3.32 stored the policies of the default tier under "default.<name>" (spec datamodel §2.3).
base::Result<Client::Stored> Client::read(const model::Kind& kind, std::string_view ns, std::string_view name,
                                          store::Revision revision) {
  const std::string key = model::resource_key(kind, ns, name);
  auto item = store_.get(key, revision);
  const bool missing = !item && item.error().kind() == ErrorKind::kNotFound;
  if (missing && kind.stores_policy_name && !name.starts_with("default.")) {
    auto legacy = store_.get(model::resource_key(kind, ns, "default." + std::string(name)), revision);
    if (legacy) {
      auto resource = decode(kind, *legacy, model::ReadReason::kGet);
      if (resource && resource->name() == name) return Stored{legacy->key, *std::move(resource)};
    }
  }
  if (missing) return base::fail(does_not_exist(describe_id(kind, ns, name)));
  if (!item) return base::fail(item.error());
  auto resource = decode(kind, *item, model::ReadReason::kGet);
  if (!resource) return base::fail(resource.error());
  return Stored{key, *std::move(resource)};
}

base::Result<Resource> Client::create(Resource resource) { return create_checked(std::move(resource), true); }

base::Result<Resource> Client::create_part_of_pool(Resource part) { return create_checked(std::move(part), false); }

base::Result<void> Client::remove_pool_only(std::string_view name) {
  const model::Kind& kind = model::kinds::kIpPool;
  return remove_key(model::resource_key(kind, {}, name), describe_id(kind, {}, name), {});
}

base::Result<Resource> Client::create_checked(Resource resource, bool check_others) {
  const model::Kind& kind = *resource.kind;
  if (auto ok = require_namespace(kind, resource.ns()); !ok) return base::fail(ok.error());
  if (auto ok = check_writable(resource, "create or apply"); !ok) return base::fail(ok.error());
  if (!resource.resource_version().empty()) {
    return base::fail(Error(ErrorKind::kInvalid, "error with field Metadata.ResourceVersion = '" +
                                                     std::string(resource.resource_version()) +
                                                     "' (field must not be set for a Create request)"));
  }
  if (is_default_profile(kind, resource.name())) return base::fail(already_exists(resource.id()));
  if (&kind == &model::kinds::kNode) {
    if (auto ok = ensure_initialized(); !ok) return base::fail(ok.error());
  }
  if (resource.metadata_text("uid").empty()) resource.set_metadata("uid", sources_.new_uid());
  if (resource.metadata_text("creationTimestamp").empty())
    resource.set_metadata("creationTimestamp", sources_.timestamp());

  model::Problems problems;
  complete(resource, model::WriteReason::kCreate, problems);
  if (!problems.empty()) return base::fail(invalid(problems));
  if (check_others) {
    if (auto ok = check_references(resource); !ok) return base::fail(ok.error());
  }
  validate(resource, problems);
  if (!problems.empty()) return base::fail(invalid(problems));

  const std::string key = model::resource_key(kind, resource.ns(), resource.name());
  if (dry_run_) {
    if (store_.get(key)) return base::fail(already_exists(resource.id()));
    return resource;
  }
  Resource stored = resource;
  model::store_policy_name(stored);
  const auto reply = store_.create(key, encode_stored(stored));
  if (!reply) return base::fail(reply.error());
  if (reply->status != store::WriteStatus::kDone) return base::fail(already_exists(resource.id()));
  resource.set_metadata("resourceVersion", std::to_string(reply->revision));
  return resource;
}

base::Result<Resource> Client::update(Resource resource) {
  if (auto ok = require_namespace(*resource.kind, resource.ns()); !ok) return base::fail(ok.error());
  if (is_default_profile(*resource.kind, resource.name())) return base::fail(profile_is_built_in("Update", "updated"));
  const auto before = read(*resource.kind, resource.ns(), resource.name());
  if (!before) return base::fail(before.error());
  if (before->resource.resource_version() != resource.resource_version())
    return base::fail(update_conflict(resource.id()));
  return write_over(*before, std::move(resource));
}

base::Result<Resource> Client::write_over(const Stored& before, Resource after) {
  // Foreign tools may have stored neither; upstream then refuses every update.
  if (after.metadata_text("uid").empty()) after.set_metadata("uid", sources_.new_uid());
  if (after.metadata_text("creationTimestamp").empty()) after.set_metadata("creationTimestamp", sources_.timestamp());
  carry_unknown_members(before.resource, after);

  model::Problems problems;
  complete(after, model::WriteReason::kUpdate, problems);
  if (after.kind->check_change != nullptr) after.kind->check_change(before.resource, after, problems);
  if (!problems.empty()) return base::fail(invalid(problems));
  validate(after, problems);
  if (!problems.empty()) return base::fail(invalid(problems));

  const auto revision = parse_revision(before.resource.resource_version());
  if (!revision) return base::fail(revision.error());
  if (dry_run_) return after;
  Resource stored = after;
  model::store_policy_name(stored);
  const auto reply = store_.update(before.key, encode_stored(stored), *revision);
  if (!reply) return base::fail(reply.error());
  if (reply->status == store::WriteStatus::kNotFound) return base::fail(does_not_exist(after.id()));
  if (reply->status != store::WriteStatus::kDone) return base::fail(update_conflict(after.id()));
  after.set_metadata("resourceVersion", std::to_string(reply->revision));
  return after;
}

base::Result<Resource> Client::replace(const Resource& input) {
  if (auto ok = require_namespace(*input.kind, input.ns()); !ok) return base::fail(ok.error());
  if (is_default_profile(*input.kind, input.name())) return base::fail(profile_is_built_in("Update", "updated"));
  base::Result<Resource> result = base::fail(update_conflict(input.id()));
  for (int attempt = 0; attempt < kUpdateTries; ++attempt) {
    if (attempt > 0) sources_.pause(kUpdatePause);
    const auto before = read(*input.kind, input.ns(), input.name());
    if (!before) return base::fail(before.error());
    if (auto ok = check_writable(input, "apply or replace"); !ok) return base::fail(ok.error());

    Resource after = input;
    boost::json::object metadata = before->resource.body.at("metadata").as_object();
    for (const std::string_view taken : {"labels", "annotations"}) {
      const boost::json::value* given = model::find(input.body, std::string("metadata.") + std::string(taken));
      metadata.erase(taken);
      if (given != nullptr) metadata[taken] = *given;
    }
    after.metadata() = std::move(metadata);
    if (!after.body.contains("status") && before->resource.body.contains("status"))
      after.body["status"] = before->resource.body.at("status");
    if (!input.resource_version().empty()) {
      after.set_metadata("resourceVersion", input.resource_version());
      return update(std::move(after));
    }
    result = write_over(*before, std::move(after));
    if (result || result.error().kind() != ErrorKind::kConflict) return result;
  }
  return base::fail(Error(ErrorKind::kConflict, "failed to update the resource: " + result.error().text()));
}

base::Result<Resource> Client::apply(const Resource& input) {
  if (input.kind == &model::kinds::kClusterInformation) {
    return base::fail(not_supported("apply", "ClusterInformation", "resource is readonly"));
  }
  Resource fresh = input;
  fresh.set_metadata("resourceVersion", {});
  auto created = create(std::move(fresh));
  if (created) return created;
  const ErrorKind kind = created.error().kind();
  if (kind != ErrorKind::kExists && kind != ErrorKind::kUnsupported) return created;
  return replace(input);
}

base::Result<Resource> Client::get(const model::Kind& kind, std::string_view ns, std::string_view name,
                                   std::string_view resource_version) {
  if (auto ok = require_namespace(kind, ns); !ok) return base::fail(ok.error());
  if (is_default_profile(kind, name)) return default_profile();
  store::Revision revision = 0;
  if (!resource_version.empty()) {
    const auto parsed = parse_revision(resource_version);
    if (!parsed) return base::fail(parsed.error());
    revision = *parsed;
  }
  auto stored = read(kind, ns, name, revision);
  if (!stored) return base::fail(stored.error());
  return std::move(stored->resource);
}

base::Result<ResourceList> Client::list(const model::Kind& kind, std::string_view ns) {
  const auto listing = store_.list(model::resource_prefix(kind, ns));
  if (!listing) return base::fail(listing.error());
  ResourceList result{&kind, std::to_string(listing->revision), {}};
  for (const store::KeyValue& item : listing->items) {
    const auto key = model::parse_resource_key(item.key);
    if (!key || is_default_profile(kind, key->name)) continue;
    auto resource = decode(kind, item, model::ReadReason::kList);
    if (resource) {
      result.items.push_back(*std::move(resource));
    } else {
      sources_.warn(resource.error().text());
    }
  }
  if (&kind == &model::kinds::kTier) {
    const auto order = [](const Resource& tier) { return model::find(tier, "spec.order")->to_number<double>(); };
    std::ranges::stable_sort(result.items, {}, order);
  }
  if (&kind == &model::kinds::kProfile) result.items.push_back(default_profile());
  return result;
}

base::Result<void> Client::remove(const model::Kind& kind, std::string_view ns, std::string_view name,
                                  std::string_view resource_version) {
  if (auto ok = require_namespace(kind, ns); !ok) return ok;
  const Resource named = model::make_resource(kind, name, ns);
  if (auto ok = check_writable(named, "delete"); !ok) return ok;
  if (is_default_profile(kind, name)) return base::fail(profile_is_built_in("Delete", "deleted"));
  if (&kind == &model::kinds::kTier) {
    if (name == "default" || name == "kube-admin" || name == "kube-baseline") {
      return base::fail(not_supported("Delete", name, "Cannot delete " + std::string(name) + " tier"));
    }
    if (auto ok = check_tier_is_empty(name); !ok) return ok;
  }
  if (&kind == &model::kinds::kNode) {
    if (auto ok = remove_node_objects(name); !ok) return ok;
  }
  auto stored = read(kind, ns, name);
  if (!stored && stored.error().kind() == ErrorKind::kInvalid) {  // what cannot be read can still be deleted
    return remove_key(model::resource_key(kind, ns, name), named.id(), resource_version);
  }
  if (!stored) return base::fail(stored.error());
  if (&kind == &model::kinds::kIpPool) return remove_pool(*stored, resource_version);
  return remove_key(stored->key, named.id(), resource_version);
}

base::Result<void> Client::remove_key(const std::string& key, std::string_view id, std::string_view resource_version) {
  store::Revision expected = 0;
  if (!resource_version.empty()) {
    const auto parsed = parse_revision(resource_version);
    if (!parsed) return base::fail(parsed.error());
    expected = *parsed;
  }
  if (dry_run_) return {};
  const auto reply = store_.remove(key, expected);
  if (!reply) return base::fail(reply.error());
  if (reply->status == store::WriteStatus::kNotFound) return base::fail(does_not_exist(id));
  if (reply->status != store::WriteStatus::kDone) return base::fail(update_conflict(id));
  return {};
}

}  // namespace cli
