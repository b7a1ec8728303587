// percale-neutron: the bridge between Neutron and etcd (docs/neutron-bridge.md).
//
//   percale-neutron --config-file /etc/neutron/neutron.conf --socket /run/percale/neutron.sock
//
// Runs until SIGTERM or SIGINT; then gives leadership up and removes the socket. Exit status: 0 after a signal, 2 when
// the command line or the configuration is wrong, 1 when the socket cannot be had.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/metrics.h"
#include "neutron/bridge.h"
#include "neutron/options.h"
#include "neutron/unix_server.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/log.h"
#include "os/notify.h"
#include "os/random.h"
#include "os/signals.h"
#include "store/open_store.h"

namespace {

constexpr unsigned kLeaveWithinSeconds = 5;
constexpr base::Duration kListenAnyway = std::chrono::seconds(10);

struct CommandLine {
  std::vector<std::string> config_files;
  std::string socket = "/run/percale/neutron.sock";
  bool version = false;
};

int fail(int status, const std::string& what) {
  std::fprintf(stderr, "percale-neutron: %s\n", what.c_str());
  return status;
}

base::Result<neutron::Options> load_options(const std::vector<std::string>& paths) {
  neutron::OsloFile file;
  for (const auto& path : paths) {
    const auto text = os::read_file(path);
    if (!text) return base::fail(text.error());
    if (auto added = file.add(*text, path); !added) return base::fail(std::move(added).error());
  }
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return neutron::read_options(file, host.data());
}

// Version 4, as everybody's uid in etcd.
std::string random_uuid() {
  const std::uint64_t high = os::random_seed();
  const std::uint64_t low = os::random_seed();
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(high >> 32),
                static_cast<unsigned>((high >> 16) & 0xFFFF), static_cast<unsigned>(high & 0xFFF),
                static_cast<unsigned>(0x8000 | ((low >> 48) & 0x3FFF)),
                static_cast<unsigned long long>(low & 0xFFFFFFFFFFFFull));
  return text.data();
}

std::set<uid_t> allowed_users(const neutron::Options& options) {
  std::set<uid_t> users{0, ::geteuid()};
  const auto passwd = os::read_file("/etc/passwd");
  for (const unsigned id : neutron::user_ids(options.socket_users, passwd ? *passwd : "")) users.insert(id);
  return users;
}

neutron::BridgeSettings bridge_settings(const neutron::Options& options) {
  neutron::BridgeSettings settings;
  settings.version = PERCALE_VERSION;
  settings.election = {.name = options.elector_name,
                       .pid = ::getpid(),
                       .process_exists = [](int pid) { return os::file_exists("/proc/" + std::to_string(pid)); },
                       .jitter = os::make_jitter()};
  settings.compaction = {
      .period = options.compaction_period, .min_revisions = options.compaction_min_revisions, .pid = ::getpid()};
  settings.resync_interval = options.resync_interval;
  settings.resync_max_interval = options.resync_max_interval;
  return settings;
}

int serve(const CommandLine& line, const neutron::Options& options, base::Log& log, os::EventLoop& loop,
          std::function<void()>& leave) {
  base::MetricRegistry metrics;
  auto store = store::open_store(options.etcd, log, metrics);
  if (!store) return fail(2, store.error().text());
  neutron::Context context{.loop = loop,
                           .store = **store,
                           .log = log,
                           .region = *neutron::Region::make(options.region),
                           .request = {.timeout = options.etcd_timeout},
                           .fresh_uid = random_uuid,
                           .port = {.spoofing_allowed = false,
                                    .max_ingress_connections = options.max_ingress_connections,
                                    .max_egress_connections = options.max_egress_connections}};
  neutron::Bridge bridge(std::move(context), bridge_settings(options), metrics);
  leave = [&] { bridge.stop([&] { loop.stop(); }); };
  // Whoever sees the socket may use it: it comes when etcd has been read. If etcd is away, it comes nevertheless, so
  // that API calls get an answer that says so.
  std::unique_ptr<neutron::UnixServer> server;
  int status = 0;
  const auto listen = [&] {
    if (server) return;
    auto started = neutron::UnixServer::start(
        {.path = line.socket, .mode = options.socket_mode, .users = allowed_users(options)}, loop, log,
        {.request = [&](neutron::HttpRequest request,
                        neutron::HttpRespond respond) { bridge.handle(std::move(request), std::move(respond)); },
         .closed = [&](neutron::ConnectionId connection) { bridge.closed(connection); }});
    if (!started) {
      status = fail(1, started.error().text());
      return loop.stop();
    }
    server = *std::move(started);
    log.info("neutron.start", "The Neutron bridge serves its socket",
             {{"socket", line.socket}, {"etcd", (*store)->describe()}, {"version", PERCALE_VERSION}});
    if (auto told = os::notify_ready(); !told) log.warning("neutron.notify", told.error().text());
  };
  loop.post([&] { bridge.start(listen); });
  loop.after(kListenAnyway, listen);
  loop.run();
  leave = nullptr;
  server.reset();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine line;
  CLI::App app("Percale's bridge between Neutron and etcd.", "percale-neutron");
  app.add_option("--config-file", line.config_files, "neutron.conf; may be repeated, later files win");
  app.add_option("--socket", line.socket, "where Neutron's driver finds the bridge")->capture_default_str();
  app.add_flag("--version", line.version, "print the version and leave");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (line.version) {
    std::puts("percale-neutron " PERCALE_VERSION);
    return 0;
  }
  if (line.config_files.empty()) line.config_files = {"/etc/neutron/neutron.conf"};
  const auto options = load_options(line.config_files);
  if (!options) return fail(2, options.error().text());
  // Before any thread is started, so that all have the signals blocked.
  os::ignore_sigpipe();
  os::EventLoop loop;
  std::function<void()> leave;
  const os::SignalWatch signals(loop, {SIGTERM, SIGINT}, [&](int) {
    ::alarm(kLeaveWithinSeconds);
    if (leave) leave();
  });
  auto log = os::Log::open({.screen = options->log_level, .syslog_tag = "percale-neutron"});
  if (!log) return fail(2, log.error().text());
  return serve(line, *options, **log, loop, leave);
}
