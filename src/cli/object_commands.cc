// get, label and patch: commands on single objects (spec cli §3.4, §3.6, §3.7).

#include <utility>

#include <boost/json/object.hpp>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/json_patch.h"
#include "cli/output.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using model::Resource;

namespace {

constexpr int kUpdateTries = 5;
constexpr base::Duration kUpdatePause = std::chrono::seconds(1);

// "64512" if unset or absent, "unknown" if it cannot be read.
std::string default_as_number(Client& client) {
  const auto configuration = client.get(model::kinds::kBgpConfiguration, {}, "default");
  if (!configuration) return configuration.error().kind() == ErrorKind::kNotFound ? "64512" : "unknown";
  const auto number = model::number_of(configuration->spec(), "asNumber");
  return number ? std::to_string(*number) : "64512";
}

base::Result<GetResult> get_one(Client& client, const Resource& wanted, bool list) {
  if (list) {
    auto found = client.list(*wanted.kind, wanted.ns());
    if (!found) return base::fail(found.error());
    return GetResult(*std::move(found));
  }
  auto found = client.get(*wanted.kind, wanted.ns(), wanted.name(), wanted.resource_version());
  if (!found) return base::fail(found.error());
  return GetResult(*std::move(found));
}

void strip_for_export(Resource& resource) {
  for (const std::string_view member : {"namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
                                        "deletionGracePeriodSeconds"}) {
    resource.metadata().erase(member);
  }
}

// Reads, changes and writes until nobody interferes. `change` works on the stored object.
template <typename Change>
base::Result<void> change_object(Session& session, Client& client, const Resource& wanted, Change change) {
  base::Result<void> result;
  for (int attempt = 0; attempt < kUpdateTries; ++attempt) {
    if (attempt > 0) session.environment().pause(kUpdatePause);
    auto stored = client.get(*wanted.kind, wanted.ns(), wanted.name());
    if (!stored) return base::fail(stored.error());
    const std::string version(stored->resource_version());
    if (auto changed = change(*stored); !changed) return changed;
    const bool pinned = stored->resource_version() != version;  // the change itself names a version: no second try
    auto written = client.update(*std::move(stored));
    if (written) return {};
    result = base::fail(Error(written.error().kind(), "updating existing resource: " + written.error().text()));
    if (pinned || written.error().kind() != ErrorKind::kConflict) return result;
  }
  return result;
}

// KIND and NAME of label and patch. Errors carry no prefix.
base::Result<Resource> single_target(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positionals();
  const model::Kind* kind = model::find_kind_by_alias(words[0]);
  if (kind == nullptr)
    return base::fail(Error(ErrorKind::kInvalid, "resource type '" + words[0] + "' is not supported"));
  if (words[1].empty()) return base::fail(Error(ErrorKind::kInvalid, "resource name may not be empty"));
  Resource wanted = model::make_resource(*kind, words[1]);
  if (auto ok = resolve_namespace(wanted, arguments, false); !ok) return base::fail(ok.error());
  return wanted;
}

base::Result<void> patch_resource(Resource& resource, const std::string& type, const boost::json::value& patch) {
  boost::json::value document = display_object(resource);
  if (type == "json") {
    if (auto ok = apply_json_patch(document, patch); !ok) return ok;
  } else {
    apply_merge_patch(document, patch);
  }
  auto patched = model::decode_document(document);
  if (!patched)
    return base::fail(Error(ErrorKind::kInvalid, "creating resource from patched data: " + patched.error().text()));
  if (patched->kind != resource.kind || patched->name() != resource.name() || patched->ns() != resource.ns()) {
    return base::fail(
        Error(ErrorKind::kInvalid, "updating existing resource: " + does_not_exist(patched->id()).text()));
  }
  carry_unknown_members(resource, *patched);
  resource = *std::move(patched);
  return {};
}

}  // namespace

