// loader.h: resources from files (spec cli §2.1, §2.2). Everything is read and decoded before anything is done.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/environment.h"
#include "model/resource.h"

namespace cli {

struct LoadRequest {
  std::string path;  // file, directory, or "-"
  bool recursive = false;
  bool skip_empty = false;
};

// Errors are complete messages. Empty without error only with skip_empty.
base::Result<std::vector<model::Resource>> load_resources(const LoadRequest& request, Environment& environment);

}  // namespace cli
