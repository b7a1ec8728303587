// commands.h: the commands of percalectl, and how a program adds one that lives elsewhere.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/session.h"

namespace cli {

// A command of this module. Returns the exit status.
struct Command {
  CommandHelp help;
  int (*run)(Session& session, const Arguments& arguments) = nullptr;
};

// A command with its own argument grammar, such as the lab. `args` is what follows its name.
struct ForeignCommand {
  std::string_view name;
  std::string_view summary;
  int (*run)(std::span<const std::string> args) = nullptr;
};

int run_create(Session& session, const Arguments& arguments);
int run_apply(Session& session, const Arguments& arguments);
int run_replace(Session& session, const Arguments& arguments);
int run_delete(Session& session, const Arguments& arguments);
int run_validate(Session& session, const Arguments& arguments);
int run_get(Session& session, const Arguments& arguments);
int run_label(Session& session, const Arguments& arguments);
int run_patch(Session& session, const Arguments& arguments);
int run_explain(Session& session, const Arguments& arguments);
int run_version(Session& session, const Arguments& arguments);
int run_trace(Session& session, const Arguments& arguments);
int run_plan(Session& session, const Arguments& arguments);
int run_ipam_show(Session& session, const Arguments& arguments);
int run_ipam_check(Session& session, const Arguments& arguments);
int run_ipam_release(Session& session, const Arguments& arguments);
int run_ipam_configure(Session& session, const Arguments& arguments);
int run_ipam_split(Session& session, const Arguments& arguments);
int run_node_init(Session& session, const Arguments& arguments);
int run_node_status(Session& session, const Arguments& arguments);
int run_node_checksystem(Session& session, const Arguments& arguments);

int run_datastore_lock(Session& session, const Arguments& arguments);
int run_datastore_unlock(Session& session, const Arguments& arguments);

// The commands of several words, with their options.
std::vector<Command> datastore_commands();
std::vector<Command> ipam_commands();
std::vector<Command> node_commands();

std::span<const Command> all_commands();

// The whole command line: `arguments` without the program's name. Returns the exit status.
int run(std::string_view program, std::span<const std::string> arguments, Environment& environment,
        std::span<const ForeignCommand> foreign = {});

// What several commands share.
struct Targets {
  std::vector<model::Resource> resources;  // from files, or made of KIND and NAMEs
  std::string kind_name;                   // if all are of one kind, or KIND was given; else empty
  bool whole_kind = false;                 // KIND without NAME
};
base::Result<Targets> load_targets(const Arguments& arguments, Environment& environment);

// spec cli §2.3. `lists` allows the empty namespace (all).
base::Result<void> resolve_namespace(model::Resource& resource, const Arguments& arguments, bool lists);

}  // namespace cli
