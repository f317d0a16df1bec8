#include "sim/timing/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace npu::sim {
namespace {

bool is_dma(Opcode op) { return op >= Opcode::d_load && op <= Opcode::d_fill; }
bool is_load(Opcode op) { return op == Opcode::d_load || op == Opcode::d_gather; }

// The queue that frees first, where all that are free already count the same: the lowest of
// several.
EngineQueue& first_free(std::vector<EngineQueue>& queues, uint64_t now) {
  EngineQueue* first = queues.data();
  for (size_t i = 1; i < queues.size() && first->free() > now; ++i) {
    if (queues[i].free() < first->free()) first = &queues[i];
  }
  return *first;
}

// When the step would issue if its queue has room: scalar instructions take a cycle each, and one
// of them (or the step) may wait for scalar loads.
uint64_t asks(const CoreState& core, uint32_t scalars, uint32_t waits_after) {
  if (waits_after == kNoWait) return core.issue + scalars;
  return std::max(core.issue + waits_after, core.loaded) + scalars - waits_after;
}
uint64_t asks(const CoreState& core, const Step& step) {
  return asks(core, step.scalar_instructions, step.waits_after);
}

}  // namespace

Simulation::Simulation(const Machine& machine, const Launch& launch, Folding folding)
    : prepared_(machine, launch),
      machine_(machine),
      state_(machine),
      costs_(prepared_, state_.hbm),
      port_bandwidth_(machine.noc.bytes_per_cycle),
      trunk_bandwidth_(machine.noc.total_bytes_per_cycle),
      // Where every transfer takes the memory at least as long, the trunk never decides.
      has_trunk_(machine.noc.total_bytes_per_cycle < machine.hbm_bytes_per_cycle()),
      has_multicast_(launch.program->has_multicast && launch.program->cluster.size() > 1),
      latency_(static_cast<uint64_t>(std::ceil(machine.hbm.latency_ns * machine.clock_ghz))),
      vector_work_(prepared_.program().code.size()) {
  if (folding == Folding::on && SteadyState::worthwhile(prepared_)) {
    steady_.emplace(prepared_);
    if (!steady_->possible()) steady_.reset();
  }
}

// Earliest start at or after `start` that the scoreboard allows.
inline uint64_t Simulation::ready(const CoreState& core, const Step& step, uint64_t start) {
  for (const BufferId source : step.src) {
    if (source != kNoBuffer) start = std::max(start, core.hazards[source].written);
  }
  for (const BufferId target : {step.dst, step.dst2}) {
    if (target == kNoBuffer) continue;
    const Hazards& hazards = core.hazards[target];
    start = std::max(start, hazards.read);
    if (!(hazards.by_matrix && step.inst->op == Opcode::m_mma)) {
      start = std::max(start, hazards.written);
    }
  }
  return start;
}

// Issues the step in program order, one instruction a cycle. Returns the cycle after.
inline uint64_t Simulation::issue(CoreState& core, const EngineQueue& queue, const Step& step) {
  core.issued += step.scalar_instructions + 1;
  core.issue = std::max(asks(core, step), queue.room()) + 1;
  return core.issue;
}

inline void Simulation::run_matrix(CoreState& core, const Step& step) {
  const bool transposed = step.inst->flags & flags::kTransposeA;
  const DType type = prepared_.buffer(step.src[0]).dtype;
  const int64_t m = step.dst_shape.rows;
  const int64_t n = step.dst_shape.cols;
  const int64_t k = transposed ? step.src_shape[0].rows : step.src_shape[0].cols;
  if (m != product_.m || k != product_.k || n != product_.n || type != product_.type) {
    product_ = {type, m, k, n, matrix_duration(machine_, type, m, k, n)};
  }
  state_.macs[static_cast<size_t>(type)] += static_cast<uint64_t>(step.value[0] * k);
  const Duration& duration = product_.duration;
  const uint64_t issued = issue(core, core.matrix, step);
  const uint64_t start = std::max(ready(core, step, issued), core.matrix.free());
  core.matrix.run(start, duration.occupancy, duration.occupancy);
  for (int i = 0; i < 2; ++i) {
    uint64_t& read = core.hazards[step.src[i]].read;
    read = std::max(read, start + duration.sources);
  }
  Hazards& target = core.hazards[step.dst];
  target.written = start + duration.latency;
  target.by_matrix = true;
  core.end = std::max(core.end, target.written);
}

