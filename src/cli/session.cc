#include "cli/session.h"

#include <utility>

#include "cli/connection.h"
#include "model/kinds/kinds.h"

namespace cli {

using base::Error;
using base::ErrorKind;

Session::Session(Environment& environment, GlobalOptions globals)
    : environment_(environment), globals_(std::move(globals)) {}

Session::~Session() = default;

base::Result<Client*> Session::client(const Arguments& arguments) {
  if (client_) return client_.get();
  auto choice = choose_connection(globals_.datastore, arguments.value("config"), environment_);
  const auto not_created = [](const Error& error) {
    if (error.text().starts_with("Error reading config file")) return error;
    return Error(error.kind(), "Failed to create Calico API client: " + error.text());
  };
  if (!choice) return base::fail(not_created(choice.error()));
  note(LogLevel::kInfo, "datastore settings from " + choice->source);
  if (!choice->warning.empty()) note(LogLevel::kWarn, choice->warning);
  auto opened = environment_.open(choice->settings);
  if (!opened) return base::fail(not_created(opened.error()));
  store_ = *std::move(opened);
  blocking_ =
      std::make_unique<store::BlockingStore>(*store_, store::RequestOptions{.timeout = globals_.request_timeout});
  client_ = std::make_unique<Client>(
      *blocking_,
      ClientSources{
          .new_uid = [this] { return environment_.new_uid(); },
          .timestamp = [this] { return environment_.timestamp(); },
          .pause = [this](base::Duration duration) { environment_.pause(duration); },
          .ipam = {.wall = [this] { return environment_.wall(); },
                   .now = [this] { return environment_.now(); },
                   .jitter = [this] { return environment_.jitter(); },
                   .pause = [this](base::Duration duration) { environment_.pause(duration); }},
          .warn = [this](std::string_view text) { environment_.print_error("Warning: " + std::string(text) + "\n"); }});
  return client_.get();
}

base::Result<Client*> Session::checked_client(const Arguments& arguments) {
  auto connected = client(arguments);
  if (!connected) return connected;
  if (globals_.allow_version_mismatch || arguments.has("allow-version-mismatch")) return connected;
  if (auto same = check_version(**connected); !same) return base::fail(same.error());
  return connected;
}

void Session::note(LogLevel level, std::string_view text) {
  if (level <= globals_.log_level) environment_.print_error(std::string(text) + "\n");
}

int Session::fail(std::string_view text) {
  constexpr std::string_view kPrefix = "error unmarshaling JSON: while decoding JSON: json: ";
  constexpr std::string_view kUnknown = "unknown field \"";
  std::string message(text);
  if (message.starts_with(kPrefix)) message.erase(0, kPrefix.size());
  if (const auto at = message.find(kUnknown); at != message.npos) {
    const std::string rest = message.substr(at + kUnknown.size());
    note(LogLevel::kInfo, message);
    message = "field in document is not recognized or is in the wrong location: " + rest.substr(0, rest.find('"'));
  }
  environment_.print_error(message + "\n");
  return 1;
}

std::string normalised_version(std::string_view version) {
  if (version.starts_with("v")) version.remove_prefix(1);
  return std::string(version.substr(0, version.find('-')));
}

base::Result<void> check_version(Client& client) {
  const auto information = client.get(model::kinds::kClusterInformation, {}, "default");
  if (!information) {
    const ErrorKind kind = information.error().kind();
    if (kind == ErrorKind::kNotFound) return {};
    // Overriding the comparison does not help when nobody answers.
    const bool can_override = kind != ErrorKind::kUnavailable && kind != ErrorKind::kDenied;
    return base::fail(
        Error(kind, "unable to get Cluster Information to verify version mismatch: " + information.error().text() +
                        (can_override ? "\nUse --allow-version-mismatch to override" : "")));
  }
  const std::string cluster = normalised_version(model::text_of(information->spec(), "calicoVersion"));
  if (cluster.empty() || cluster == normalised_version(kClientVersion)) return {};
  return base::fail(Error(ErrorKind::kInvalid, "version mismatch.\nClient Version:   " + std::string(kClientVersion) +
                                                   "\nCluster Version:  " + cluster +
                                                   "\nUse --allow-version-mismatch to override"));
}

}  // namespace cli
