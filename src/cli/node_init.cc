// node init: what calico/node does before it starts its services (spec cli §12.1–§12.6), as one command for hosts
// without containers.
//
// Differences, because an OpenStack cloud may exist already: no default pools unless asked for, no FelixConfiguration
// (upstream's would switch off the status reports that Neutron's agent list is made of, and would let guests reach the
// host), and the cluster's type is written only if nobody has said one.

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>

#include "base/strings.h"
#include "cli/commands.h"
#include "ipam/ipam.h"
#include "ipam/tunnels.h"
#include "model/kinds/kinds.h"
#include "model/resource_checks.h"
#include "node/host.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using model::Resource;

namespace {

constexpr std::string_view kNameFile = "/var/lib/calico/nodename";
constexpr std::string_view kDirectories[] = {"/var/run/calico", "/var/lib/calico", "/var/log/calico"};

struct FamilyWords {
  base::Family family;
  std::string_view title;
  std::string_view option, variable;
  std::string_view method_option, method_variable;
  std::string_view field;
  std::string_view pool_name;
  std::string_view tunnel_pool_name;
  std::string_view pool_variables;  // beginning of their names
};
constexpr FamilyWords kFamilies[] = {
    {base::Family::kIpv4, "IPv4", "ip", "IP", "ip-autodetection-method", "IP_AUTODETECTION_METHOD", "ipv4Address",
     "default-ipv4-ippool", "default-ipv4-tunnels", "CALICO_IPV4POOL_"},
    {base::Family::kIpv6, "IPv6", "ip6", "IP6", "ip6-autodetection-method", "IP6_AUTODETECTION_METHOD", "ipv6Address",
     "default-ipv6-ippool", "default-ipv6-tunnels", "CALICO_IPV6POOL_"},
};

Error invalid(std::string text) { return Error(ErrorKind::kInvalid, std::move(text)); }

class NodeInit {
 public:
  NodeInit(Session& session, const Arguments& arguments, Client& client)
      : session_(session), arguments_(arguments), client_(client), host_(session.environment().host()) {}

  base::Result<void> run() {
    for (const auto step : {&NodeInit::choose_name, &NodeInit::read_node, &NodeInit::choose_addresses,
                            &NodeInit::choose_as_number, &NodeInit::write_node, &NodeInit::mark_cluster,
                            &NodeInit::create_pools, &NodeInit::allocate_tunnels, &NodeInit::write_files}) {
      if (auto done = (this->*step)(); !done) return done;
    }
    return {};
  }

 private:
  void say(const std::string& line) { session_.environment().print(line + "\n"); }
  void warn(const std::string& line) { session_.environment().print_error("Warning: " + line + "\n"); }

  // The option, else the variable; "" if neither is given.
  std::string given(std::string_view option, std::string_view variable) const {
    if (!option.empty() && arguments_.has(option)) return arguments_.value(option);
    return std::string(base::trim(session_.environment().variable(std::string(variable)).value_or("")));
  }

  base::Result<void> choose_name() {
    name_file_ = given("", "CALICO_NODENAME_FILE");
    if (name_file_.empty()) name_file_ = kNameFile;
    name_ = given("name", "NODENAME");
    if (name_.empty()) name_ = std::string(base::trim(host_.read_file(name_file_).value_or("")));
    if (name_.empty()) name_ = base::to_lower(given("", "HOSTNAME"));
    if (name_.empty()) name_ = base::to_lower(host_.hostname());
    if (name_.empty()) return base::fail(invalid("this host has no name; give one with --name"));
    return {};
  }

  base::Result<void> read_node() {
    auto stored = client_.get(model::kinds::kNode, {}, name_);
    if (!stored && stored.error().kind() != ErrorKind::kNotFound) return base::fail(stored.error());
    exists_ = stored.has_value();
    node_ = exists_ ? *std::move(stored) : model::make_resource(model::kinds::kNode, name_);
    before_ = node_.body;
    auto interfaces = host_.interfaces();
    if (!interfaces) return base::fail(interfaces.error());
    interfaces_ = *std::move(interfaces);
    return {};
  }

