// golden.h: texts compared with files under tests/golden. With UPDATE_GOLDEN=1 in the environment the files are
// rewritten instead; review the difference like code.
#pragma once

#include <string>

namespace testing {

// What `path` says, after writing `actual` to it when updating. A missing file is the empty text.
std::string golden(const std::string& path, const std::string& actual);

}  // namespace testing
