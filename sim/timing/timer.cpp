#include "sim/timing/timer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "sim/exec/cursor.h"
#include "sim/timing/calendar.h"
#include "sim/timing/durations.h"
#include "sim/timing/hbm.h"
#include "sim/timing/transfer.h"

namespace npu::sim {
namespace {

struct Hazards {
  uint64_t written = 0;    // when the last result can be read
  uint64_t read = 0;       // when the last reader is done with it
  bool by_matrix = false;  // accumulators are updated in order, without waiting for the drain
};

// An engine with the queue in front of it. An instruction waits in the queue from its issue to its
// start; `depth` of them fit.
class Queue {
 public:
  explicit Queue(int depth) : starts_(static_cast<size_t>(depth), 0) {}

  uint64_t free() const { return free_; }
  // When a place in the queue is free: the instruction `depth` before the next one has started.
  uint64_t room() const { return starts_[next_]; }

  void run(uint64_t start, uint64_t occupied, uint64_t work) {
    stall_ += start - free_ + occupied - work;
    busy_ += work;
    free_ = start + occupied;
    starts_[next_] = start;
    if (++next_ == starts_.size()) next_ = 0;
  }

  void account(uint64_t end, uint64_t& busy, uint64_t& stall) const {
    busy += busy_;
    stall += stall_ + end - free_;
  }

 private:
  std::vector<uint64_t> starts_;  // a ring over the last `depth` instructions
  size_t next_ = 0;
  uint64_t free_ = 0;
  uint64_t busy_ = 0;
  uint64_t stall_ = 0;
};

struct Core {
  Core(const Prepared& prepared, int number, int64_t first_pid)
      : cursor(prepared),
        hazards(static_cast<size_t>(prepared.buffer_count())),
        matrix(prepared.machine().core.queue_depth),
        vector(prepared.machine().core.queue_depth),
        load(static_cast<size_t>(prepared.machine().dma.load_queues),
             Queue(prepared.machine().core.queue_depth)),
        store(static_cast<size_t>(prepared.machine().dma.store_queues),
              Queue(prepared.machine().core.queue_depth)),
        number(number),
        pid(first_pid) {}

  Cursor cursor;
  std::vector<Hazards> hazards;  // by physical buffer
  Queue matrix;
  Queue vector;
  std::vector<Queue> load;
  std::vector<Queue> store;
  Calendar port_read;
  Calendar port_write;
  int number;
  int64_t pid;
  uint64_t issue = 0;  // the next cycle that can issue
  uint64_t issued = 0;
  uint64_t issue_stall = 0;
  uint64_t end = 0;               // when everything issued so far is done
  const Step* waiting = nullptr;  // a DMA whose turn at the memory has not come
};

bool is_dma(Opcode op) { return op >= Opcode::d_load && op <= Opcode::d_fill; }
bool is_load(Opcode op) { return op == Opcode::d_load || op == Opcode::d_gather; }

class Simulation {
 public:
  Simulation(const Machine& machine, const Launch& launch)
      : prepared_(machine, launch),
        machine_(machine),
        hbm_(machine),
        costs_(prepared_, hbm_),
        port_bandwidth_(machine.noc.bytes_per_cycle),
        trunk_bandwidth_(machine.noc.total_bytes_per_cycle),
        // Where every transfer takes the memory at least as long, the trunk never decides.
        has_trunk_(machine.noc.total_bytes_per_cycle < machine.hbm_bytes_per_cycle()),
        latency_(static_cast<uint64_t>(std::ceil(machine.hbm.latency_ns * machine.clock_ghz))) {}

  Timing run();

 private:
  // (issue cycle, core): what is granted first. Cores are few, cycles many.
  using Turn = uint64_t;
  static constexpr int kCoreBits = 16;
  // A core keeps its turn for this many cycles beyond the next core's, so that the few loads that
  // start a round are granted together: the host changes cores less often.
  static constexpr uint64_t kHeldTurn = 32;
  static Turn turn(uint64_t cycle, int core) {
    return cycle << kCoreBits | static_cast<uint64_t>(core);
  }

