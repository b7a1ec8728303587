// host.h: one simulated host: the kernel's tables, sets, routes, neighbours, sysctls and interfaces, which outlive any
// agent on it, and the faults that befall them.
//
// Fakes know nothing of each other; here they are tied together as in a kernel: rules may only name sets that exist,
// sets named by a rule cannot be destroyed, routes and neighbours go with their interface.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "dataplane/dataplane.h"
#include "kernel/ipset_fake.h"
#include "kernel/iptables_fake.h"
#include "kernel/neighbour_fake.h"
#include "kernel/route_fake.h"
#include "testing/rng.h"
#include "testing/sim_loop.h"

namespace sim {

class Host {
 public:
  Host(testing::SimLoop& loop, bool nft);

  // --- Interfaces. The listener of the agent that runs hears of changes late, in order.
  void add_interface(const std::string& name);
  // Becomes like the other, numbers included: of two endpoints with one address, that on the younger interface gets it.
  void copy_interfaces(const Host& other);
  void remove_interface(const std::string& name);
  void set_running(const std::string& name, bool running);
  const std::map<std::string, kernel::Link>& links() const { return links_; }
  void attach(kernel::LinkListener* listener) {
    listener_ = listener;
    ++listener_life_;
  }

  // --- Faults
  void break_something(testing::Rng& rng);  // failing requests: kernel, programs
  void meddle(testing::Rng& rng);           // somebody else's edits of what is ours
  void heal();

  // Rules, sets, routes and neighbours as text.
  std::string state() const;
  // Settings that an agent made on the other host and not here. Those of interfaces that no longer have an endpoint
  // stay as they are.
  std::string sysctls_behind(const Host& other) const;
  // How often anything was written since the host exists.
  std::uint64_t writes() const;

  // As the agent gets it. A cleaner belongs to one process.
  dataplane::Ports ports(kernel::ConntrackCleaner& cleaner);

  kernel::FakeIpSets sets;
  kernel::FakeRoutes routes;
  kernel::FakeNeighbours neighbours;
  kernel::FakeSysctl sysctl;
  kernel::FakeIptables v4;
  kernel::FakeIptables v6;

 private:
  // Destroying a set in use is refused; asks the rules before each conversation.
  class Sets final : public kernel::IpSetKernel {
   public:
    explicit Sets(Host& host) : host_(host) {}
    base::Result<std::vector<reconcile::IpSetHeader>> list_headers() override;
    base::Result<reconcile::IpSetContents> list(std::string_view name) override { return host_.sets.list(name); }
    base::Result<std::vector<reconcile::IpSetOutcome>> apply(std::span<const reconcile::IpSetEdit> edits) override;

   private:
    Host& host_;
  };

  void mark_references();
  void tell(const std::string& name);
  void flush_interface(kernel::IfIndex index);

  testing::SimLoop& loop_;
  Sets checked_sets_{*this};
  std::map<std::string, kernel::Link> links_;
  kernel::IfIndex next_index_ = 10;
  kernel::LinkListener* listener_ = nullptr;
  int listener_life_ = 0;
};

}  // namespace sim