inline void Simulation::run_vector(CoreState& core, const Step& step) {
  VectorWork& known = vector_work_[step.pc];
  const Shape source = step.src[0] == kNoBuffer ? Shape{} : step.src_shape[0];
  if (known.dst != step.dst_shape || known.src != source) {
    known = {step.dst_shape, source, vector_duration(prepared_, step)};
  }
  const Duration& duration = known.duration;
  const uint64_t issued = issue(core, core.vector, step);
  const uint64_t start = std::max(ready(core, step, issued), core.vector.free());
  core.vector.run(start, duration.occupancy, duration.occupancy);
  for (const BufferId source : step.src) {
    if (source == kNoBuffer) continue;
    uint64_t& read = core.hazards[source].read;
    read = std::max(read, start + duration.sources);
  }
  const uint64_t done = start + duration.latency;
  for (const BufferId target : {step.dst, step.dst2}) {
    if (target == kNoBuffer) continue;
    core.hazards[target].written = done;
    core.hazards[target].by_matrix = false;
  }
  core.end = std::max(core.end, done);
}

// The next one may follow at once; issue waits where a value is used.
void Simulation::run_scalar_load(CoreState& core, const Step& step) {
  core.issued += step.scalar_instructions + 1;
  core.issue = asks(core, step) + 1;
  core.loaded = std::max(core.loaded, core.issue + latency_);
  core.end = std::max(core.end, core.loaded);
  loads_.push_back({step.inst->buffer, step.inst->dtype, step.offset, step.value[0]});
}

Simulation::Transfer Simulation::begin_transfer(CoreState& core, const Step& step) {
  EngineQueue& queue = first_free(is_load(step.inst->op) ? core.load : core.store, core.issue);
  const uint64_t issued = issue(core, queue, step);
  return {&core, &queue, &step, std::max(ready(core, step, issued), queue.free())};
}

// One fetch for all members; each one's queue and port take the bytes.
void Simulation::transfer(std::span<const Transfer> members) {
  const Step& step = *members[0].step;
  const TransferCost& cost = costs_.of(step);
  uint64_t start = 0;
  for (const Transfer& member : members) start = std::max(start, member.start);

  // The request leaves after the set-up; then queue, port, network and memory work at the same time
  // and the slowest decides. Latency is not the queue's: the next transfer follows at once.
  const uint64_t asked = to_ticks(start + static_cast<uint64_t>(machine_.dma.setup_cycles));
  const bool reads = is_load(step.inst->op);
  uint64_t fetched = state_.hbm.serve(asked, cost.memory);
  if (has_trunk_) {
    Calendar& trunk = reads ? state_.trunk_read : state_.trunk_write;
    fetched = std::max(fetched, trunk.reserve(asked, trunk_bandwidth_.ticks(cost.memory.bytes)));
  }
  // What has been overtaken is done later than it was told.
  const uint64_t drained = to_cycles_up(state_.hbm.drained()) + latency_;
  for (const Transfer& member : members) {
    CoreState& core = *member.core;
    Calendar& port = reads ? core.port_read : core.port_write;
    port.retire(to_ticks(core.issue));
    const uint64_t through = port.reserve(asked, port_bandwidth_.ticks(cost.memory.bytes));
    const uint64_t moved =
        std::max(start + cost.queue_cycles, to_cycles_up(std::max(through, fetched)));
    member.queue->run(start, moved - start, cost.queue_cycles);

    const Step& own = *member.step;
    for (const BufferId source : own.src) {
      if (source == kNoBuffer) continue;
      uint64_t& read = core.hazards[source].read;
      read = std::max(read, moved);
    }
    const uint64_t done = moved + latency_;
    if (own.dst != kNoBuffer) {
      core.hazards[own.dst].written = done;
      core.hazards[own.dst].by_matrix = false;
    }
    core.end = std::max({core.end, done, drained});
    count(machine_, own, state_.counters);
  }
}