  std::string stored_address(const FamilyWords& words) const {
    return std::string(model::text_of(node_.spec(), "bgp." + std::string(words.field)));
  }

  void store_address(const FamilyWords& words, const std::string& address) {
    boost::json::value& bgp = node_.spec()["bgp"];
    if (!bgp.is_object()) bgp.emplace_object();
    bgp.get_object()[words.field] = address;
  }

  // spec cli §12.2
  base::Result<void> choose_address(const FamilyWords& words) {
    const std::string wish = given(words.option, words.variable);
    const std::string stored = stored_address(words);
    if (wish == "none") return {};
    if (wish.empty()) {
      if (words.family == base::Family::kIpv6) return {};
      if (!stored.empty()) {
        check_is_local(stored);
        return {};
      }
    }
    if (!wish.empty() && wish != "autodetect") {
      const auto address = node::address_from_text(wish, words.family, interfaces_);
      if (!address) return base::fail(address.error());
      store_address(words, base::to_string(*address));
      found_on_[std::string(words.field)] = "as given";
      return {};
    }
    const auto detected = node::autodetect(
        given(words.method_option, words.method_variable), interfaces_, words.family,
        [&](const std::string& host, base::Family family) { return host_.local_address_towards(host, family); });
    if (!detected && detected.error().kind() == ErrorKind::kInvalid) return base::fail(detected.error());
    if (!detected && !stored.empty()) {
      warn(detected.error().text() + "; the stored address " + stored + " is kept");
      return {};
    }
    if (!detected) return base::fail(detected.error().in("cannot find the " + std::string(words.title) + " address"));
    store_address(words, base::to_string(detected->address));
    found_on_[std::string(words.field)] = "found on " + detected->interface;
    return {};
  }

  void check_is_local(const std::string& stored) {
    const auto address = base::parse_interface_cidr(stored);
    const bool local = address && std::ranges::any_of(interfaces_, [&](const node::Interface& interface) {
                         return std::ranges::any_of(interface.addresses, [&](const base::Prefix& own) {
                           return own.address == address->address;
                         });
                       });
    if (!local) warn("the stored address " + stored + " is on no interface of this host");
  }

  base::Result<void> choose_addresses() {
    for (const FamilyWords& words : kFamilies) {
      if (auto done = choose_address(words); !done) return done;
    }
    if (stored_address(kFamilies[0]).empty() && stored_address(kFamilies[1]).empty()) {
      return base::fail(invalid("no IPv4 or IPv6 addresses configured or detected, required for Calico networking"));
    }
    list_interfaces();
    return check_conflicts();
  }

  // spec cli §12.2: only when addresses were asked for. Upstream then clears an older list; here it stays.
  void list_interfaces() {
    const auto wanted = [&](const FamilyWords& words) {
      const std::string wish = given(words.option, words.variable);
      return !wish.empty() && wish != "none";
    };
    if (!wanted(kFamilies[0]) && !wanted(kFamilies[1])) return;
    boost::json::array shown;
    auto sorted = interfaces_;
    std::ranges::sort(sorted, {}, &node::Interface::name);
    for (const node::Interface& interface : sorted) {
      boost::json::array addresses;
      for (const base::Prefix& address : interface.addresses) {
        const bool asked = std::ranges::any_of(
            kFamilies, [&](const FamilyWords& w) { return w.family == address.family() && wanted(w); });
        if (asked && node::is_global_unicast(address.address)) addresses.emplace_back(base::to_string(address.address));
      }
      if (!node::is_excluded(interface.name) && !addresses.empty())
        shown.push_back(boost::json::object{{"name", interface.name}, {"addresses", std::move(addresses)}});
    }
    if (shown.empty()) {
      node_.spec().erase("interfaces");
    } else {
      node_.spec()["interfaces"] = std::move(shown);
    }
  }

