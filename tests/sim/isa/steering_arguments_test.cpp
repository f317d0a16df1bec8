#include "sim/isa/steering_arguments.h"

#include <gtest/gtest.h>

#include "sim/isa/text.h"

namespace npu::sim {
namespace {

using Flags = std::vector<uint8_t>;

TEST(SteeringArguments, ShapesAddressesAndCountsSteer) {
  const Program program = assemble(R"(
.kernel steered
.arg y ptr
.arg n i64
.arg first i64
.arg rounds i64
.arg cond i64
.tile a f32 64
s.mul r0, n, 2
loop r1, rounds
  v.fill a, 1.0, (1, r0)
  d.store y[first], a, (r0):(1)
endloop
if cond
  exit
endif
exit
)");
  EXPECT_EQ(program.arg_steers, (Flags{1, 1, 1, 1, 1}));
}

TEST(SteeringArguments, SeedsFactorsAndValuesDoNot) {
  const Program program = assemble(R"(
.kernel values
.arg y ptr
.arg seed i64
.arg counter i64
.arg factor f64
.arg value f64
.arg both i64
.tile a f32 64
.tile b f32 64
s.mul r0, %pid, 64
s.add r1, r0, counter
v.random.uniform a, seed, r1, (1, 64)
s.fmul r2, factor, 2.0
v.mul a, a, r2
v.fill b, value, (1, 64)
v.add a, a, b
v.random.uniform b, both, r1, (1, 64)
d.store y[both], a, (64):(1)
exit
)");
  EXPECT_EQ(program.arg_steers, (Flags{1, 0, 0, 0, 0, 1}));
}

// Through a register, a selection and a comparison.
TEST(SteeringArguments, WhatSteersIsComputedFrom) {
  const Program program = assemble(R"(
.kernel through
.arg y ptr
.arg limit f64
.arg x f64
.arg big i64
.arg small i64
.tile a f32 64
s.flt r0, x, limit
s.select r1, r0, big, small
v.fill a, 1.0, (1, r1)
d.store y[0], a, (r1):(1)
exit
)");
  EXPECT_EQ(program.arg_steers, (Flags{1, 1, 1, 1, 1}));
}

}  // namespace
}  // namespace npu::sim
