#include "csrc/sdk/kernels/key_shares.h"

#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

using sdk::Value;

KeyShares::KeyShares(sdk::Builder& builder, const SequenceTable& lengths, const Value& sequences,
                     bool bounded)
    : b_(builder),
      lengths_(lengths),
      sequences_(sequences),
      parts_(builder.integer("parts")),
      least_units_(builder.integer("least_units")),
      most_keys_(bounded ? builder.integer("most_keys") : Value(kUnlimited)) {}

void KeyShares::pass(Arguments& args, int64_t parts, int64_t least_units, int64_t most_keys) {
  args.integer(parts);
  args.integer(least_units);
  if (most_keys != kUnlimited) args.integer(most_keys);
}

Value KeyShares::units(const Value& keys) const {
  const Value seen = most_keys_.is_constant() ? keys : b_.min(keys, most_keys_);
  return b_.max(b_.ceil_div(seen, kKeysOfUnit), least_units_);
}

// Of the chunk's sequences. In the last chunk the last sequence stands for those that there are
// not.
std::vector<Value> KeyShares::load(const Value& chunk) const {
  const Value last = lengths_.offset(sequences_ - 1);
  Value offset = b_.min(lengths_.offset(chunk * kLengthsAtOnce), last);
  std::vector<Value> lengths;
  for (int64_t i = 0; i < kLengthsAtOnce; ++i) {
    lengths.push_back(lengths_.load_at(offset));
    offset = b_.min(offset + lengths_.stride(), last);
  }
  return lengths;
}

KeyShares::Total KeyShares::count() const {
  Total total{b_.variable(0), {}};
  for (int i = 0; i < kLandmarks; ++i) total.landmarks.push_back(b_.variable(kUnlimited));
  const Value last = b_.variable(0);
  const Value chunks = b_.ceil_div(sequences_, kLengthsAtOnce);
  b_.loop(chunks, [&](const Value& chunk) {
    std::vector<Value> lengths = load(chunk);
    for (size_t i = 0; i < lengths.size(); ++i) {
      const Value of_it = units(lengths[i]);
      lengths[i] = 0;  // its register is free
      b_.set(total.units, total.units + of_it);
      if (i + 1 == lengths.size()) b_.set(last, of_it);
    }
    for (size_t i = 0; i < total.landmarks.size(); ++i) {
      const Value& mark = total.landmarks[i];
      b_.set(mark, b_.select(chunk == static_cast<int64_t>(i), total.units, mark));
    }
  });
  b_.set(total.units, total.units - (chunks * kLengthsAtOnce - sequences_) * last);
  return total;
}

Value KeyShares::begin(const Value& part, const Total& total) const {
  const Value filled = b_.min(parts_, total.units);
  return total.units * b_.min(part, filled) / filled;
}

// The last part that begins at the unit or before it.
Value KeyShares::part_of(const Value& unit, const Total& total) const {
  return ((unit + 1) * b_.min(parts_, total.units) - 1) / total.units;
}

KeyShares::Place KeyShares::find(const Value& unit, const Total& total) const {
  const Value chunk = b_.variable(0);
  const Value before = b_.variable(0);
  for (const Value& mark : total.landmarks) {
    const Value passed = mark <= unit;
    b_.set(chunk, chunk + passed);
    b_.set(before, b_.select(passed, mark, before));
  }
  const Value sequence = b_.variable(chunk * kLengthsAtOnce);
  const Value end = b_.variable(before);  // of the sequence that is looked at
  b_.loop(b_.ceil_div(sequences_, kLengthsAtOnce) - chunk, [&](const Value& number) {
    std::vector<Value> lengths = load(chunk + number);
    for (Value& length : lengths) {
      b_.set(end, end + units(length));
      length = 0;  // its register is free
      const Value passed = end <= unit;
      b_.set(sequence, sequence + passed);
      b_.set(before, b_.select(passed, end, before));
    }
    b_.break_if(unit < end);
  });
  return {sequence, before};
}

}  // namespace npu::kernels
