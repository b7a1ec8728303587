// ipset_fake.h: the kernel's IP sets in memory, with the kernel's rules about names, types, sizes and references. For
// tests and the simulator. Faults: a broken conversation (fail_next), refused members, sets in use.
#pragma once

#include <map>
#include <set>
#include <string>

#include "kernel/ipset.h"

namespace kernel {

class FakeIpSets final : public IpSetKernel {
 public:
  struct Set {
    base::Family family = base::Family::kIpv4;
    reconcile::IpSetShape shape;
    bool plain = true;
    bool referenced = false;
    bool unreadable = false;
    std::set<reconcile::IpSetMember> members;
  };

  std::map<std::string, Set, std::less<>> sets;
  std::set<reconcile::IpSetMember> refused;  // members that the kernel will not take
  int break_conversations = 0;               // so many apply() calls fail after half of their edits
  std::vector<std::string> log;              // edits as text, in order

  [[nodiscard]] base::Result<std::vector<reconcile::IpSetHeader>> list_headers() override;
  [[nodiscard]] base::Result<reconcile::IpSetContents> list(std::string_view name) override;
  [[nodiscard]] base::Result<std::vector<reconcile::IpSetOutcome>> apply(
      std::span<const reconcile::IpSetEdit> edits) override;

 private:
  reconcile::IpSetOutcome apply_one(const reconcile::IpSetEdit& edit);
  reconcile::IpSetOutcome swap(const reconcile::IpSetEdit& edit);
};

}  // namespace kernel
