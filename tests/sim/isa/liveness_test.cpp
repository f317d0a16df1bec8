#include "sim/isa/liveness.h"

#include <gtest/gtest.h>

#include "sim/isa/text.h"

namespace npu::sim {
namespace {

using Bits = std::vector<uint8_t>;

TEST(Liveness, StraightLine) {
  const Program program = assemble(R"(
.kernel straight
.arg y ptr
.tile a f32 8
.tile b f32 8
v.fill a, 1.0, (1, 8)
v.add b, a, a
v.mul a, a, b
d.store y[0], a, (8):(1)
d.store y[8], b, (8):(1)
exit
)");
  EXPECT_EQ(program.last_reads, (Bits{0, 0, 1, 1, 1, 0}));
}

TEST(Liveness, LoopsBranchesAndUpdates) {
  const Program program = assemble(R"(
.kernel branches
.arg y ptr
.arg n i64
.tile a f32 8
.tile b f32 8
.tile c f32 8
v.fill a, 1.0, (1, 8)
loop r0, n
  v.add b, a, 1.0
  if r0
    v.copy a, b
  else
    d.store y[0], b, (8):(1)
  endif
  v.copy c, b
  v.insert c, a, 0, 0
endloop
d.store y[0], c, (8):(1)
exit
)");
  EXPECT_EQ(program.last_reads, (Bits{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0}));
}

}  // namespace
}  // namespace npu::sim
