// Equal shares of the keys of all sequences: how programs that run side by side divide a batch whose
// sequences differ in length, which only the device knows.
#pragma once

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/sequence_table.h"

namespace npu::kernels {

// A sequence's keys are counted in units, at least one; a share begins and ends between units.
inline constexpr int64_t kKeysOfUnit = 128;
// Lengths that are read together, for the sake of waiting once: as many as there are registers to
// spare.
inline constexpr int64_t kLengthsAtOnce = 32;

class KeyShares {
 public:
  // Declares the arguments of pass(). `lengths` says how many keys the sequences have.
  KeyShares(sdk::Builder& builder, const SequenceTable& lengths, const sdk::Value& sequences);

  // `parts`: programs that share the keys. A sequence counts as one of at most `most_keys`.
  static void pass(Arguments& args, int64_t parts, int64_t most_keys);

  const sdk::Value& parts() const { return parts_; }
  sdk::Value units(const sdk::Value& keys) const;

  // Units of all sequences: reads all lengths.
  sdk::Value count() const;
  // The first of `total` units of a part, numbered through all sequences; of part parts() the end.
  // Where there are fewer units than parts, the last parts are empty; no others are.
  sdk::Value begin(const sdk::Value& part, const sdk::Value& total) const;
  sdk::Value part_of(const sdk::Value& unit, const sdk::Value& total) const;

  struct Place {
    sdk::Value sequence;
    sdk::Value before;  // units of the sequences before it
  };
  // The sequence that a unit belongs to. Reads the lengths up to there once more.
  Place find(const sdk::Value& unit) const;

 private:
  template <typename Visit>
  void visit(const sdk::Value& chunk, const Visit& visit) const;

  sdk::Builder& b_;
  const SequenceTable& lengths_;
  sdk::Value sequences_;
  sdk::Value parts_;
  sdk::Value most_keys_;
};

}  // namespace npu::kernels