  bool advance(Core& core, Turn until, Turn& next);
  void retire(uint64_t ticks) {
    hbm_.retire(ticks);
    if (has_trunk_) {
      trunk_read_.retire(ticks);
      trunk_write_.retire(ticks);
    }
  }
  uint64_t issue(Core& core, const Queue& queue, const Step& step);
  void run_dma(Core& core, Queue& queue, const Step& step);
  void run_matrix(Core& core, const Step& step);
  void run_vector(Core& core, const Step& step);
  void run_scalar_load(Core& core, const Step& step);
  static uint64_t ready(const Core& core, const Step& step, uint64_t start);
  Timing account(const std::vector<Core>& cores);

  static Queue& first_free(std::vector<Queue>& queues) {
    return *std::min_element(queues.begin(), queues.end(),
                             [](const Queue& a, const Queue& b) { return a.free() < b.free(); });
  }

  Prepared prepared_;
  const Machine& machine_;
  Hbm hbm_;
  TransferCosts costs_;
  Bandwidth port_bandwidth_;
  Bandwidth trunk_bandwidth_;
  bool has_trunk_;
  Calendar trunk_read_;  // between the ports and the memory
  Calendar trunk_write_;
  uint64_t latency_;
  double cell_cycles_ = 0;
  Counters counters_;
  // The last product's form: a program repeats few.
  struct {
    DType type;
    double rate = 1;
    int64_t m = -1, k = -1, n = -1;
    Duration duration;
  } product_;
};

// Earliest start at or after `start` that the scoreboard allows.
inline uint64_t Simulation::ready(const Core& core, const Step& step, uint64_t start) {
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
inline uint64_t Simulation::issue(Core& core, const Queue& queue, const Step& step) {
  const uint64_t ask = core.issue + step.scalar_instructions;
  const uint64_t at = std::max(ask, queue.room());
  core.issued += step.scalar_instructions + 1;
  core.issue_stall += at - ask;
  core.issue = at + 1;
  return core.issue;
}

inline void Simulation::run_matrix(Core& core, const Step& step) {
  const bool transposed = step.inst->flags & flags::kTransposeA;
  const DType type = prepared_.buffer(step.src[0]).dtype;
  const int64_t m = step.dst_shape.rows;
  const int64_t n = step.dst_shape.cols;
  const int64_t k = transposed ? step.src_shape[0].rows : step.src_shape[0].cols;
  if (m != product_.m || k != product_.k || n != product_.n || type != product_.type) {
    product_ = {
        type, machine_.matrix_rate(type), m, k, n, matrix_duration(machine_, type, m, k, n)};
  }
  cell_cycles_ += static_cast<double>(step.value[0] * k) / product_.rate;
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

inline void Simulation::run_vector(Core& core, const Step& step) {
  const Duration duration = vector_duration(prepared_, step);
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

void Simulation::run_dma(Core& core, Queue& queue, const Step& step) {
  const TransferCost& cost = costs_.of(step);
  const uint64_t issued = issue(core, queue, step);
  const uint64_t start = std::max(ready(core, step, issued), queue.free());

  // The request leaves after the set-up; then queue, port, network and memory work at the same time
  // and the slowest decides. Latency is not the queue's: the next transfer follows at once.
  const uint64_t asked = to_ticks(start + static_cast<uint64_t>(machine_.dma.setup_cycles));
  const bool reads = is_load(step.inst->op);
  Calendar& port = reads ? core.port_read : core.port_write;
  port.retire(to_ticks(core.issue));
  uint64_t through = port.reserve(asked, port_bandwidth_.ticks(cost.memory.bytes));
  if (has_trunk_) {
    Calendar& trunk = reads ? trunk_read_ : trunk_write_;
    through = std::max(through, trunk.reserve(asked, trunk_bandwidth_.ticks(cost.memory.bytes)));
  }
  through = std::max(through, hbm_.serve(asked, cost.memory));
  const uint64_t moved = std::max(start + cost.queue_cycles, to_cycles_up(through));
  queue.run(start, moved - start, cost.queue_cycles);

  for (const BufferId source : step.src) {
    if (source == kNoBuffer) continue;
    uint64_t& read = core.hazards[source].read;
    read = std::max(read, moved);
  }
  const uint64_t done = moved + latency_;
  if (step.dst != kNoBuffer) {
    core.hazards[step.dst].written = done;
    core.hazards[step.dst].by_matrix = false;
  }
  core.end = std::max(core.end, done);
}

// The value steers what follows, so nothing issues before it has come.
void Simulation::run_scalar_load(Core& core, const Step& step) {
  const uint64_t at = core.issue + step.scalar_instructions;
  core.issued += step.scalar_instructions + 1;
  core.issue_stall += latency_;
  core.issue = at + 1 + latency_;
}

// Runs the core until its next DMA belongs after `until`, and says in `next` when that one wants to
// issue; the other engines are the core's own and need no order. False when it has no more to do.
bool Simulation::advance(Core& core, Turn until, Turn& next) {
  for (;;) {
    const Step* step = core.waiting != nullptr ? core.waiting : core.cursor.next();
    if (step == nullptr) {
      core.issue += core.cursor.trailing_scalars();
      core.issued += core.cursor.trailing_scalars();
      counters_.scalar_instructions += core.cursor.trailing_scalars();
      core.pid += machine_.core.count;
      if (core.pid >= prepared_.launch().grid) return false;
      core.cursor.start(core.pid, core.number);
      continue;
    }
    const Opcode op = step->inst->op;
    if (is_dma(op)) {
      Queue& queue = first_free(is_load(op) ? core.load : core.store);
      const Turn mine =
          turn(std::max(core.issue + step->scalar_instructions, queue.room()), core.number);
      if (mine > until) {
        core.waiting = step;
        next = mine;
        return true;
      }
      core.waiting = nullptr;
      const uint64_t now = mine >> kCoreBits;
      if (now > kHeldTurn) retire(to_ticks(now - kHeldTurn));
      run_dma(core, queue, *step);
    } else if (op == Opcode::m_mma) {
      run_matrix(core, *step);
    } else if (op == Opcode::s_load) {
      run_scalar_load(core, *step);
    } else {
      run_vector(core, *step);
    }
    count(machine_, *step, counters_);
  }
}

Timing Simulation::run() {
  const int64_t grid = prepared_.launch().grid;
  const auto used = static_cast<int>(std::min<int64_t>(machine_.core.count, grid));
  std::vector<Core> cores;
  cores.reserve(static_cast<size_t>(used));
  std::vector<Turn> turns;  // a heap, earliest first: of each core that still has work
  for (int i = 0; i < used; ++i) {
    cores.emplace_back(prepared_, i, i);
    cores.back().cursor.start(i, i);
    turns.push_back(turn(0, i));
  }
  constexpr Turn kNever = ~Turn{0};
  constexpr Turn kCoreMask = (Turn{1} << kCoreBits) - 1;
  while (!turns.empty()) {
    const size_t size = turns.size();
    Turn until = kNever;
    if (size > 1) until = turns[1] + turn(kHeldTurn, 0);
    if (size > 2) until = std::min(until, turns[2] + turn(kHeldTurn, 0));
    Turn next = 0;
    if (advance(cores[turns[0] & kCoreMask], until, next)) {
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
  }
  return account(cores);
}

Timing Simulation::account(const std::vector<Core>& cores) {
  Timing timing;
  for (const Core& core : cores) {
    timing.cycles = std::max({timing.cycles, core.end, core.issue});
  }
  const auto add = [&](Resource resource, const Queue& queue) {
    const auto i = static_cast<size_t>(resource);
    queue.account(timing.cycles, timing.busy[i], timing.stall[i]);
  };
  for (const Core& core : cores) {
    add(Resource::matrix, core.matrix);
    add(Resource::vector, core.vector);
    for (const Queue& queue : core.load) add(Resource::load, queue);
    for (const Queue& queue : core.store) add(Resource::store, queue);
    timing.busy[static_cast<size_t>(Resource::scalar)] += core.issued;
    timing.stall[static_cast<size_t>(Resource::scalar)] +=
        core.issue_stall + timing.cycles - core.issue;
  }
  const uint64_t idle =
      timing.cycles * static_cast<uint64_t>(machine_.core.count - static_cast<int>(cores.size()));
  for (int i = 0; i < kResourceCount; ++i) {
    int queues = 1;
    if (static_cast<Resource>(i) == Resource::load) queues = machine_.dma.load_queues;
    if (static_cast<Resource>(i) == Resource::store) queues = machine_.dma.store_queues;
    timing.stall[static_cast<size_t>(i)] += idle * static_cast<uint64_t>(queues);
  }
  timing.counters = counters_;
  timing.counters.launches = 1;
  timing.cell_cycles = cell_cycles_;
  timing.hbm_busy_cycles = static_cast<double>(hbm_.busy()) / static_cast<double>(to_ticks(1));
  return timing;
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

std::string_view name(Resource resource) {
  constexpr std::string_view kNames[] = {"matrix", "vector", "load", "store", "scalar"};
  return kNames[static_cast<size_t>(resource)];
}

std::string_view Timing::bound_by() const {
  const auto used = [&](Resource resource) {
    const auto i = static_cast<size_t>(resource);
    return share(static_cast<double>(busy[i]), static_cast<double>(busy[i] + stall[i]));
  };
  const std::pair<double, std::string_view> candidates[] = {
      {used(Resource::matrix), "matrix"},
      {used(Resource::vector), "vector"},
      {share(hbm_busy_cycles, static_cast<double>(cycles)), "memory"},
      {std::max(used(Resource::load), used(Resource::store)), "dma"},
  };
  const auto most =
      *std::max_element(std::begin(candidates), std::end(candidates),
                        [](const auto& a, const auto& b) { return a.first < b.first; });
  return most.first > 0.5 ? most.second : "latency";
}

double Timing::matrix_utilization(const Machine& machine) const {
  const double cells =
      static_cast<double>(machine.core.count) * machine.matrix.rows * machine.matrix.cols;
  return share(cell_cycles, cells * static_cast<double>(cycles));
}

double Timing::hbm_utilization(const Machine& machine) const {
  return share(static_cast<double>(counters.dma_read_bytes + counters.dma_write_bytes),
               machine.hbm_bytes_per_cycle() * static_cast<double>(cycles));
}

struct Timer::Impl {
  // What of an argument time depends on: a number, or where in a row of its allocation a pointer
  // points.
  int64_t steers(const Arg& arg) const {
    return arg.bits ^ (arg.buffer.allocation_offset() & (machine.hbm.row_bytes - 1));
  }

  // What time depends on besides the machine. Addresses are not among it.
  struct Answer {
    uint64_t program;
    int64_t grid;
    std::vector<int64_t> args;
    Timing timing;

    bool answers(const Impl& impl, const Launch& launch) const {
      if (program != launch.program->id || grid != launch.grid ||
          args.size() != launch.args.size()) {
        return false;
      }
      for (size_t i = 0; i < args.size(); ++i) {
        if (args[i] != impl.steers(launch.args[i])) return false;
      }
      return true;
    }
  };

  uint64_t hash(const Launch& launch) const {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
    uint64_t value = launch.program->id * kOdd + static_cast<uint64_t>(launch.grid);
    for (const Arg& arg : launch.args) {
      value = (value ^ static_cast<uint64_t>(steers(arg))) * kOdd;
      value ^= value >> 29;
    }
    return value;
  }

  static constexpr size_t kMostAnswers = size_t{1} << 16;  // some tens of megabytes

  Machine machine;
  std::unordered_multimap<uint64_t, Answer> answers;
  Timing unremembered;
};

Timer::Timer(const Machine& machine) : impl_(std::make_unique<Impl>()) { impl_->machine = machine; }

Timer::~Timer() = default;

Timing Timer::simulate(const Launch& launch) const {
  return Simulation(impl_->machine, launch).run();
}

const Timing& Timer::time(const Launch& launch) {
  if (launch.program == nullptr || launch.program->has_scalar_loads) {
    return impl_->unremembered = simulate(launch);
  }
  const uint64_t hash = impl_->hash(launch);
  const auto [first, last] = impl_->answers.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (it->second.answers(*impl_, launch)) return it->second.timing;
  }
  Impl::Answer answer{launch.program->id, launch.grid, {}, simulate(launch)};
  for (const Arg& arg : launch.args) answer.args.push_back(impl_->steers(arg));
  if (impl_->answers.size() >= Impl::kMostAnswers) impl_->answers.clear();
  return impl_->answers.emplace(hash, std::move(answer))->second.timing;
}

}  // namespace npu::sim
