// prober.h: what `node checksystem` asks the machine. One real implementation, and fakes in which one thing at a time
// is missing.
//
// Blocking; one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace node {

// What the requirements page lists, by the names it uses.
enum class Facility { kConntrackNetlink, kIpTables, kIp6Tables, kIpSet, kXtSet, kIptSet, kRpfilter, kReject, kIpip };
inline constexpr Facility kFacilities[] = {
    Facility::kConntrackNetlink, Facility::kIpTables, Facility::kIp6Tables, Facility::kIpSet, Facility::kXtSet,
    Facility::kIptSet,           Facility::kRpfilter, Facility::kReject,    Facility::kIpip};
std::string_view name_of(Facility facility);  // "nf_conntrack_netlink"

struct Trial {
  // kUnknown: it could not be tried, for want of permission or of something else that it takes.
  enum class Outcome { kWorks, kFails, kUnknown } outcome = Outcome::kUnknown;
  std::string detail;  // what the kernel or the tool said
};

enum class Reach {
  kOpen,     // somebody answered
  kRefused,  // the host answers, nobody listens there or a firewall rejects
  kSilent,   // no answer
};

class Prober {
 public:
  virtual ~Prober() = default;

  virtual std::string kernel_release() = 0;                                  // "6.1.0-56-amd64"
  virtual std::string machine() = 0;                                         // "x86_64"
  virtual base::Result<std::string> read_file(const std::string& path) = 0;  // kNotFound if it is not there
  // Uses the facility in a network namespace of its own, which is thrown away. May make the kernel load its module.
  virtual Trial try_facility(Facility facility) = 0;
  // Both output streams of a program; kNotFound if there is no such program.
  virtual base::Result<std::string> output_of(const std::vector<std::string>& command) = 0;
  virtual Reach connect_tcp(const base::IpAddress& address, int port) = 0;
  // Sends an echo request inside an IP-in-IP packet.
  virtual Reach echo_through_ipip(const base::IpAddress& address) = 0;
};

// `tools`: directory that is searched for iptables and the like before PATH; "" for none.
std::unique_ptr<Prober> make_system_prober(std::string tools = {});

}  // namespace node
