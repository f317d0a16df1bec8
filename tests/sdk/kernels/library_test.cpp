#include "npu/kernels/library.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "sim/arch/machine.h"
#include "sim/isa/text.h"

namespace npu::kernels {
namespace {

TEST(Library, EveryListedKernelHasTextThatAssemblesAndFitsTheScratchpad) {
  const auto kernels = library_kernels();
  ASSERT_FALSE(kernels.empty());
  for (const char* name : {"n1", "n1-edge"}) {
    const sim::Machine machine = sim::load_machine(name);
    for (const KernelInfo& kernel : kernels) {
      SCOPED_TRACE(std::string(kernel.name) + " on " + name);
      EXPECT_FALSE(kernel.summary.empty());
      std::string text;
      ASSERT_EQ(library_kernel_text(kernel.name, name, &text), NPU_SUCCESS)
          << npuGetLastErrorString();
      const sim::Program program = sim::assemble(text);
      EXPECT_EQ(sim::disassemble(program), text);
      EXPECT_EQ(program.name, kernel.name);
      EXPECT_LE(program.scratchpad_bytes, machine.scratchpad_bytes());
    }
  }
}

TEST(Library, EveryFamilyIsListed) {
  const auto kernels = library_kernels();
  for (const std::string_view name : {"add",
                                      "gelu",
                                      "copy",
                                      "fill",
                                      "arange",
                                      "tril",
                                      "sum",
                                      "argmax",
                                      "scan",
                                      "softmax",
                                      "softmax_backward",
                                      "softmax_of_parts",
                                      "softmax_statistics",
                                      "row_gather",
                                      "rms_norm",
                                      "fused_add_rms_norm",
                                      "layer_norm",
                                      "index_select",
                                      "gather",
                                      "scatter",
                                      "index_get",
                                      "index_put",
                                      "nonzero",
                                      "sort",
                                      "searchsorted",
                                      "random_normal",
                                      "gemm",
                                      "flash_attention",
                                      "paged_attention",
                                      "reshape_and_cache",
                                      "rotary_embedding",
                                      "silu_and_mul"}) {
    EXPECT_EQ(std::ranges::count(kernels, name, &KernelInfo::name), 1) << name;
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
