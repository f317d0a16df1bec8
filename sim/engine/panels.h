// Large matrix products with b cut into blocks of some columns and much depth, packed as the host's
// kernels read them fastest. A packed block serves all products that read the same b.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "sim/engine/matrix.h"

namespace npu::sim {

inline constexpr int64_t kPanelBytes = int64_t{512} << 10;  // of a packed block, at most

// Up to this many rows of a, a block of b that lasts pays only if another product uses it, too.
inline constexpr int64_t kFewRows = 256;

class PanelProduct {
 public:
  // Nothing if the operands' type or size does not suit. The product must be one that
  // splits_exactly().
  static std::optional<PanelProduct> make(const MatrixForm& form, const Tile& dst, const Tile& a,
                                          const Tile& b);

  int64_t panels() const;  // blocks of columns
  int64_t depths() const;  // blocks of depth: to be multiplied in order

  // The part of b, as it is stored, that a block covers.
  Tile block(int64_t panel, int64_t depth) const;
  void pack(EngineContext& context, const Tile& block, std::byte* out) const;
  // dst (+)= a @ b as far as the block goes; null for what is not packed. The bits are those of
  // multiply().
  void multiply(EngineContext& context, int64_t panel, int64_t depth, const std::byte* packed);

 private:
  PanelProduct(const MatrixForm& form, const Tile& dst, const Tile& a, const Tile& b)
      : form_(form), dst_(dst), a_(a), b_(b) {}
  bool multiply_packed(EngineContext& context, const Tile& dst, int64_t k, int64_t depth,
                       bool accumulate, const std::byte* packed);

  MatrixForm form_;
  Tile dst_;
  Tile a_;
  Tile b_;
  std::optional<Tile> left_;  // a as bf16 kernels read it, in the context's scratch space
};

}  // namespace npu::sim
