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

bool PendingChain::read_in_place(const Step& step, BufferId column) const {
  Compute compute = compute_of(type_of(step.dst));
  for (const BufferId source : step.src) {
    if (source != kNoBuffer) compute = common(compute, compute_of(type_of(source)));
  }
  const DType type = type_of(column);
  return (compute == Compute::f32 && type == DType::f32) ||
         (compute == Compute::f64 && type == DType::f64);
}

bool PendingChain::takes(const Step& step) const {
  if (count_ == 0) return true;
  if (count_ == kLongestChain || pinned_[step.dst]) return false;
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
    if (!column || !read_in_place(step, source)) return false;
  }
  return true;
}

void PendingChain::append(const Step& step, const std::array<VectorOperand, 3>& operands,
                          const std::vector<Tile>& tiles) {
  const bool reduction = is_reduction(step);
  for (int i = 0; i < 3; ++i) {
    if (!operands[i].is_tile) continue;
    const BufferId source = step.src[i];
    if (operands[i].link >= 0) {
      dead_[operands[i].link] |= last_read(step, i);
    } else if (!reduction && step.src_shape[i] != step.dst_shape) {
      pinned_[source] = any_pinned_ = true;
    }
  }
  shape_ = shape_with(step);
  if (maker_[step.dst] >= 0) dead_[maker_[step.dst]] = true;
  links_[count_] = {step.inst->op, step.inst->fn, operands, tiles[step.dst], false};
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
  if (any_pinned_) std::fill(pinned_.begin(), pinned_.end(), 0);
  any_pinned_ = false;
  count_ = 0;
}

}  // namespace npu::sim
