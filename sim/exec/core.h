// One core's state while it executes programs: where its tiles are, and what it counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "sim/engine/tile.h"
#include "sim/exec/cursor.h"
#include "sim/exec/pending_chain.h"
#include "sim/exec/pending_products.h"

namespace npu::sim {

// A scratchpad's host memory and the scratch space of the engines: one for each host thread, reused
// by every launch.
class CoreMemory {
 public:
  explicit CoreMemory(int64_t scratchpad_bytes);

  std::byte* scratchpad();  // allocated at the first call
  EngineContext& engines() { return engines_; }

 private:
  struct Unmap {
    Unmap() : bytes(0) {}
    explicit Unmap(size_t count) : bytes(count) {}
    size_t bytes;
    void operator()(std::byte* data) const;
  };
  size_t bytes_;
  std::unique_ptr<std::byte, Unmap> scratchpad_;
  EngineContext engines_;
};

class Core {
 public:
  // `aliasable` and `streamed`: of the functions with these names. All five outlive the core.
  Core(const Prepared& prepared, const std::vector<uint8_t>& aliasable,
       const std::vector<uint8_t>& streamed, CoreMemory& memory, PackCache& packs);

  // To be called before products that keep a host thread busy for long.
  void before_large_products(std::function<void()> call) {
    products_.before_large(std::move(call));
  }

  // Executes program `pid` to its end. Throws MachineError.
  void run(int64_t pid, int core);

  const Counters& counters() const { return counters_; }

 private:
  void execute(const Step& step);
  void execute_elementwise(const Step& step, int operands);
  void execute_reduce(const Step& step);
  void execute_load(const Step& step);
  void execute_store(const Step& step);
  // A store of a product that is yet to be computed. False if it has to be computed before.
  bool store_product(const Step& step);
  void execute_matrix(const Step& step);
  void execute_vector(const Step& step);

  Tile& tile(BufferId id) { return tiles_[id]; }
  // The buffer as a packed tile in the scratchpad, about to be overwritten.
  Tile& define(BufferId id, Shape shape);
  // The buffer's contents in the scratchpad, packed: copied there if they are aliased.
  Tile& own(BufferId id);
  // A source that stays as it is while `dst` is written, whose buffer may be the same.
  Tile stable(BufferId source, BufferId dst, Scratch::Piece piece);
  std::byte* home(BufferId id) const { return scratchpad_ + prepared_->buffer(id).offset; }

  const Prepared* prepared_;
  const std::vector<uint8_t>* aliasable_;
  const std::vector<uint8_t>* streamed_;
  bool streams_;  // any argument
  EngineContext* engines_;
  std::byte* scratchpad_;
  Cursor cursor_;
  std::vector<Tile> tiles_;  // by buffer
  PendingChain chain_;
  PendingProducts products_;
  Counters counters_;
};

}  // namespace npu::sim
