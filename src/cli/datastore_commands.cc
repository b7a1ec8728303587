// datastore migrate lock and unlock (spec cli §10.1): agents pause while datastoreReady is false. Neutron's driver does
// not look at it.

#include <utility>

#include "cli/commands.h"
#include "model/kinds/kinds.h"

namespace cli {

namespace {

constexpr Option kHelp = {"help", 'h', {}, "Show this text."};
constexpr Option kConfig = {"config", 'c', "CONFIG",
                            "File with the connection settings. [default: /etc/calico/calicoctl.cfg]"};
constexpr Option kMismatch = {"allow-version-mismatch", 0, {}, "Work on a cluster of another version."};

int set_ready(Session& session, const Arguments& arguments, bool ready) {
  const std::string purpose = ready ? "unlocking" : "locking";
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  if (!ready) {
    if (auto done = (*client)->ensure_initialized(); !done) {
      return session.fail("unable to initialize cluster information for the datastore migration: " +
                          done.error().text());
    }
  }
  auto information = (*client)->get(model::kinds::kClusterInformation, {}, "default");
  if (!information)
    return session.fail("error retrieving ClusterInformation for " + purpose + ": " + information.error().text());
  information->spec()["datastoreReady"] = ready;
  if (auto done = (*client)->update(*std::move(information)); !done)
    return session.fail("error updating ClusterInformation for " + purpose + ": " + done.error().text());
  session.environment().print(ready ? "Datastore unlocked.\n" : "Datastore locked.\n");
  return 0;
}

}  // namespace

std::vector<Command> datastore_commands() {
  return {
      {{"datastore migrate lock", "", "Make the agents pause.", {kConfig, kMismatch, kHelp}, 0, 0}, run_datastore_lock},
      {{"datastore migrate unlock", "", "Let the agents go on.", {kConfig, kMismatch, kHelp}, 0, 0},
       run_datastore_unlock},
  };
}

int run_datastore_lock(Session& session, const Arguments& arguments) { return set_ready(session, arguments, false); }
int run_datastore_unlock(Session& session, const Arguments& arguments) { return set_ready(session, arguments, true); }

}  // namespace cli
