// Instructions of the vector engine that wait to be computed together (sim/engine/chain.h).
#pragma once

#include <array>
#include <vector>

#include "sim/engine/chain.h"
#include "sim/exec/cursor.h"

namespace npu::sim {

// What they read stays as it is and nothing reads their results until flush().
class PendingChain {
 public:
  PendingChain(const Prepared& prepared, EngineContext& engines)
      : prepared_(&prepared),
        engines_(&engines),
        maker_(static_cast<size_t>(prepared.buffer_count()), -1),
        columns_(static_cast<size_t>(prepared.buffer_count()), kUntouched) {}

  // May the element-wise step, or the reduction of rows, join those that wait?
  bool takes(const Step& step) const;
  // The link whose result the buffer holds, or -1.
  int maker(BufferId buffer) const { return maker_[buffer]; }
  // `tiles` by buffer, the destination's defined.
  void append(const Step& step, const std::array<VectorOperand, 3>& operands,
              const std::vector<Tile>& tiles);
  // A store of one of their results that nothing reads later: the link writes to memory itself.
  // False if it cannot.
  bool bind(const Step& store, const Tile& memory, bool stream);
  void flush();
  void drop();

 private:
  bool last_read(const Step& step, int source) const {
    return (prepared_->program().last_reads[step.pc] >> source & 1) != 0;
  }
  // The shape of whole rows, with the step.
  Shape shape_with(const Step& step) const;
  DType type_of(BufferId buffer) const { return prepared_->buffer(buffer).dtype; }
  // Is it stored in the type that the step computes in, so that the step reads it where it is?
  bool stored_as_computed(const Step& step, BufferId column) const;
  // A link reads the buffer, or makes it, with so many columns.
  void touch(BufferId buffer, int32_t columns);

  // Of columns_: rows pass the chain one after the other, so a buffer may be written again only if
  // each row finds what earlier links made of that row.
  static constexpr int32_t kUntouched = 0;
  static constexpr int32_t kBroadcast = -1;  // or with different numbers of columns

  const Prepared* prepared_;
  EngineContext* engines_;
  std::vector<int8_t> maker_;     // by buffer
  std::vector<int32_t> columns_;  // by buffer: how links have read and made it
  std::array<ChainLink, kLongestChain> links_;
  std::array<BufferId, kLongestChain> made_;
  std::array<bool, kLongestChain> dead_;  // nobody but later links reads the result
  int count_ = 0;
  Shape shape_;  // of whole rows
};

}  // namespace npu::sim
