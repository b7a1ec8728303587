#include "store/directory_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/strings.h"
#include "os/files.h"
#include "os/loop_thread.h"
#include "store/local_store.h"
#include "store/resource_codec.h"
#include "store/stamped_file.h"
#include "store/tree_watch.h"

namespace store {
namespace {

constexpr std::string_view kPrivate = ".percale";
constexpr std::string_view kKeys = ".percale/keys";
// Changes kept for subscribers that page through a snapshot; more are never needed, since nobody resumes from outside.
constexpr std::size_t kLogLimit = 4096;
constexpr std::int64_t kPageKeys = 500;

bool is_resource_file(std::string_view path) {
  if (path.find("/.") != path.npos || path.starts_with('.')) return false;
  const auto dot = path.rfind('.');
  if (dot == path.npos) return false;
  const auto extension = base::to_lower(path.substr(dot));
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

bool is_key_file(std::string_view path) {
  return path.starts_with(kKeys) && path.substr(kKeys.size() + 1).find('.') == path.npos;
}

// --- Files of other keys: one header line, then key and value as they are ---

struct KeyFile {
  std::string key;
  std::string value;
  std::int64_t expires = 0;  // nanoseconds since 1970; 0: never
};

std::string key_file_name(std::string_view key) {
  const auto digest = base::sha256(key);
  return fmt::format("{}/{}", kKeys, base::base64url(digest));
}

std::string print_key_file(const KeyFile& file) {
  return fmt::format("percale-key 1 {} {}\n", file.expires, file.key.size()) + file.key + file.value;
}

base::Result<KeyFile> parse_key_file(std::string_view text) {
  const auto bad = [] { return base::fail(base::Error::invalid("is not a key file of ours; remove it")); };
  const auto newline = text.find('\n');
  if (newline == text.npos) return bad();
  const auto words = base::split(text.substr(0, newline), ' ');
  if (words.size() != 4 || words[0] != "percale-key" || words[1] != "1") return bad();
  KeyFile file;
  std::size_t key_size = 0;
  const auto number = [](std::string_view word, auto& out) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
    return error == std::errc() && end == word.data() + word.size();
  };
  if (!number(words[2], file.expires) || !number(words[3], key_size)) return bad();
  text.remove_prefix(newline + 1);
  if (text.size() < key_size) return bad();
  file.key = text.substr(0, key_size);
  file.value = text.substr(key_size);
  return file;
}

// --- The store ---

class DirectoryCore final : public LocalCore {
 public:
  DirectoryCore(base::Loop& home, std::string root, base::Log& log)
      : LocalCore(home), root_(std::move(root)), log_(log), tree_(root_, [](const std::string& path) {
          return path == kPrivate || path == kKeys || !path.substr(path.rfind('/') + 1).starts_with('.');
        }) {
    set_log_limit(kLogLimit);
    set_page_keys(kPageKeys);
  }
  ~DirectoryCore() override { home().unwatch(watch_); }

  // Reads everything and begins to watch. Before the loop runs.
  base::Result<> open() {
    if (auto opened = tree_.open(); !opened) return opened;
    list_again();
    watch_ = home().watch_readable(tree_.fd(), [this] { refresh(); });
    return {};
  }

 private:
  struct Item {
    Document document;
    std::int64_t expires = 0;  // nanoseconds since 1970; 0: never
  };
  struct File {
    FileStamp stamp;
    std::map<std::string, Item> items;  // by key; when there is a problem, as of the last time there was none
    std::string problem;
    int line = 0;
    std::string told;  // the diagnostic that subscribers know
  };
  using Keys = std::set<std::string>;

  base::Result<> before_request(bool writes) override;
  void after_request() override;
  base::Result<Revision> persist(const std::vector<Edit>& edits) override;
  StoreStatus describe_status() override {
    return {.revision = 0, .cluster_id = 0, .version = "directory", .peer = "dir:" + root_};
  }
  std::vector<Diagnostic> current_diagnostics() override;

  std::string full(std::string_view path) const { return fmt::format("{}/{}", root_, path); }
  std::int64_t now() { return home().wall().time_since_epoch().count(); }

