#include "sim/exec/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "sim/error.h"
#include "sim/exec/core.h"

namespace npu::sim {
namespace {

using Clock = std::chrono::steady_clock;

// A worker looks for more work for this long before it sleeps, if the host has a processor to spare
// beside those that compute: launches come from a thread that wants to run as well.
constexpr auto kSpin = std::chrono::microseconds(20);
// Waking a sleeping worker takes 20 to 30 us, so it pays when this much work is left.
constexpr auto kWorthWaking = std::chrono::microseconds(60);
constexpr int64_t kNoFailure = std::numeric_limits<int64_t>::max();
constexpr int64_t kChunksPerThread = 8;
// 64 MiB of the host's memory at most; what does not fit is packed anew by each product.
constexpr size_t kPackedBlocks = 128;

// One launch as the threads share it.
struct Job {
  Job(const Machine& machine, const Launch& launch, int threads)
      : prepared(machine, launch),
        aliasable(aliasable_arguments(launch)),
        streamed(streamed_arguments(launch)),
        grid(launch.grid),
        shares(threads * kChunksPerThread) {}

  const Prepared prepared;
  const std::vector<uint8_t> aliasable;
  const std::vector<uint8_t> streamed;
  const int64_t grid;
  const int64_t shares;
  std::atomic<int64_t> next = 0;
  std::atomic<int64_t> failed = kNoFailure;  // lowest failing program id so far
  std::mutex mutex;                          // of what follows
  std::exception_ptr error;
  Counters counters;

  // The next programs for a thread, [first, last): ever fewer, so that threads end together. Empty
  // when all are given away.
  std::pair<int64_t, int64_t> take() {
    int64_t first = next.load(std::memory_order_relaxed);
    int64_t last = grid;
    do {
      if (first >= grid) return {grid, grid};
      last = first + std::clamp<int64_t>((grid - first) / shares, 1, 64);
    } while (!next.compare_exchange_weak(first, last, std::memory_order_relaxed));
    return {first, last};
  }

  void fail(int64_t pid) {
    const std::scoped_lock lock(mutex);
    if (pid >= failed.load(std::memory_order_relaxed)) return;
    failed.store(pid, std::memory_order_relaxed);
    error = std::current_exception();
  }
};

// Programs above a failed one need not run; those below must, for theirs is the error that counts.
void run_programs(Job& job, Core& core, int64_t first, int64_t last) {
  const int cores = job.prepared.cores();
  for (int64_t pid = first; pid < last; ++pid) {
    if (pid > job.failed.load(std::memory_order_relaxed)) return;
    try {
      core.run(pid, static_cast<int>(pid % cores));
    } catch (...) {
      job.fail(pid);
    }
  }
}

void pause() { __builtin_ia32_pause(); }

}  // namespace

struct Executor::Impl {
  Impl(const Machine& machine, int threads, uint8_t disabled_engines)
      : machine(machine),
        disabled_engines(disabled_engines),
        spin(static_cast<int>(std::thread::hardware_concurrency()) > threads ? kSpin
                                                                             : kSpin.zero()) {
    for (int i = 0; i < std::max(threads, 1); ++i) {
      memories.push_back(std::make_unique<CoreMemory>(machine.scratchpad_bytes()));
    }
    for (size_t i = 1; i < memories.size(); ++i) {
      workers.emplace_back([this, i] { work(*memories[i]); });
    }
  }

