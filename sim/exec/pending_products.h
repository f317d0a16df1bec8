// Matrix products that wait to be computed as one.
#pragma once

#include <array>
#include <functional>
#include <utility>

#include "sim/engine/matrix.h"
#include "sim/engine/panels.h"
#include "sim/exec/cursor.h"
#include "sim/exec/pack_cache.h"

namespace npu::sim {

// Some 60 us of a host thread's time.
inline constexpr int64_t kLargeMacs = int64_t{1} << 22;

// Along K, operands that continue each other in memory are one operand.
class PendingProducts {
 public:
  PendingProducts(EngineContext& engines, PackCache& packs) : engines_(&engines), packs_(&packs) {}

  // Called before products of at least kLargeMacs.
  void before_large(std::function<void()> call) { before_large_ = std::move(call); }

  // `dst` is the accumulator in the scratchpad; a and b lie in memory that the launch does not
  // write.
  bool holds(BufferId buffer) const;
  void add(BufferId buffer, const MatrixForm& form, const Tile& dst, const Tile& a, const Tile& b);
  // A store of a buffer that nothing reads later: its product goes to memory itself. False, with
  // nothing done, if it cannot.
  bool store(BufferId buffer, const Tile& memory);
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
  std::function<void()> before_large_;
  std::array<Product, 8> products_;
  int count_ = 0;
};

}  // namespace npu::sim
