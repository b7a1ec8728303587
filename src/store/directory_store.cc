#include "store/directory_store.h"

#include "os/files.h"

namespace store {

base::Result<std::unique_ptr<Store>> open_directory(const std::string& directory, base::Log&) {
  if (auto names = os::list_directory(directory); !names) return base::fail(std::move(names).error().in("datastore directory"));
  return base::fail(base::Error::unsupported("a directory as datastore"));
}

}  // namespace store
