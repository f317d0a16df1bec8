// Equal shares of the keys of all sequences: how programs that run side by side divide a batch
// whose sequences differ in length, which only the device knows.
#pragma once

#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/sequence_table.h"

namespace npu::kernels {

// Keys are counted in units; a share begins and ends between units.
inline constexpr int64_t kKeysOfUnit = 32;
// Lengths are read in lots, to wait once for each: of as many as there are registers to spare.
inline constexpr int64_t kLargestLot = 32;

// What distinguishes programs.
struct KeySharesForm {
  bool bounded = false;  // a sequence's keys are not all seen
  // Where one lot is enough it may be smaller, and is read once. Else 0.
  int64_t only_lot = 0;
};
// The least power of two that is enough.
int64_t only_lot_of(int64_t sequences);

class KeyShares {
 public:
  // Declares the arguments of pass(). `lengths` says how many keys the sequences have.
  KeyShares(sdk::Builder& builder, const SequenceTable& lengths, const sdk::Value& sequences,
            const KeySharesForm& form);

  // `parts`: programs that share the keys. A sequence counts as one of at least `least_units` and
  // at most `most_keys`, unless that is kUnlimited.
  static void pass(Arguments& args, int64_t parts, int64_t least_units, int64_t most_keys);

  const sdk::Value& parts() const { return parts_; }
  sdk::Value units(const sdk::Value& keys) const;

  // Units of all sequences: reads all lengths.
  struct Total {
    sdk::Value units;
    std::vector<sdk::Value> of_sequences;  // of the only lot
    std::vector<sdk::Value> landmarks;     // up to the ends of the first lots
  };
  Total count() const;
  // The first unit of a part, numbered through all sequences; of part parts() the end. Where there
  // are fewer units than parts, the last parts are empty; no others are.
  sdk::Value begin(const sdk::Value& part, const Total& total) const;
  sdk::Value part_of(const sdk::Value& unit, const Total& total) const;

  struct Place {
    sdk::Value sequence;
    sdk::Value before;  // units of the sequences before it
  };
  // The sequence that a unit belongs to. Reads the lot of lengths that it is in once more.
  Place find(const sdk::Value& unit, const Total& total) const;

  // The units of the sequences before this one, where one lot is enough.
  sdk::Value before(const sdk::Value& sequence, const Total& total) const;

 private:
  struct Search;
  Total count_lots() const;
  std::vector<sdk::Value> load(const sdk::Value& lot) const;

  sdk::Builder& b_;
  const SequenceTable& lengths_;
  sdk::Value sequences_;
  sdk::Value parts_;
  sdk::Value least_units_;
  sdk::Value most_keys_;
  bool one_lot_;
  int64_t lot_;  // lengths in it
};

}  // namespace npu::kernels
