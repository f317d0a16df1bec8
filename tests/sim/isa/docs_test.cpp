// docs/isa.md stays true: its sample assembles, and it names every instruction.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "sim/error.h"
#include "sim/isa/text.h"

namespace npu::sim {
namespace {

std::string page() {
  std::ifstream file(std::string(NPU_SOURCE_DIR) + "/docs/isa.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(IsaPage, SampleAssembles) {
  const std::string text = page();
  const size_t begin = text.find("```asm\n");
  ASSERT_NE(begin, std::string::npos);
  const size_t end = text.find("```", begin + 7);
  const Program program = assemble(text.substr(begin + 7, end - begin - 7));
  EXPECT_EQ(assemble(disassemble(program)), program);
  uint8_t all = 0;
  for (int engine = 0; engine < kEngineCount; ++engine) all |= static_cast<uint8_t>(1 << engine);
  EXPECT_EQ(program.engines, all);
}

TEST(IsaPage, NamesEveryInstructionAndFunction) {
  const std::string text = page();
  for (int code = 0; code < kOpcodeCount; ++code) {
    const auto op = static_cast<Opcode>(code);
    EXPECT_NE(text.find("`" + std::string(mnemonic(op))), std::string::npos) << mnemonic(op);
    for (int fn = 0; fn < fn_count(op); ++fn) {
      const std::string name(fn_name(op, static_cast<uint8_t>(fn)));
      EXPECT_NE(text.find("`" + name + "`"), std::string::npos) << mnemonic(op) << "." << name;
    }
  }
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kPoison); ++kind) {
    const std::string row = "\n| " + std::string(name(static_cast<ErrorKind>(kind))) + " |";
    EXPECT_NE(text.find(row), std::string::npos) << row;
  }
  for (int code = 0; code < kDTypeCount; ++code) {
    const std::string name(npu::sim::name(static_cast<DType>(code)));
    EXPECT_NE(text.find("`" + name + "`"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace npu::sim
