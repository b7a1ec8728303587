// Any bytes as a document from an operator, and as a stored value of every kind.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"
#include "model/resource_text.h"

namespace {

// What is written can be read, and is then written the same again.
void check_stored_form(const model::Resource& resource) {
  const std::string stored = encode_stored(resource);
  const auto again = model::decode_stored(*resource.kind, stored);
  CHECK(again.has_value());
  CHECK(encode_stored(*again) == stored);
}

void check_resource(model::Resource resource) {
  model::Problems problems;
  complete(resource, model::WriteReason::kCreate, problems);
  validate(resource, problems);
  model::store_policy_name(resource);
  check_stored_form(resource);
  CHECK(model::restore_policy_name(resource).has_value());
  // What `get` prints is a document that `apply` takes.
  const auto shown = model::parse_document(model::to_go_yaml(display_object(resource)));
  CHECK(shown.has_value());
  const auto decoded = model::decode_document(*shown);
  CHECK(decoded.has_value());
  check_stored_form(*decoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string_view document : model::split_documents(text)) {
    const auto value = model::parse_document(document);
    if (!value) continue;
    if (auto resource = model::decode_document(*value)) check_resource(*std::move(resource));
  }
  for (const model::Kind* kind : model::all_kinds()) {
    auto resource = model::decode_stored(*kind, text);
    if (!resource) continue;
    check_stored_form(*resource);
    if (kind->after_read != nullptr) kind->after_read(*resource, model::ReadReason::kList);
    model::Problems problems;
    complete(*resource, model::WriteReason::kUpdate, problems);
    validate(*resource, problems);
    if (kind->check_change != nullptr) kind->check_change(*resource, *resource, problems);
    check_stored_form(*resource);
  }
  return 0;
}
