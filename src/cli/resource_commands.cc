// create, apply, replace, delete and validate (spec cli §2.4, §2.6, §3).

#include <functional>
#include <set>
#include <utility>

#include "base/strings.h"
#include "cli/commands.h"
#include "cli/loader.h"
#include "model/kinds/kinds.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using model::Resource;

namespace {

struct Verb {
  std::string_view present;       // "create"
  std::string_view past;          // "created"
  std::string_view partial_word;  // "hit error" or "hit error(s)"
};
constexpr Verb kCreate = {"create", "created", "hit error"};
constexpr Verb kApply = {"apply", "applied", "hit error(s)"};
constexpr Verb kReplace = {"replace", "replaced", "hit error"};
constexpr Verb kValidate = {"validate", "validated", "hit error(s)"};

using Action = std::function<base::Result<void>(Resource&)>;

struct Outcome {
  std::size_t handled = 0;
  std::vector<std::string> errors;
};

// In input order; an individual failure does not stop the others, a wrong namespace does.
Outcome run_all(Targets& targets, const Arguments& arguments, const Action& action) {
  Outcome outcome;
  for (Resource& resource : targets.resources) {
    if (auto ok = resolve_namespace(resource, arguments, false); !ok) {
      outcome.errors.push_back(ok.error().text());
      break;
    }
    if (auto ok = action(resource); ok) {
      ++outcome.handled;
    } else {
      outcome.errors.push_back(ok.error().text());
    }
  }
  return outcome;
}

std::string bracketed(const std::vector<std::string>& errors) { return "[" + base::join(errors, " ") + "]"; }

// "3 'IPPool' resource(s)" or "3 resource(s)".
std::string counted(std::size_t count, const Targets& targets) {
  const std::string kind = targets.kind_name.empty() ? "" : " '" + targets.kind_name + "'";
  return std::to_string(count) + kind + " resource(s)";
}

int report(Session& session, const Verb& verb, const Targets& targets, const Outcome& outcome, bool dry_run) {
  const std::string kind = targets.kind_name.empty() ? "" : "'" + targets.kind_name + "' ";
  if (targets.resources.empty()) {
    session.environment().print("No resources specified\n");
    return 0;
  }
  if (outcome.errors.empty()) {
    session.environment().print("Successfully " + std::string(verb.past) + " " + counted(outcome.handled, targets) +
                                (dry_run ? " (dry run)" : "") + "\n");
    return 0;
  }
  if (outcome.handled == 0) {
    const bool single = targets.resources.size() == 1;
    return session.fail("failed to " + std::string(verb.present) + " " + (single ? "" : "any ") + kind +
                        (single ? "resource: " : "resources: ") + bracketed(outcome.errors));
  }
  if (outcome.handled > outcome.errors.size()) {
    session.environment().print("Partial success: " + std::string(verb.past) + " the first " +
                                std::to_string(outcome.handled) + " out of " +
                                std::to_string(targets.resources.size()) + " " + kind + "resources:\n");
  }
  return session.fail(std::string(verb.partial_word) + ": " + bracketed(outcome.errors));
}

void keep_own_metadata(Resource& resource) {
  boost::json::object kept;
  for (const std::string_view member : {"name", "namespace", "resourceVersion", "labels", "annotations"}) {
    if (const boost::json::value* value = model::find(resource.body, "metadata." + std::string(member)))
      kept[member] = *value;
  }
  resource.metadata() = std::move(kept);
}

template <typename T>
base::Result<void> drop_value(base::Result<T> result) {
  if (!result) return base::fail(std::move(result).error());
  return {};
}

using ClientAction = base::Result<void> (*)(Client& client, Resource& resource, const Arguments& arguments);

int write_resources(Session& session, const Arguments& arguments, const Verb& verb, ClientAction action) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  auto targets = load_targets(arguments, session.environment());
  if (!targets) return session.fail(targets.error().text());
  const bool dry_run = arguments.has("dry-run");
  (*client)->set_dry_run(dry_run);
  if (!targets->resources.empty()) {
    if (auto ready = (*client)->ensure_initialized(); !ready) session.note(LogLevel::kInfo, ready.error().text());
  }
  const Outcome outcome = run_all(*targets, arguments, [&](Resource& resource) {
    keep_own_metadata(resource);
    return action(**client, resource, arguments);
  });
  return report(session, verb, *targets, outcome, dry_run);
}

}  // namespace

