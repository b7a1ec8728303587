// session.h: one run of the command line: its global options and its connection, made when first needed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/environment.h"
#include "store/blocking.h"

namespace cli {

// The release whose behaviour this program has; compared with ClusterInformation (spec cli §1.7).
inline constexpr std::string_view kClientVersion = "v3.32.0-percale0.1.0";

enum class LogLevel { kPanic, kFatal, kError, kWarn, kInfo, kDebug };

struct GlobalOptions {
  std::string program = "percalectl";
  LogLevel log_level = LogLevel::kPanic;
  std::string datastore;  // --datastore
  bool allow_version_mismatch = false;
  base::Duration request_timeout = std::chrono::seconds(10);
};

class Session {
 public:
  Session(Environment& environment, GlobalOptions globals);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Connected settings, not necessarily a reachable server. Errors are complete messages.
  base::Result<Client*> client(const Arguments& arguments);
  // The same, after the comparison of versions.
  base::Result<Client*> checked_client(const Arguments& arguments);

  Environment& environment() { return environment_; }
  const GlobalOptions& globals() const { return globals_; }

  // Prints an error as upstream does (spec cli §1.4) and returns the exit status.
  int fail(std::string_view text);
  void note(LogLevel level, std::string_view text);  // on standard error, if -l allows

 private:
  Environment& environment_;
  GlobalOptions globals_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::BlockingStore> blocking_;
  std::unique_ptr<Client> client_;
};

// Fails if the versions of client and cluster differ.
base::Result<void> check_version(Client& client);

// "v3.32.0-x" -> "3.32.0".
std::string normalised_version(std::string_view version);

}  // namespace cli