  // From files to keys.
  void refresh();
  void list_again();
  void reload(const std::string& path, Keys& keys);
  File read(const std::string& path, const FileStamp& stamp);
  void forget_items(const std::string& path, Keys& keys);
  void settle(const Keys& keys);
  const std::string& holder(const std::string& key) const;
  const Item* winner(const std::string& key) const;
  void tell(const std::string& path);

  // From keys to files.
  base::Result<> write(const Edit& edit, Revision at);
  base::Result<> write_key_file(const Edit& edit, Revision at);
  base::Result<> write_document(const std::string& path, const std::string& key,
                                const std::optional<std::string>& document, Revision at);
  base::Result<> take_out(const std::string& path, const std::string& key, Revision at);

  const std::string root_;
  base::Log& log_;
  TreeWatch tree_;
  base::WatchId watch_{};
  base::Fd lock_;
  std::map<std::string, File> files_;                     // by path relative to the root
  std::map<std::string, std::set<std::string>> holders_;  // key -> paths that hold it; see holder()
  std::map<std::string, std::int64_t> expiry_;            // of the leased keys in the table
  Keys unsettled_;                                        // touched by the request being served
};

base::Result<> DirectoryCore::before_request(bool writes) {
  if (writes) {
    if (auto made = os::make_directories(full(kKeys)); !made) return made;
    auto lock = lock_file(full(".percale/lock"));
    if (!lock) return base::fail(std::move(lock).error().in("datastore directory cannot be written"));
    lock_ = *std::move(lock);
  }
  refresh();  // what others wrote before us counts
  return {};
}

void DirectoryCore::after_request() {
  lock_.reset();
  settle(std::exchange(unsettled_, {}));
}

std::vector<Diagnostic> DirectoryCore::current_diagnostics() {
  std::vector<Diagnostic> all;
  for (const auto& [path, file] : files_) {
    if (!file.told.empty()) all.push_back({full(path), file.line, file.told});
  }
  return all;
}

// --- From files to keys ---

void DirectoryCore::refresh() {
  const auto changes = tree_.take();
  if (changes.everything) return list_again();
  Keys keys;
  for (const auto& path : changes.files) {
    if (is_resource_file(path) || is_key_file(path)) reload(path, keys);
  }
  settle(keys);
}

void DirectoryCore::list_again() {
  Keys keys;
  const auto paths = tree_.list();
  std::vector<std::string> gone;
  for (const auto& [path, file] : files_) {
    if (!std::ranges::binary_search(paths, path)) gone.push_back(path);
  }
  for (const auto& path : gone) reload(path, keys);
  for (const auto& path : paths) {
    if (!is_resource_file(path) && !is_key_file(path)) continue;
    const auto known = files_.find(path);
    if (known == files_.end() || stamp_of(full(path)) != known->second.stamp) reload(path, keys);
  }
  settle(keys);
}

// Brings files_ and holders_ up to date for one path and notes the keys that were or are in it. A file that cannot be
// used keeps what it last held: a slip in a rule that denies must not open what it closed.
void DirectoryCore::reload(const std::string& path, Keys& keys) {
  const auto stamp = stamp_of(full(path));
  if (!stamp) {
    forget_items(path, keys);
    if (const auto at = files_.find(path); at != files_.end()) {
      at->second.problem.clear();
      tell(path);
      files_.erase(at);
    }
    return;
  }
  File next = read(path, *stamp);
  if (!next.problem.empty()) {
    if (const auto known = files_.find(path); known != files_.end()) next.items = known->second.items;
  }
  forget_items(path, keys);
  File& file = files_[path];
  next.told = std::move(file.told);
  file = std::move(next);
  for (const auto& [key, item] : file.items) {
    holders_[key].insert(path);
    keys.insert(key);
  }
  tell(path);
}

void DirectoryCore::forget_items(const std::string& path, Keys& keys) {
  const auto at = files_.find(path);
  if (at == files_.end()) return;
  for (const auto& [key, item] : at->second.items) {
    keys.insert(key);
    auto& paths = holders_[key];
    paths.erase(path);
    if (paths.empty()) holders_.erase(key);
  }
  at->second.items.clear();
}

DirectoryCore::File DirectoryCore::read(const std::string& path, const FileStamp& stamp) {
  File file;
  file.stamp = stamp;
  auto text = os::read_file(full(path));
  if (!text) {
    file.problem = text.error().text();
    return file;
  }
  if (is_key_file(path)) {
    auto parsed = parse_key_file(*text);
    if (!parsed) {
      file.problem = parsed.error().text();
    } else if (parsed->expires != 0 && parsed->expires <= now()) {
      static_cast<void>(os::remove_file(full(path)));  // if not now, then when it is read again
    } else {
      file.items[parsed->key] = {.document = {.key = parsed->key, .value = std::move(parsed->value)},
                                 .expires = parsed->expires};
    }
    return file;
  }
  auto decoded = decode_resource_file(*text, base::WallTime(base::Duration(stamp.modified)));
  file.problem = std::move(decoded.problem);
  file.line = decoded.line;
  if (!file.problem.empty()) return file;
  for (auto& document : decoded.documents) {
    std::string key = document.key;
    file.items[std::move(key)] = {.document = std::move(document)};
  }
  return file;
}

// The path that counts: the first, of those that can be used if there is any. REQUIRES that some path holds the key.
const std::string& DirectoryCore::holder(const std::string& key) const {
  const auto& paths = holders_.at(key);
  const auto usable = std::ranges::find_if(paths, [&](const auto& path) { return files_.at(path).problem.empty(); });
  return usable == paths.end() ? *paths.begin() : *usable;
}

const DirectoryCore::Item* DirectoryCore::winner(const std::string& key) const {
  return holders_.contains(key) ? &files_.at(holder(key)).items.at(key) : nullptr;
}

// Makes the table agree with the files for these keys. A put is dated by its file, a removal now.
void DirectoryCore::settle(const Keys& keys) {
  std::map<Revision, std::vector<Edit>> commits;
  for (const auto& key : keys) {
    const KeyValue* current = table().find(key);
    const Item* item = winner(key);
    const auto known = expiry_.find(key);
    const std::int64_t known_expiry = known == expiry_.end() ? 0 : known->second;
    if (item == nullptr) {
      expiry_.erase(key);
      if (current != nullptr) commits[now()].push_back({.key = key, .value = {}, .lease = 0, .time_to_live = {}});
      continue;
    }
    if (current != nullptr && current->value == item->document.value && known_expiry == item->expires) continue;
    Edit edit{.key = key, .value = item->document.value, .lease = 0, .time_to_live = {}};
    expiry_.erase(key);
    if (item->expires != 0) {
      expiry_[key] = item->expires;
      edit.lease = next_lease();
      expire_later(key, edit.lease, base::Duration(std::max<std::int64_t>(item->expires - now(), 0)));
    }
    commits[files_.at(holder(key)).stamp.modified].push_back(std::move(edit));
  }
  for (auto& [at, edits] : commits) commit_edits(std::move(edits), std::max(at, table().revision() + 1));
  Keys paths;
  for (const auto& key : keys) {
    if (const auto at = holders_.find(key); at != holders_.end()) paths.insert(at->second.begin(), at->second.end());
  }
  for (const auto& path : paths) tell(path);
}

void DirectoryCore::tell(const std::string& path) {
  File& file = files_.at(path);
  std::string text = file.problem;
  if (!text.empty()) {
    text += file.items.empty() ? "; nothing in this file is in force until it is repaired"
                               : "; what it held before stays in force until it is repaired or deleted";
  }
  for (const auto& [key, item] : file.items) {
    const auto& first = holder(key);
    if (first == path || !file.problem.empty()) continue;
    text = fmt::format("{} is also in {}, which counts", key, full(first));
    file.line = item.document.line;
    break;
  }
  if (text == file.told) return;
  file.told = text;
  if (!text.empty()) {
    log_.warning("store.file_refused", "a resource file cannot be used",
                 {{"file", full(path)}, {"line", file.line}, {"error", text}});
  }
  broadcast(Diagnostic{full(path), text.empty() ? 0 : file.line, text});
}

// --- From keys to files ---

base::Result<Revision> DirectoryCore::persist(const std::vector<Edit>& edits) {
  const Revision at = std::max<Revision>(now(), table().revision() + 1);
  for (const auto& edit : edits) {
    unsettled_.insert(edit.key);
    if (auto written = write(edit, at); !written) return base::fail(std::move(written).error());
  }
  return at;
}

base::Result<> DirectoryCore::write(const Edit& edit, Revision at) {
  std::set<std::string> others;
  if (const auto held = holders_.find(edit.key); held != holders_.end()) others = held->second;
  std::string target;
  if (edit.value) {
    const auto document = edit.lease == 0 ? encode_resource_document(edit.key, *edit.value) : std::nullopt;
    const auto own_file = document ? resource_file_name(edit.key) : std::nullopt;
    base::Result<> written;
    if (own_file) {
      const auto held = std::ranges::find_if(others, [](const auto& path) { return is_resource_file(path); });
      target = held == others.end() ? *own_file : *held;
      written = write_document(target, edit.key, document, at);
    } else {
      target = key_file_name(edit.key);
      written = write_key_file(edit, at);
    }
    if (!written) return written;
    reload(target, unsettled_);
  }
  for (const auto& path : others) {
    if (path == target) continue;
    if (auto done = take_out(path, edit.key, at); !done) return done;
    reload(path, unsettled_);
  }
  return {};
}

base::Result<> DirectoryCore::write_key_file(const Edit& edit, Revision at) {
  KeyFile file{.key = edit.key, .value = *edit.value, .expires = 0};
  if (edit.lease != 0) file.expires = now() + std::chrono::nanoseconds(edit.time_to_live).count();
  file.expires != 0 ? void(expiry_[edit.key] = file.expires) : void(expiry_.erase(edit.key));
  return write_stamped(full(key_file_name(edit.key)), print_key_file(file), at);
}

base::Result<> DirectoryCore::write_document(const std::string& path, const std::string& key,
                                             const std::optional<std::string>& document, Revision at) {
  const std::string file = full(path);
  if (const auto known = files_.find(path); known != files_.end() && !known->second.problem.empty()) {
    return base::fail(base::Error::invalid(
        fmt::format("{} cannot be changed before it is repaired: {}", file, known->second.problem)));
  }
  if (auto made = os::make_directories(file.substr(0, file.rfind('/'))); !made) return made;
  std::string text;
  if (files_.contains(path)) {
    auto before = os::read_file(file);
    if (!before) return base::fail(std::move(before).error());
    text = *std::move(before);
  }
  text = replace_document(text, key, document);
  if (base::trim(text).empty()) return os::remove_file(file);
  expiry_.erase(key);
  return write_stamped(file, text, at);
}

base::Result<> DirectoryCore::take_out(const std::string& path, const std::string& key, Revision at) {
  return is_key_file(path) ? os::remove_file(full(path)) : write_document(path, key, std::nullopt, at);
}

// The thread is a base so that it outlives the core, which watches on its loop.
struct DirectoryThread {
  os::LoopThread thread{"store"};
};

class DirectoryStore final : private DirectoryThread, public LocalStore {
 public:
  static base::Result<std::unique_ptr<Store>> open(const std::string& root, base::Log& log) {
    auto store = std::unique_ptr<DirectoryStore>(new DirectoryStore(root));
    auto core = std::make_shared<DirectoryCore>(store->thread.loop(), root, log);
    if (auto opened = core->open(); !opened) return base::fail(std::move(opened).error().in("datastore directory"));
    store->set_core(std::move(core));
    store->thread.start();
    return store;
  }
  ~DirectoryStore() override { thread.stop(); }
  std::string describe() const override { return "dir:" + root_; }

 private:
  explicit DirectoryStore(std::string root) : root_(std::move(root)) {}

  const std::string root_;
};

}  // namespace

base::Result<std::unique_ptr<Store>> open_directory(const std::string& directory, base::Log& log) {
  std::string root = directory;
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  return DirectoryStore::open(root, log);
}

}  // namespace store
