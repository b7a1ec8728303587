// tree_watch.h: inotify on a directory and everything below it. Reports files by path relative to the root.
//
// Not for several threads. Directories whose name begins with a dot are watched only if `is_wanted` says so.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace store {

class TreeWatch {
 public:
  // `is_wanted` is asked for each subdirectory, by relative path.
  TreeWatch(std::string root, std::function<bool(const std::string&)> is_wanted);

  // Starts watching; fails when inotify is not to be had or the root is not a directory.
  base::Result<> open();
  int fd() const { return fd_.get(); }

  struct Changes {
    std::set<std::string> files;  // may have appeared, changed or gone
    bool everything = false;      // list the tree again: directories came or went, or events were lost
  };
  // What happened since the last call; never waits.
  Changes take();
  // All regular files below the root now, sorted; also begins to watch directories that are new.
  std::vector<std::string> list();

 private:
  void list_into(const std::string& directory, std::vector<std::string>& files);
  void watch(const std::string& directory);

  std::string root_;
  std::function<bool(const std::string&)> is_wanted_;
  base::Fd fd_;
  std::map<int, std::string> directories_;  // watch descriptor -> relative path, "" for the root
};

}  // namespace store
