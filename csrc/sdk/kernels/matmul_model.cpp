#include "csrc/sdk/kernels/matmul_model.h"

#include <algorithm>

namespace npu::kernels {
namespace {

constexpr double kRounding = 0.99;    // of short transfers to whole ticks of the memory
constexpr double kCombineIssue = 40;  // cycles: instructions of a program that adds up

}  // namespace

int64_t MatmulModel::spare(const MatmulTiling& t) const {
  const MatmulFootprint& bytes = t.splits > 1 ? partial_bytes_ : bytes_;
  const int64_t outputs = t.m * t.chunk;
  const int64_t kept = outputs * t.chunks() * bytes.accumulator * t.accumulators;
  const int64_t epilogue = outputs * (bytes.result + (t.chunks() > 1 ? bytes.next_result : 0)) +
                           t.m * bytes.row + t.chunk * t.chunks() * bytes.column;
  const int64_t buffers = int64_t{t.accumulators + 2} * t.chunks() + bytes.row_buffers + 16;
  return machine_.scratchpad_bytes() - kept - epilogue - t.load_buffers * round_bytes(t) -
         kAlignment * buffers;
}

// `lines` runs of `run` elements of `size` bytes, `stride` elements apart. The first one begins at
// any multiple of `places` elements; 0: at the beginning.
MatmulModel::Cost MatmulModel::move(int64_t lines, int64_t run, int64_t stride, int64_t places,
                                    int size, bool writes) const {
  sim::Footprint footprint{.run = run * size, .scatter_stride = places * size};
  if (stride == run) {
    footprint.run *= lines;
  } else {
    footprint.dims = 1;
    footprint.size[0] = lines;
    footprint.stride[0] = stride * size;
  }
  const sim::HbmAccess access = hbm_.price(footprint, !writes, writes);
  const auto cycle = static_cast<double>(sim::to_ticks(1));
  const auto bytes = static_cast<double>(access.bytes);
  const double moved =
      std::max(bytes / machine_.dma.bytes_per_cycle, static_cast<double>(access.alone) / cycle);
  const double memory = static_cast<double>(access.ticks + access.turn) / cycle;
  return {bytes, memory, std::max(memory, bytes / network_), machine_.dma.setup_cycles + moved};
}

double MatmulModel::least_cycles(const MatmulTiling& t) const {
  const int cores = machine_.cores_in_clusters(t.cluster());
  const auto turns = static_cast<double>(ceil_div(matmul_grid(p_, t), cores));
  const int64_t rows = std::min(t.m, p_.m);
  const int64_t cols = std::min(t.n, p_.n);
  const int64_t k = depth(t);
  const double port = static_cast<double>(k * (rows + cols) * element_) / load_;
  return turns * std::max(busy(rows, k, cols), port);
}

double MatmulModel::loaded_bytes(const MatmulTiling& t) const {
  const auto a_loads = static_cast<double>(ceil_div(p_.n, t.n * t.cluster_cols));
  const auto b_loads = static_cast<double>(ceil_div(p_.m, t.m * t.cluster_rows));
  return static_cast<double>(p_.batch * p_.k * element_) *
         (static_cast<double>(p_.m) * a_loads + static_cast<double>(p_.n) * b_loads);
}

double MatmulModel::least_product_memory(const MatmulTiling& t) const {
  const int size = t.splits > 1 ? bytes_.accumulator : sim::size_of(p_.form.out_type);
  const double stored = static_cast<double>(p_.batch * p_.m * p_.n * t.splits * size) / stream_;
  return kRounding * (least_memory_cycles(t) + stored);
}

double MatmulModel::least_sums_memory(int splits) const {
  const int64_t size = splits * bytes_.accumulator + sim::size_of(p_.form.out_type);
  return kRounding * static_cast<double>(p_.batch * p_.m * p_.n * size) / stream_;
}

double MatmulModel::cycles(const MatmulTiling& t) const {
  const MatmulForm& form = p_.form;
  const bool split = t.splits > 1;
  const int64_t rows = std::min(t.m, p_.m);
  const int64_t cols = std::min(t.n, p_.n);
  const int64_t chunk = std::min(t.chunk, cols);
  const auto chunks = static_cast<double>(ceil_div(cols, chunk));
  const int64_t all_k = depth(t);
  const int64_t k = std::min(t.k, std::max<int64_t>(all_k, 1));
  const auto steps = static_cast<double>(all_k) / static_cast<double>(k);
  const int64_t grid = matmul_grid(p_, t);
  const int64_t cores = machine_.cores_in_clusters(t.cluster());
  const auto turns = static_cast<double>(ceil_div(grid, cores));
  const auto active = static_cast<double>(std::min(grid, cores));
  const auto parts = static_cast<double>(p_.batch * t.splits);
  const double row_tiles = static_cast<double>(p_.m) / static_cast<double>(rows);
  const double col_tiles = static_cast<double>(p_.n) / static_cast<double>(cols);

  // A step of k: products, and loads at the core's port and at the memory.
  const double chunk_busy = busy(rows, k, chunk);
  const double compute = chunk_busy * static_cast<double>(cols / chunk) +
                         (cols % chunk == 0 ? 0 : busy(rows, k, cols % chunk));
  const int64_t row_places = rows < p_.m ? t.m : 0;
  const int64_t depth_places = k < p_.k ? t.k : 0;
  // Tiles begin at multiples of their width, chunks also of theirs: of what divides both.
  const int64_t column_places = (cols < p_.n ? t.n : 0) | (chunk < cols ? t.chunk : 0);
  const Cost a = form.transpose_a ? move(k, rows, p_.m, row_places, element_, false)
                                  : move(rows, k, p_.k, depth_places, element_, false);
  const Cost b = form.transpose_b ? move(chunk, k, p_.k, depth_places, element_, false)
                                  : move(k, chunk, p_.n, column_places, element_, false);
  const double columns = static_cast<double>(cols) / static_cast<double>(chunk);
  const double loaded = a.bytes + b.bytes * columns;
  const double queue = (a.queue + b.queue * columns) / machine_.dma.load_queues;
  const double port = std::max(loaded / load_, queue);
  const auto a_sharers =
      static_cast<double>(std::min<int64_t>(t.cluster_cols, ceil_div(p_.n, t.n)));
  const auto b_sharers =
      static_cast<double>(std::min<int64_t>(t.cluster_rows, ceil_div(p_.m, t.m)));
  const double shared = a.shared / a_sharers + b.shared * columns / b_sharers;
  const double issue = (1 + 2 * chunks) * kInstructionCycles;
  // A buffer is taken from the start of its load to the end of the product that reads it.
  const double held =
      latency_ + std::max(port, shared * active) + chunk_busy + machine_.matrix.rows;
  const double step = std::max({compute, port, issue, held / t.load_buffers});
  const double a_loads =
      parts * steps * row_tiles * static_cast<double>(ceil_div(p_.n, t.n * t.cluster_cols));
  const double b_loads = parts * steps * static_cast<double>(p_.n) / static_cast<double>(chunk) *
                         static_cast<double>(ceil_div(p_.m, t.m * t.cluster_rows));

  // Results.
  const MatmulFootprint& bytes = split ? partial_bytes_ : bytes_;
  const int out_size = split ? bytes.accumulator : sim::size_of(form.out_type);
  const Cost result = move(rows, chunk, p_.n, column_places, out_size, true);
  const double results = parts * row_tiles * col_tiles * columns;
  const double last_chunk = std::max(result.shared * active, result.bytes / store_);
  const double last_stores = std::min(results * result.shared, columns * last_chunk);
  const double passes = bytes.result == 0 ? 0 : 1 + bytes.result / 8.0;
  const double epilogue = static_cast<double>(rows * chunk) * passes / machine_.vector.lanes;
  const double drain = static_cast<double>(
      sim::matrix_duration(machine_, form.type, rows, machine_.matrix.rows, machine_.matrix.cols)
          .latency);
  const double kept = epilogue + drain + (bytes.result == 0 ? last_chunk + latency_ : 0);
  const double others = compute - compute / chunks;
  const double bubble = t.accumulators > 1 ? 0 : std::max(0.0, kept - others);

  // The first loads, of one chunk.
  const double first_port = (a.bytes + b.bytes) / load_;
  const double first_shared = (a.shared / a_sharers + b.shared / b_sharers) * active;
  const double fill = latency_ + machine_.dma.setup_cycles + std::max(first_port, first_shared);
  const double tail = std::max(last_stores - others, last_chunk) + epilogue + drain + latency_;
  const double memory = a_loads * a.memory + b_loads * b.memory + results * result.memory;
  const double network =
      std::max(a_loads * a.bytes + b_loads * b.bytes, results * result.bytes) / network_;
  const double work =
      (turns * steps - 1) * step + std::max(compute, port - first_port) + (turns - 1) * bubble;
  const double stored =
      columns * std::max(result.bytes / store_, result.queue / machine_.dma.store_queues);
  const double run = std::max({work, std::max(memory, network) - last_stores - first_shared,
                               turns * steps * queue, (turns - 1) * stored});
  return fill + run + tail + (split ? combine_cycles(t.splits) : 0);
}

// The launch that adds up partial sums: each program some columns of a row. A buffer of partial
// sums is taken from the start of its load until they are added up.
double MatmulModel::combine_cycles(int splits) const {
  const int64_t columns = matmul_combine_columns(machine_, p_, splits);
  const int64_t grid = p_.batch * p_.m * ceil_div(p_.n, columns);
  const auto turns = static_cast<double>(ceil_div(grid, machine_.core.count));
  const auto active = static_cast<double>(std::min<int64_t>(grid, machine_.core.count));
  const Cost parts =
      move(splits, columns, p_.batch * p_.m * p_.n, columns, bytes_.accumulator, false);
  const Cost result = move(1, columns, columns, columns, sim::size_of(p_.form.out_type), true);
  const double load = machine_.dma.setup_cycles +
                      std::max(parts.bytes / load_, (parts.shared + result.shared) * active);
  const auto outputs = static_cast<double>(columns);
  const double sum = outputs * splits / machine_.vector.lanes + machine_.vector.latency_cycles;
  const double held = latency_ + load + sum;
  const double step = std::max({load, sum, kCombineIssue, held / kPartialBuffers});
  return (turns - 1) * step + held + result.bytes / store_ + latency_;
}

}  // namespace npu::kernels
