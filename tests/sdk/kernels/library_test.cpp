#include "npu/kernels/library.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace npu::kernels {
namespace {

TEST(Library, EveryListedKernelHasTextThatAssembles) {
  const auto kernels = library_kernels();
  ASSERT_FALSE(kernels.empty());
  for (const char* machine : {"n1", "n1-edge"}) {
    for (const KernelInfo& kernel : kernels) {
      SCOPED_TRACE(std::string(kernel.name) + " on " + machine);
      EXPECT_FALSE(kernel.summary.empty());
      std::string text;
      ASSERT_EQ(library_kernel_text(kernel.name, machine, &text), NPU_SUCCESS)
          << npuGetLastErrorString();
      npuModule module = nullptr;
      ASSERT_EQ(npuModuleLoadText(text.c_str(), &module), NPU_SUCCESS) << npuGetLastErrorString();
      EXPECT_EQ(npuModuleUnload(module), NPU_SUCCESS);
    }
  }
}

TEST(Library, NamesAreSortedAndUnique) {
  const auto kernels = library_kernels();
  for (size_t i = 1; i < kernels.size(); ++i) EXPECT_LT(kernels[i - 1].name, kernels[i].name);
}

TEST(Library, UnknownNamesAndMachines) {
  std::string text;
  EXPECT_EQ(library_kernel_text("no_such_kernel", "n1", &text), NPU_ERROR_NOT_FOUND);
  EXPECT_NE(std::string(npuGetLastErrorString()).find("no_such_kernel"), std::string::npos);
  EXPECT_EQ(library_kernel_text("flash_attention", "no-such-machine", &text),
            NPU_ERROR_MACHINE_FILE);
}

}  // namespace
}  // namespace npu::kernels
