#include "testing/temp_directory.h"

#include <cstdlib>
#include <fstream>

#include "base/check.h"

namespace testing {

TempDirectory::TempDirectory() {
  std::string pattern = std::filesystem::temp_directory_path() / "percale-test-XXXXXX";
  CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::write(std::string_view name, std::string_view content) const {
  const std::string target = file(name);
  std::ofstream out(target, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  CHECK(out.good());
  return target;
}

}  // namespace testing
