#include "lab/holder.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

#include "lab/namespaces.h"
#include "lab/probe.h"
#include "os/files.h"
#include "os/mounts.h"

namespace lab {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  fmt::print(stderr, "{}: {}\n", what, std::strerror(errno));
  std::fflush(stderr);
  ::_exit(1);
}

void must(bool good, const std::string& what) {
  if (!good) give_up(what);
}

// The mount points exist: `up` made them before any holder started.
void mount_private(const std::string& source, const std::string& target) {
  must(os::make_directories(source).has_value(), source);
  must(::mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) == 0, "mount " + target);
}

void mount_host(const std::string& directory) {
  mount_private(directory + "/etc-calico", "/etc/calico");
  mount_private(directory + "/var-lib-calico", "/var/lib/calico");
  mount_private(directory + "/etc-bird", "/etc/bird");
  mount_private(directory + "/run", "/run");  // last: what is below the old /run is out of sight now
  for (const char* made : {"/run/bird", "/run/calico", "/run/lock"}) must(os::make_directories(made).has_value(), made);
}

void loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  must(fd >= 0 && ::ioctl(fd, SIOCGIFFLAGS, &request) == 0, "lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  must(::ioctl(fd, SIOCSIFFLAGS, &request) == 0, "lo up");
  ::close(fd);
}

[[noreturn]] void reap_for_ever() {
  while (true) {
    int status = 0;
    if (::waitpid(-1, &status, 0) < 0) ::usleep(50'000);  // no child at the moment
  }
}

}  // namespace

void run_holder(std::span<const std::string> arguments) noexcept {
  if (arguments.size() != 5) give_up("holder: wrong arguments");
  const Paths paths{.lab = arguments[0], .root = arguments[3]};
  const std::string& node = arguments[1];
  const std::string& kind = arguments[2];
  const int ready = std::atoi(arguments[4].c_str());

  ::signal(SIGPIPE, SIG_IGN);
  ::umask(022);
  base::Fd probe;
  if (kind == "guest") {
    auto listener = ProbeServer::listen(paths.probe_socket(node));
    must(listener.has_value(), "probe socket");
    probe = std::move(*listener);
  }
  must(os::make_mounts_private().has_value(), "private mounts");
  if (kind == "host") mount_host(paths.node(node));
  must(::mount("proc", "/proc", "proc", 0, nullptr) == 0, "mount /proc");
  must(::mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0, "mount /sys");
  must(::sethostname(node.c_str(), node.size()) == 0, "host name");
  loopback_up();
  // Addresses of a lab are unique by construction; waiting a second for each would only make it slow.
  for (const char* which : {"all", "default"}) {
    (void)os::write_in_place(fmt::format("/proc/sys/net/ipv6/conf/{}/accept_dad", which), "0");
    (void)os::write_in_place(fmt::format("/proc/sys/net/ipv6/conf/{}/accept_ra", which), "0");
  }
  // A tail loss probe repeats a segment that was not lost when this machine is busy; real losses still count as
  // retransmissions.
  if (kind == "guest") (void)os::write_in_place("/proc/sys/net/ipv4/tcp_early_retrans", "0");
  must(::write(ready, "+", 1) == 1, "report");
  ::close(ready);
  if (kind == "guest") ProbeServer::serve(std::move(probe));
  reap_for_ever();
}

}  // namespace lab
