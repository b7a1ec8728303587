// explain and version: what the program and the cluster say about themselves.

#include <utility>

#include "base/strings.h"
#include "cli/commands.h"
#include "model/kinds/kinds.h"
#include "model/resource_checks.h"

namespace cli {

int run_explain(Session& session, const Arguments& arguments) {
  if (arguments.positionals().empty()) {
    std::string text = "Kinds (percalectl explain KIND[.FIELD]):\n";
    for (const model::Kind* kind : model::all_kinds()) {
      std::string name(kind->name);
      name.resize(24, ' ');
      text += "  " + name + std::string(kind->doc) + "\n";
    }
    session.environment().print(text);
    return 0;
  }
  const std::string& word = arguments.positionals().front();
  const auto dot = word.find('.');
  const std::string kind_name = word.substr(0, dot);
  const model::Kind* kind = model::find_kind_by_alias(kind_name);
  if (kind == nullptr) return session.fail("resource type '" + kind_name + "' is not supported");
  const auto text = model::explain(*kind, dot == std::string::npos ? "" : std::string_view(word).substr(dot + 1));
  if (!text) return session.fail(text.error().text());
  session.environment().print(*text);
  return 0;
}

namespace {

base::Result<std::string> cluster_version(Session& session, const Arguments& arguments) {
  const auto client = session.client(arguments);
  if (!client) return base::fail(client.error());
  const auto information = (*client)->get(model::kinds::kClusterInformation, {}, "default");
  if (!information && information.error().kind() != base::ErrorKind::kNotFound) {
    return base::fail(base::Error(information.error().kind(),
                                  "unable to retrieve Cluster Version or Type: " + information.error().text()));
  }
  const auto shown = [&](std::string_view member) {
    const std::string text(information ? model::text_of(information->spec(), member) : "");
    return text.empty() ? "unknown" : text;
  };
  return "Cluster Version:   " + shown("calicoVersion") + "\nCluster Type:      " + shown("clusterType") + "\n";
}

}  // namespace

int run_version(Session& session, const Arguments& arguments) {
  const auto poll = model::parse_go_duration(arguments.value("poll", "0s"));
  if (!poll) return session.fail("invalid poll duration specified: 0s");
  session.environment().print("Client Version:    " + std::string(kClientVersion) + "\nGit commit:        unknown\n");
  if (arguments.has("client")) return 0;
  std::string before;
  while (true) {
    const auto now = cluster_version(session, arguments);
    if (!now && *poll <= 0) return session.fail(now.error().text());
    if (!now) {
      session.environment().print_error(now.error().text() + "\n");
    } else if (*now != before) {
      session.environment().print(*now);
      before = *now;
    }
    if (*poll <= 0) return 0;
    session.environment().pause(base::Duration(*poll));
  }
}

}  // namespace cli
