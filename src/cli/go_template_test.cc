#include "cli/go_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "model/kinds/kinds.h"

namespace cli {
namespace {

using ::testing::HasSubstr;

model::Resource resource(std::string_view json) {
  auto made = model::decode_document(boost::json::parse(json));
  EXPECT_TRUE(made) << made.error().text();
  return *std::move(made);
}

model::Resource pool() {
  return resource(
      R"({"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"p1","labels":{"a":"b","c":"d"},)"
      R"("creationTimestamp":"2026-01-15T10:20:30Z"},"spec":{"cidr":"10.0.0.0/16","allowedUses":["Workload","Tunnel"],)"
      R"("ipipMode":"Always","blockSize":26,"natOutgoing":true}})");
}

std::string run(std::string_view text, const TemplateValue& data) {
  const auto parsed = GoTemplate::parse(text);
  if (!parsed) return parsed.error().text();
  const auto done = parsed->run(data, {"64512"});
  return done ? *done : done.error().text();
}

struct Case {
  std::string_view text, printed;
};

// What Go 1.22 prints for the same template and structures.
TEST(GoTemplate, PrintsWhatGoPrints) {
  const TemplateValue one(TemplateValue::List{template_value(pool())});
  const Case kCases[] = {
      {"plain", "plain"},
      {"{{range .}}{{.ObjectMeta.Name}}{{\"\\n\"}}{{end}}", "p1\n"},
      {"{{range .}}{{.Name}} {{.Kind}} {{.APIVersion}}{{end}}", "p1 IPPool projectcalico.org/v3"},
      {"{{range .}}{{.Spec.CIDR}} {{.Spec.IPIPMode}} {{.Spec.NATOutgoing}} {{.Spec.Disabled}}{{end}}",
       "10.0.0.0/16 Always true false"},
      {"{{range .}}{{.ObjectMeta.Labels}}{{.Spec.AllowedUses}}{{end}}", "map[a:b c:d][Workload Tunnel]"},
      {"{{range .}}{{.CreationTimestamp}}{{end}}", "2026-01-15 10:20:30 +0000 UTC"},
      {"{{range .}}{{join .Spec.AllowedUses \",\"}} {{joinAndTruncate .Labels \",\" 6}}{{end}}",
       "Workload,Tunnel a=b..."},
      {"{{config \"asnumber\"}}", "64512"},
      {"{{len .}} {{len (index . 0).Spec.AllowedUses}} {{index (index . 0).Labels \"c\"}}", "1 2 d"},
      {"{{(index . 0).Labels.none}}{{with (index . 0).Labels}}{{.a}}{{end}}", "<no value>b"},
      {"a {{- /* gone */ -}} b {{- \"c\" }} d", "abc d"},
      {"{{if eq 1 2}}x{{else if eq \"a\" \"b\" \"a\"}}y{{else}}z{{end}}", "y"},
      {"{{range $i, $e := .}}{{$i}}:{{$e.Name}}{{else}}none{{end}}", "0:p1"},
      {"{{range (index . 0).Spec.AllowedUses}}{{if eq . \"Tunnel\"}}{{break}}{{end}}{{.}}{{end}}", "Workload"},
      {"{{$x := 1}}{{range .}}{{$x = 2}}{{end}}{{$x}}", "2"},
      {"{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" 5}}{{block \"u\" .}}{{len .}}{{end}}", "<5>1"},
      {"{{\"x\" | printf \"%s-%d %q %5d|%-4s|%.1f%%\" \"a\" 3 \"q\" 7 \"l\" 1.25}}",
       "a-3 \"q\"     7|l   |1.2%%!(EXTRA string=x)"},
      {"{{and 1 0}}{{or 0 \"a\"}}{{not true}}{{lt 1 2}}{{ge 1.5 2.5}}{{ne \"a\" \"b\"}}", "0afalsetruefalsetrue"},
      {"{{html \"<a & 'b'>\"}} {{urlquery \"a b/c\"}} {{js \"it's\"}}", "&lt;a &amp; &#39;b&#39;&gt; a+b%2Fc it\\'s"},
      {"{{slice \"abcdef\" 1 3}}{{print 1 2 \"x\" 3}}{{println \"a\" 1}}", "bc1 2x3a 1\n"},
      {"{{1000000.0}} {{0x10 | print}}", "1e+06 16"},
      {"{{`raw \"text\"`}}{{'a'}}", "raw \"text\"97"},
  };
  for (const Case& c : kCases) EXPECT_EQ(run(c.text, one), c.printed) << c.text;
}

TEST(GoTemplate, PointersWithoutObjectsAreNil) {
  const TemplateValue one(TemplateValue::List{template_value(
      resource(R"({"kind":"Tier","apiVersion":"projectcalico.org/v3","metadata":{"name":"t"},"spec":{}})"))});
  EXPECT_EQ(run("{{range .}}{{.Spec.Order}}{{if .Spec.Order}}x{{else}}y{{end}}{{end}}", one), "<nil>y");
}

TEST(GoTemplate, ListsHaveItems) {
  ResourceList list{&model::kinds::kIpPool, "7", {}};
  list.items.push_back(pool());
  const TemplateValue all(TemplateValue::List{template_value(list)});
  EXPECT_EQ(run("{{range .}}{{.Kind}} {{.ResourceVersion}}{{range .Items}} {{.ObjectMeta.Name}}{{end}}{{end}}", all),
            "IPPoolList 7 p1");
}

TEST(GoTemplate, SaysWhatIsWrong) {
  const TemplateValue one(TemplateValue::List{template_value(pool())});
  const Case kCases[] = {
      {"a\n{{range .}}", "get:2: "},
      {"{{end}}", "unexpected {{end}}"},
      {"{{.A", "unclosed action"},
      {"{{nothing .}}", "function \"nothing\" not defined"},
      {"{{\"a}}", "unclosed action"},
      {"{{range .}}{{.Spec.Cidr}}{{end}}", "can't evaluate field Cidr in type v3.IPPoolSpec"},
      {"{{$x}}", "undefined variable: $x"},
      {"{{template \"t\"}}", "template \"t\" not defined"},
      {"{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}", "without end"},
      {"{{index . 1}}", "index out of range: 1"},
      {"{{lt 1 \"a\"}}", "incompatible types for comparison"},
      {"{{config \"x\"}}", "unhandled config: x"},
      {"{{1 | 2}}", "can't give argument to non-function"},
      {"{{(1}}", "unclosed left paren"},
      {"{{}}", "missing value for command"},
  };
  for (const Case& c : kCases) {
    const std::string said = run(c.text, one);
    EXPECT_THAT(said, ::testing::StartsWith("template: get:")) << c.text;
    EXPECT_THAT(said, HasSubstr(c.printed)) << c.text;
  }
}

}  // namespace
}  // namespace cli
