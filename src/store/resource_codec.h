// resource_codec.h: between a resource file and the keys and values that etcd would hold for it. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace store {

struct Document {
  std::string key;
  std::string value;
  int line = 1;  // of the file, where the document begins
};

struct DecodedFile {
  std::vector<Document> documents;
  // What is wrong, first problem only; the documents are not to be used then.
  std::string problem;
  int line = 0;
};

// `changed` is when the file was written; it stands in for a missing creationTimestamp, and a uid is derived from the
// key, so that what was written by hand can be changed by tools that insist on both.
DecodedFile decode_resource_file(std::string_view text, base::WallTime changed);

// The document for a stored value, or nothing if reading the document would not give exactly this key and value back
// (other kinds of keys, values with members unknown to us).
std::optional<std::string> encode_resource_document(const std::string& key, const std::string& value);

// "workloadendpoints/openstack/name.yaml" for a resource key; nothing for other keys and for names that cannot be file
// names.
std::optional<std::string> resource_file_name(std::string_view key);

// The file with the resource `key` replaced by `document`, or taken out if that is absent. Other documents keep their
// text and comments. REQUIRES that `text` decodes without problem.
std::string replace_document(std::string_view text, const std::string& key, const std::optional<std::string>& document);

}  // namespace store
