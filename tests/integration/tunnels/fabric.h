// fabric.h: three hosts with real agents, two of them in one subnet, a router between the subnets, and one guest on
// each host. Everything is in network namespaces of its own and gone at the end.
//
//   guest 0 ─ tapg0 [host a] eth0 ─┐
//                                  ├─ bridge ─ [router] ─ eth0 [host c] tapg2 ─ guest 2
//   guest 1 ─ tapg1 [host b] eth0 ─┘
//
// The agents read one directory of resources, which the tests write; one that leaves with status 129 is started again,
// as systemd does it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "os/event_loop.h"
#include "os/process.h"
#include "testing/temp_directory.h"

namespace tunnel_test {

constexpr std::size_t kHosts = 3;
constexpr std::uint16_t kPort = 5000;

struct Host {
  std::string name;       // "a", "b", "c"
  std::string netns;      // its namespace
  std::string guest;      // its guest's namespace
  std::string interface;  // the guest's, on the host
  base::Prefix v4, v6;    // its own addresses
  base::IpAddress tunnel_v4, tunnel_v6;
  base::IpAddress guest_v4, guest_v6;
};

// What passes a host's eth0, both ways.
struct Seen {
  std::size_t encapsulated = 0;  // UDP to port 4789
  std::size_t plain = 0;         // guests' addresses in the outermost header
};

class Fabric {
 public:
  // REQUIRES: root; no other thread runs yet.
  Fabric();
  ~Fabric();
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;

  const std::vector<Host>& hosts() const { return hosts_; }
  void start_agents();
  // The mode of the IPv4 pool, or of the IPv6 one.
  void set_mode(base::Family family, const std::string& vxlan_mode);
  // A host's address on its IPv4 tunnel device, in its Node. Whose it is decides IPAM elsewhere.
  void set_tunnel_address(std::size_t host, const std::optional<base::IpAddress>& address);
  void write(const std::string& name, const std::string& yaml);

  // Runs the loop, so that agents are started again, until it holds; false after 40 seconds.
  bool wait(const std::function<bool()>& holds);
  void pass(std::chrono::milliseconds time);
  int restarts() const { return restarts_; }

  // The name of the router's namespace.
  const std::string& router() const { return router_; }
  // A command in a namespace; its output. With `may_fail` it may end with any status.
  static std::string in(const std::string& netns, const std::string& line, bool may_fail = false);
  // A socket that was made in a namespace.
  static base::Fd socket_in(const std::string& netns, int family, int type, int protocol);
  // Whether one UDP packet gets from guest to guest.
  bool reaches(std::size_t from, std::size_t to, base::Family family = base::Family::kIpv4);

 private:
  struct Agent {
    std::unique_ptr<os::Process> process;
    bool ended = false;
  };
  void build_network();
  void build_host(std::size_t number);
  void write_resources();
  void start(std::size_t host);

  ::testing::TempDirectory directory_;
  os::EventLoop loop_;
  std::string router_;
  std::vector<Host> hosts_;
  std::map<std::size_t, Agent> agents_;
  std::vector<base::Fd> receivers_;  // one a guest and family
  bool stopping_ = false;
  int restarts_ = 0;
  std::uint32_t probes_ = 0;
};

// A VXLAN packet's payload (VNI 4096) with one UDP byte to port 6000 of a host's guest in it.
std::vector<std::uint8_t> forged_packet(const Host& to, const base::IpAddress& from_guest);

// Counts what passes eth0 of a host from its making on.
class Capture {
 public:
  Capture(const Fabric& fabric, std::size_t host);
  Seen seen();

 private:
  const Fabric& fabric_;
  base::Fd socket_;
};

// The same forged packet to a host, one a millisecond, from the router, which is no host of the cluster.
class Stranger {
 public:
  Stranger(Fabric& fabric, std::size_t to, std::vector<std::uint8_t> packet);
  ~Stranger();
  // Ends it; how many of them the guest got.
  std::size_t stop();

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

// Numbered packets from guest to guest, one a millisecond, while the object lives.
class Stream {
 public:
  Stream(Fabric& fabric, std::size_t from, std::size_t to);
  ~Stream();
  struct Result {
    std::size_t sent = 0;
    std::size_t lost = 0;
    std::size_t longest_gap = 0;  // packets lost in a row
  };
  // Ends the stream and waits for what is still under way.
  Result stop();

 private:
  struct Work;
  std::unique_ptr<Work> work_;
};

}  // namespace tunnel_test
