#include "csrc/sdk/kernels/key_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "csrc/sdk/kernels/arguments.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels::testing {
namespace {

constexpr int64_t kFields = 4;

// Program `part` tells where that part begins: unit, sequence, units before the sequence, and which
// part it is itself. Empty parts tell the end alone.
sim::Program build(const sim::Machine& machine, const KeySharesForm& form) {
  Builder b("key_shares", machine);
  const SequenceTable lengths(b, "lengths", DType::i32);
  const KeyShares shares(b, lengths, b.integer("sequences"), form);
  const Pointer out = b.pointer("out");
  const KeyShares::Total total = shares.count();
  const Value unit = shares.begin(b.pid(), total);
  const auto tell = [&](int64_t field, const Value& value) {
    b.fill_memory(out, DType::i64, b.pid() * kFields + field, value, {{1, 1}});
  };
  tell(0, unit);
  b.if_(unit < total.units, [&] {
    const KeyShares::Place place = shares.find(unit, total);
    tell(1, place.sequence);
    tell(2, place.before);
    tell(3, shares.part_of(unit, total));
  });
  return b.finish();
}

struct Bounds {
  int64_t least_units = 1;
  int64_t most_keys = kUnlimited;
};

void check(const std::vector<int64_t>& lengths, int64_t parts, const Bounds& bounds) {
  const auto sequences = static_cast<int64_t>(lengths.size());
  // Two elements from one length to the next.
  DeviceTensor spaced(NPU_I32, {sequences, 2});
  std::vector<double> content;
  std::vector<int64_t> ends;  // of the sequences, in units
  int64_t total = 0;
  for (const int64_t length : lengths) {
    content.insert(content.end(), {static_cast<double>(length), 1e6});
    total +=
        std::max(ceil_div(std::min(length, bounds.most_keys), kKeysOfUnit), bounds.least_units);
    ends.push_back(total);
  }
  spaced.set(content);
  Tensor table = spaced;
  table.rank = 1;
  DeviceTensor out(NPU_I64, {parts + 1, kFields});

  const KeySharesForm form = {.bounded = bounds.most_keys != kUnlimited,
                              .only_lot = only_lot_of(sequences)};
  Arguments args;
  pass_sequence_table(args, table);
  args.integer(sequences);
  KeyShares::pass(args, parts, bounds.least_units, bounds.most_keys);
  args.pointer(out.view().data);
  npuKernel kernel = nullptr;
  NPU_ASSERT_OK(sdk::cached_kernel(
      stream(), {"test.key_shares", {static_cast<int64_t>(form.bounded), form.only_lot}},
      [&](const sim::Machine& machine) { return build(machine, form); }, &kernel));
  NPU_ASSERT_OK(launch(kernel, parts + 1, args, stream()));

  const std::vector<double> told = out.get_all();
  const int64_t filled = std::min(parts, total);
  for (int64_t part = 0; part <= parts; ++part) {
    SCOPED_TRACE(part);
    const auto field = [&](int64_t number) {
      return static_cast<int64_t>(told[static_cast<size_t>(part * kFields + number)]);
    };
    const int64_t unit = total * std::min(part, filled) / filled;
    ASSERT_EQ(field(0), unit);
    if (unit == total) continue;
    const auto holds = std::upper_bound(ends.begin(), ends.end(), unit);
    EXPECT_EQ(field(1), holds - ends.begin());
    EXPECT_EQ(field(2), holds == ends.begin() ? 0 : *(holds - 1));
    EXPECT_EQ(field(3), part);
  }
}

TEST(KeyShares, EachPartBeginsWhereItShould) {
  std::mt19937 random(5);
  // Lots of one, one whole lot, several, more than have landmarks.
  for (const int sequences : {1, 2, 3, 31, 32, 33, 64, 65, 256, 257, 600}) {
    for (const int64_t parts : {1, 2, 7, 16, 100}) {
      SCOPED_TRACE(::testing::Message() << sequences << " sequences, " << parts << " parts");
      std::vector<int64_t> lengths(static_cast<size_t>(sequences));
      for (int64_t& length : lengths) length = random() % (random() % 3 == 0 ? 3000 : 90);
      check(lengths, parts, {});
      check(lengths, parts, {.least_units = 4});
      check(lengths, parts, {.least_units = 2, .most_keys = 500});
    }
  }
}

TEST(KeyShares, SequencesWithoutKeys) {
  check({0}, 16, {});
  check(std::vector<int64_t>(40, 0), 16, {});
  check({0, 0, 5000, 0}, 3, {});
}

}  // namespace
}  // namespace npu::kernels::testing
