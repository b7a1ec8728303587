// config_file.h: BIRD's configuration on disk: the live file, the staged one beside it, and the last one that was good.
//
// Mode 0640, root and BIRD's group: passwords are inside, and BIRD reads the file again after it gave up root.
#pragma once

#include <string>

#include "base/result.h"

namespace bgp {

class ConfigFile {
 public:
  ConfigFile(std::string path, std::string group) : path_(std::move(path)), group_(std::move(group)) {}

  const std::string& path() const { return path_; }
  std::string staged_path() const { return path_ + ".new"; }
  bool exists() const;
  bool holds(const std::string& text) const;  // the live file is just this

  // Flushed to disk before it returns. The live file is untouched.
  [[nodiscard]] base::Result<> stage(const std::string& text) const;
  void drop_staged() const;
  // The staged file becomes the live one; the former is kept. `kept` is false if it could not be.
  [[nodiscard]] base::Result<> install(bool& kept) const;
  // The kept file becomes the live one again; nothing happens if there is none.
  [[nodiscard]] base::Result<> roll_back() const;

 private:
  const std::string path_;
  const std::string group_;
};

}  // namespace bgp
