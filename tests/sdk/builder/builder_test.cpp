#include "csrc/sdk/builder/builder.h"

#include <gtest/gtest.h>

#include <string>

#include "sim/error.h"
#include "sim/isa/text.h"

namespace npu::sdk {
namespace {

const sim::Machine& machine() {
  static const sim::Machine instance = sim::load_machine("n1-edge");
  return instance;
}

// The instructions' text alone, a line each.
std::string code(sim::Program program) {
  const std::string text = sim::disassemble(program);
  std::string lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    line.erase(0, line.find_first_not_of(' '));
    if (!line.empty() && line[0] != '.' && line[0] != ';') lines += line + "\n";
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

TEST(Builder, TheSampleOfTheHeader) {
  Builder b("scale", machine());
  const Pointer x = b.pointer("x"), y = b.pointer("y");
  const Value n = b.integer("n"), alpha = b.real("alpha");
  const Tile t = b.tile("t", DType::f32, 1024, 2), u = b.tile("u", DType::f32, 1024, 2);
  const Value start = b.pid() * 1024;
  const Value len = b.min(n - start, 1024);
  b.load(t, x, start, {{len, 1}});
  b.vector(BinaryFn::mul, u, t, alpha);
  b.store(y, start, {{len, 1}}, u);
  const sim::Program program = b.finish();
  EXPECT_EQ(sim::assemble(sim::disassemble(program)), program);
  ASSERT_EQ(program.code.size(), 7u);
  EXPECT_EQ(program.code[3].op, sim::Opcode::d_load);
  EXPECT_EQ(program.code[4].op, sim::Opcode::v_binary);
  EXPECT_EQ(program.code[5].op, sim::Opcode::d_store);
}

TEST(Builder, ClustersShareLoads) {
  Builder b("cluster", machine());
  b.cluster(2, 4);
  const Pointer x = b.pointer("x");
  const Tile t = b.tile("t", DType::f32, 64);
  b.load(t, x, b.cluster_row() * 8, {{8, 1}}, Share::across);
  b.load(t, x, b.cluster_col() * 8, {{8, 1}}, Share::down);
  b.load(t, x, 0, {{8, 1}}, Share::all);
  const sim::Program program = b.finish();
  EXPECT_EQ(program.cluster, (sim::Cluster{2, 4}));
  EXPECT_EQ(code(program),
            "s.mod r0, %pid, 8\ns.div r1, r0, 4\ns.mul r0, r1, 8\n"
            "d.load.across t, x[r0], (8):(1)\n"
            "s.mod r0, %pid, 4\ns.mul r1, r0, 8\n"
            "d.load.down t, x[r1], (8):(1)\n"
            "d.load.across.down t, x[0], (8):(1)\nexit\n");
}

TEST(Builder, FoldsConstants) {
  Builder b("fold", machine());
  const Value n = b.integer("n");
  EXPECT_TRUE((Value(6) * 7 + 1).is_constant());
  EXPECT_TRUE(b.min(3, 4).is_constant());
  EXPECT_TRUE(b.ceil_div(10, 4).is_constant());
  EXPECT_TRUE((n * 0).is_constant());
  EXPECT_TRUE(b.to_real(3).is_real());
  // Identities take no instruction either.
  const Value same = (n + 0) * 1 - 0;
  const Pointer p = b.pointer("p");
  b.fill_memory(p, DType::f32, same, 0, {{Value(6) / 2, 1}});
  const sim::Program program = b.finish();
  EXPECT_EQ(program.code.size(), 2u);
}

TEST(Builder, RegistersAreFreeOnceUnused) {
  Builder b("registers", machine());
  const Value n = b.integer("n");
  for (int i = 0; i < 1000; ++i) {
    const Value a = n + i + 1;
    const Value c = a * a;
  }
  EXPECT_NO_THROW(b.finish());
}

TEST(Builder, TooManyRegistersAreAnError) {
  Builder b("registers", machine());
  const Value n = b.integer("n");
  std::vector<Value> values;
  EXPECT_THROW(
      {
        for (int i = 0; i < 100; ++i) values.push_back(n * (i + 2));
      },
      sim::MachineError);
  values.clear();
}

TEST(Builder, VariablesDoNotLeakIntoOtherValues) {
  Builder b("variables", machine());
  const Value counter = b.variable(5);
  const Value before = counter + 0;  // a copy of what it is now, not the register
  b.set(counter, counter + 1);
  const Pointer p = b.pointer("p");
  b.fill_memory(p, DType::i64, before, counter, {{1, 1}});
  const sim::Program program = b.finish();
  const sim::Instruction& fill = program.code[program.code.size() - 2];
  EXPECT_NE(fill.s[sim::kDmaOffset], fill.s[sim::kDmaValue]);
  EXPECT_THROW(b.set(before, 1), sim::MachineError);
}

TEST(Builder, VariablesAreMadeWhereTheyStand) {
  Builder b("in_place", machine());
  const Pointer p = b.pointer("p");
  const Value n = b.integer("n");
  const Value counter = b.variable(n);
  b.set(counter, counter + 1);
  b.set(counter, b.select(n < 3, counter, n));
  b.set(counter, b.load_scalar(p, counter, DType::i32));
  // A value that has a name keeps its register.
  const Value twice = counter * 2;
  b.set(counter, twice);
  b.fill_memory(p, DType::i64, twice, counter, {{1, 1}});
  EXPECT_EQ(code(b.finish()), R"(s.mov r0, n
s.add r0, r0, 1
s.lt r1, n, 3
s.select r0, r1, r0, n
s.load.i32 r0, p[r0]
s.mul r1, r0, 2
s.mov r0, r1
d.fill.i64 p[r1], r0, (1):(1)
exit
)");
}

TEST(Builder, BranchesMayHaveTheRegisterOfTheirCondition) {
  Builder b("nested_conditions", machine());
  const Pointer p = b.pointer("p");
  const Value n = b.integer("n");
  std::function<void(int)> nest = [&](int depth) {
    if (depth == 0) return b.fill_memory(p, DType::i64, 0, n, {{1, 1}});
    b.if_(n < depth, [&] { nest(depth - 1); });
  };
  nest(100);
  EXPECT_NO_THROW(b.finish());
}

TEST(Builder, ConstantBranchesAreChosenNow) {
  Builder b("branches", machine());
  const Pointer p = b.pointer("p");
  int taken = 0;
  b.if_(1, [&] { taken += 1; }, [&] { taken += 10; });
  b.if_(0, [&] { taken += 100; }, [&] { taken += 1000; });
  b.fill_memory(p, DType::f32, 0, 0, {{1, 1}});
  EXPECT_EQ(taken, 1001);
  EXPECT_EQ(b.finish().code.size(), 2u);
}

TEST(Builder, LoopsAndBranchesNest) {
  Builder b("nested", machine());
  const Pointer p = b.pointer("p");
  const Value n = b.integer("n");
  b.loop(n, [&](const Value& i) {
    b.if_(
        i < 3, [&] { b.fill_memory(p, DType::f32, i, 1.0, {{1, 1}}); },
        [&] { b.break_if(i == 7); });
  });
  const sim::Program program = b.finish();
  const std::string text = code(program);
  EXPECT_NE(text.find("loop"), std::string::npos);
  EXPECT_NE(text.find("else"), std::string::npos);
  EXPECT_NE(text.find("break_if"), std::string::npos);
}

TEST(Builder, ScalarsTakeTheKindThatTheInstructionWants) {
  Builder b("kinds", machine());
  const Tile f = b.tile("f", DType::f32, 64), i = b.tile("i", DType::i32, 64);
  b.fill(f, 1, 1, 64);
  b.fill(i, 2.0, 1, 64);
  b.vector(BinaryFn::add, f, f, 1);
  b.vector(BinaryFn::add, i, i, 3.0);
  EXPECT_THROW(b.vector(BinaryFn::add, i, i, 0.5), sim::MachineError);
  Builder c("reals", machine());
  const Value n = c.integer("n"), alpha = c.real("alpha");
  const Value mixed = alpha * n;
  EXPECT_TRUE(mixed.is_real());
  EXPECT_FALSE((alpha < 1.0).is_real());
  EXPECT_THROW(alpha % 2, sim::MachineError);
}

TEST(Builder, CountsScratchpad) {
  Builder b("tiles", machine());
  const int64_t all = b.scratchpad_left();
  EXPECT_EQ(all, machine().scratchpad_bytes());
  b.tile("t", DType::bf16, 1000, 3);
  EXPECT_EQ(b.scratchpad_left(), all - 3 * 2048);  // rounded up to 64 bytes
}

TEST(Builder, RefusesSixDimensions) {
  Builder b("dma", machine());
  const Pointer p = b.pointer("p");
  const Tile t = b.tile("t", DType::f32, 64);
  const std::vector<Dim> three(3, {1, 1});
  EXPECT_THROW(b.load(t, p, 0, Region(three, three)), sim::MachineError);
}

}  // namespace
}  // namespace npu::sdk
