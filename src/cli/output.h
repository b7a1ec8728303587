// output.h: what `get` prints (spec cli §4, §5).
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "cli/client.h"
#include "model/resource.h"

namespace cli {

// One result per name or document, or one list for a kind without names.
using GetResult = std::variant<model::Resource, ResourceList>;

struct OutputFormat {
  enum class Style { kTable, kWide, kColumns, kYaml, kJson, kTemplate } style = Style::kTable;
  std::vector<std::string> columns;  // of kColumns
  std::string template_text;         // of kTemplate
};
// Reads the file that go-template-file= names.
base::Result<OutputFormat> parse_format(std::string_view text);

struct TableContext {
  bool with_namespace = false;    // -A or -n was given
  std::string default_as_number;  // for Nodes without one: "64512", "unknown"
};

base::Result<std::string> format_results(const std::vector<GetResult>& results, const OutputFormat& format,
                                         const TableContext& context);

// Heading, rows, blank line; every cell padded, the last one too.
std::string format_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

// Whether a table of this kind shows the default AS number.
bool needs_default_as_number(const std::vector<GetResult>& results, const OutputFormat& format);

}  // namespace cli
