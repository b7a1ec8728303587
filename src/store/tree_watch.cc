#include "store/tree_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace store {
namespace {

constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

}  // namespace

TreeWatch::TreeWatch(std::string root, std::function<bool(const std::string&)> is_wanted)
    : root_(std::move(root)), is_wanted_(std::move(is_wanted)) {}

base::Result<> TreeWatch::open() {
  fd_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd_) return base::fail(base::Error::system(errno, "inotify_init1"));
  if (::inotify_add_watch(fd_.get(), root_.c_str(), kEvents) < 0) {
    return base::fail(base::Error::system(errno, "watch directory " + root_));
  }
  return {};
}

void TreeWatch::watch(const std::string& directory) {
  const std::string path = directory.empty() ? root_ : root_ + "/" + directory;
  const int id = ::inotify_add_watch(fd_.get(), path.c_str(), kEvents);
  if (id >= 0) directories_[id] = directory;  // the same directory again has the same descriptor
}

void TreeWatch::list_into(const std::string& directory, std::vector<std::string>& files) {
  watch(directory);  // before reading, so that nothing falls between
  std::error_code error;
  std::filesystem::directory_iterator entries(directory.empty() ? root_ : root_ + "/" + directory, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string path = join(directory, entries->path().filename());
    std::error_code gone;
    if (entries->is_directory(gone) && !entries->is_symlink(gone)) {
      if (is_wanted_(path)) list_into(path, files);
    } else if (entries->is_regular_file(gone)) {
      files.push_back(path);
    }
  }
}

std::vector<std::string> TreeWatch::list() {
  std::vector<std::string> files;
  list_into("", files);
  std::ranges::sort(files);
  return files;
}

TreeWatch::Changes TreeWatch::take() {
  Changes changes;
  alignas(inotify_event) char buffer[16 * 1024];
  while (true) {
    const ssize_t size = ::read(fd_.get(), buffer, sizeof buffer);
    if (size <= 0) return changes;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      const auto directory = directories_.find(event->wd);
      if ((event->mask & IN_IGNORED) != 0) {
        if (directory != directories_.end()) directories_.erase(directory);
      } else if ((event->mask & (IN_Q_OVERFLOW | IN_ISDIR | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        changes.everything = true;
      } else if ((event->mask & IN_CREATE) == 0 && event->len > 0 && directory != directories_.end()) {
        // A created file says nothing before it is closed.
        changes.files.insert(join(directory->second, event->name));
      }
    }
  }
}

}  // namespace store
