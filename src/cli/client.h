// client.h: resources in a datastore, with the semantics of upstream's typed client (spec datamodel §2.4–§2.9): create,
// update and delete by compare-and-swap, defaults and validation before every write, side effects of certain kinds, and
// its error texts.
//
// Blocking; one thread. Kinds of errors: kExists, kConflict, kNotFound, kUnsupported, kInvalid as their names say, and
// whatever the store says about itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ipam/access.h"
#include "model/resource.h"
#include "store/blocking.h"

namespace cli {

// Where the client takes what is not determined by its input.
struct ClientSources {
  std::function<std::string()> new_uid;
  std::function<std::string()> timestamp;
  std::function<void(base::Duration)> pause;
  ipam::Sources ipam;
  std::function<void(std::string_view)> warn;  // one line for the operator, without newline
};

struct ResourceList {
  const model::Kind* kind = nullptr;
  std::string resource_version;
  std::vector<model::Resource> items;
};

class Client {
 public:
  Client(store::BlockingStore& store, ClientSources sources);

  // Fails with kExists if the object is there. A resourceVersion in `resource` is refused.
  base::Result<model::Resource> create(model::Resource resource);
  // `resource` carries the resourceVersion it was read at.
  base::Result<model::Resource> update(model::Resource resource);
  // Labels, annotations, spec and status of `input`, everything else from the stored object. With a resourceVersion in
  // the input that is out of date: kConflict. Without one: tried again up to five times.
  base::Result<model::Resource> replace(const model::Resource& input);
  // create(), or replace() if it exists or may not be created.
  base::Result<model::Resource> apply(const model::Resource& input);
  base::Result<model::Resource> get(const model::Kind& kind, std::string_view ns, std::string_view name,
                                    std::string_view resource_version = {});
  // Values that cannot be read are left out with a warning. `ns` empty: all namespaces.
  base::Result<ResourceList> list(const model::Kind& kind, std::string_view ns);
  base::Result<void> remove(const model::Kind& kind, std::string_view ns, std::string_view name,
                            std::string_view resource_version);

  // For splitting a pool: create() although the pool that is being split still covers the addresses, and a removal that
  // leaves their blocks to their hosts.
  base::Result<model::Resource> create_part_of_pool(model::Resource part);
  base::Result<void> remove_pool_only(std::string_view name);

  // ClusterInformation and the three built-in tiers (spec datamodel §2.8). Every step is tried; the first error is
  // returned.
  base::Result<void> ensure_initialized();

  // From now on everything is done except the writes.
  void set_dry_run(bool dry_run) { dry_run_ = dry_run; }

  store::BlockingStore& store() { return store_; }
  const ipam::Sources& ipam_sources() const { return sources_.ipam; }

 private:
  struct Stored {
    std::string key;
    model::Resource resource;
  };

  base::Result<Stored> read(const model::Kind& kind, std::string_view ns, std::string_view name,
                            store::Revision revision = 0);
  base::Result<model::Resource> decode(const model::Kind& kind, const store::KeyValue& item,
                                       model::ReadReason why) const;
  base::Result<model::Resource> write_over(const Stored& before, model::Resource after);

  base::Result<model::Resource> create_checked(model::Resource resource, bool check_others);
  base::Result<void> check_references(const model::Resource& resource);
  base::Result<void> check_pool_ranges(const model::Resource& pool);
  base::Result<void> check_tier_is_empty(std::string_view tier);
  base::Result<void> remove_pool(const Stored& pool, std::string_view resource_version);
  base::Result<void> release_addresses_of(std::string_view node);
  base::Result<void> remove_node_objects(std::string_view node);
  base::Result<void> remove_key(const std::string& key, std::string_view id, std::string_view resource_version);

  base::Result<void> ensure_cluster_information();
  base::Result<void> ensure_tier(std::string_view name, double order, std::string_view action);

  store::BlockingStore& store_;
  ClientSources sources_;
  bool dry_run_ = false;
};

// Texts of spec datamodel §2.6.
base::Error does_not_exist(std::string_view id);
base::Error already_exists(std::string_view id);
base::Error update_conflict(std::string_view id);
base::Error not_supported(std::string_view operation, std::string_view id, std::string_view reason);

std::string describe_id(const model::Kind& kind, std::string_view ns, std::string_view name);

}  // namespace cli
