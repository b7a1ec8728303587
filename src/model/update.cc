#include "model/update.h"

namespace model {

std::string to_string(const Diagnostic& diagnostic) {
  std::string text = diagnostic.object;
  if (!diagnostic.field.empty()) text.append(": ").append(diagnostic.field);
  text.append(": ").append(diagnostic.text);
  return text;
}

}  // namespace model