base::Result<Targets> load_targets(const Arguments& arguments, Environment& environment) {
  Targets targets;
  if (arguments.has("filename")) {
    auto loaded = load_resources({arguments.value("filename"), arguments.has("recursive"), arguments.has("skip-empty")},
                                 environment);
    if (!loaded) return base::fail(loaded.error());
    targets.resources = *std::move(loaded);
    std::set<std::string_view> kinds;
    for (const Resource& resource : targets.resources) kinds.insert(resource.kind->name);
    if (kinds.size() == 1) targets.kind_name = *kinds.begin();
    return targets;
  }
  const std::vector<std::string>& words = arguments.positionals();
  const model::Kind* kind = words.empty() ? nullptr : model::find_kind_by_alias(words.front());
  if (kind == nullptr) {
    return base::fail(
        Error(ErrorKind::kInvalid, "resource type '" + (words.empty() ? "" : words.front()) + "' is not supported"));
  }
  targets.kind_name = kind->name;
  targets.whole_kind = words.size() == 1;
  if (targets.whole_kind) targets.resources.push_back(model::make_resource(*kind, ""));
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i].empty()) return base::fail(Error(ErrorKind::kInvalid, "resource name may not be empty"));
    targets.resources.push_back(model::make_resource(*kind, words[i]));
  }
  return targets;
}

base::Result<void> resolve_namespace(Resource& resource, const Arguments& arguments, bool lists) {
  const auto fail_with = [](std::string text) { return base::fail(Error(ErrorKind::kInvalid, std::move(text))); };
  const std::string given = arguments.value("namespace");
  const bool all = arguments.has("all-namespaces");
  const std::string in_document(resource.ns());
  const std::string kind(resource.kind->name);
  if (!resource.kind->namespaced) {
    if (!in_document.empty()) {
      return fail_with("namespace should not be specified for a non-namespaced resource. " + kind +
                       " is not a namespaced resource");
    }
    if (!given.empty() || all) return fail_with(kind + " is not namespaced");
    return {};
  }
  if (all && !given.empty())
    return fail_with("cannot use both --namespace and --all-namespaces flags at the same time");
  if (all) {
    if (!lists) return fail_with("cannot use --all-namespace flag for getting a single resource");
    resource.set_metadata("namespace", {});
  } else if (in_document.empty()) {
    resource.set_metadata("namespace", given.empty() ? "default" : given);
  } else if (!given.empty() && given != in_document) {
    return fail_with("resource namespace does not match client namespace. " + in_document + " != " + given);
  }
  return {};
}

int run_create(Session& session, const Arguments& arguments) {
  return write_resources(session, arguments, kCreate,
                         [](Client& client, Resource& resource, const Arguments& words) -> base::Result<void> {
                           auto created = client.create(std::move(resource));
                           if (!created && created.error().kind() == ErrorKind::kExists && words.has("skip-exists"))
                             return {};
                           return drop_value(std::move(created));
                         });
}

int run_apply(Session& session, const Arguments& arguments) {
  return write_resources(session, arguments, kApply, [](Client& client, Resource& resource, const Arguments&) {
    return drop_value(client.apply(resource));
  });
}

int run_replace(Session& session, const Arguments& arguments) {
  return write_resources(session, arguments, kReplace, [](Client& client, Resource& resource, const Arguments&) {
    return drop_value(client.replace(resource));
  });
}

int run_delete(Session& session, const Arguments& arguments) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  auto targets = load_targets(arguments, session.environment());
  if (!targets) return session.fail(targets.error().text());
  if (targets->resources.empty()) {
    session.environment().print("No resources specified\n");
    return 0;
  }
  const bool dry_run = arguments.has("dry-run");
  (*client)->set_dry_run(dry_run);
  const Outcome outcome = run_all(*targets, arguments, [&](Resource& resource) -> base::Result<void> {
    const model::Kind& kind = *resource.kind;
    auto removed = resource.name().empty()
                       ? base::Result<void>(base::fail(does_not_exist(resource.id())))
                       : (*client)->remove(kind, resource.ns(), resource.name(), resource.resource_version());
    if (!removed && removed.error().kind() == ErrorKind::kNotFound && arguments.has("skip-not-exists")) return {};
    return removed;
  });
  if (outcome.handled > 0) {
    session.environment().print("Successfully deleted " + counted(outcome.handled, *targets) +
                                (dry_run ? " (dry run)" : "") + "\n");
  }
  if (outcome.errors.empty()) return 0;
  std::string text;
  const std::string kind = targets->kind_name.empty() ? "" : "'" + targets->kind_name + "' ";
  for (const std::string& error : outcome.errors) text += "Failed to delete " + kind + "resource: " + error + "\n";
  return session.fail(text);
}

int run_validate(Session& session, const Arguments& arguments) {
  auto targets = load_targets(arguments, session.environment());
  if (!targets) return session.fail(targets.error().text());
  const Outcome outcome = run_all(*targets, arguments, [](Resource& resource) -> base::Result<void> {
    model::Problems problems;
    complete(resource, model::WriteReason::kCreate, problems);
    validate(resource, problems);
    if (!problems.empty()) return base::fail(Error(ErrorKind::kInvalid, to_string(problems.take())));
    return {};
  });
  return report(session, kValidate, *targets, outcome, false);
}

}  // namespace cli
