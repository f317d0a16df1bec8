#include "sim/exec/core.h"

#include <emmintrin.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "sim/engine/dma.h"
#include "sim/engine/random.h"
#include "sim/engine/rearrange.h"
#include "sim/engine/reduce.h"
#include "sim/engine/sort.h"
#include "sim/isa/form.h"

namespace npu::sim {
namespace {

Transfer transfer_of(const Prepared& prepared, const Step& step) {
  const Instruction& inst = *step.inst;
  Transfer transfer;
  std::byte* data = prepared.launch().args[inst.buffer].buffer.data;
  if (data != nullptr) transfer.memory = data + step.offset;  // null: an empty tensor's pointer
  transfer.dims = inst.ndim;
  transfer.row_dims = inst.row_dims;
  transfer.size = step.size;
  transfer.stride = step.stride;
  return transfer;
}

IndexedTransfer indexed_transfer_of(const Prepared& prepared, const Step& step) {
  const Buffer& buffer = prepared.launch().args[step.inst->buffer].buffer;
  IndexedTransfer transfer;
  transfer.row = transfer_of(prepared, step);
  transfer.index_stride = step.index_stride;
  transfer.lower = buffer.lower - step.offset;
  transfer.upper = buffer.upper - step.offset;
  transfer.masked = (step.inst->flags & flags::kMasked) != 0;
  return transfer;
}

}  // namespace

CoreMemory::CoreMemory(int64_t scratchpad_bytes)
    : bytes_(static_cast<size_t>(scratchpad_bytes)), engines_{vector_table(), {}} {}

std::byte* CoreMemory::scratchpad() {
  if (scratchpad_ == nullptr) {
    void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    madvise(data, bytes_, MADV_HUGEPAGE);
    scratchpad_ = {static_cast<std::byte*>(data), Unmap{bytes_}};
  }
  return scratchpad_.get();
}

void CoreMemory::Unmap::operator()(std::byte* data) const { munmap(data, bytes); }

Core::Core(const Prepared& prepared, const std::vector<uint8_t>& aliasable,
           const std::vector<uint8_t>& streamed, CoreMemory& memory, PackCache& packs)
    : prepared_(&prepared),
      aliasable_(&aliasable),
      streamed_(&streamed),
      streams_(std::find(streamed.begin(), streamed.end(), 1) != streamed.end()),
      engines_(&memory.engines()),
      scratchpad_(memory.scratchpad()),
      cursor_(prepared),
      tiles_(static_cast<size_t>(prepared.buffer_count())),
      chain_(prepared, memory.engines()),
      products_(memory.engines(), packs) {
  for (size_t id = 0; id < tiles_.size(); ++id) {
    tiles_[id].dtype = prepared.buffer(static_cast<BufferId>(id)).dtype;
  }
}

void Core::run(int64_t pid, int core) {
  cursor_.start(pid, core);
  chain_.drop();  // of a program that failed
  products_.drop();
  while (const Step* step = cursor_.next()) {
    count(prepared_->machine(), *step, counters_);
    try {
      execute(*step);
    } catch (const MachineError& error) {
      cursor_.fail(error.kind(), error.what());  // engines do not know where they are
    }
  }
  products_.flush();
  chain_.flush();
  counters_.scalar_instructions += cursor_.trailing_scalars();
  if (streams_) _mm_sfence();
}

Tile& Core::define(BufferId id, Shape shape) {
  Tile& tile = tiles_[id];
  tile.data = home(id);
  tile.ld = shape.cols;
  tile.rows = shape.rows;
  tile.cols = shape.cols;
  return tile;
}

Tile& Core::own(BufferId id) {
  Tile& tile = tiles_[id];
  if (tile.data == home(id)) return tile;
  const Tile aliased = tile;
  tile.data = home(id);
  tile.ld = tile.cols;
  copy_tile(tile, aliased);
  return tile;
}

Tile Core::stable(BufferId source, BufferId dst, Scratch::Piece piece) {
  Tile tile = tiles_[source];
  if (source != dst || tile.data != home(source)) return tile;
  const auto bytes = static_cast<size_t>(tile.elements() * size_of(tile.dtype));
  tile.data = engines_->scratch.get<std::byte>(piece, static_cast<int64_t>(bytes));
  std::memcpy(tile.data, home(source), bytes);
  return tile;
}

void Core::execute(const Step& step) {
  switch (step.inst->op) {
    case Opcode::s_load:
      return;  // the cursor has done it
    case Opcode::d_load:
      chain_.flush();
      return execute_load(step);
    case Opcode::m_mma:
      chain_.flush();
      return execute_matrix(step);
    case Opcode::d_store:
      if (store_product(step)) return;
      break;
    default:
      break;
  }
  products_.settle(step);
  switch (step.inst->op) {
    case Opcode::v_unary:
      return execute_elementwise(step, 1);
    case Opcode::v_binary:
      return execute_elementwise(step, 2);
    case Opcode::v_ternary:
      return execute_elementwise(step, 3);
    case Opcode::v_reduce:
      return execute_reduce(step);
    case Opcode::d_store:
      return execute_store(step);
    default:
      break;
  }
  chain_.flush();
  switch (step.inst->op) {
    case Opcode::d_gather: {
      const Tile index = stable(step.src[0], step.dst, Scratch::kStable0);
      return gather(*engines_, indexed_transfer_of(*prepared_, step),
                    define(step.dst, step.dst_shape), index);
    }
    case Opcode::d_scatter:
      return scatter(*engines_, indexed_transfer_of(*prepared_, step), tile(step.src[0]),
                     tile(step.src[1]), (step.inst->flags & flags::kAdd) != 0);
    case Opcode::d_fill:
      return fill_memory(*engines_, transfer_of(*prepared_, step), step.inst->dtype, step.fill);
    default:
      return execute_vector(step);
  }
}

void Core::execute_load(const Step& step) {
  const Transfer transfer = transfer_of(*prepared_, step);
  products_.settle(step.dst);
  Tile& dst = define(step.dst, step.dst_shape);
  if (dst.elements() == 0) return;
  if ((*aliasable_)[step.inst->buffer]) {
    if (const auto aliased = alias(transfer, dst.dtype)) {
      dst = *aliased;
      return;
    }
  }
  load(transfer, dst);
}

void Core::execute_matrix(const Step& step) {
  const uint8_t flags = step.inst->flags;
  const bool zero = (flags & flags::kZero) != 0;
  products_.settle(step.src[0]);
  products_.settle(step.src[1]);
  const Tile& a = tile(step.src[0]);
  const Tile& b = tile(step.src[1]);
  const MatrixForm form{.transpose_a = (flags & flags::kTransposeA) != 0,
                        .transpose_b = (flags & flags::kTransposeB) != 0,
                        .accumulate = !zero};
  // Only memory that is aliased stays as it is.
  const bool waits = a.data != home(step.src[0]) && b.data != home(step.src[1]) &&
                     a.elements() > 0 && b.elements() > 0 && splits_exactly(form, a, b);
  if (!waits) products_.settle(step.dst);
  const Tile& dst = zero ? define(step.dst, step.dst_shape) : own(step.dst);
  if (waits) return products_.add(step.dst, form, dst, a, b);
  multiply(*engines_, form, dst, a, b);
}

void Core::execute_store(const Step& step) {
  const Transfer transfer = transfer_of(*prepared_, step);
  const bool add = (step.inst->flags & flags::kAdd) != 0;
  const bool stream = (*streamed_)[step.inst->buffer] != 0;
  const BufferId source = step.src[0];
  if (!add && chain_.maker(source) >= 0) {
    const auto memory = alias(transfer, tile(source).dtype);
    if (memory && chain_.bind(step, *memory, stream)) return;
  }
  chain_.flush();
  store(*engines_, transfer, tile(source), add, stream);
}

bool Core::store_product(const Step& step) {
  const BufferId source = step.src[0];
  const bool last_read = (prepared_->program().last_reads[step.pc] & 1) != 0;
  if (!last_read || !products_.holds(source)) return false;
  if ((step.inst->flags & flags::kAdd) != 0 || (*streamed_)[step.inst->buffer]) return false;
  const auto memory = alias(transfer_of(*prepared_, step), tile(source).dtype);
  return memory && products_.store(source, *memory);
}

void Core::execute_elementwise(const Step& step, int operands) {
  const Instruction& inst = *step.inst;
  std::array<VectorOperand, 3> given;
  bool reals = false;
  if (!chain_.takes(step)) chain_.flush();
  for (int i = 0; i < operands; ++i) {
    VectorOperand& operand = given[i];
    if (inst.src[i] == kNoTile) {
      operand.value = step.value[i];
      reals = true;  // settled below
      continue;
    }
    operand.is_tile = true;
    operand.link = static_cast<int8_t>(chain_.maker(step.src[i]));
    operand.tile = tiles_[step.src[i]];
    // In place only where each element is read before it is written.
    if (step.src[i] == step.dst && step.src_shape[i] != step.dst_shape) {
      operand.tile =
          stable(step.src[i], step.dst, static_cast<Scratch::Piece>(Scratch::kStable0 + i));
    }
  }
  if (reals) {
    reals = takes_reals(prepared_->program(), inst);
    for (VectorOperand& operand : given) operand.real = reals;
  }
  if (step.dst_shape.elements() > 0) {
    check_elementwise(*engines_, inst.op, inst.fn, tiles_[step.dst], given);
  }
  define(step.dst, step.dst_shape);
  chain_.append(step, given, tiles_);
}

void Core::execute_reduce(const Step& step) {
  const Instruction& inst = *step.inst;
  const auto fn = static_cast<ReduceFn>(inst.fn);
  const bool by_rows = (inst.flags & flags::kRows) != 0;
  const BufferId source = step.src[0];
  Tile dst = tile(step.dst);
  dst.rows = step.dst_shape.rows;
  dst.cols = step.dst_shape.cols;
  if (!by_rows && source != step.dst && chains(fn, dst, tile(source))) {
    if (!chain_.takes(step)) chain_.flush();
    VectorOperand operand;
    operand.is_tile = true;
    operand.link = static_cast<int8_t>(chain_.maker(source));
    operand.tile = tile(source);
    define(step.dst, step.dst_shape);
    return chain_.append(step, {operand, {}, {}}, tiles_);
  }
  chain_.flush();
  const Tile stable_source = stable(source, step.dst, Scratch::kStable0);
  reduce(*engines_, fn, by_rows, define(step.dst, step.dst_shape), stable_source);
}

void Core::execute_vector(const Step& step) {
  const Instruction& inst = *step.inst;
  const auto& value = step.value;
  switch (inst.op) {
    case Opcode::v_iota:
      return iota(*engines_, define(step.dst, step.dst_shape), value[0], value[1], value[2]);
    case Opcode::v_random:
      return random_tile(*engines_, static_cast<RandomFn>(inst.fn),
                         define(step.dst, step.dst_shape), static_cast<uint64_t>(value[0]),
                         static_cast<uint64_t>(value[1]));
    case Opcode::v_fill:
      return fill(*engines_, define(step.dst, step.dst_shape), value[0]);
    case Opcode::v_reshape: {
      if (!tile(step.dst).packed()) own(step.dst);
      Tile& reshaped = tile(step.dst);
      reshaped.rows = step.dst_shape.rows;
      reshaped.cols = reshaped.ld = step.dst_shape.cols;
      return;
    }
    case Opcode::v_insert: {
      const Tile source = stable(step.src[0], step.dst, Scratch::kStable0);
      return insert(own(step.dst), source, value[0], value[1]);
    }
    case Opcode::v_sort: {
      const Tile keys = tile(step.src[0]);
      const Tile payload = stable(step.src[1], step.dst, Scratch::kStable1);
      const Tile stable_keys =
          step.src[0] == step.dst2 ? stable(step.src[0], step.dst2, Scratch::kStable0) : keys;
      const Tile& sorted = define(step.dst, step.dst_shape);
      const Tile& permuted = define(step.dst2, step.dst_shape);
      return sort_rows(*engines_, (inst.flags & flags::kDescending) != 0, sorted, permuted,
                       stable_keys, payload);
    }
    default:
      break;
  }
  const Tile source = stable(step.src[0], step.dst, Scratch::kStable0);
  Tile index;
  if (inst.op == Opcode::v_gather) index = stable(step.src[1], step.dst, Scratch::kStable1);
  const Tile& dst = define(step.dst, step.dst_shape);
  switch (inst.op) {
    case Opcode::v_scan:
      return scan(*engines_, static_cast<ScanFn>(inst.fn), dst, source);
    case Opcode::v_expand:
      return expand(dst, source);
    case Opcode::v_transpose:
      return transpose(dst, source);
    case Opcode::v_slice:
      return slice(dst, source, value[0], value[1]);
    case Opcode::v_gather:
      return gather_columns(*engines_, dst, source, index);
    default:
      throw MachineError(ErrorKind::kUnimplemented, "no engine executes this instruction");
  }
}

}  // namespace npu::sim