void Simulation::retire(uint64_t ticks) {
  state_.hbm.retire(ticks);
  if (has_trunk_) {
    state_.trunk_read.retire(ticks);
    state_.trunk_write.retire(ticks);
  }
}

// Ends the core's program and starts its next one; false if there is none.
bool Simulation::next_program(CoreState& core) {
  const uint32_t scalars = core.cursor.trailing_scalars();
  core.issue = asks(core, scalars, core.cursor.trailing_wait());
  core.issued += scalars;
  state_.counters.scalar_instructions += scalars;
  core.pid += prepared_.cores();
  core.done = core.pid >= prepared_.launch().grid;
  if (!core.done) core.cursor.start(core.pid, core.number);
  round_began_ |= core.number == 0 && !core.done;
  if (has_multicast_) release_cluster(core);
  return !core.done;
}

// Runs the core until its next DMA belongs after `until`, and says in `next` when that one wants to
// issue; the other engines are the core's own and need no order.
Simulation::Pause Simulation::advance(CoreState& core, Turn until, Turn& next) {
  for (;;) {
    const Step* step = core.waiting != nullptr ? core.waiting : core.cursor.next();
    if (step == nullptr) {
      if (!next_program(core)) return Pause::done;
      if (woken_.empty() && !round_began_) continue;
      next = turn(core.issue, core.number);
      return Pause::turn;
    }
    const Opcode op = step->inst->op;
    if (is_dma(op)) {
      const EngineQueue& queue = first_free(is_load(op) ? core.load : core.store, core.issue);
      next = turn(std::max(asks(core, *step), queue.room()), core.number);
      core.waiting = step;
      if (next > until) return Pause::turn;
      if (has_multicast_ && is_shared(*step)) {
        core.blocked = true;
        if (!try_multicast(core)) return Pause::blocked;
        next = turn(core.issue, core.number);
        return Pause::turn;
      }
      core.waiting = nullptr;
      // No later request starts earlier than this, but for cores that wait for their cluster.
      const uint64_t now = next >> kCoreBits;
      if (!has_multicast_) retire(to_ticks(now));
      const Transfer own = begin_transfer(core, *step);
      transfer({&own, 1});
      continue;
    }
    if (op == Opcode::m_mma) {
      run_matrix(core, *step);
    } else if (op == Opcode::s_load) {
      run_scalar_load(core, *step);
    } else {
      run_vector(core, *step);
    }
    count(machine_, *step, state_.counters);
  }
}

// Will the launch take the limit or more? What has not asked for the memory yet will not ask before
// the first turn, and is done a latency after it has passed.
inline bool Simulation::exceeds(const TimeLimit& limit) const {
  const uint64_t now = state_.turns[0] >> kCoreBits;
  const double served = static_cast<double>(state_.hbm.busy()) / static_cast<double>(to_ticks(1));
  const double left = limit.memory_cycles - served;
  if (left <= 0) return now >= limit.cycles;
  return now + static_cast<uint64_t>(left) + latency_ >= limit.cycles;
}

