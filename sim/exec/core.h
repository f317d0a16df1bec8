// One core's state while it executes programs: where its tiles are, and what it counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "sim/engine/matrix.h"
#include "sim/engine/tile.h"
#include "sim/exec/cursor.h"
#include "sim/exec/pending_chain.h"

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

// Matrix products that wait to be computed as one: along K, operands that continue each other in
// memory are one operand.
class PendingProducts {
 public:
  explicit PendingProducts(EngineContext& engines) : engines_(&engines) {}

  // `dst` is the accumulator in the scratchpad; a and b stay as they are until flush().
  void add(BufferId buffer, const MatrixForm& form, const Tile& dst, const Tile& a, const Tile& b);
  bool holds(BufferId buffer) const;
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

  EngineContext* engines_;
  std::array<Product, 8> products_;
  int count_ = 0;
};

class Core {
 public:
  // `aliasable` and `streamed`: of the functions with these names. All four outlive the core.
  Core(const Prepared& prepared, const std::vector<uint8_t>& aliasable,
       const std::vector<uint8_t>& streamed, CoreMemory& memory);

  // Executes program `pid` to its end. Throws MachineError.
  void run(int64_t pid, int core);

  const Counters& counters() const { return counters_; }

 private:
  void execute(const Step& step);
  void execute_elementwise(const Step& step, int operands);
  void execute_reduce(const Step& step);
  void execute_load(const Step& step);
  void execute_store(const Step& step);
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
