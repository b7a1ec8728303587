#include "cli/loader.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"
#include "os/files.h"

namespace cli {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;
using model::Resource;
using Resources = std::vector<Resource>;

constexpr std::size_t kMaxDocumentBytes = 10u << 20;

Error execute_error(std::string_view cause) {
  return Error(ErrorKind::kInvalid, "failed to execute command: " + std::string(cause));
}

base::Result<void> decode_into(Resources& out, const json::value& document, const model::Kind* kind_hint) {
  auto resource = model::decode_document(document, kind_hint);
  if (!resource) return base::fail(resource.error());
  out.push_back(*std::move(resource));
  return {};
}

// The kind whose list this is: "NodeList" -> Node; null if it is no list.
const model::Kind* list_kind(const json::object& document) {
  const std::string_view kind = model::text_of(document, "kind");
  constexpr std::string_view kSuffix = "List";
  if (!kind.ends_with(kSuffix) || !document.contains("items")) return nullptr;
  return model::find_kind(kind.substr(0, kind.size() - kSuffix.size()));
}

base::Result<void> decode_items(Resources& out, const json::value& items, const model::Kind* kind_hint) {
  if (items.is_null()) return {};
  if (!items.is_array()) return base::fail(Error(ErrorKind::kInvalid, "items is not a list"));
  for (const json::value& item : items.get_array()) {
    if (auto ok = decode_into(out, item, kind_hint); !ok) return ok;
  }
  return {};
}

base::Result<void> decode_document_text(Resources& out, std::string_view text) {
  if (text.size() > kMaxDocumentBytes)
    return base::fail(Error(ErrorKind::kInvalid, "the document is longer than 10 MiB"));
  const auto document = model::parse_document(text);
  if (!document) return base::fail(document.error());
  if (document->is_array()) return decode_items(out, *document, nullptr);
  if (document->is_object()) {
    const json::object& object = document->get_object();
    const model::Kind* kind = list_kind(object);
    const bool generic = model::text_of(object, "kind") == "List" && object.contains("items");
    if (kind != nullptr || generic) return decode_items(out, object.at("items"), kind);
  }
  return decode_into(out, *document, nullptr);
}

base::Result<Resources> decode_text(std::string_view text) {
  Resources resources;
  for (const std::string_view document : model::split_documents(text)) {
    if (auto ok = decode_document_text(resources, document); !ok) return base::fail(execute_error(ok.error().text()));
  }
  return resources;
}

base::Result<Resources> load_file(const std::string& path) {
  const auto text = os::read_file(path);
  if (!text && text.error().kind() == ErrorKind::kNotFound) {
    return base::fail(execute_error("open " + path + ": no such file or directory"));
  }
  if (!text) return base::fail(execute_error("open " + path + ": " + text.error().text()));
  return decode_text(*text);
}

bool is_resource_file(const std::filesystem::path& path) {
  const std::string extension = base::to_lower(path.extension().string());
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

// Lexical order per directory; symbolic links to directories are not followed.
void find_files(const std::filesystem::path& directory, bool recursive, std::vector<std::string>& files) {
  std::error_code ignored;
  std::vector<std::filesystem::directory_entry> entries;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) entries.push_back(entry);
  std::ranges::sort(entries, {}, [](const auto& entry) { return entry.path().filename().string(); });
  for (const auto& entry : entries) {
    const bool real_directory = entry.is_directory(ignored) && !entry.is_symlink(ignored);
    if (real_directory && recursive) find_files(entry.path(), true, files);
    if (entry.is_regular_file(ignored) && is_resource_file(entry.path())) files.push_back(entry.path().string());
  }
}

base::Result<Resources> load_directory(const LoadRequest& request) {
  std::vector<std::string> files;
  find_files(request.path, request.recursive, files);
  Resources all;
  for (const std::string& file : files) {
    auto resources = load_file(file);
    if (!resources) return resources;
    if (resources->empty() && !request.skip_empty) {
      return base::fail(Error(ErrorKind::kInvalid, "no resources specified in file " + file));
    }
    std::ranges::move(*resources, std::back_inserter(all));
  }
  if (all.empty() && !request.skip_empty) {
    return base::fail(Error(ErrorKind::kInvalid, "no resources specified in directory " + request.path));
  }
  return all;
}

}  // namespace

base::Result<std::vector<Resource>> load_resources(const LoadRequest& request, Environment& environment) {
  std::error_code ignored;
  if (request.path != "-" && std::filesystem::is_directory(request.path, ignored)) return load_directory(request);
  base::Result<Resources> resources = base::fail(Error(ErrorKind::kInternal, ""));
  if (request.path == "-") {
    const auto text = environment.read_standard_input();
    resources = text ? decode_text(*text) : base::Result<Resources>(base::fail(execute_error(text.error().text())));
  } else {
    resources = load_file(request.path);
  }
  if (resources && resources->empty() && !request.skip_empty) {
    return base::fail(Error(ErrorKind::kInvalid, "no resources specified in file " + request.path));
  }
  return resources;
}

}  // namespace cli