std::optional<Timing> Simulation::run_below(const TimeLimit& limit) {
  const auto used = static_cast<int>(std::min<int64_t>(prepared_.cores(), prepared_.launch().grid));
  state_.cores.reserve(static_cast<size_t>(used));
  for (int i = 0; i < used; ++i) {
    state_.cores.emplace_back(prepared_, i);
    state_.turns.push_back(turn(0, i));
  }
  constexpr Turn kNever = ~Turn{0};
  std::vector<Turn>& turns = state_.turns;
  while (!turns.empty()) {
    if (exceeds(limit)) return std::nullopt;
    const size_t size = turns.size();
    Turn until = kNever;
    if (size > 1) until = turns[1];
    if (size > 2) until = std::min(until, turns[2]);
    Turn next = 0;
    if (advance(state_.cores[turns[0] & kCoreMask], until, next) == Pause::turn) {
      size_t hole = 0;
      for (size_t child = 1; child < size; child = 2 * hole + 1) {
        child += static_cast<size_t>(child + 1 < size && turns[child + 1] < turns[child]);
        if (next < turns[child]) break;
        turns[hole] = turns[child];
        hole = child;
      }
      turns[hole] = next;
    } else {
      std::pop_heap(turns.begin(), turns.end(), std::greater<>());
      turns.pop_back();
    }
    for (const Turn woken : woken_) {
      turns.push_back(woken);
      std::push_heap(turns.begin(), turns.end(), std::greater<>());
    }
    woken_.clear();
    if (round_began_) {
      round_began_ = false;
      if (steady_) steady_->at_round(state_);
    }
  }
  if (has_multicast_) check_none_blocked();
  Timing timing = account();
  if (timing.cycles >= limit.cycles) return std::nullopt;
  return timing;
}

// ---- Multicast ----------------------------------------------------------------------------------

bool Simulation::is_shared(const Step& step) const {
  return (step.inst->flags & (flags::kAcross | flags::kDown)) != 0 &&
         step.inst->op == Opcode::d_load;
}

// The cores whose programs share the load at which `core` waits, the first of them in front.
Simulation::Members Simulation::members_of(const CoreState& core) {
  const Cluster& cluster = prepared_.program().cluster;
  const int member = core.number % cluster.size();
  CoreState* const first = &state_.cores[static_cast<size_t>(core.number - member)];
  const uint16_t shared = core.waiting->inst->flags;
  if ((shared & flags::kAcross) == 0)
    return {first + member % cluster.cols, cluster.cols, cluster.rows};
  if ((shared & flags::kDown) == 0) {
    return {first + member / cluster.cols * cluster.cols, 1, cluster.cols};
  }
  return {first, 1, cluster.size()};
}

// Makes the load at which the core is blocked, if all others that share it have come to it or ended
// their programs.
bool Simulation::try_multicast(CoreState& core) {
  const int size = prepared_.program().cluster.size();
  const int64_t cluster = core.pid / size;
  const Members members = members_of(core);
  const auto ended = [&](const CoreState& member) {
    return member.done || member.pid >= (cluster + 1) * size;
  };
  // Last first: cores take turns in their order.
  for (int i = members.count; i-- > 0;) {
    const CoreState& member = members[i];
    if (ended(member)) continue;
    if (!member.blocked || member.pid < cluster * size || member.waiting->pc != core.waiting->pc) {
      return false;
    }
  }
  const CoreState& leader = members[0];
  if (ended(leader)) {
    core.cursor.fail(ErrorKind::kCluster,
                     fmt::format("program {}, the first that shares this load, has ended without "
                                 "it",
                                 cluster * size + leader.number % size));
  }
  transfers_.clear();
  const Step& first = *leader.waiting;
  for (int i = 0; i < members.count; ++i) {
    CoreState& member = members[i];
    if (ended(member)) continue;
    const Step* step = member.waiting;
    check_same(member, *step, leader, first);
    member.waiting = nullptr;
    member.blocked = false;
    transfers_.push_back(begin_transfer(member, *step));
    if (&member != &core) woken_.push_back(turn(member.issue, member.number));
  }
  uint64_t earliest = ~uint64_t{0};
  for (const CoreState& other : state_.cores) {
    if (!other.done) earliest = std::min(earliest, other.issue);
  }
  retire(to_ticks(earliest));
  transfer(transfers_);
  return true;
}