  base::Result<void> check_conflicts() {
    if (arguments_.has("skip-address-check") || given("", "DISABLE_NODE_IP_CHECK") == "true") return {};
    const auto others = client_.list(model::kinds::kNode, {});
    if (!others) return base::fail(others.error());
    for (const FamilyWords& words : kFamilies) {
      const auto own = base::parse_interface_cidr(stored_address(words));
      if (!own) continue;
      for (const Resource& other : others->items) {
        const auto theirs = base::parse_interface_cidr(model::text_of(other.spec(), "bgp." + std::string(words.field)));
        if (other.name() == name_ || !theirs || theirs->address != own->address) continue;
        return base::fail(Error(ErrorKind::kConflict, std::string(words.title) + " address conflict: node " +
                                                          std::string(other.name()) + " has " +
                                                          base::to_string(own->address) + " already"));
      }
    }
    return {};
  }

  base::Result<void> choose_as_number() {
    const std::string text = given("as", "AS");
    if (text.empty()) return {};
    const auto number = model::parse_as_number(text);
    if (!number) {
      return base::fail(invalid("Error executing command: invalid AS Number specified: " + text));
    }
    node_.spec()["bgp"].as_object()["asNumber"] = *number;
    return {};
  }

  base::Result<void> write_node() {
    if (exists_ && node_.body == before_) {
      say("Node " + name_ + ": unchanged");
    } else {
      const auto written = exists_ ? client_.update(node_) : client_.create(node_);
      if (!written) return base::fail(written.error());
      say("Node " + name_ + (exists_ ? ": updated" : ": created"));
    }
    for (const FamilyWords& words : kFamilies) {
      const std::string address = stored_address(words);
      if (address.empty()) continue;
      const auto how = found_on_.find(std::string(words.field));
      say("  " + std::string(words.title) + " address " + address +
          (how == found_on_.end() ? " (as stored)" : " (" + how->second + ")"));
    }
    const auto number = model::number_of(node_.spec(), "bgp.asNumber");
    say("  AS number " + (number ? std::to_string(*number) : "of the cluster"));
    return {};
  }

  base::Result<void> mark_cluster() {
    if (!arguments_.has("openstack")) return {};
    if (auto ready = client_.ensure_initialized(); !ready) return ready;
    auto information = client_.get(model::kinds::kClusterInformation, {}, "default");
    if (!information) return base::fail(information.error());
    if (!model::text_of(information->spec(), "clusterType").empty()) return {};
    information->spec()["clusterType"] = "openstack";
    const auto written = client_.update(*std::move(information));
    if (!written && written.error().kind() != ErrorKind::kConflict) return base::fail(written.error());
    if (written) say("Cluster: marked as openstack");
    return {};
  }

  // --- Pools (spec cli §12.5) ---

  base::Result<std::string> mode(std::string_view option, const std::string& variable,
                                 std::string_view otherwise) const {
    const std::string text = given(option, variable);
    const std::string word = base::to_lower(text);
    if (word.empty()) return std::string(otherwise);
    if (word == "never" || word == "off") return std::string("Never");
    if (word == "always") return std::string("Always");
    if (word == "crosssubnet" || word == "cross-subnet") return std::string("CrossSubnet");
    return base::fail(invalid("no such encapsulation mode: " + text));
  }

  bool flag(const std::string& variable, bool otherwise) const {
    const std::string word = base::to_lower(given("", variable));
    if (word.empty()) return otherwise;
    return word != "false" && word != "0" && word != "no" && word != "n" && word != "f";
  }

