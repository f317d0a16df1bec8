// One instruction of a chain, laid out: where the elements of its operands and of its result are,
// and how a block of them is computed.
#pragma once

#include <array>
#include <cstdint>

#include "sim/engine/elementwise.h"

namespace npu::sim {

// The part of the chain's shape that is computed at once: some columns of a row, or whole rows.
struct Block {
  int64_t row;
  int64_t rows;
  int64_t col;
  int64_t cols;
};

// Chains are laid out for every tile, so nothing here initializes what may not be needed.

// Where elements of the shape are.
struct Place {
  std::byte* data;
  int64_t ld;  // elements; 0: only the block's, packed
  DType dtype;

  std::byte* row(const Block& block, int64_t i) const {
    const int64_t element = ld == 0 ? i * block.cols : (block.row + i) * ld + block.col;
    return data + element * size_of(dtype);
  }
  bool contiguous(const Block& block) const {
    return ld == 0 || block.rows == 1 || ld == block.cols;
  }
};

struct Source {
  enum Kind : uint8_t { kFull, kRow, kColumn, kScalar };
  Kind kind;
  bool convert;  // kFull only: the others are converted before the loop
  bool truth;    // where it is converted: only whether it is zero
  int8_t link;   // the stage that makes it, or -1
  Place place;
  Place converted;  // where `convert` puts the elements
  int64_t value;    // kScalar: the bits of an element in compute type
};

// Elements from `data`, of the source's stored type, in compute type.
template <class T>
void load_elements(const VectorTable& table, T* out, const Source& source, const std::byte* data,
                   int64_t n) {
  if (source.truth) {
    load_truth(table, out, source.place.dtype, data, n);
  } else {
    load_as(table, out, source.place.dtype, data, n);
  }
}

struct Stage {
  Compute compute;
  Opcode op;
  uint8_t fn;
  uint8_t sources;
  bool copy;
  bool stream;
  bool stored;  // something reads the result from `out`
  Function function;
  std::array<Source, 3> source;
  Place out;
  Place memory;      // where `stream` carries what is in `out`
  std::byte* spare;  // room for a block in compute type
};

// Element-wise stages and reductions. `block` has one column where the stage is one.
void run_stage(const VectorTable& table, const Stage& stage, const Block& block);

}  // namespace npu::sim
