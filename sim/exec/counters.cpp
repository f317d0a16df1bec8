// What is counted.
#include "sim/exec/cursor.h"
#include "sim/timing/durations.h"

namespace npu::sim {

Counters& Counters::operator+=(const Counters& other) {
  launches += other.launches;
  scalar_instructions += other.scalar_instructions;
  vector_instructions += other.vector_instructions;
  matrix_instructions += other.matrix_instructions;
  dma_instructions += other.dma_instructions;
  dma_read_bytes += other.dma_read_bytes;
  dma_write_bytes += other.dma_write_bytes;
  macs += other.macs;
  padded_macs += other.padded_macs;
  return *this;
}

void count(const Machine& machine, const Step& step, Counters& counters) {
  counters.scalar_instructions += step.scalar_instructions;
  const Instruction& inst = *step.inst;
  switch (inst.op) {
    case Opcode::s_load:
      ++counters.scalar_instructions;
      counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::d_load:
      ++counters.dma_instructions;
      if (step.fetches) counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::d_gather:
      ++counters.dma_instructions;
      counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::d_store:
    case Opcode::d_scatter:
    case Opcode::d_fill:
      ++counters.dma_instructions;
      counters.dma_write_bytes += static_cast<uint64_t>(step.bytes);
      // An accumulating one reads what it adds to.
      if (inst.flags & flags::kAdd) counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::m_mma: {
      ++counters.matrix_instructions;
      const int64_t k =
          inst.flags & flags::kTransposeA ? step.src_shape[0].rows : step.src_shape[0].cols;
      const auto useful = static_cast<uint64_t>(step.value[0] * k);
      counters.macs += useful;
      counters.padded_macs +=
          matrix_cell_macs(machine, step.dst_shape.rows, k, step.dst_shape.cols) - useful;
      break;
    }
    default:
      ++counters.vector_instructions;
  }
}

}  // namespace npu::sim
