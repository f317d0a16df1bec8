#include "sim/exec/pending_chain.h"

#include <algorithm>

namespace npu::sim {
namespace {

bool is_reduction(const Step& step) { return step.inst->op == Opcode::v_reduce; }

}  // namespace

Shape PendingChain::shape_with(const Step& step) const {
  const Shape own = is_reduction(step) ? step.src_shape[0] : step.dst_shape;
  return count_ == 0 || own.cols > shape_.cols ? own : shape_;
}

bool PendingChain::stored_as_computed(const Step& step, BufferId column) const {
  std::array<VectorOperand, 3> operands;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (step.src[i] == kNoBuffer) continue;
    operands[i].is_tile = true;
    operands[i].tile.dtype = type_of(step.src[i]);
  }
  Tile dst;
  dst.dtype = type_of(step.dst);
  const Compute compute = compute_type(step.inst->op, step.inst->fn, dst, operands);
  const DType type = type_of(column);
  return (compute == Compute::f32 && type == DType::f32) ||
         (compute == Compute::f64 && type == DType::f64);
}

void PendingChain::touch(BufferId buffer, int32_t columns) {
  int32_t& known = columns_[buffer];
  known = known == kUntouched || known == columns ? columns : kBroadcast;
}

bool PendingChain::takes(const Step& step) const {
  if (count_ == 0) return true;
  if (count_ == kLongestChain) return false;
  const int32_t touched = columns_[step.dst];
  if (touched != kUntouched && touched != step.dst_shape.cols) return false;
  const Shape whole = shape_with(step);
  if (step.dst_shape.rows != whole.rows || shape_.rows != whole.rows) return false;
  // What is narrower than whole rows is a column.
  if (step.dst_shape.cols != whole.cols && step.dst_shape.cols != 1) return false;
  if (shape_.cols != whole.cols && shape_.cols != 1) return false;
  for (size_t i = 0; i < step.src.size(); ++i) {
    const BufferId source = step.src[i];
    if (source == kNoBuffer) continue;
    const Shape shape = step.src_shape[i];
    if (is_reduction(step)) return shape == whole;
    if (shape == step.dst_shape) continue;
    // A broadcast source that is overwritten is copied to scratch space that only one step may use.
    if (source == step.dst) return false;
    if (maker_[source] < 0) continue;
    // The result of a link, of another shape than this one's.
    const bool column = shape.cols == 1 && shape.rows == whole.rows;
    if (!column || !stored_as_computed(step, source)) return false;
  }
  return true;
}

void PendingChain::append(const Step& step, const std::array<VectorOperand, 3>& operands,
                          const std::vector<Tile>& tiles) {
  for (int i = 0; i < 3; ++i) {
    if (!operands[i].is_tile) continue;
    const BufferId source = step.src[i];
    const bool by_element = is_reduction(step) || step.src_shape[i] == step.dst_shape;
    if (operands[i].link >= 0) {
      dead_[operands[i].link] |= last_read(step, i);
    } else {
      touch(source, by_element ? step.src_shape[i].cols : kBroadcast);
    }
  }
  shape_ = shape_with(step);
  if (maker_[step.dst] >= 0) dead_[maker_[step.dst]] = true;
  links_[count_] = {step.inst->op, step.inst->fn, operands, tiles[step.dst], false};
  touch(step.dst, step.dst_shape.cols);
  made_[count_] = step.dst;
  dead_[count_] = false;
  maker_[step.dst] = static_cast<int8_t>(count_++);
}

bool PendingChain::bind(const Step& store, const Tile& memory, bool stream) {
  if (!last_read(store, 0)) return false;
  const int link = maker_[store.src[0]];
  Tile& dst = links_[link].dst;
  Tile bound = memory;
  if (bound.rows != dst.rows || bound.cols != dst.cols) {
    if (!bound.packed()) return false;
    bound.rows = dst.rows;
    bound.cols = bound.ld = dst.cols;
  }
  dst = bound;
  dead_[link] = false;
  links_[link].stream = stream && dst.cols == shape_.cols;
  flush();
  return true;
}

void PendingChain::flush() {
  if (count_ == 0) return;
  for (int i = 0; i < count_; ++i) {
    // Columns are few, and keep their places.
    if (dead_[i] && links_[i].dst.cols == shape_.cols) links_[i].dst.data = nullptr;
  }
  run_chain(*engines_, {links_.data(), static_cast<size_t>(count_)});
  drop();
}

void PendingChain::drop() {
  for (int i = 0; i < count_; ++i) maker_[made_[i]] = -1;
  if (count_ > 0) std::fill(columns_.begin(), columns_.end(), kUntouched);
  count_ = 0;
}

}  // namespace npu::sim
