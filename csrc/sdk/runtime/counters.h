// Adding up what launches and copies did.
#pragma once

#include "npu/npu.h"
#include "sim/exec/launch.h"

namespace npu::sdk {

inline npuCounters counters_of(const sim::Counters& counters) {
  return {.launches = counters.launches,
          .scalar_instructions = counters.scalar_instructions,
          .vector_instructions = counters.vector_instructions,
          .matrix_instructions = counters.matrix_instructions,
          .dma_instructions = counters.dma_instructions,
          .dma_read_bytes = counters.dma_read_bytes,
          .dma_write_bytes = counters.dma_write_bytes,
          .macs = counters.macs,
          .padded_macs = counters.padded_macs,
          .host_to_device_bytes = 0,
          .device_to_host_bytes = 0};
}

inline npuCounters sum(const npuCounters& a, const npuCounters& b) {
  return {.launches = a.launches + b.launches,
          .scalar_instructions = a.scalar_instructions + b.scalar_instructions,
          .vector_instructions = a.vector_instructions + b.vector_instructions,
          .matrix_instructions = a.matrix_instructions + b.matrix_instructions,
          .dma_instructions = a.dma_instructions + b.dma_instructions,
          .dma_read_bytes = a.dma_read_bytes + b.dma_read_bytes,
          .dma_write_bytes = a.dma_write_bytes + b.dma_write_bytes,
          .macs = a.macs + b.macs,
          .padded_macs = a.padded_macs + b.padded_macs,
          .host_to_device_bytes = a.host_to_device_bytes + b.host_to_device_bytes,
          .device_to_host_bytes = a.device_to_host_bytes + b.device_to_host_bytes};
}

}  // namespace npu::sdk