  ~Impl() {
    {
      const std::scoped_lock lock(mutex);
      stopping = true;
      published.fetch_add(1);
    }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  // A worker: waits for a launch, joins it if it still has programs to give away.
  void work(CoreMemory& memory) {
    uint64_t seen = 0;
    while (true) {
      const auto until = Clock::now() + spin;
      while (published.load(std::memory_order_acquire) == seen && Clock::now() < until) pause();
      Job* joined = nullptr;
      {
        std::unique_lock lock(mutex);
        if (published.load(std::memory_order_relaxed) == seen) {
          wake.wait(lock, [&] { return published.load(std::memory_order_relaxed) != seen; });
        }
        if (stopping) return;
        seen = published.load(std::memory_order_relaxed);
        joined = job;
        if (joined != nullptr) users.fetch_add(1, std::memory_order_relaxed);
      }
      if (joined == nullptr) continue;
      take_part(*joined, memory, [](bool) {});
      if (users.fetch_sub(1, std::memory_order_acq_rel) == 1) users.notify_one();
    }
  }

  // Calls progress(false) when programs are done, progress(true) before work that takes long.
  template <class Progress>
  void take_part(Job& shared, CoreMemory& memory, Progress&& progress) {
    std::optional<Core> core;
    while (true) {
      const auto [first, last] = shared.take();
      if (first == last || first > shared.failed.load(std::memory_order_relaxed)) break;
      if (!core) {
        core.emplace(shared.prepared, shared.aliasable, shared.streamed, memory, packs);
        core->before_large_products([&] { progress(true); });
      }
      run_programs(shared, *core, first, last);
      progress(false);
    }
    if (!core) return;
    const std::scoped_lock lock(shared.mutex);
    shared.counters += core->counters();
  }

  void run_alone(Job& only) {
    Core core(only.prepared, only.aliasable, only.streamed, *memories[0], packs);
    run_programs(only, core, 0, only.grid);
    only.counters += core.counters();
  }

  void run_together(Job& shared) {
    {
      const std::scoped_lock lock(mutex);
      job = &shared;
      published.fetch_add(1, std::memory_order_release);
    }
    // Workers that still spin join by themselves. Sleeping ones are woken once the first programs,
    // or the first large product, have shown that the rest is worth it.
    bool woken = false;
    const auto start = Clock::now();
    take_part(shared, *memories[0], [&](bool large) {
      if (woken) return;
      const int64_t done = shared.next.load(std::memory_order_relaxed);
      const int64_t left = shared.grid - done;
      if (left <= 0) return;
      if (!large && (Clock::now() - start) * left < kWorthWaking * done) return;
      woken = true;
      wake.notify_all();
    });
    {
      const std::scoped_lock lock(mutex);
      job = nullptr;
    }
    for (int left = users.load(std::memory_order_acquire); left != 0;
         left = users.load(std::memory_order_acquire)) {
      users.wait(left, std::memory_order_acquire);
    }
  }

  const Machine machine;
  const uint8_t disabled_engines;
  const std::chrono::microseconds spin;
  std::vector<std::unique_ptr<CoreMemory>> memories;  // the caller's first
  std::vector<std::thread> workers;
  PackCache packs{kPackedBlocks, kPanelBytes};

  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> published = 0;  // launches so far; changes under the mutex
  std::atomic<int> users = 0;           // workers inside the job
  Job* job = nullptr;                   // open for workers to join
  bool stopping = false;
};

Executor::Executor(const Machine& machine, int threads, uint8_t disabled_engines)
    : impl_(std::make_unique<Impl>(machine, threads, disabled_engines)) {}

Executor::~Executor() = default;

Counters Executor::run(const Launch& launch) {
  Job job(impl_->machine, launch, static_cast<int>(impl_->memories.size()));
  const Program& program = job.prepared.program();
  for (int engine = 0; engine < kEngineCount; ++engine) {
    if (program.engines & impl_->disabled_engines & (1 << engine)) {
      throw MachineError(ErrorKind::kDisabledEngine,
                         fmt::format("kernel '{}' uses the {} engine, which is disabled",
                                     program.name, name(static_cast<Engine>(engine))));
    }
  }
  impl_->packs.clear();
  if (impl_->workers.empty() || job.grid == 1 || program.has_atomics) {
    impl_->run_alone(job);
  } else {
    impl_->run_together(job);
  }
  if (job.error) std::rethrow_exception(job.error);
  job.counters.launches = 1;
  return job.counters;
}

}  // namespace npu::sim
