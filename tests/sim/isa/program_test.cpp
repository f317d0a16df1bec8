#include "sim/isa/program.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "sim/error.h"
#include "sim/isa/text.h"

namespace npu::sim {
namespace {

constexpr TileId kF32 = 0, kBf16 = 1, kI32 = 2, kI64 = 3, kF64 = 4, kB8 = 5, kF32b = 6;
constexpr Slot kInt = kConstantSlot, kReal = kConstantSlot + 1;

// Two pointers, an integer and a real argument; a tile of each of several types.
Program skeleton() {
  Program program;
  program.name = "k";
  program.args = {{"x", ArgKind::pointer},
                  {"y", ArgKind::pointer},
                  {"n", ArgKind::integer},
                  {"eps", ArgKind::real}};
  program.tiles = {{"f", DType::f32, 100, 2}, {"h", DType::bf16, 10}, {"i", DType::i32, 10},
                   {"j", DType::i64, 10},     {"d", DType::f64, 10},  {"m", DType::b8, 10},
                   {"g", DType::f32, 10}};
  program.constants = {Constant::integer(1), Constant::number(0.5)};
  return program;
}

Instruction instruction(Opcode op, std::function<void(Instruction&)> fill = {}) {
  Instruction inst;
  inst.op = op;
  if (fill) fill(inst);
  return inst;
}

// The message of finalize() for one instruction and exit; empty if it verifies.
std::string verdict(const Instruction& inst, ErrorKind kind = ErrorKind::kAssembly) {
  Program program = skeleton();
  program.code = {inst, instruction(Opcode::exit)};
  const Program before = program;
  try {
    finalize(program);
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_TRUE(program == before) << "a program that does not verify must stay as it was";
    return error.what();
  }
  return "";
}

Instruction mma(TileId dst, TileId a, TileId b) {
  return instruction(Opcode::m_mma, [=](Instruction& i) {
    i.dst = dst;
    i.src = {a, b, kNoTile};
  });
}

Instruction add(TileId dst, TileId a, TileId b, Slot scalar = kNoSlot) {
  return instruction(Opcode::v_binary, [=](Instruction& i) {
    i.dst = dst;
    i.src = {a, b, kNoTile};
    i.s[1] = scalar;
  });
}

TEST(Finalize, DerivesLayoutAndEffects) {
  Program program = assemble(
      ".kernel k\n.arg x ptr\n.arg y ptr\n.arg z ptr\n.arg idle ptr\n"
      ".tile t f32 100 x3\n.tile u i8 65\n"
      "d.load t, x[0], (1):(1)\nd.store y[0], t, (1):(1)\nd.store.add z[0], t, (1):(1)\n");
  EXPECT_EQ(buffer_bytes(program.tiles[0]), 448);
  EXPECT_EQ(buffer_bytes(program.tiles[1]), 128);
  EXPECT_EQ(program.scratchpad_bytes, 3 * 448 + 128);
  EXPECT_EQ(program.arg_read, (std::vector<uint8_t>{1, 0, 1, 0}));
  EXPECT_EQ(program.arg_written, (std::vector<uint8_t>{0, 1, 1, 0}));
  EXPECT_TRUE(program.has_atomics);
  EXPECT_FALSE(program.has_scalar_loads);
  EXPECT_EQ(program.engines,
            (1 << static_cast<int>(Engine::dma)) | (1 << static_cast<int>(Engine::scalar)));
  EXPECT_TRUE(assemble(".kernel k\n.arg x ptr\ns.load.i32 r0, x[0]\nexit").has_scalar_loads);
}

TEST(Finalize, IsIdempotentAndRenumbersConstants) {
  Program program = skeleton();
  program.constants = {Constant::integer(9), Constant::number(0.5), Constant::number(0.5)};
  program.code = {add(kF32, kF32b, kNoTile, kConstantSlot + 2),
                  add(kF32, kF32b, kNoTile, kConstantSlot + 1), instruction(Opcode::exit)};
  finalize(program);
  EXPECT_EQ(program.constants, std::vector<Constant>{Constant::number(0.5)});
  EXPECT_EQ(program.code[0], program.code[1]);
  Program again = program;
  finalize(again);
  EXPECT_TRUE(again == program);
}

TEST(Finalize, ResetsTheElementTypeWhereNoneCounts) {
  Program program = skeleton();
  Instruction inst = add(kF32, kF32b, kF32b);
  inst.dtype = DType::bf16;
  program.code = {inst, instruction(Opcode::exit)};
  finalize(program);
  EXPECT_EQ(program.code[0].dtype, Instruction{}.dtype);
}

TEST(Finalize, MatrixTypes) {
  EXPECT_EQ(verdict(mma(kF32, kBf16, kBf16)), "");
  EXPECT_EQ(verdict(mma(kF32, kF32b, kF32b)), "");
  EXPECT_EQ(verdict(mma(kI64, kI32, kI32)), "");
  EXPECT_EQ(verdict(mma(kBf16, kF32, kF32)),
            "kernel 'k', instruction 0 (m.mma): a product of f32 cannot accumulate into bf16 (f32 "
            "for f32, f16 and bf16; f64 for f64; i32 or i64 for integers)");
  EXPECT_NE(verdict(mma(kF32, kF64, kF64)), "");
  EXPECT_NE(verdict(mma(kF32, kI32, kI32)), "");
  EXPECT_NE(verdict(mma(kI32, kB8, kB8)), "");
  EXPECT_NE(verdict(mma(kF32, kBf16, kF32b)).find("must have the same type"), std::string::npos);
  EXPECT_NE(verdict(mma(kF32, kF32, kF32b)).find("also a source"), std::string::npos);
}

TEST(Finalize, ScalarsMustBeOfTheKindThatTheInstructionWants) {
  EXPECT_EQ(verdict(add(kF32, kF32b, kNoTile, kReal)), "");
  EXPECT_EQ(verdict(add(kF32, kF32b, kNoTile, 5)), "");
  EXPECT_EQ(verdict(add(kF32, kF32b, kNoTile, kArgSlot + 3)), "");
  EXPECT_EQ(verdict(add(kI32, kI32, kNoTile, kInt)), "");
  EXPECT_EQ(verdict(add(kF32, kF32b, kNoTile, kInt)),
            "kernel 'k', instruction 0 (v.add): source 1 wants a real number, not the integer 1 "
            "(write it as 1.0)");
  EXPECT_EQ(verdict(add(kI32, kI32, kNoTile, kReal)),
            "kernel 'k', instruction 0 (v.add): source 1 wants an integer, not 0.5");
  EXPECT_NE(verdict(add(kF32, kF32b, kNoTile, kArgSlot + 2)), "");
  EXPECT_NE(verdict(add(kF32, kF32b, kNoTile, kPidSlot)), "");
  EXPECT_NE(verdict(add(kI32, kI32, kNoTile, kArgSlot + 0)).find("'x' is a pointer"),
            std::string::npos);
  EXPECT_NE(verdict(add(kF32, kF32b, kNoTile, kArgSlot + 4)).find("not declared"),
            std::string::npos);
  EXPECT_NE(verdict(add(kF32, kF32b, kNoTile, kConstantSlot + 2)).find("not declared"),
            std::string::npos);
  // A comparison's scalar is of the compared type, not of the mask's.
  EXPECT_EQ(verdict(add(kB8, kF32, kNoTile, kReal)), "");
}

TEST(Finalize, Operands) {
  EXPECT_NE(verdict(add(kNoTile, kF32, kF32)).find("the destination tile is missing"),
            std::string::npos);
  EXPECT_NE(verdict(add(99, kF32, kF32)).find("tile 99, not declared"), std::string::npos);
  EXPECT_NE(verdict(add(kF32, kF32, kNoTile)).find("source 1 is missing"), std::string::npos);
  Instruction stray = add(kF32, kF32b, kF32b);
  stray.src[2] = kF32;
  EXPECT_NE(verdict(stray).find("operands that it does not use"), std::string::npos);
  stray = add(kF32, kF32b, kF32b);
  stray.flags = flags::kAdd;
  EXPECT_NE(verdict(stray).find("flags 0x20"), std::string::npos);
  stray = add(kF32, kF32b, kF32b);
  stray.fn = 200;
  EXPECT_NE(verdict(stray).find("function 200 does not exist"), std::string::npos);

  const auto load = [](uint8_t buffer, uint8_t ndim, uint8_t row_dims) {
    return instruction(Opcode::d_load, [=](Instruction& i) {
      i.dst = kF32;
      i.buffer = buffer;
      i.ndim = ndim;
      i.row_dims = row_dims;
      i.s[kDmaOffset] = kInt;
      for (int dim = 0; dim < ndim && dim < kMaxDims; ++dim) {
        i.s[kDmaSizes + dim] = i.s[kDmaStrides + dim] = kInt;
      }
    });
  };
  EXPECT_EQ(verdict(load(0, 5, 5)), "");
  EXPECT_NE(verdict(load(0, 6, 0)).find("6 dimensions"), std::string::npos);
  EXPECT_NE(verdict(load(0, 2, 3)).find("3 row dimensions of 2"), std::string::npos);
  EXPECT_NE(verdict(load(2, 1, 0)).find("'n' is not a pointer"), std::string::npos);
  EXPECT_NE(verdict(load(9, 1, 0)).find("argument 9, not declared"), std::string::npos);

  const auto gather = [](TileId index, uint8_t row_dims) {
    return instruction(Opcode::d_gather, [=](Instruction& i) {
      i.dst = kF32;
      i.src[0] = index;
      i.ndim = 1;
      i.row_dims = row_dims;
      i.s[kDmaOffset] = i.s[kDmaIndexStride] = i.s[kDmaSizes] = i.s[kDmaStrides] = kInt;
    });
  };
  EXPECT_EQ(verdict(gather(kI64, 0)), "");
  EXPECT_NE(verdict(gather(kF32b, 0)).find("not of an integer type"), std::string::npos);
  EXPECT_NE(verdict(gather(kB8, 0)).find("not of an integer type"), std::string::npos);
  EXPECT_NE(verdict(gather(kI64, 1)).find("the index tile gives the rows"), std::string::npos);
}

TEST(Finalize, TypesThatMove) {
  const auto unary = [](Opcode op, TileId dst, TileId src, uint8_t fn = 0) {
    return instruction(op, [=](Instruction& i) {
      i.fn = fn;
      i.dst = dst;
      i.src[0] = src;
    });
  };
  EXPECT_EQ(verdict(unary(Opcode::v_transpose, kF32, kF32b)), "");
  EXPECT_NE(verdict(unary(Opcode::v_transpose, kF32, kBf16)), "");
  EXPECT_EQ(verdict(unary(Opcode::v_unary, kF32, kBf16)), "");  // v.copy converts
  const auto argmax = static_cast<uint8_t>(ReduceFn::argmax);
  EXPECT_EQ(verdict(unary(Opcode::v_reduce, kI64, kF32, argmax)), "");
  EXPECT_NE(verdict(unary(Opcode::v_reduce, kF32b, kF32, argmax)), "");
}

TEST(Finalize, Nesting) {
  const auto nested = [](std::vector<Opcode> ops) -> std::string {
    Program program = skeleton();
    for (Opcode op : ops) {
      program.code.push_back(instruction(op, [&](Instruction& i) {
        if (op == Opcode::loop) i.s = {Slot{1}, kInt};
        if (op == Opcode::loop) std::fill(i.s.begin() + 2, i.s.end(), kNoSlot);
        if (op == Opcode::if_ || op == Opcode::break_if) i.s[0] = 1;
      }));
    }
    try {
      finalize(program);
    } catch (const MachineError& error) {
      return error.what();
    }
    return "";
  };
  using enum Opcode;
  EXPECT_EQ(nested({loop, if_, break_if, endif, endloop, exit}), "");
  EXPECT_EQ(nested({loop, exit}), "kernel 'k', instruction 0 (loop): loop without endloop");
  EXPECT_EQ(nested({if_, else_, exit}), "kernel 'k', instruction 0 (if): if without endif");
  EXPECT_EQ(nested({if_, else_, else_, endif, exit}),
            "kernel 'k', instruction 2 (else): else without if");
  EXPECT_EQ(nested({loop, if_, endloop, endif, exit}),
            "kernel 'k', instruction 2 (endloop): endloop without loop");
  EXPECT_EQ(nested({if_, loop, endif, endloop, exit}),
            "kernel 'k', instruction 2 (endif): endif without if");
  EXPECT_EQ(nested({if_, break_if, endif, exit}),
            "kernel 'k', instruction 1 (break_if): break_if outside a loop");
  EXPECT_EQ(nested({loop, endloop}), "kernel 'k': the last instruction must be exit");
  EXPECT_EQ(nested({}), "kernel 'k': the last instruction must be exit");
}

TEST(Finalize, Declarations) {
  const auto broken = [](std::function<void(Program&)> change,
                         ErrorKind kind = ErrorKind::kAssembly) -> std::string {
    Program program = skeleton();
    program.code = {instruction(Opcode::exit)};
    change(program);
    try {
      finalize(program);
    } catch (const MachineError& error) {
      EXPECT_EQ(error.kind(), kind);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(broken([](Program&) {}), "");
  EXPECT_EQ(broken([](Program& p) { p.tiles[0].dtype = DType::f8e4m3; }, ErrorKind::kUnimplemented),
            "kernel 'k': tile 'f': dtype f8e4m3 is not implemented");
  EXPECT_NE(broken([](Program& p) { p.tiles[0].capacity = 0; }), "");
  EXPECT_NE(broken([](Program& p) { p.tiles[0].capacity = int64_t{1} << 40; }), "");
  EXPECT_NE(broken([](Program& p) { p.tiles[0].buffers = 0; }), "");
  EXPECT_NE(broken([](Program& p) { p.tiles[0].name = "x"; }), "");
  EXPECT_NE(broken([](Program& p) { p.tiles[0].name = "r7"; }), "");
  EXPECT_NE(broken([](Program& p) { p.tiles[0].name = "a b"; }), "");
  EXPECT_NE(broken([](Program& p) { p.args[0].name = ""; }), "");
  EXPECT_NE(broken([](Program& p) { p.name = "two words"; }), "");
  EXPECT_NE(broken([](Program& p) { p.args.resize(kMaxArgs + 1); }), "");
}

TEST(Finalize, UnimplementedTypesOfInstructions) {
  const Instruction fill = instruction(Opcode::d_fill, [](Instruction& i) {
    i.dtype = DType::i4;
    i.s[kDmaOffset] = i.s[kDmaValue] = kInt;
  });
  EXPECT_EQ(verdict(fill, ErrorKind::kUnimplemented),
            "kernel 'k', instruction 0 (d.fill): dtype i4 is not implemented");
}

}  // namespace
}  // namespace npu::sim
