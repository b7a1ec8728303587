// flap_damper.h: keeps short interruptions of an interface from reaching the rest of the agent (spec dataplane §17.1).
//
// Deletions of addresses and interfaces going down are held back for kDelay; an address that comes back in that time
// was never away. Everything else passes at once, unless something of the same interface still waits: order per
// interface is kept. No clock of its own; the owner asks next_due() and calls release().
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "base/clock.h"
#include "kernel/link.h"

namespace kernel {

struct LinkGone {
  IfIndex index = 0;
};
struct AddressChange {
  base::IpAddress address;
  bool present = false;
};
using LinkUpdate = std::variant<Link, LinkGone, AddressChange>;

class FlapDamper {
 public:
  using Deliver = std::function<void(const std::string& interface, const LinkUpdate& update)>;
  explicit FlapDamper(Deliver deliver) : deliver_(std::move(deliver)) {}

  // May deliver before it returns. `delayed`: a link going down or away, an address going away.
  void push(const std::string& interface, LinkUpdate update, bool delayed, base::Instant now);
  void release(base::Instant now);
  std::optional<base::Instant> next_due() const;

  static constexpr base::Duration kDelay = std::chrono::milliseconds(100);

 private:
  struct Waiting {
    base::Instant ready;
    LinkUpdate update;
  };
  Deliver deliver_;
  std::map<std::string, std::deque<Waiting>> queues_;
};

}  // namespace kernel
