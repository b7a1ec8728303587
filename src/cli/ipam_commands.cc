// The options of the ipam commands; configure and split (spec cli §9.2, §9.5).

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "cli/commands.h"
#include "ipam/addressing.h"
#include "ipam/ipam.h"
#include "model/kinds/kinds.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using model::Resource;

namespace {

constexpr Option kHelp = {"help", 'h', {}, "Show this text."};
constexpr Option kConfig = {"config", 'c', "CONFIG",
                            "File with the connection settings. [default: /etc/calico/calicoctl.cfg]"};
constexpr Option kMismatch = {"allow-version-mismatch", 0, {}, "Work on a cluster of another version."};
constexpr std::size_t kLongestName = 253;
constexpr std::size_t kNameKept = 245;

std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::vector<Command> ipam_commands() {
  return {
      {{"ipam check",
        "",
        "Compare what IPAM has given out with what is in use.",
        {{"show-all-ips", 0, {}, "Print every address, too."},
         {"show-problem-ips", 0, {}, "Print the addresses and handles with a problem."},
         {"output", 'o', "FILE", "Write a report for `ipam release --from-report`."},
         {"kubeconfig", 0, "FILE", "Accepted for compatibility; has no effect."},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0},
       run_ipam_check},
      {{"ipam configure",
        "",
        "Change the settings of IPAM.",
        {{"strictaffinity", 0, "BOOL", "Whether hosts use addresses of their own blocks only."},
         {"max-blocks-per-host", 0, "NUMBER", "Blocks a host may own; 0 means 20. Needs strict affinity."},
         {"kubevirt-ip-persistence", 0, "MODE", "Enabled or Disabled; used with Kubernetes only."},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0},
       run_ipam_configure},
      {{"ipam release",
        "",
        "Release an address, or what reports of `ipam check` call leaked.",
        {{.name = "ip", .placeholder = "IP", .help = "The address."},
         {.name = "from-report",
          .placeholder = "FILE",
          .help = "A report of `ipam check -o`; what several agree on if given more than once.",
          .repeatable = true},
         {.name = "force", .help = "Although the datastore is not locked or the report is of another version."},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0},
       run_ipam_release},
      {{"ipam show",
        "",
        "Show how many addresses are in use, or who has one.",
        {{"ip", 0, "IP", "Who has this address."},
         {"show-blocks", 0, {}, "The blocks of each pool, too."},
         {"show-borrowed", 0, {}, "Addresses that a host took from another host's block."},
         {"show-configuration", 0, {}, "The settings of IPAM."},
         kConfig,
         kMismatch,
         kHelp},
        0,
        0},
       run_ipam_show},
      {{"ipam split",
        "<NUMBER>",
        "Split a pool into smaller ones; needs a locked datastore.",
        {{"cidr", 0, "CIDR", "The pool with this CIDR."},
         {"name", 0, "NAME", "The pool of this name."},
         kConfig,
         kMismatch,
         kHelp},
        1,
        1},
       run_ipam_split},
  };
}

int run_ipam_configure(Session& session, const Arguments& arguments) {
  const bool any = arguments.has("strictaffinity") || arguments.has("max-blocks-per-host") ||
                   arguments.has("kubevirt-ip-persistence");
  if (!any) return session.fail("at least one configuration option must be specified");
  const auto strict = parse_bool(arguments.value("strictaffinity", "true"));
  if (!strict) return session.fail("invalid value. Use true or false to set strictaffinity");
  const auto limit = parse_number(arguments.value("max-blocks-per-host", "0"));
  if (!limit) return session.fail("invalid value for maxblockhost. Use a valid number");
  const std::string persistence = arguments.value("kubevirt-ip-persistence", "Enabled");
  if (persistence != "Enabled" && persistence != "Disabled")
    return session.fail("invalid value for --kubevirt-ip-persistence. Use Enabled or Disabled");

  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  ipam::Ipam ipam((*client)->store(), (*client)->ipam_sources(), {.outage = {}});
  auto config = ipam.config();
  if (!config) return session.fail("error: " + config.error().text());
  std::string done;
  if (arguments.has("strictaffinity")) {
    config->strict_affinity = *strict;
    done += std::string("Successfully set StrictAffinity to: ") + (*strict ? "true" : "false") + "\n";
  }
  if (arguments.has("max-blocks-per-host")) {
    config->max_blocks_per_host = *limit;
    done += "Successfully set MaxBlocksPerHost to: " + std::to_string(*limit) + "\n";
  }
  if (arguments.has("kubevirt-ip-persistence")) {
    config->vm_persistence = persistence;
    done += "Successfully set KubeVirtVMAddressPersistence to: " + persistence + "\n";
  }
  if (!config->strict_affinity && !config->auto_allocate_blocks)
    return session.fail("error: Cannot disable 'StrictAffinity' and 'AutoAllocateBlocks' at the same time");
  if (config->max_blocks_per_host > 0 && !config->strict_affinity)
    return session.fail("error: MaxBlocksPerHost requires StrictAffinity to be enabled");
  if (auto written = ipam.set_config(*config); !written) return session.fail("error: " + written.error().text());
  session.environment().print(done);
  return 0;
}

// --- split ---

namespace {

base::Result<Resource> find_pool(Client& client, const Arguments& arguments) {
  const std::string name = arguments.value("name"), cidr = arguments.value("cidr");
  const auto wrong = [](std::string text) { return base::fail(Error(ErrorKind::kInvalid, std::move(text))); };
  if (!name.empty()) {
    auto pool = client.get(model::kinds::kIpPool, {}, name);
    if (!pool) return wrong("unable to find IP pool with name " + name + ": " + pool.error().text());
    return pool;
  }
  auto pools = client.list(model::kinds::kIpPool, {});
  if (!pools) return wrong("unable to list IP pools to find the pool specified by " + cidr);
  for (Resource& pool : pools->items) {
    if (model::text_of(pool.spec(), "cidr") == cidr) return std::move(pool);
  }
  return wrong("unable to find IP pool " + name + " covering the specified CIDR " + cidr);
}

base::Result<std::vector<base::Prefix>> parts_of(const base::Prefix& cidr, const std::string& word) {
  const auto wrong = [](std::string text) { return base::fail(Error(ErrorKind::kInvalid, std::move(text))); };
  const auto number = parse_number(word);
  if (!number) {
    return wrong("error reading number to split IP pools into. " + word +
                 " is not a valid number: strconv.Atoi: parsing \"" + word + "\": invalid syntax");
  }
  const std::string what =
      "error splitting the CIDR " + base::to_string(cidr) + " into " + std::to_string(*number) + " CIDRs: ";
  const bool power = *number > 1 && (*number & (*number - 1)) == 0;
  if (!power) return wrong(what + "number to split CIDR into is not a valid power of 2: " + std::to_string(*number));
  int bits = 0;
  while ((std::int64_t{1} << bits) < *number) ++bits;
  const int length = cidr.length + bits;
  if (length > base::address_bits(cidr.family())) {
    return wrong(what + "the CIDR " + base::to_string(cidr) + " is not large enough to be split into " +
                 std::to_string(*number) + " parts");
  }
  constexpr int kMostParts = 16;  // bits; more pools than that nobody can list
  if (bits > kMostParts) return wrong(what + "more than 65536 parts");
  std::vector<base::Prefix> parts;
  for (std::int64_t i = 0; i < *number; ++i) {
    const auto offset = static_cast<ipam::Wide>(i) << (base::address_bits(cidr.family()) - length);
    parts.push_back({ipam::plus(cidr.address, offset), static_cast<std::uint8_t>(length)});
  }
  return parts;
}

std::string part_name(std::string_view pool, std::size_t index) {
  const std::string end = "-" + std::to_string(index);
  const std::string full = "split-" + std::string(pool) + end;
  return full.size() <= kLongestName ? full : "split-" + std::string(pool.substr(0, kNameKept)) + end;
}

Resource make_part(const Resource& pool, std::string name, const base::Prefix& cidr) {
  Resource part = pool;
  boost::json::object metadata;
  metadata["name"] = std::move(name);
  for (const std::string_view kept : {"labels", "annotations"}) {
    const auto* object = kept == "labels" ? pool.labels() : pool.annotations();
    if (object != nullptr) metadata[kept] = *object;
  }
  part.metadata() = std::move(metadata);
  part.spec()["cidr"] = base::to_string(cidr);
  part.spec().erase("disabled");
  part.body.erase("status");
  return part;
}

}  // namespace

int run_ipam_split(Session& session, const Arguments& arguments) {
  if (arguments.value("name").empty() && arguments.value("cidr").empty())
    return session.fail("no name or CIDR provided. Provide a name or CIDR to denote the IP pool to split");
  const auto checked = session.checked_client(arguments);
  if (!checked) return session.fail(checked.error().text());
  Client& client = **checked;
  const auto information = client.get(model::kinds::kClusterInformation, {}, "default");
  if (!information) return session.fail("error while checking if datastore was locked: " + information.error().text());
  const boost::json::value* ready = model::find(*information, "spec.datastoreReady");
  if (ready == nullptr || !ready->is_bool() || ready->get_bool()) {
    return session.fail("datastore is not locked. Run the `" + std::string(session.globals().program) +
                        " datastore migrate lock` command in order split the IP pools");
  }
  const auto pool = find_pool(client, arguments);
  if (!pool) return session.fail(pool.error().text());
  const std::string text(model::text_of(pool->spec(), "cidr"));
  const auto cidr = base::parse_cidr(text);
  if (!cidr) return session.fail("error splitting the CIDR " + text + ": not a CIDR");
  const auto parts = parts_of(*cidr, arguments.positionals().front());
  if (!parts) return session.fail(parts.error().text());
  if (parts->front().length > model::number_of(pool->spec(), "blockSize").value_or(0)) {
    return session.fail("error using unsafe create to make split pool with cidr " + base::to_string(parts->front()) +
                        ": IP pool size is too small for use with Calico IPAM. It must be equal to or greater than the "
                        "block size.");
  }
  if (!model::flag_of(pool->spec(), "disabled")) {
    Resource disabled = *pool;
    disabled.spec()["disabled"] = true;
    if (auto done = client.update(std::move(disabled)); !done) return session.fail("error disabling IP pool " + text);
  }
  std::string report = "IP Pool " + std::string(pool->name()) + " was successfully split into " +
                       std::to_string(parts->size()) + " smaller pools.";
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const Resource part = make_part(*pool, part_name(pool->name(), i), (*parts)[i]);
    if (auto made = client.create_part_of_pool(part); !made) {
      return session.fail("error using unsafe create to make split pool with cidr " + base::to_string((*parts)[i]) +
                          ": " + made.error().text());
    }
    report += "Created " + std::string(part.name()) + " with CIDR " + base::to_string((*parts)[i]) + "\n";
  }
  if (auto removed = client.remove_pool_only(pool->name()); !removed) return session.fail(removed.error().text());
  session.environment().print(report + "Please refer to the documentation for final steps.");
  return 0;
}

}  // namespace cli
