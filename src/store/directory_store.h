// directory_store.h: a directory of resource files as datastore, for one host and for tests. The same keys and values
// as in etcd, so that everything above sees no difference.
//
// Layout below the directory:
//   *.yaml *.yml *.json   resources, one or more documents per file, in any subdirectory; names that begin with a dot
//                         are ignored
//   <plural>/[<namespace>/]<name>.yaml   where a resource is written that no file holds yet
//   .percale/keys/        every other key (status, IPAM, …), a file each
//   .percale/lock         held while writing, so that an agent and a command line can share the directory
//
// A resource's document is validated and brought into the form that etcd would hold. A file with any error holds
// nothing at all, not even its good documents, until it is repaired; subscribers receive a Diagnostic that names file
// and line. Two files that hold the same resource: the first by path counts, the other gets a Diagnostic.
//
// Revisions: a file's modification time in nanoseconds is the mod_revision of what it holds, so that two processes
// agree on it; writers make sure that it grows. Changes made by hand are seen through inotify.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "store/store.h"

namespace store {

// Reads the directory, which must exist, and starts a thread that watches it. `log` must outlive the store.
base::Result<std::unique_ptr<Store>> open_directory(const std::string& directory, base::Log& log);

}  // namespace store
