#include "sim/timing/transfer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace npu::sim {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

DType element_type(const Prepared& prepared, const Step& step) {
  switch (step.inst->op) {
    case Opcode::d_load:
    case Opcode::d_gather:
      return prepared.buffer(step.dst).dtype;
    case Opcode::d_fill:
      return step.inst->dtype;
    default:
      return prepared.buffer(step.src[0]).dtype;
  }
}

// Rows of an index tile; 1 for transfers without one.
int64_t indexed_rows(const Step& step) {
  switch (step.inst->op) {
    case Opcode::d_gather:
      return step.src_shape[0].elements();
    case Opcode::d_scatter:
      return step.src_shape[1].elements();
    default:
      return 1;
  }
}

bool is_read(Opcode op) { return op == Opcode::d_load || op == Opcode::d_gather; }

}  // namespace

Footprint footprint(const Prepared& prepared, const Step& step) {
  const Instruction& inst = *step.inst;
  const bool indexed = inst.op == Opcode::d_gather || inst.op == Opcode::d_scatter;
  Footprint touched;
  touched.offset = step.offset + prepared.launch().args[inst.buffer].buffer.allocation_offset();
  touched.run = step.bytes == 0 ? 0 : size_of(element_type(prepared, step));
  if (step.bytes == 0) return touched;
  if (indexed) {
    touched.scattered = indexed_rows(step);
    touched.scatter_stride = step.index_stride;
  }
  int left = inst.ndim;
  while (left > 0 && (step.stride[left - 1] == touched.run || step.size[left - 1] == 1)) {
    touched.run *= step.size[--left];
  }
  for (int i = 0; i < left; ++i) {
    if (step.stride[i] < 0) touched.offset += step.stride[i] * (step.size[i] - 1);
  }
  uint32_t open = (1u << left) - 1;
  for (int i = left - 1; i >= 0; --i) {
    if ((open >> i & 1) != 0 && std::abs(step.stride[i]) == touched.run) {
      touched.run *= step.size[i];
      open &= ~(1u << i);
      i = left;  // the longer run may continue in any other dimension
    }
  }
  for (int i = left - 1; i >= 0; --i) {
    if ((open >> i & 1) == 0) continue;
    if (step.stride[i] == 0 && (open >> (i + 1)) == 0) {
      open &= ~(1u << i);
    } else if (step.size[i] > 1) {
      touched.size[static_cast<size_t>(touched.dims)] = step.size[i];
      touched.stride[static_cast<size_t>(touched.dims++)] = std::abs(step.stride[i]);
    }
  }
  return touched;
}

TransferCost transfer_cost(const Prepared& prepared, const Hbm& hbm, const Step& step) {
  const Machine& machine = prepared.machine();
  TransferCost cost;
  cost.queue_cycles = static_cast<uint64_t>(machine.dma.setup_cycles);
  if (step.bytes == 0) return cost;
  const bool adds = (step.inst->flags & flags::kAdd) != 0;
  const bool reads = is_read(step.inst->op);
  cost.memory = hbm.price(footprint(prepared, step), reads || adds, !reads);
  // Repeated elements pass through the queue although they were fetched once.
  const int64_t through = std::max(cost.memory.bytes / (adds ? 2 : 1), step.bytes);
  cost.queue_cycles += static_cast<uint64_t>(ceil_div(through, machine.dma.bytes_per_cycle));
  return cost;
}

TransferCosts::TransferCosts(const Prepared& prepared, const Hbm& hbm)
    : prepared_(&prepared),
      hbm_(&hbm),
      place_mask_(prepared.machine().hbm.row_bytes - 1),
      place_shift_(
          std::max(0, static_cast<int>(std::bit_width(static_cast<uint64_t>(place_mask_))) - 4)) {
  static_assert(kPlaces == 1 << 4);
  uint32_t entries = 0;
  for (const Instruction& inst : prepared.program().code) {
    first_.push_back(entries);
    if (engine_of(inst.op) == Engine::dma) entries += kPlaces;
  }
  entries_.resize(entries);
}

const TransferCost& TransferCosts::of(const Step& step) {
  const Instruction& inst = *step.inst;
  // The buffer's own offset is the instruction's, as are element size, order and flags.
  const int64_t place = step.offset & place_mask_;
  const bool indexed = inst.op == Opcode::d_gather || inst.op == Opcode::d_scatter;
  const int64_t index_stride = indexed ? step.index_stride : 0;
  Entry& entry = entries_[first_[step.pc] + static_cast<size_t>(place >> place_shift_)];
  bool same =
      entry.place == place && entry.bytes == step.bytes && entry.index_stride == index_stride;
  for (size_t i = 0; i < inst.ndim; ++i) {
    same = same && entry.size[i] == step.size[i] && entry.stride[i] == step.stride[i];
  }
  if (!same) {
    entry = {place,     step.bytes,  index_stride,
             step.size, step.stride, transfer_cost(*prepared_, *hbm_, step)};
  }
  return entry.cost;
}

}  // namespace npu::sim
