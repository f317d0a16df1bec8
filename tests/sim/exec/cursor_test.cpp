#include "sim/exec/cursor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/isa/text.h"

namespace npu::sim {
namespace {

constexpr std::string_view kDeclarations =
    ".kernel k\n"
    ".arg x ptr\n.arg y ptr\n.arg n i64\n.arg eps f64\n"
    ".tile a f32 64 x2\n.tile b f32 64\n.tile c f32 64\n.tile i i32 64\n.tile j i64 64 x2\n"
    ".tile h bf16 64\n";

// A launch over two buffers of 1024 bytes that own what they point to.
struct Case {
  Machine machine = load_machine("n1");
  Program program;
  std::vector<std::byte> x = std::vector<std::byte>(1024);
  std::vector<std::byte> y = std::vector<std::byte>(1024);
  Launch launch;
  std::unique_ptr<Prepared> prepared;
  std::unique_ptr<Cursor> cursor;

  explicit Case(const std::string& body, int64_t n = 0, double eps = 0,
                uint64_t limit = kRunawayLimit)
      : program(assemble(std::string(kDeclarations) + body + "\nexit\n")) {
    launch.program = &program;
    launch.grid = 8;
    launch.args = {Arg::pointer({x.data(), 0, 1024, 0x1000}),
                   Arg::pointer({y.data() + 256, -256, 768, 0x2000}), Arg::integer(n),
                   Arg::real(eps)};
    prepare(limit);
  }
  void prepare(uint64_t limit = kRunawayLimit) {
    prepared = std::make_unique<Prepared>(machine, launch);
    cursor = std::make_unique<Cursor>(*prepared, limit);
    cursor->start(5, 3);
  }
  Step step() {
    const Step* next = cursor->next();
    EXPECT_NE(next, nullptr);
    return next != nullptr ? *next : Step{};
  }
  int run() {
    int steps = 0;
    while (cursor->next() != nullptr) ++steps;
    return steps;
  }
};

void expect_error(ErrorKind kind, const std::string& part, const std::string& body, int64_t n = 0) {
  SCOPED_TRACE(body);
  Case test(body, n);
  try {
    test.run();
    ADD_FAILURE() << "no error";
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// The integer that `body` leaves in r0, seen as the offset of a fill.
int64_t result(const std::string& body, int64_t n = 0, double eps = 0) {
  Case test(body + "\nv.iota j, r0, 0, 0, (1, 1)", n, eps);
  const Step* step = nullptr;
  Step last;
  while ((step = test.cursor->next()) != nullptr) last = *step;
  return last.value[0];
}

TEST(Cursor, ScalarArithmetic) {
  EXPECT_EQ(result("s.add r0, n, 5", 37), 42);
  EXPECT_EQ(result("s.sub r0, 5, n", 37), -32);
  EXPECT_EQ(result("s.mul r0, n, -3", 7), -21);
  EXPECT_EQ(result("s.div r0, n, 4", -7), -1);
  EXPECT_EQ(result("s.mod r0, n, 4", -7), -3);
  EXPECT_EQ(result("s.div r0, n, -1", std::numeric_limits<int64_t>::min()),
            std::numeric_limits<int64_t>::min());
  EXPECT_EQ(result("s.mod r0, n, -1", std::numeric_limits<int64_t>::min()), 0);
  EXPECT_EQ(result("s.min r0, n, 3", -7), -7);
  EXPECT_EQ(result("s.max r0, n, 3", -7), 3);
  EXPECT_EQ(result("s.and r0, n, 6", 12), 4);
  EXPECT_EQ(result("s.or r0, n, 6", 12), 14);
  EXPECT_EQ(result("s.xor r0, n, 6", 12), 10);
  EXPECT_EQ(result("s.shl r0, n, 3", 5), 40);
  EXPECT_EQ(result("s.shl r0, n, 64", 5), 0);
  EXPECT_EQ(result("s.shr r0, n, 1", -5), -3);
  EXPECT_EQ(result("s.shr r0, n, 100", -5), -1);
  EXPECT_EQ(result("s.lt r0, n, 3", 2), 1);
  EXPECT_EQ(result("s.le r0, n, 2", 2), 1);
  EXPECT_EQ(result("s.eq r0, n, 3", 2), 0);
  EXPECT_EQ(result("s.ne r0, n, 3", 2), 1);
  EXPECT_EQ(result("s.select r0, n, 11, 22", 2), 11);
  EXPECT_EQ(result("s.select r0, n, 11, 22", 0), 22);
  EXPECT_EQ(result("s.mov r0, %pid"), 5);
  EXPECT_EQ(result("s.mov r0, %grid"), 8);
}

TEST(Cursor, ScalarReals) {
  EXPECT_EQ(result("s.fmul r1, eps, 4.0\ns.f2i r0, r1", 0, 2.5), 10);
  EXPECT_EQ(result("s.i2f r1, n\ns.fdiv r1, r1, 2.0\ns.f2i r0, r1", -7), -3);
  EXPECT_EQ(result("s.fsqrt r1, eps\ns.fadd r1, r1, 1.0\ns.fsub r1, r1, 0.5\ns.f2i r0, r1", 0, 9.0),
            3);
  EXPECT_EQ(result("s.fmin r1, eps, 3.0\ns.fmax r1, r1, 2.0\ns.f2i r0, r1", 0, 9.0), 3);
  EXPECT_EQ(result("s.flt r0, eps, 3.0", 0, 2.0), 1);
  EXPECT_EQ(result("s.f2i r0, eps", 0, 1e30), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(result("s.f2i r0, eps", 0, -1e30), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(result("s.f2i r0, nan"), 0);
}

TEST(Cursor, ControlFlow) {
  EXPECT_EQ(result("loop r1, n\ns.add r0, r0, r1\nendloop", 5), 0 + 1 + 2 + 3 + 4);
  EXPECT_EQ(result("loop r1, n\ns.add r0, r0, 1\nendloop", 0), 0);
  EXPECT_EQ(result("loop r1, n\ns.add r0, r0, 1\nendloop", -3), 0);
  EXPECT_EQ(result("loop r1, 4\nloop r2, 3\ns.add r0, r0, 1\nendloop\nendloop"), 12);
  EXPECT_EQ(result("loop r1, 100\ns.add r0, r0, 1\ns.eq r2, r1, 4\nbreak_if r2\nendloop"), 5);
  EXPECT_EQ(result("loop r3, 2\nloop r1, 9\ns.add r0, r0, 1\ns.eq r2, r1, 4\nif r2\nbreak_if 1\n"
                   "endif\nendloop\nendloop"),
            10);
  for (const int64_t n : {0, 1}) {
    EXPECT_EQ(result("if n\ns.mov r0, 7\nelse\ns.mov r0, 9\nendif", n), n != 0 ? 7 : 9);
    EXPECT_EQ(result("if n\ns.mov r0, 7\nendif", n), n != 0 ? 7 : 0);
  }
  Case early("v.fill b, 0.0, (1, 1)\nif 1\nexit\nendif\nv.fill b, 0.0, (1, 1)");
  EXPECT_EQ(early.run(), 1);
}

TEST(Cursor, CountsScalarInstructionsBetweenSteps) {
  Case test("s.mov r0, 1\ns.mov r1, 2\nv.fill b, 0.0, (1, 1)\nv.fill c, 0.0, (1, 1)\ns.mov r2, 3");
  EXPECT_EQ(test.step().scalar_instructions, 2u);
  EXPECT_EQ(test.step().scalar_instructions, 0u);
  EXPECT_EQ(test.cursor->next(), nullptr);
  EXPECT_EQ(test.cursor->trailing_scalars(), 2u);  // s.mov, exit
}

TEST(Cursor, ScalarLoadsExtendAndConvert) {
  Case test(
      "s.load.i32 r0, x[1]\ns.load.u8 r1, x[8]\ns.load.i8 r2, x[8]\ns.load.f32 r3, x[3]\n"
      "s.load.f16 r4, x[8]\ns.load.bf16 r5, x[9]\ns.load.i64 r6, x[3]\ns.load.i16 r7, x[16]\n"
      "s.f2i r3, r3\ns.f2i r4, r4\ns.f2i r5, r5\n"
      "v.iota j, r0, r1, r2, (1, 1)\nv.iota j, r3, r4, r5, (1, 1)\n"
      "v.iota j, r6, r7, 0, (1, 1)");
  const auto put = [&](size_t offset, auto value) {
    std::memcpy(test.x.data() + offset, &value, sizeof(value));
  };
  put(4, int32_t{-5});
  put(8, uint8_t{0xff});
  put(12, -8.5f);
  put(16, uint16_t{0x4500});  // f16 5
  put(18, uint16_t{0x4120});  // bf16 10
  put(24, int64_t{1} << 40);
  put(32, int16_t{-2});
  const Step load = test.step();
  EXPECT_EQ(load.inst->op, Opcode::s_load);
  EXPECT_EQ(load.bytes, 4);
  EXPECT_EQ(load.offset, 4);
  for (int i = 0; i < 7; ++i) test.step();
  const Step first = test.step();
  EXPECT_EQ(first.value[0], -5);
  EXPECT_EQ(first.value[1], 255);
  EXPECT_EQ(first.value[2], -1);
  const Step second = test.step();
  EXPECT_EQ(second.value[0], -8);
  EXPECT_EQ(second.value[1], 5);
  EXPECT_EQ(second.value[2], 10);
  const Step third = test.step();
  EXPECT_EQ(third.value[0], int64_t{1} << 40);
  EXPECT_EQ(third.value[1], -2);
}

TEST(Cursor, ScalarLoadsAreChecked) {
  expect_error(ErrorKind::kOutOfBounds, "[1024, 1028)", "s.load.i32 r0, x[256]");
  expect_error(ErrorKind::kOutOfBounds, "[-4, 0)", "s.load.i32 r0, x[-1]");
  EXPECT_EQ(Case("s.load.i32 r0, y[-64]").run(), 1);
  expect_error(ErrorKind::kOutOfBounds, "0x2000", "s.load.i32 r0, y[-65]");
  expect_error(ErrorKind::kOutOfBounds, "overflow", "s.load.i64 r0, x[n]",
               std::numeric_limits<int64_t>::max());
  Case skipped("s.load.i32 r0, x[0]");
  skipped.launch.args[0].buffer.data = nullptr;
  skipped.prepare();
  try {
    skipped.run();
    ADD_FAILURE() << "no error";
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPoison);
  }
}

TEST(Cursor, DmaGeometry) {
  Case test("d.load a, x[n], (2, 3 | 4):(24, 8 | 1)\nd.store y[-64], a, (24):(2)", 10);
  const Step load = test.step();
  EXPECT_EQ(load.offset, 40);
  EXPECT_EQ(load.dst_shape, (Shape{6, 4}));
  EXPECT_EQ(load.bytes, 96);
  EXPECT_EQ(load.size[1], 3);
  EXPECT_EQ(load.stride[0], 96);
  EXPECT_EQ(load.stride[2], 4);
  const Step store = test.step();
  EXPECT_EQ(store.offset, -256);
  EXPECT_EQ(store.src[0], load.dst);
  EXPECT_EQ(store.src_shape[0], (Shape{6, 4}));
  EXPECT_EQ(store.stride[0], 8);

  EXPECT_EQ(Case("d.load a, x[0], (7):(1)").step().dst_shape, (Shape{1, 7}));
  EXPECT_EQ(Case("d.load a, x[0], (7 |):(1 |)").step().dst_shape, (Shape{7, 1}));
  EXPECT_EQ(Case("d.load a, x[0], ():()").step().dst_shape, (Shape{1, 1}));
  EXPECT_EQ(Case("d.load a, x[0], (0):(1)").step().dst_shape, (Shape{1, 0}));
  const Step fill = Case("d.fill.i8 y[1], -3, (2, 5):(10, 1)").step();
  EXPECT_EQ(fill.fill, -3);
  EXPECT_EQ(fill.bytes, 10);
  EXPECT_EQ(fill.stride[0], 10);
}

TEST(Cursor, GatherAndScatter) {
  Case test(
      "v.iota i, 0, 1, 0, (1, 6)\nd.gather a, x[0], i, 8, (2, 3):(4, 1)\n"
      "d.scatter y[0], i, n, a, (6):(1)",
      16);
  test.step();
  const Step gather = test.step();
  EXPECT_EQ(gather.dst_shape, (Shape{6, 6}));
  EXPECT_EQ(gather.index_stride, 32);
  EXPECT_EQ(gather.bytes, 144);
  const Step scatter = test.step();
  EXPECT_EQ(scatter.src[0], gather.dst);
  EXPECT_EQ(scatter.src[1], gather.src[0]);
  EXPECT_EQ(scatter.index_stride, 64);
  EXPECT_EQ(scatter.bytes, 144);
  expect_error(ErrorKind::kShape, "does not fill",
               "v.iota i, 0, 1, 0, (1, 6)\nv.fill a, 0.0, (6, 5)\n"
               "d.scatter y[0], i, 8, a, (6):(1)");
}

TEST(Cursor, DmaBounds) {
  EXPECT_EQ(Case("d.load a, x[192], (64):(1)").run(), 1);
  expect_error(ErrorKind::kOutOfBounds, "[772, 1028)", "d.load a, x[193], (64):(1)");
  expect_error(ErrorKind::kOutOfBounds, "[-4, 252)", "d.load a, x[-1], (64):(1)");
  EXPECT_EQ(Case("d.load a, x[63], (64):(-1)").run(), 1);
  expect_error(ErrorKind::kOutOfBounds, "[-4, 252)", "d.load a, x[62], (64):(-1)");
  // The last row begins within, and ends outside.
  expect_error(ErrorKind::kOutOfBounds, "'x' = 0x1000", "d.load a, x[0], (4 | 8):(84 | 1)");
  EXPECT_EQ(Case("d.load a, x[0], (4 | 8):(82 | 1)").run(), 1);
  EXPECT_EQ(Case("d.load a, x[5000], (0):(1)").run(), 1);  // nothing moves
  expect_error(ErrorKind::kOutOfBounds, "overflow", "d.load a, x[0], (2):(n)",
               std::numeric_limits<int64_t>::max() / 2);
  expect_error(ErrorKind::kOutOfBounds, "lie outside", "d.fill.f32 y[0], 0.0, (193):(1)");
  expect_error(ErrorKind::kShape, "size -1", "d.load a, x[0], (n):(1)", -1);
}

TEST(Cursor, StoresNeedTheTransfersElements) {
  EXPECT_EQ(Case("v.fill b, 0.0, (4, 6)\nd.store y[0], b, (2 | 12):(12 | 1)").run(), 2);
  expect_error(ErrorKind::kShape, "tile 'b' of shape [4, 6] does not fill the 25",
               "v.fill b, 0.0, (4, 6)\nd.store y[0], b, (25):(1)");
}

TEST(Cursor, CapacityIsChecked) {
  EXPECT_EQ(Case("d.load a, x[0], (64):(1)").run(), 1);
  expect_error(ErrorKind::kScratchpadOverflow, "tile 'a'", "d.load a, x[0], (65):(1)");
  expect_error(ErrorKind::kScratchpadOverflow, "[8, 9]", "v.fill b, 0.0, (8, 9)");
  expect_error(ErrorKind::kShape, "no tile shape", "v.fill b, 0.0, (n, 2)", -1);
  expect_error(ErrorKind::kShape, "no tile shape", "v.fill b, 0.0, (n, 0)", int64_t{1} << 40);
}

TEST(Cursor, UnwrittenTilesAreNotRead) {
  expect_error(ErrorKind::kUnwrittenRead, "tile 'a' is read", "v.exp b, a");
  expect_error(ErrorKind::kUnwrittenRead, "tile 'b' is read", "d.store y[0], b, (1):(1)");
  expect_error(ErrorKind::kUnwrittenRead, "tile 'c' is updated",
               "v.fill a, 0.0, (2, 2)\nv.fill b, 0.0, (2, 2)\nm.mma c, a, b");
  expect_error(ErrorKind::kUnwrittenRead, "tile 'b' is updated", "v.reshape b, (1, 1)");
  expect_error(ErrorKind::kUnwrittenRead, "tile 'b' is updated",
               "v.fill a, 0.0, (2, 2)\nv.insert b, a, 0, 0");
  // What an earlier program wrote does not count.
  Case test("if n\nv.fill b, 0.0, (1, 1)\nendif\nv.exp c, b");
  test.launch.args[2] = Arg::integer(1);
  test.prepare();
  EXPECT_EQ(test.run(), 2);
  test.launch.args[2] = Arg::integer(0);
  test.prepare();
  EXPECT_THROW(test.run(), MachineError);
}

TEST(Cursor, DefiningRenamesAndUpdatingDoesNot) {
  Case test(
      "v.fill a, 0.0, (2, 2)\nv.add a, a, 1.0\nv.fill b, 0.0, (2, 2)\nv.add b, b, 1.0\n"
      "v.reshape a, (1, 4)\nv.insert a, a, 0, 0\nv.exp a, a");
  const Step fill = test.step();
  const Step add = test.step();
  EXPECT_EQ(add.src[0], fill.dst);
  EXPECT_NE(add.dst, fill.dst);
  const Step single = test.step();
  const Step in_place = test.step();
  EXPECT_EQ(in_place.src[0], single.dst);
  EXPECT_EQ(in_place.dst, single.dst);
  EXPECT_EQ(test.step().dst, add.dst);
  EXPECT_EQ(test.step().dst, add.dst);
  const Step third = test.step();
  EXPECT_EQ(third.src[0], add.dst);
  EXPECT_EQ(third.dst, fill.dst);
  // The next program goes on with the other buffer.
  test.cursor->start(6, 3);
  EXPECT_EQ(test.step().dst, add.dst);
}

TEST(Cursor, PhysicalBuffersDoNotOverlap) {
  Case test("exit");
  int64_t end = 0;
  for (BufferId id = 0; id < test.prepared->buffer_count(); ++id) {
    const auto& buffer = test.prepared->buffer(id);
    EXPECT_EQ(buffer.offset % 64, 0);
    EXPECT_EQ(buffer.offset, end);
    end += buffer_bytes(test.program.tiles[buffer.tile]);
  }
  EXPECT_EQ(end, test.program.scratchpad_bytes);
  EXPECT_EQ(test.prepared->buffer_count(), 8);
}

TEST(Cursor, ElementwiseBroadcasts) {
  const auto shape = [](const std::string& a, const std::string& b) {
    Case test("v.fill a, 0.0, " + a + "\nv.fill b, 0.0, " + b + "\nv.add c, a, b");
    test.step();
    test.step();
    return test.step().dst_shape;
  };
  EXPECT_EQ(shape("(3, 4)", "(3, 4)"), (Shape{3, 4}));
  EXPECT_EQ(shape("(3, 4)", "(3, 1)"), (Shape{3, 4}));
  EXPECT_EQ(shape("(1, 4)", "(3, 4)"), (Shape{3, 4}));
  EXPECT_EQ(shape("(1, 1)", "(3, 4)"), (Shape{3, 4}));
  EXPECT_EQ(shape("(3, 1)", "(1, 4)"), (Shape{3, 4}));
  EXPECT_EQ(shape("(0, 4)", "(1, 4)"), (Shape{0, 4}));
  expect_error(ErrorKind::kShape, "does not broadcast",
               "v.fill a, 0.0, (3, 4)\nv.fill b, 0.0, (2, 4)\nv.add c, a, b");
  expect_error(ErrorKind::kShape, "operand 1 of shape [3, 4]",
               "v.fill a, 0.0, (0, 4)\nv.fill b, 0.0, (3, 4)\nv.add c, a, b");
  Case scalars("v.add c, eps, 2.0", 0, 1.5);
  const Step step = scalars.step();
  EXPECT_EQ(step.dst_shape, (Shape{1, 1}));
  EXPECT_EQ(std::bit_cast<double>(step.value[0]), 1.5);
  EXPECT_EQ(std::bit_cast<double>(step.value[1]), 2.0);
  EXPECT_EQ(step.src[0], kNoBuffer);
}

TEST(Cursor, MatrixShapes) {
  const auto last = [](const std::string& a, const std::string& b, const std::string& mma) {
    Case test("v.fill a, 0.0, " + a + "\nv.fill b, 0.0, " + b + "\n" + mma);
    test.step();
    test.step();
    return test.step();
  };
  EXPECT_EQ(last("(2, 3)", "(3, 5)", "m.mma.zero c, a, b").dst_shape, (Shape{2, 5}));
  EXPECT_EQ(last("(3, 2)", "(3, 5)", "m.mma.zero.ta c, a, b").dst_shape, (Shape{2, 5}));
  EXPECT_EQ(last("(2, 3)", "(5, 3)", "m.mma.zero.tb c, a, b").dst_shape, (Shape{2, 5}));
  EXPECT_EQ(last("(2, 3)", "(3, 5)", "m.mma.zero c, a, b").value[0], 10);
  EXPECT_EQ(last("(2, 3)", "(3, 5)", "m.mma.zero c, a, b, 7").value[0], 7);
  const std::string fills = "v.fill a, 0.0, (2, 3)\nv.fill b, 0.0, (3, 5)\n";
  expect_error(ErrorKind::kShape, "inner dimensions", fills + "m.mma.zero.tb c, a, b");
  expect_error(ErrorKind::kShape, "accumulate", fills + "v.fill c, 0.0, (5, 2)\nm.mma c, a, b");
  expect_error(ErrorKind::kShape, "useful", fills + "m.mma.zero c, a, b, 11");
}

TEST(Cursor, VectorShapes) {
  const auto shape = [](const std::string& text) {
    Case test("v.fill a, 0.0, (3, 4)\nv.iota i, 0, 0, 0, (3, 4)\n" + text);
    test.step();
    test.step();
    return test.step().dst_shape;
  };
  EXPECT_EQ(shape("v.reduce.sum b, a"), (Shape{3, 1}));
  EXPECT_EQ(shape("v.reduce.sum.rows b, a"), (Shape{1, 4}));
  EXPECT_EQ(shape("v.scan.sum b, a"), (Shape{3, 4}));
  EXPECT_EQ(shape("v.sort b, i, a, i"), (Shape{3, 4}));
  EXPECT_EQ(shape("v.iota j, 0, 1, 2, (5, 6)"), (Shape{5, 6}));
  EXPECT_EQ(shape("v.random.uniform b, 0, 0, (5, 6)"), (Shape{5, 6}));
  EXPECT_EQ(shape("v.transpose b, a"), (Shape{4, 3}));
  EXPECT_EQ(shape("v.reshape a, (2, 6)"), (Shape{2, 6}));
  EXPECT_EQ(shape("v.slice b, a, 1, 2, (2, 2)"), (Shape{2, 2}));
  EXPECT_EQ(shape("v.gather b, a, i"), (Shape{3, 4}));
  const std::string fill = "v.fill a, 0.0, (3, 4)\n";
  EXPECT_EQ(Case("v.fill a, 0.0, (1, 4)\nv.expand b, a, (3, 4)").run(), 2);
  EXPECT_EQ(Case(fill + "v.fill b, 0.0, (2, 2)\nv.insert a, b, 1, 2").run(), 3);
  expect_error(ErrorKind::kShape, "expand", fill + "v.expand b, a, (6, 4)");
  expect_error(ErrorKind::kShape, "elements", fill + "v.reshape a, (2, 5)");
  expect_error(ErrorKind::kShape, "slice", fill + "v.slice b, a, 2, 2, (2, 2)");
  expect_error(ErrorKind::kShape, "slice", fill + "v.slice b, a, 0, -1, (2, 2)");
  expect_error(ErrorKind::kShape, "leaves", fill + "v.fill b, 0.0, (2, 2)\nv.insert a, b, 2, 2");
  expect_error(ErrorKind::kShape, "rows differ",
               fill + "v.iota i, 0, 0, 0, (2, 4)\nv.gather b, a, i");
  expect_error(ErrorKind::kShape, "payload", fill + "v.iota i, 0, 0, 0, (2, 4)\nv.sort b, i, a, i");
}

TEST(Cursor, ErrorsNameThePlace) {
  expect_error(ErrorKind::kShape, "division by zero", "s.div r0, 1, n");
  expect_error(
      ErrorKind::kUnwrittenRead,
      "kernel 'k', core 3, program 5, instruction 1 (v.exp b, a): ", "s.mov r0, 1\nv.exp b, a");
}

TEST(Cursor, RunawayProgramsStop) {
  Case test("loop r0, 1000000\ns.add r1, r1, 1\nendloop", 0, 0, 5000);
  try {
    test.run();
    ADD_FAILURE() << "no error";
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRunaway);
  }
}

TEST(Launch, IsChecked) {
  const auto error_of = [](Case& test) -> std::optional<ErrorKind> {
    try {
      check_launch(test.machine, test.launch);
      return std::nullopt;
    } catch (const MachineError& error) {
      return error.kind();
    }
  };
  Case good("exit");
  EXPECT_EQ(error_of(good), std::nullopt);
  Case grid("exit");
  grid.launch.grid = 0;
  EXPECT_EQ(error_of(grid), ErrorKind::kBadLaunch);
  Case few("exit");
  few.launch.args.pop_back();
  EXPECT_EQ(error_of(few), ErrorKind::kBadLaunch);
  Case kind("exit");
  std::swap(kind.launch.args[0], kind.launch.args[2]);
  EXPECT_EQ(error_of(kind), ErrorKind::kBadLaunch);
  Case small("exit");
  small.machine.core.scratchpad_kib = 1;
  EXPECT_EQ(error_of(small), ErrorKind::kScratchpadOverflow);
  Case raw("exit");
  raw.program.id = 0;
  EXPECT_EQ(error_of(raw), ErrorKind::kBadLaunch);
}

TEST(Launch, OnlyMuchFreshMemoryIsStreamed) {
  const Program program = assemble(
      ".kernel k\n.arg in ptr\n.arg out ptr\n.tile a f32 16384\n"
      "d.load a, in[0], (16384):(1)\nd.store out[0], a, (16384):(1)\nexit\n");
  const auto streamed = [&](int64_t grid, int64_t bytes, uint64_t out) {
    const auto buffer = [&](uint64_t address) {
      return Arg::pointer({.data = nullptr, .lower = 0, .upper = bytes, .address = address});
    };
    return streamed_arguments({&program, grid, {buffer(uint64_t{1} << 32), buffer(out)}});
  };
  constexpr int64_t kLarge = int64_t{32} << 20;
  EXPECT_EQ(streamed(512, kLarge, uint64_t{1} << 33), (std::vector<uint8_t>{0, 1}));
  EXPECT_EQ(streamed(256, kLarge, uint64_t{1} << 33), (std::vector<uint8_t>{0, 0}));
  EXPECT_EQ(streamed(512, kLarge / 2, uint64_t{1} << 33), (std::vector<uint8_t>{0, 0}));
  EXPECT_EQ(streamed(512, kLarge, uint64_t{1} << 32), (std::vector<uint8_t>{0, 0}));
}

TEST(Launch, OnlyUnwrittenAllocationsAlias) {
  const Program program = assemble(
      ".kernel k\n.arg in ptr\n.arg out ptr\n.arg both ptr\n.arg n i64\n.tile a f32 64\n"
      "d.load a, in[0], (n):(1)\nd.store out[0], a, (n):(1)\n"
      "d.load a, both[0], (n):(1)\nd.store both[0], a, (n):(1)\nexit\n");
  std::vector<std::byte> memory(4096);
  const auto at = [&](int64_t offset, int64_t size) {
    return Arg::pointer({memory.data() + offset, 0, size, 0});
  };
  Launch launch{&program, 1, {at(0, 512), at(512, 512), at(1024, 512), Arg::integer(4)}};
  EXPECT_EQ(aliasable_arguments(launch), (std::vector<uint8_t>{1, 0, 0, 0}));
  // The output points elsewhere, but into the same allocation.
  launch.args[1].buffer.lower = -8;
  EXPECT_EQ(aliasable_arguments(launch), (std::vector<uint8_t>{0, 0, 0, 0}));
  launch.args[1].buffer = {nullptr, 0, 0, 0};
  EXPECT_EQ(aliasable_arguments(launch), (std::vector<uint8_t>{1, 0, 0, 0}));
}

}  // namespace
}  // namespace npu::sim