void Simulation::check_same(const CoreState& member, const Step& a, const CoreState& leader,
                            const Step& b) const {
  // Programs that were in flight when others were skipped go on with the addresses they had.
  const bool skipped = steady_ && steady_->skipped() > 0;
  bool same = (skipped || a.offset == b.offset) && a.bytes == b.bytes;
  for (size_t i = 0; i < a.inst->ndim; ++i) {
    same = same && a.size[i] == b.size[i] && a.stride[i] == b.stride[i];
  }
  if (same) return;
  member.cursor.fail(
      ErrorKind::kCluster,
      fmt::format("the load is shared with program {}, but offset, sizes or strides differ: byte "
                  "offset {} and {} bytes here, {} and {} there",
                  leader.pid, a.offset, a.bytes, b.offset, b.bytes));
}

// The core's program has ended: others may have waited for that.
void Simulation::release_cluster(const CoreState& core) {
  const int size = prepared_.program().cluster.size();
  const int first = core.number - core.number % size;
  for (int i = first; i < first + size; ++i) {
    CoreState& member = state_.cores[static_cast<size_t>(i)];
    if (member.blocked && try_multicast(member)) {
      woken_.push_back(turn(member.issue, member.number));
    }
  }
}

void Simulation::check_none_blocked() {
  const int size = prepared_.program().cluster.size();
  for (const CoreState& core : state_.cores) {
    if (!core.blocked) continue;
    const Members members = members_of(core);
    for (int i = 0; i < members.count; ++i) {
      const CoreState& member = members[i];
      if (!member.blocked || member.pid / size != core.pid / size) continue;
      if (member.waiting->pc == core.waiting->pc) continue;
      core.cursor.fail(ErrorKind::kCluster,
                       fmt::format("the load is shared with program {}, which waits at "
                                   "instruction {} for another",
                                   member.pid, member.waiting->pc));
    }
  }
}

// ---- Accounts -----------------------------------------------------------------------------------

Timing Simulation::account() const {
  Timing timing;
  for (const CoreState& core : state_.cores) {
    timing.cycles = std::max({timing.cycles, core.end, core.issue});
  }
  const auto add = [&](Resource resource, uint64_t busy, uint64_t stall) {
    timing.busy[static_cast<size_t>(resource)] += busy;
    timing.stall[static_cast<size_t>(resource)] += stall;
  };
  const auto add_queue = [&](Resource resource, const EngineQueue& queue) {
    add(resource, queue.busy(), queue.stalled(timing.cycles));
  };
  for (const CoreState& core : state_.cores) {
    add_queue(Resource::matrix, core.matrix);
    add_queue(Resource::vector, core.vector);
    for (const EngineQueue& queue : core.load) add_queue(Resource::load, queue);
    for (const EngineQueue& queue : core.store) add_queue(Resource::store, queue);
    add(Resource::scalar, core.issued, timing.cycles - core.issued);
  }
  // Cores without a program have no state.
  for (int i = 0; i < kResourceCount; ++i) {
    int queues = machine_.core.count - static_cast<int>(state_.cores.size());
    if (static_cast<Resource>(i) == Resource::load) queues *= machine_.dma.load_queues;
    if (static_cast<Resource>(i) == Resource::store) queues *= machine_.dma.store_queues;
    timing.stall[static_cast<size_t>(i)] += timing.cycles * static_cast<uint64_t>(queues);
  }
  timing.counters = state_.counters;
  timing.counters.launches = 1;
  for (int code = 0; code < kDTypeCount; ++code) {
    timing.cell_cycles += static_cast<double>(state_.macs[static_cast<size_t>(code)]) /
                          machine_.matrix_rate(static_cast<DType>(code));
  }
  if (steady_) timing.folded_programs = steady_->skipped();
  timing.hbm_busy_cycles =
      static_cast<double>(state_.hbm.busy()) / static_cast<double>(to_ticks(1));
  return timing;
}

}  // namespace npu::sim
