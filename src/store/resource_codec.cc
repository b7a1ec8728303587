#include "store/resource_codec.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <span>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/digest.h"
#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"
#include "model/resource_text.h"

namespace store {
namespace {

namespace json = boost::json;

struct Problem {
  std::string text;
  int line = 0;
};

// The parser counts lines from the document's first; people count from the file's.
Problem in_file(const std::string& text, int first_line) {
  constexpr std::string_view kWord = "line ";
  const auto at = text.find(kWord);
  int line = 0;
  if (at != text.npos) std::from_chars(text.data() + at + kWord.size(), text.data() + text.size(), line);
  return {text, first_line + std::max(line, 1) - 1};
}

std::string derived_uid(std::string_view key) {
  const auto digest = base::sha256(key);
  std::string uid;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) uid += '-';
    unsigned byte = digest[i];
    if (i == 6) byte = (byte & 0x0fU) | 0x80U;  // version 8: derived by the application's own rule
    if (i == 8) byte = (byte & 0x3fU) | 0x80U;
    uid += fmt::format("{:02x}", byte);
  }
  return uid;
}

std::string timestamp(base::WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(
                         std::chrono::time_point_cast<std::chrono::system_clock::duration>(time))));
}

base::Result<Document> decode_resource(const json::value& value, const model::Kind* hint, base::WallTime changed) {
  auto resource = model::decode_document(value, hint);
  if (!resource) return base::fail(std::move(resource).error());
  model::Problems problems;
  model::complete(*resource, model::WriteReason::kUpdate, problems);
  model::validate(*resource, problems);
  if (!problems.empty())
    return base::fail(base::Error::invalid(resource->id() + ": " + model::to_string(problems.take())));
  Document document;
  document.key = model::resource_key(*resource->kind, resource->ns(), resource->name());
  if (resource->metadata_text("uid").empty()) resource->set_metadata("uid", derived_uid(document.key));
  if (resource->metadata_text("creationTimestamp").empty())
    resource->set_metadata("creationTimestamp", timestamp(changed));
  model::store_policy_name(*resource);
  document.value = model::encode_stored(*resource);
  return document;
}

// A list of resources, as `get -o yaml` prints it: {kind: TierList, items: […]}.
const json::array* list_items(const json::value& value, const model::Kind*& hint) {
  const auto* object = value.if_object();
  if (object == nullptr) return value.if_array();
  const std::string_view kind = model::text_of(*object, "kind");
  const auto* items = object->if_contains("items");
  if (!kind.ends_with("List") || items == nullptr) return nullptr;
  hint = model::find_kind(kind.substr(0, kind.size() - 4));
  return items->if_array();
}

base::Result<std::vector<Document>> decode_documents(std::string_view text, base::WallTime changed) {
  std::vector<Document> documents;
  auto value = model::parse_document(text);
  if (!value) return base::fail(std::move(value).error());
  if (value->is_null()) return documents;  // nothing but comments
  const model::Kind* hint = nullptr;
  const json::array* items = list_items(*value, hint);
  const json::value* const first = items == nullptr ? &*value : items->data();
  for (const auto& item : std::span(first, items == nullptr ? 1 : items->size())) {
    auto document = decode_resource(item, hint, changed);
    if (!document) return base::fail(std::move(document).error());
    documents.push_back(*std::move(document));
  }
  return documents;
}

int line_of(std::string_view file, std::string_view part) {
  return 1 + static_cast<int>(std::count(file.data(), part.data(), '\n'));
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.find('/') == name.npos && name.size() <= 240;
}

}  // namespace

DecodedFile decode_resource_file(std::string_view text, base::WallTime changed) {
  DecodedFile file;
  std::set<std::string> keys;
  for (const auto part : model::split_documents(text)) {
    if (base::trim(part).empty()) continue;
    // A document that begins with a newline (the rest of its "---" line) begins on the next line for the reader.
    const int line = line_of(text, part);
    auto documents = decode_documents(part, changed);
    if (!documents) {
      auto problem = in_file(documents.error().text(), line);
      file.problem = std::move(problem.text);
      file.line = problem.line;
      return file;
    }
    for (auto& document : *documents) {
      document.line = line;
      if (!keys.insert(document.key).second) {
        file.problem = document.key + " is in this file twice";
        file.line = line;
        return file;
      }
      file.documents.push_back(std::move(document));
    }
  }
  return file;
}

std::optional<std::string> encode_resource_document(const std::string& key, const std::string& value) {
  const auto parsed = model::parse_resource_key(key);
  if (!parsed) return std::nullopt;
  auto resource = model::decode_stored(*parsed->kind, value);
  if (!resource || !model::restore_policy_name(*resource)) return std::nullopt;
  std::string text = model::to_go_yaml(resource->body);
  const auto again = decode_resource_file(text, {});
  if (!again.problem.empty() || again.documents.size() != 1) return std::nullopt;
  if (again.documents.front().key != key || again.documents.front().value != value) return std::nullopt;
  return text;
}

std::optional<std::string> resource_file_name(std::string_view key) {
  const auto parsed = model::parse_resource_key(key);
  if (!parsed || !is_file_name(parsed->name)) return std::nullopt;
  const std::string kind(parsed->kind->plural);
  if (!parsed->kind->namespaced) return fmt::format("{}/{}.yaml", kind, parsed->name);
  if (!is_file_name(parsed->ns)) return std::nullopt;
  return fmt::format("{}/{}/{}.yaml", kind, parsed->ns, parsed->name);
}

std::string replace_document(std::string_view text, const std::string& key,
                             const std::optional<std::string>& document) {
  std::vector<std::string> parts;
  bool placed = false;
  for (const auto part : model::split_documents(text)) {
    if (base::trim(part).empty()) continue;
    const auto documents = decode_documents(part, {});
    const bool holds_key = documents && std::ranges::find(*documents, key, &Document::key) != documents->end();
    if (!holds_key) {
      parts.emplace_back(part);
      continue;
    }
    // A list is taken apart, since one of its items changes.
    for (const auto& other : *documents) {
      if (other.key == key) {
        if (document) parts.push_back(*document);
        placed = true;
      } else if (auto rest = encode_resource_document(other.key, other.value)) {
        parts.push_back(*std::move(rest));
      }
    }
  }
  if (document && !placed) parts.push_back(*document);
  for (auto& part : parts) {
    if (!part.ends_with('\n')) part += '\n';
    if (part.starts_with('\n')) part.erase(0, 1);
  }
  return base::join(parts, "---\n");
}

}  // namespace store
