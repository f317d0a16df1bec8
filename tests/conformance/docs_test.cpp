// docs/sdk.md shows the sample that the suite runs and names every status.
#include <fstream>
#include <sstream>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

std::string content(const std::string& path) {
  std::ifstream file(NPU_SOURCE_DIR "/" + path);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Docs, ShowTheSampleThatRuns) {
  const std::string page = content("docs/sdk.md");
  EXPECT_NE(page.find("```c\n" + content("tests/conformance/vector_add.c") + "```\n"),
            std::string::npos);
}

TEST(Docs, NameEveryStatus) {
  const std::string page = content("docs/sdk.md");
  for (int code = NPU_SUCCESS; code <= NPU_ERROR_STALE; ++code) {
    const std::string name = npuGetStatusName(static_cast<npuStatus>(code));
    EXPECT_NE(page.find("`" + name + "`"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace npu::conformance
