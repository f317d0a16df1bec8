#include "csrc/sdk/kernels/key_shares.h"

#include <vector>

namespace npu::kernels {

using sdk::Value;

KeyShares::KeyShares(sdk::Builder& builder, const SequenceTable& lengths, const Value& sequences)
    : b_(builder),
      lengths_(lengths),
      sequences_(sequences),
      parts_(builder.integer("parts")),
      most_keys_(builder.integer("most_keys")) {}

void KeyShares::pass(Arguments& args, int64_t parts, int64_t most_keys) {
  args.integer(parts);
  args.integer(most_keys);
}

Value KeyShares::units(const Value& keys) const {
  return b_.max(b_.ceil_div(b_.min(keys, most_keys_), kKeysOfUnit), 1);
}

// Calls visit(units) for each sequence of the chunk. In the last one the last sequence stands for
// those that there are not.
template <typename Visit>
void KeyShares::visit(const Value& chunk, const Visit& visit) const {
  const Value first = chunk * kLengthsAtOnce;
  const Value last = sequences_ - 1;
  std::vector<Value> lengths;
  for (int64_t i = 0; i < kLengthsAtOnce; ++i) {
    lengths.push_back(lengths_.load(b_.min(first + i, last)));
  }
  for (Value& length : lengths) {
    visit(units(length));
    length = 0;  // its register is free
  }
}

Value KeyShares::count() const {
  const Value total = b_.variable(0);
  const Value last = b_.variable(0);
  const Value chunks = b_.ceil_div(sequences_, kLengthsAtOnce);
  b_.loop(chunks, [&](const Value& chunk) {
    visit(chunk, [&](const Value& units) {
      b_.set(total, total + units);
      b_.set(last, units);
    });
  });
  return total - (chunks * kLengthsAtOnce - sequences_) * last;
}

Value KeyShares::begin(const Value& part, const Value& total) const {
  const Value filled = b_.min(parts_, total);
  return total * b_.min(part, filled) / filled;
}

// The last part that begins at the unit or before it.
Value KeyShares::part_of(const Value& unit, const Value& total) const {
  return ((unit + 1) * b_.min(parts_, total) - 1) / total;
}

KeyShares::Place KeyShares::find(const Value& unit) const {
  const Value sequence = b_.variable(0);
  const Value before = b_.variable(0);
  const Value end = b_.variable(0);  // of the sequence that is looked at
  b_.loop(b_.ceil_div(sequences_, kLengthsAtOnce), [&](const Value& chunk) {
    visit(chunk, [&](const Value& units) {
      b_.set(end, end + units);
      const Value passed = end <= unit;
      b_.set(sequence, sequence + passed);
      b_.set(before, b_.select(passed, end, before));
    });
    b_.break_if(unit < end);
  });
  return {sequence, before};
}

}  // namespace npu::kernels