int run_get(Session& session, const Arguments& arguments) {
  const auto before_any = [&](const Error& error) { return session.fail("failed to get resources: " + error.text()); };
  const auto client = session.client(arguments);
  if (!client) return session.fail(client.error().text());
  if (auto checked = session.checked_client(arguments); !checked) return before_any(checked.error());
  const auto format = parse_format(arguments.value("output"));
  if (!format) return session.fail(format.error().text());
  auto targets = load_targets(arguments, session.environment());
  if (!targets) {
    const bool decoding = targets.error().text().starts_with("failed to execute command");
    return decoding ? session.fail(targets.error().text()) : before_any(targets.error());
  }

  std::vector<GetResult> results;
  std::vector<std::string> errors;
  for (Resource& wanted : targets->resources) {
    const bool list = wanted.name().empty();
    if (auto ok = resolve_namespace(wanted, arguments, list); !ok) {
      errors.push_back(ok.error().text());
      break;
    }
    auto found = get_one(**client, wanted, list);
    if (found) {
      results.push_back(*std::move(found));
    } else {
      errors.push_back(found.error().text());
    }
  }
  if (arguments.has("export") && !targets->whole_kind && !arguments.has("filename")) {
    for (GetResult& result : results) strip_for_export(std::get<Resource>(result));
  }
  if (!results.empty() || errors.empty()) {
    TableContext context;
    context.with_namespace = arguments.has("all-namespaces") || !arguments.value("namespace").empty();
    if (needs_default_as_number(results, *format)) context.default_as_number = default_as_number(**client);
    const auto text = format_results(results, *format, context);
    if (!text) return session.fail(text.error().text());
    session.environment().print(*text);
  }
  if (errors.empty()) return 0;
  return session.fail(base::join(errors, "\n"));
}

int run_label(Session& session, const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.positionals();
  const std::string target = words[0] + " " + words[1];
  const bool remove = arguments.has("remove");
  const auto equals = words[2].find('=');
  const bool has_one = equals != std::string::npos && words[2].find('=', equals + 1) == std::string::npos;
  if (!remove && !has_one) return session.fail("invalid label " + words[2]);
  const std::string key = remove ? words[2] : words[2].substr(0, equals);
  const std::string value = remove ? "" : words[2].substr(equals + 1);

  const auto client = session.client(arguments);
  if (!client) return session.fail(client.error().text());
  const auto checked = session.checked_client(arguments);
  if (!checked) return session.fail("failed to get " + target + ", error " + checked.error().text());
  const auto wanted = single_target(arguments);
  if (!wanted) return session.fail("failed to get " + target + ", error " + wanted.error().text());

  std::string message, refusal;
  bool read = false;
  const auto changed = change_object(session, **client, *wanted, [&](Resource& stored) -> base::Result<void> {
    read = true;
    boost::json::value& labels = stored.metadata()["labels"];
    if (!labels.is_object()) labels.emplace_object();
    const boost::json::value* present = labels.get_object().if_contains(key);
    const bool same = present != nullptr && present->is_string() && present->get_string() == value;
    if (remove && present == nullptr) {
      refusal = "cannot remove label of " + target + ", key " + key + " does not exist";
    } else if (!remove && present != nullptr && !same && !arguments.has("overwrite")) {
      refusal = "failed to update label of " + target + ", key " + key +
                " is already present. please use '--overwrite' to set a new value";
    }
    if (!refusal.empty()) return base::fail(Error(ErrorKind::kInvalid, refusal));
    message = remove               ? "Successfully removed label " + key + " from " + target
              : present != nullptr ? "Successfully updated label " + key + " on " + target
                                   : "Successfully set label " + key + " on " + target;
    if (remove) {
      labels.get_object().erase(key);
    } else {
      labels.get_object()[key] = value;
    }
    return {};
  });
  if (!refusal.empty()) return session.fail(refusal);
  if (!changed && !read && changed.error().kind() == ErrorKind::kNotFound) return session.fail(target + " not found");
  if (!changed && !read) return session.fail("failed to get " + target + ", error " + changed.error().text());
  if (!changed) return session.fail("failed to update " + target + ", label not changed: " + changed.error().text());
  session.environment().print(message + "\n");
  return 0;
}

int run_patch(Session& session, const Arguments& arguments) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  const auto wanted = single_target(arguments);
  if (!wanted) return session.fail(wanted.error().text());
  const std::string type = arguments.value("type", "strategic");
  if (type != "strategic" && type != "merge" && type != "json") {
    return session.fail("hit error: unknown patch type '" + type + "', expected one of: strategic, merge, json");
  }
  const auto patch = model::parse_document(arguments.value("patch"));
  const bool right_shape = patch && (type == "json" ? patch->is_array() : patch->is_object());
  if (!right_shape) return session.fail("hit error: performing strategic merge patch: invalid JSON document");
  (*client)->set_dry_run(arguments.has("dry-run"));
  const auto patched =
      change_object(session, **client, *wanted, [&](Resource& stored) { return patch_resource(stored, type, *patch); });
  if (!patched) return session.fail("hit error: " + patched.error().text());
  session.environment().print("Successfully patched 1 '" + std::string(wanted->kind->name) + "' resource" +
                              (arguments.has("dry-run") ? " (dry run)" : "") + "\n");
  return 0;
}

}  // namespace cli
