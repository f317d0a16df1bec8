#include "sim/isa/text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "sim/error.h"
#include "tests/sim/isa/random_program.h"

namespace npu::sim {
namespace {

constexpr std::string_view kDeclarations =
    ".kernel k\n"
    ".arg x ptr\n.arg y ptr\n.arg n i64\n.arg eps f64\n"
    ".tile a f32 64\n.tile b f32 64 x2\n.tile c f32 64\n.tile i i32 64\n.tile j i64 64\n"
    ".tile h bf16 64\n.tile m b8 64\n\n";

Program assemble_body(const std::string& body) {
  return assemble(std::string(kDeclarations) + body + "\nexit\n");
}

std::string error_of(const std::string& text) {
  try {
    assemble(text);
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kAssembly);
    return error.what();
  }
  return "no error";
}

std::string body_error(const std::string& body) {
  return error_of(std::string(kDeclarations) + body + "\nexit\n");
}

// One line for each opcode and flag, in canonical form.
constexpr std::string_view kCanonicalLines[] = {
    "s.mov r0, eps",
    "s.mul r0, %pid, 8192",
    "s.and r63, r1, %grid",
    "s.fadd r0, eps, -0.0",
    "s.fsqrt r0, r1",
    "s.f2i r0, 1e+30",
    "s.select r0, r1, n, 0.5",
    "s.load.i32 r3, x[r0]",
    "d.load a, x[r0], (r1, r2 | r3):(r4, r5 | 1)",
    "d.load a, x[0], (r1 |):(r3 |)",
    "d.load a, x[0], (r1, r2):(r3, 1)",
    "d.load a, x[0], ():()",
    "d.load.across a, x[0], (r1):(1)",
    "d.load.across.down a, x[0], (r1):(1)",
    "d.store y[r0], a, (r1 | r2):(n | 1)",
    "d.store.add y[r0], a, (r1):(1)",
    "d.gather a, x[r0], i, n, (r2):(1)",
    "d.gather.masked a, x[r0], j, n, (r2, 2):(4, 1)",
    "d.scatter y[r0], i, n, a, (r2):(1)",
    "d.scatter.masked.add y[r0], i, n, a, (r2):(1)",
    "d.fill.f32 y[r0], 0.0, (r1 | r2):(n | 1)",
    "d.fill.i8 y[r0], -1, (r1):(1)",
    "m.mma c, a, b",
    "m.mma.zero.ta.tb c, h, h, r4",
    "v.exp a, b",
    "v.copy a, i",
    "v.copy a, 1.5",
    "v.add a, b, eps",
    "v.sub i, 3, i",
    "v.lt m, a, 0f7ff8000000000001",
    "v.where a, m, b, -inf",
    "v.clamp a, b, nan, inf",
    "v.reduce.sum a, b",
    "v.reduce.argmax.rows j, b",
    "v.scan.logsumexp a, b",
    "v.sort a, j, b, j",
    "v.sort.desc a, i, b, i",
    "v.iota i, 0, 1, r1, (1, n)",
    "v.iota a, 0.0, 1.0, r1, (r1, n)",
    "v.random.uniform a, r0, r1, (r2, r3)",
    "v.random.bits i, 1, 2, (3, 4)",
    "v.fill a, 0.1, (r0, 4)",
    "v.expand a, b, (r0, 4)",
    "v.transpose a, b",
    "v.reshape a, (r0, 4)",
    "v.slice a, b, r0, r1, (1, 2)",
    "v.insert a, b, r0, r1",
    "v.gather a, b, i",
};

TEST(Text, EveryFormIsLossless) {
  std::set<Opcode> seen;
  for (const std::string_view line : kCanonicalLines) {
    SCOPED_TRACE(line);
    const Program program = assemble_body(std::string(line));
    ASSERT_EQ(program.code.size(), 2u);
    EXPECT_EQ(disassemble(program, program.code[0]), line);
    seen.insert(program.code[0].op);
  }
  // Control flow has a test of its own.
  EXPECT_EQ(seen.size(), static_cast<size_t>(kOpcodeCount) - 7);
}

TEST(Text, Clusters) {
  const Program program = assemble(".kernel k\n.cluster 2 4\nexit\n");
  EXPECT_EQ(program.cluster, (Cluster{2, 4}));
  EXPECT_EQ(disassemble(program), ".kernel k\n.cluster 2 4\n\nexit\n");
  EXPECT_FALSE(program.has_multicast);
  EXPECT_TRUE(assemble_body("d.load.down a, x[0], ():()").has_multicast);
  EXPECT_NE(error_of(".kernel k\n.cluster 0 4\nexit\n").find("the cluster's rows, 1 to 1024"),
            std::string::npos);
  EXPECT_NE(error_of(".kernel k\n.cluster 4\nexit\n").find("the cluster's columns"),
            std::string::npos);
  EXPECT_NE(error_of(".kernel k\n.cluster 1000 2\nexit\n").find("1000 x 2 programs, allowed"),
            std::string::npos);
  EXPECT_NE(error_of(".kernel k\n.cluster 2 2\n.cluster 2 2\n").find("a second .cluster"),
            std::string::npos);
  EXPECT_NE(body_error("d.store.across y[0], a, ():()").find("expected .add, found 'across'"),
            std::string::npos);
}

TEST(Text, FieldsMeanWhatTheFormSays) {
  const Program program = assemble_body(
      "d.load a, x[r7], (r1, r2 | r3):(r4, r5 | 1)\n"
      "d.scatter.add y[r0], i, n, a, (r2):(1)\n"
      "v.sort.desc a, j, b, j\n"
      "m.mma.tb c, a, b, n");
  const Instruction& load = program.code[0];
  EXPECT_EQ(load.ndim, 3);
  EXPECT_EQ(load.row_dims, 2);
  EXPECT_EQ(load.buffer, 0);
  EXPECT_EQ(load.s[kDmaOffset], 7);
  EXPECT_EQ(load.s[kDmaSizes + 2], 3);
  EXPECT_EQ(load.s[kDmaStrides + 1], 5);
  EXPECT_EQ(program.constants[load.s[kDmaStrides + 2] - kConstantSlot], Constant::integer(1));
  const Instruction& scatter = program.code[1];
  EXPECT_EQ(scatter.buffer, 1);
  EXPECT_EQ(scatter.src[0], 0);
  EXPECT_EQ(scatter.src[1], 3);
  EXPECT_EQ(scatter.s[kDmaIndexStride], kArgSlot + 2);
  EXPECT_EQ(scatter.flags, flags::kAdd);
  const Instruction& sort = program.code[2];
  EXPECT_EQ(sort.dst, 0);
  EXPECT_EQ(sort.dst2, 4);
  EXPECT_EQ(sort.src[0], 1);
  EXPECT_EQ(sort.src[1], 4);
  EXPECT_EQ(program.code[3].s[0], kArgSlot + 2);
  EXPECT_EQ(program.code[3].flags, flags::kTransposeB);
}

TEST(Text, EveryFunctionIsLossless) {
  std::set<std::string> mnemonics;
  for (int code = 0; code < kOpcodeCount; ++code) {
    const auto op = static_cast<Opcode>(code);
    for (int fn = 0; fn < fn_count(op); ++fn) {
      const auto text = fn_name(op, static_cast<uint8_t>(fn));
      EXPECT_EQ(parse_fn(op, text), fn);
      EXPECT_TRUE(mnemonics.insert(std::string(mnemonic(op)) + "." + std::string(text)).second)
          << text << " names two functions";
    }
  }
  EXPECT_TRUE(mnemonics.contains("v.not"));
  EXPECT_TRUE(mnemonics.contains("s.and"));
}

TEST(Text, ControlFlow) {
  const std::string text = std::string(kDeclarations) +
                           "loop r0, n\n"
                           "  if r1\n"
                           "    break_if r2\n"
                           "  else\n"
                           "    s.mov r1, 1\n"
                           "  endif\n"
                           "endloop\n"
                           "exit\n";
  const Program program = assemble(text);
  EXPECT_EQ(disassemble(program), text);
  EXPECT_EQ(program.code[0].jump, 7u);  // loop: behind endloop
  EXPECT_EQ(program.code[1].jump, 4u);  // if: behind else
  EXPECT_EQ(program.code[2].jump, 7u);  // break_if: behind endloop
  EXPECT_EQ(program.code[3].jump, 5u);  // else: to endif
  EXPECT_EQ(program.code[6].jump, 0u);  // endloop: to loop
}

TEST(Text, IsFreeInWhatDoesNotMatter) {
  const Program loose = assemble(
      "; a comment\n\n.kernel k ; and another\r\n.arg n i64\n.tile t f32 0x40 x1\n"
      "v.fill   t ,1.50 , (0x2,n) ; trailing\n");
  const Program strict =
      assemble(".kernel k\n.arg n i64\n.tile t f32 64\nv.fill t, 1.5, (2, n)\nexit");
  EXPECT_EQ(loose, strict);
  EXPECT_EQ(loose.code.back().op, Opcode::exit);
  EXPECT_EQ(assemble_body("d.load a, x[0], ( | r1):( | 1)"),
            assemble_body("d.load a, x[0], (r1):(1)"));
  EXPECT_EQ(assemble_body("m.mma.tb.zero a, b, c"), assemble_body("m.mma.zero.tb a, b, c"));
}

TEST(Text, ConstantsAreShared) {
  const Program program = assemble_body("s.add r0, 5, 5\ns.add r1, 5, 6\nv.fill a, 5.0, (5, 6)");
  ASSERT_EQ(program.constants.size(), 3u);
  EXPECT_EQ(program.constants[0], Constant::integer(5));
  EXPECT_EQ(program.constants[1], Constant::integer(6));
  EXPECT_EQ(program.constants[2], Constant::number(5.0));
}

TEST(Text, RandomProgramsAreLossless) {
  std::set<Opcode> seen;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    const Program program = RandomProgram(seed).make();
    for (const Instruction& inst : program.code) seen.insert(inst.op);
    const std::string text = disassemble(program);
    const Program again = assemble(text);
    ASSERT_TRUE(again == program) << "seed " << seed << "\n" << text;
    ASSERT_EQ(disassemble(again), text) << "seed " << seed;
    ASSERT_EQ(again.scratchpad_bytes, program.scratchpad_bytes);
    ASSERT_EQ(again.arg_written, program.arg_written);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kOpcodeCount));
}