  base::Result<Resource> make_pool(const FamilyWords& words, const base::Prefix& cidr, bool by_option) const {
    const std::string start(words.pool_variables);
    const bool v4 = words.family == base::Family::kIpv4;
    const bool openstack = arguments_.has("openstack") && by_option && v4;
    const bool vxlan_asked = !given("vxlan", start + "VXLAN").empty();
    Resource pool = model::make_resource(model::kinds::kIpPool, words.pool_name);
    boost::json::object& spec = pool.spec();
    spec["cidr"] = base::to_string(cidr);
    const auto vxlan = mode("vxlan", start + "VXLAN", "Never");
    if (!vxlan) return base::fail(vxlan.error());
    const auto ipip = mode("ipip", start + "IPIP", openstack && !vxlan_asked ? "Always" : "Never");
    if (!ipip) return base::fail(ipip.error());
    spec["vxlanMode"] = *vxlan;
    spec["ipipMode"] = v4 ? *ipip : "Never";
    spec["natOutgoing"] = arguments_.has("nat-outgoing") || flag(start + "NAT_OUTGOING", v4 && !by_option);
    if (flag(start + "DISABLE_BGP_EXPORT", false)) spec["disableBGPExport"] = true;
    if (const std::string selector = given("", start + "NODE_SELECTOR"); !selector.empty())
      spec["nodeSelector"] = selector;
    if (const std::string size = given("block-size", start + "BLOCK_SIZE"); !size.empty()) {
      int length = 0;
      const auto [end, failure] = std::from_chars(size.data(), size.data() + size.size(), length);
      if (failure != std::errc() || end != size.data() + size.size())
        return base::fail(invalid("not a block size: " + size));
      spec["blockSize"] = length;
    }
    return pool;
  }

  // "" if none is asked for, or one of the other IP version.
  base::Result<std::string> tunnel_cidr(const FamilyWords& words) const {
    const std::string option = arguments_.value("tunnel-pool");
    if (option.empty()) return std::string();
    const auto cidr = base::parse_cidr(option);
    if (!cidr) return base::fail(cidr.error().in("--tunnel-pool"));
    return cidr->family() == words.family ? option : std::string();
  }

  // Before the guests' pool: a cluster that has that one is never touched again.
  base::Result<void> create_tunnel_pool(const FamilyWords& words, const Resource& guests, const std::string& cidr) {
    const std::string ipip(model::text_of(guests.spec(), "ipipMode"));
    const std::string vxlan(model::text_of(guests.spec(), "vxlanMode"));
    if (ipip == "Never" && vxlan == "Never")
      return base::fail(invalid("--tunnel-pool: the pool uses no tunnel; give --ipip or --vxlan"));
    Resource pool = model::make_resource(model::kinds::kIpPool, words.tunnel_pool_name);
    for (const char* const same : {"ipipMode", "vxlanMode", "nodeSelector"}) {
      if (const auto* value = guests.spec().if_contains(same)) pool.spec()[same] = *value;
    }
    pool.spec()["cidr"] = cidr;
    pool.spec()["natOutgoing"] = false;
    pool.spec()["allowedUses"] = boost::json::array{"Tunnel"};
    const auto created = client_.create(pool);
    if (!created && created.error().kind() == ErrorKind::kExists) return {};
    if (!created) return base::fail(created.error());
    say(fmt::format("IP pool {}: created, {}, for tunnel addresses alone", words.tunnel_pool_name, cidr));
    return {};
  }

