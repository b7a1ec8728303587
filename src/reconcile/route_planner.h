// route_planner.h: which edits bring the routes of the main table, one family, to what is wanted (spec dataplane §16).
//
// Pure: time comes in as an argument. The caller reads the kernel (observe_…), tells which interfaces exist, carries
// out the plan and says how each edit went. Equal inputs give equal plans. Not thread-safe.
//
// Several owners may want a route for one key; the lowest class wins, then the highest interface index. Candidates on
// interfaces that are missing or not running do not count. Routes that are ours by RouteOwnership and not wanted are
// removed; all others are never touched, except that a wanted route replaces what stands under its key.
//
// Cost of a plan: the dirty keys. Memory: a host that routes to every guest of the cloud has fifty thousand keys, whose
// attributes are those of a thousand hosts; so attributes are pooled, and a key costs about 100 bytes for what is
// wanted, what is in the kernel, and its places in two indexes by interface.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/compact_map.h"
#include "base/id_list.h"
#include "base/value_pool.h"
#include "reconcile/route_types.h"

namespace reconcile {

// Which kernel routes are ours (§16.3).
struct RouteOwnership {
  base::Family family = base::Family::kIpv4;
  std::uint8_t device_protocol = kProtocolBoot;  // DeviceRouteProtocol
  bool remove_external = true;                   // RemoveExternalRoutes
  std::vector<std::string> workload_prefixes;    // InterfacePrefix, "tap"
  std::vector<std::string> own_interfaces;       // "vxlan.calico"
  // Routes through other than workload interfaces that an earlier agent has left and nobody wants stay for so long
  // after the first reading. When a pool is no longer ours to route, BIRD needs a moment to put its own routes beside
  // them.
  base::Duration hand_over = base::Duration::zero();
};

enum class RouteOutcome : std::uint8_t {
  kDone,           // also when a route to remove was not there
  kInterfaceDown,  // interface missing or down: its events will bring the route back
  kFailed,         // stays dirty
};

struct RoutePlan {
  std::vector<RouteEdit> edits;            // removals first
  std::vector<base::IpAddress> forgotten;  // routes that vanished by themselves: conntrack to be cleaned
  std::optional<base::Instant> next;       // when unwanted routes on a new interface lose their grace
};

class RoutePlanner {
 public:
  explicit RoutePlanner(RouteOwnership ownership) : ownership_(std::move(ownership)) {}

  // ---- Wanted ---- All routes that `owner` wants through `interface` ("" for routes without one), replacing what it
  // wanted there before. route.attributes.interface is ignored; routes of the other family too.
  void want(RouteClass owner, std::string_view interface, std::span<const Route> routes);
  // The same for some of its routes: `gone` go, `set` are added or changed. Cost: these.
  void change(RouteClass owner, std::string_view interface, std::span<const Route> set, std::span<const RouteKey> gone);

  // ---- Interfaces ---- A known name with another index is a new interface.
  void interface_present(std::string_view name, IfIndex index, bool running, base::Instant now);
  void interface_gone(std::string_view name);

  // ---- Observed ----
  void observe_all(std::span<const Route> routes, base::Instant now);
  void observe_interface(IfIndex interface, std::span<const Route> routes, base::Instant now);
  // Interfaces that came up since they were last read.
  std::vector<IfIndex> unread_interfaces() const { return {unread_.begin(), unread_.end()}; }

  // ---- Plan ----
  RoutePlan plan(base::Instant now);
  void record(const RouteEdit& edit, RouteOutcome outcome);
  bool dirty() const { return !dirty_.empty() || !vanished_.empty(); }
  std::size_t wanted_count() const;
  std::size_t own_interface_count() const;          // present ones on which unwanted routes are removed
  std::string interface_name(IfIndex index) const;  // "" when not known

  // Unwanted routes on a workload interface that appeared less than so long ago, and for which nothing was ever wanted,
  // stay: another component may be ahead of us.
  static constexpr base::Duration kGrace = std::chrono::seconds(10);

 private:
  struct Candidate {
    RouteClass owner;
    std::string interface;
    RouteAttributes attributes;
    friend auto operator<=>(const Candidate&, const Candidate&) = default;
  };
  struct Entry {
    base::IdList candidates;  // in candidates_
    base::IdList actual;      // in attributes_: ours in the kernel under this key; several only if somebody added some
    bool ever_wanted = false;
  };
  struct Interface {
    IfIndex index = 0;
    bool running = false;
    bool ever_wanted = false;
    base::Instant first_seen{};
  };
  struct Winner {
    RouteClass owner;
    RouteAttributes attributes;
  };
  struct Vanished {
    Route route;
    bool from_workload = false;
  };
  using Keys = base::CompactSet<RouteKey>;

  bool owned(const Route& route) const;
  bool is_workload(std::string_view interface) const;
  base::PooledId candidate_of(const Entry& entry, RouteClass owner, std::string_view interface) const;
  void drop_candidate(Entry& entry, base::PooledId candidate);
  std::optional<Winner> winner(const Entry& entry) const;
  bool settled(const RouteKey& key, const Entry& entry) const;
  std::optional<base::Instant> end_of_grace(const Entry& entry, const RouteAttributes& actual) const;
  bool in_grace(const Entry& entry, const RouteAttributes& actual, base::Instant now,
                std::optional<base::Instant>& next) const;
  bool is_in_place(const RouteKey& key, const Entry& entry, const RouteAttributes& wanted) const;
  bool needs_clean(const Vanished& gone) const;
  Vanished leaving(const Route& route) const;
  void note_vanished(Route route);

  void mark_interface_dirty(std::string_view name, IfIndex index);
  void add_actual(const Route& route);
  void put_actual(const RouteKey& key, const RouteAttributes& attributes);
  void drop_actual(const RouteKey& key, const RouteAttributes& attributes);
  void forget_actual_on(IfIndex index);
  void settle(const RouteKey& key);
  void plan_key(const RouteKey& key, const Entry& entry, base::Instant now, RoutePlan& plan,
                std::vector<RouteEdit>& replacements) const;

  RouteOwnership ownership_;
  base::ValuePool<Candidate> candidates_;
  base::ValuePool<RouteAttributes> attributes_;
  std::map<std::pair<RouteClass, std::string>, Keys> wanted_;  // none of them empty
  std::map<std::string, Interface, std::less<>> interfaces_;
  std::map<IfIndex, std::string> names_;
  base::CompactMap<RouteKey, Entry> entries_;
  std::map<IfIndex, Keys> actual_on_;
  Keys dirty_;
  std::set<IfIndex> unread_;
  std::vector<Vanished> vanished_;
  std::optional<base::Instant> first_reading_;
};

}  // namespace reconcile
