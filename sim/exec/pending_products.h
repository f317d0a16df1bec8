// Matrix products that wait to be computed as one.
#pragma once

#include <array>

#include "sim/engine/matrix.h"
#include "sim/engine/panels.h"
#include "sim/exec/cursor.h"
#include "sim/exec/pack_cache.h"

namespace npu::sim {

// Along K, operands that continue each other in memory are one operand.
class PendingProducts {
 public:
  PendingProducts(EngineContext& engines, PackCache& packs) : engines_(&engines), packs_(&packs) {}

  // `dst` is the accumulator in the scratchpad; a and b lie in memory that the launch does not
  // write.
  void add(BufferId buffer, const MatrixForm& form, const Tile& dst, const Tile& a, const Tile& b);
  // Computes the product that the buffer accumulates, if there is one.
  void settle(BufferId buffer);
  // The same for every buffer that the step reads or writes.
  void settle(const Step& step);
  void flush();
  void drop() { count_ = 0; }

 private:
  struct Product {
    BufferId buffer;
    MatrixForm form;
    Tile dst;
    Tile a;
    Tile b;
  };
  static bool extend(Product& product, const MatrixForm& form, const Tile& a, const Tile& b);
  void compute(const Product& product);
  void compute_in_panels(PanelProduct product, bool transpose_b);
  // False if another thread is packing the block.
  bool compute_block(PanelProduct& product, bool transpose_b, int64_t panel, int64_t depth);

  EngineContext* engines_;
  PackCache* packs_;
  std::array<Product, 8> products_;
  int count_ = 0;
};

}  // namespace npu::sim