  base::Result<void> create_pool(const FamilyWords& words, const std::vector<Resource>& existing) {
    const std::string option = arguments_.value("pool");
    const auto by_option = base::parse_cidr(option);
    if (!option.empty() && !by_option) return base::fail(by_option.error().in("--pool"));
    const bool optional = by_option && by_option->family() == words.family;
    const std::string text = optional ? option : given("", std::string(words.pool_variables) + "CIDR");
    const auto tunnels = tunnel_cidr(words);
    if (!tunnels) return base::fail(tunnels.error());
    if (text.empty() || text == "none") {
      if (tunnels->empty()) return {};
      return base::fail(invalid("--tunnel-pool goes with a pool of the same IP version (--pool)"));
    }
    if (base::to_lower(given("", "NO_DEFAULT_POOLS")) == "true")
      return base::fail(invalid("a pool was asked for together with NO_DEFAULT_POOLS"));
    const auto cidr = base::parse_cidr(text);
    if (!cidr || cidr->family() != words.family)
      return base::fail(invalid("not an " + std::string(words.title) + " CIDR: " + text));
    std::vector<std::string> same;
    for (const Resource& pool : existing) {
      const auto theirs = base::parse_cidr(model::text_of(pool.spec(), "cidr"));
      if (pool.name() == words.tunnel_pool_name && !tunnels->empty()) continue;  // a former run was cut short
      if (theirs && theirs->family() == words.family) same.push_back(std::string(pool.name()));
    }
    if (!same.empty()) {
      say(fmt::format("IP pool {}: not created, the cluster has {} pools already ({})", text, words.title,
                      base::join(same, ", ")));
      return {};
    }
    auto pool = make_pool(words, *cidr, optional);
    if (!pool) return base::fail(pool.error());
    if (!tunnels->empty()) {
      pool->spec()["allowedUses"] = boost::json::array{"Workload"};
      if (auto done = create_tunnel_pool(words, *pool, *tunnels); !done) return done;
    }
    const auto created = client_.create(*pool);
    if (!created && created.error().kind() == ErrorKind::kExists) {
      say("IP pool " + text + ": not created, another node was faster");
      return {};
    }
    if (!created) return base::fail(created.error());
    say(fmt::format("IP pool {}: created, {}, ipipMode {}, vxlanMode {}, natOutgoing {}", words.pool_name, text,
                    model::text_of(created->spec(), "ipipMode"), model::text_of(created->spec(), "vxlanMode"),
                    model::flag_of(created->spec(), "natOutgoing")));
    return {};
  }

  base::Result<void> create_pools() {
    const auto pools = client_.list(model::kinds::kIpPool, {});
    if (!pools) return base::fail(pools.error());
    for (const FamilyWords& words : kFamilies) {
      if (auto done = create_pool(words, pools->items); !done) return done;
    }
    return {};
  }

  base::Result<void> allocate_tunnels() {
    ipam::Ipam ipam(client_.store(), client_.ipam_sources());
    const auto changes = ipam::ensure_tunnel_addresses(ipam, name_);
    if (!changes) return base::fail(changes.error().in("cannot allocate the tunnel addresses"));
    for (const ipam::TunnelChange& change : *changes) {
      if (change.after.empty()) {
        say(change.name + " tunnel address " + change.before + ": released, no pool needs it any more");
      } else {
        say(change.name + " tunnel address " + change.after +
            (change.before.empty() ? ": assigned" : ": assigned in place of " + change.before));
      }
    }
    return {};
  }

  // Not fatal: the datastore is what others see, and a tool run without root can set up a node.
  base::Result<void> write_files() {
    for (const std::string_view directory : kDirectories) {
      if (auto made = host_.make_directories(std::string(directory)); !made) warn(made.error().text());
    }
    if (base::trim(host_.read_file(name_file_).value_or("")) == name_) return {};
    if (auto written = host_.write_file(name_file_, name_); !written) {
      warn(written.error().text());
    } else {
      say("Node name written to " + name_file_);
    }
    return {};
  }

  Session& session_;
  const Arguments& arguments_;
  Client& client_;
  node::Host& host_;
  std::string name_;
  std::string name_file_;
  bool exists_ = false;
  Resource node_;
  boost::json::object before_;
  std::vector<node::Interface> interfaces_;
  std::map<std::string, std::string, std::less<>> found_on_;  // by field: where the address comes from
};

}  // namespace

int run_node_init(Session& session, const Arguments& arguments) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  const auto done = NodeInit(session, arguments, **client).run();
  return done ? 0 : session.fail(done.error().text());
}

}  // namespace cli
