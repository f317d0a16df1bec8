// What is counted.
#include <iterator>

#include "sim/exec/cursor.h"
#include "sim/timing/durations.h"

namespace npu::sim {

namespace {

constexpr uint64_t Counters::* kFields[] = {&Counters::launches,
                                            &Counters::scalar_instructions,
                                            &Counters::vector_instructions,
                                            &Counters::matrix_instructions,
                                            &Counters::dma_instructions,
                                            &Counters::dma_read_bytes,
                                            &Counters::dma_write_bytes,
                                            &Counters::macs,
                                            &Counters::padded_macs};
static_assert(sizeof(Counters) == sizeof(uint64_t) * std::size(kFields));

}  // namespace

Counters& Counters::operator+=(const Counters& other) {
  for (const auto field : kFields) this->*field += other.*field;
  return *this;
}

void Counters::repeat_since(const Counters& before, uint64_t times) {
  for (const auto field : kFields) this->*field += times * (this->*field - before.*field);
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
