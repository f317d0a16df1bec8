#include "csrc/sdk/kernels/key_shares.h"

#include <bit>

#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

using sdk::Value;

namespace {

// Lots whose ends are kept, so that a unit is found in one of them.
constexpr int64_t kLandmarks = 8;

}  // namespace

int64_t only_lot_of(int64_t sequences) {
  if (sequences > kLargestLot) return 0;
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(sequences)));
}

KeyShares::KeyShares(sdk::Builder& builder, const SequenceTable& lengths, const Value& sequences,
                     const KeySharesForm& form)
    : b_(builder),
      lengths_(lengths),
      sequences_(sequences),
      parts_(builder.integer("parts")),
      least_units_(builder.integer("least_units")),
      most_keys_(form.bounded ? builder.integer("most_keys") : Value(kUnlimited)),
      one_lot_(form.only_lot > 0),
      lot_(one_lot_ ? form.only_lot : kLargestLot) {}

void KeyShares::pass(Arguments& args, int64_t parts, int64_t least_units, int64_t most_keys) {
  args.integer(parts);
  args.integer(least_units);
  if (most_keys != kUnlimited) args.integer(most_keys);
}

Value KeyShares::units(const Value& keys) const {
  const Value seen = most_keys_.is_constant() ? keys : b_.min(keys, most_keys_);
  return b_.max(b_.ceil_div(seen, kKeysOfUnit), least_units_);
}

// The lengths of a lot. In the last one the last sequence stands for those that there are not.
std::vector<Value> KeyShares::load(const Value& lot) const {
  const Value last = lengths_.offset(sequences_ - 1);
  Value offset = lengths_.offset(lot * lot_);
  std::vector<Value> lengths;
  for (int64_t i = 0; i < lot_; ++i) {
    if (i > 0) offset = b_.min(offset + lengths_.stride(), last);
    lengths.push_back(lengths_.load_at(offset));
  }
  return lengths;
}

KeyShares::Total KeyShares::count() const {
  if (!one_lot_) return count_lots();
  Total total{0, load(0), {}};
  for (Value& length : total.of_sequences) length = units(length);
  for (const Value& of_it : total.of_sequences) total.units = total.units + of_it;
  total.units = total.units - (lot_ - sequences_) * total.of_sequences.back();
  return total;
}

KeyShares::Total KeyShares::count_lots() const {
  Total total{b_.variable(0), {}, {}};
  for (int64_t i = 0; i < kLandmarks; ++i) total.landmarks.push_back(b_.variable(kUnlimited));
  const Value last = b_.variable(0);
  const Value lots = b_.ceil_div(sequences_, lot_);
  b_.loop(lots, [&](const Value& lot) {
    std::vector<Value> lengths = load(lot);
    for (Value& length : lengths) {
      length = units(length);
      b_.set(total.units, total.units + length);
    }
    b_.set(last, lengths.back());
    for (int64_t i = 0; i < kLandmarks; ++i) {
      const Value& mark = total.landmarks[static_cast<size_t>(i)];
      b_.set(mark, b_.select(lot == i, total.units, mark));
    }
  });
  b_.set(total.units, total.units - (lots * lot_ - sequences_) * last);
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

// Passes sequences until one holds the unit.
struct KeyShares::Search {
  Search(sdk::Builder& builder, const Value& unit, const Value& sequence, const Value& before)
      : b(builder),
        unit(unit),
        sequence(b.variable(sequence)),
        before(b.variable(before)),
        end(b.variable(before)) {}

  void look_at(const Value& units) const {
    b.set(end, end + units);
    const Value passed = end <= unit;
    b.set(sequence, sequence + passed);
    b.set(before, b.select(passed, end, before));
  }

  sdk::Builder& b;
  const Value& unit;
  Value sequence;
  Value before;
  Value end;  // of the sequence that was looked at last
};

KeyShares::Place KeyShares::find(const Value& unit, const Total& total) const {
  if (one_lot_) {
    const Search search(b_, unit, 0, 0);
    for (const Value& of_it : total.of_sequences) search.look_at(of_it);
    return {search.sequence, search.before};
  }
  const Value first = b_.variable(0);
  const Value before = b_.variable(0);
  for (const Value& mark : total.landmarks) {
    const Value passed = mark <= unit;
    b_.set(first, first + passed);
    b_.set(before, b_.select(passed, mark, before));
  }
  const Search search(b_, unit, first * lot_, before);
  b_.loop(b_.ceil_div(sequences_, lot_) - first, [&](const Value& number) {
    std::vector<Value> lengths = load(first + number);
    for (Value& length : lengths) {
      length = units(length);
      search.look_at(length);
      length = 0;  // its register is free
    }
    b_.break_if(unit < search.end);
  });
  return {search.sequence, search.before};
}

Value KeyShares::before(const Value& sequence, const Total& total) const {
  Value units = 0;
  for (size_t i = 0; i < total.of_sequences.size(); ++i) {
    const Value is_before = Value(static_cast<int64_t>(i)) < sequence;
    units = units + b_.select(is_before, total.of_sequences[i], 0);
  }
  return units;
}

}  // namespace npu::kernels