// Whatever the text, the assembler either refuses it with a machine error or makes a program that
// survives the round trip.
TEST(Text, DamagedTextIsRefusedOrLossless) {
  int refused = 0;
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    std::string text = disassemble(RandomProgram(seed).make());
    std::mt19937_64 random(seed);
    for (int i = 0; i < 2; ++i) {
      constexpr std::string_view kBytes = "0x9r.,()[]|:;%-\n efn\xff";
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text.erase(at, 1 + random() % 4);
          break;
        case 1:
          text.insert(at, 1, kBytes[random() % kBytes.size()]);
          break;
        default:
          text[at] = kBytes[random() % kBytes.size()];
      }
    }
    try {
      const Program program = assemble(text);
      ASSERT_TRUE(assemble(disassemble(program)) == program) << "seed " << seed << "\n" << text;
    } catch (const MachineError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
  EXPECT_LT(refused, 1500);
}

TEST(Text, ErrorsNamePlaceAndExpectation) {
  const struct {
    std::string body;
    std::string message;
  } cases[] = {
      {"v.add a, q, b",
       "kernel 'k', line 14, column 10: expected a tile, a register, an argument or a number, "
       "found 'q'"},
      {"  v.bogus a, b", "kernel 'k', line 14, column 3: expected an instruction, found 'v.bogus'"},
      {"v.exp.rows a, b",
       "kernel 'k', line 14, column 7: expected nothing behind the mnemonic, found 'rows'"},
      {"m.mma.zero.zero c, a, b",
       "kernel 'k', line 14, column 12: expected .zero or .ta or .tb, found 'zero'"},
      {"d.fill y[0], 0.0, ():()",
       "kernel 'k', line 14, column 7: expected an element type, such as d.fill.f32"},
      {"d.load a, n[0], ():()",
       "kernel 'k', line 14, column 11: expected a pointer argument, found 'n'"},
      {"d.load a, x[0], (1 | 2):(1, 2)",
       "kernel 'k', line 14, column 17: expected a stride for each size, found 2 sizes (1 of rows) "
       "and 2 strides (0 of rows)"},
      {"d.load a, x[0], (1,2,3,4,5,6):()",
       "kernel 'k', line 14, column 28: more than 5 dimensions"},
      {"s.mov n, 1", "kernel 'k', line 14, column 7: expected a register, r0 to r63, found 'n'"},
      {"s.mov r64, 1",
       "kernel 'k', line 14, column 7: expected a register, r0 to r63, found 'r64'"},
      {"s.add r0, 1", "kernel 'k', line 14, column 12: expected ',', found the end of the line"},
      {"v.exp a, b c", "kernel 'k', line 14, column 12: expected the end of the line, found 'c'"},
      {"s.mov r0, 99999999999999999999",
       "kernel 'k', line 14, column 11: expected a register, an argument or a number, found "
       "'99999999999999999999'"},
      {"v.add a, b, $",
       "kernel 'k', line 14, column 13: expected a tile, a register, an argument "
       "or a number, found '$'"},
      {".arg n i64", "kernel 'k', line 14, column 6: 'n' is declared twice"},
      {".tile r5 f32 4",
       "kernel 'k', line 14, column 7: expected the tile's name, found 'r5', which is kept"},
      {".tile t f31 4", "kernel 'k', line 14, column 9: expected an element type, found 'f31'"},
      {".tile t f32 4 y2",
       "kernel 'k', line 14, column 15: expected the number of buffers, such as x2, found 'y2'"},
      {".kernel again",
       "kernel 'k', line 14, column 1: a second .kernel: one program is one kernel"},
      {"endloop", "kernel 'k', line 14, column 1, instruction 0 (endloop): endloop without loop"},
  };
  for (const auto& [body, message] : cases) EXPECT_EQ(body_error(body), message) << body;
  EXPECT_EQ(error_of("exit"), "line 1, column 1: expected '.kernel NAME' before anything else");
  EXPECT_NE(error_of("").find("expected '.kernel NAME'"), std::string::npos);
}

}  // namespace
}  // namespace npu::sim
