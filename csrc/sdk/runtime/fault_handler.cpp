#include "csrc/sdk/runtime/fault_handler.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "csrc/sdk/runtime/environment.h"

namespace npu::sdk {
namespace {

// The handler may use nothing that locks or allocates.
std::array<std::atomic<const DeviceMemory*>, kMaxDevices> memories = {};
struct sigaction previous_segv;
struct sigaction previous_bus;

class Line {
 public:
  Line& text(std::string_view text) {
    for (const char c : text) put(c);
    return *this;
  }
  Line& number(int64_t number) { return digits(static_cast<uint64_t>(number), 10); }
  Line& address(const void* pointer) {
    return text("0x").digits(reinterpret_cast<uintptr_t>(pointer), 16);
  }
  void write_to_stderr() const {
    // Nothing can be done about a closed stream here.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, buffer_, size_);
  }

 private:
  void put(char c) {
    if (size_ < sizeof(buffer_)) buffer_[size_++] = c;
  }
  Line& digits(uint64_t number, unsigned base) {
    char reversed[20];
    int count = 0;
    do {
      reversed[count++] = "0123456789abcdef"[number % base];
      number /= base;
    } while (number != 0);
    while (count > 0) put(reversed[--count]);
    return *this;
  }

  char buffer_[400];
  size_t size_ = 0;
};

void report(const void* address) {
  for (int device = 0; device < kMaxDevices; ++device) {
    const DeviceMemory* memory = memories[device].load(std::memory_order_acquire);
    if (memory == nullptr || !memory->owns(address)) continue;
    Line line;
    line.text("npu: host code touched device memory at ").address(address);
    line.text(" (device ").number(device);
    if (const auto region = memory->try_find(address)) {
      line.text(", allocation ").address(region->base).text(", ");
      line.number(region->size).text(" bytes");
    } else {
      line.text(", outside any allocation");
    }
    line.text("): copy it to the host first\n");
    line.write_to_stderr();
    return;
  }
}

void handle(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  report(info->si_addr);
  const struct sigaction& previous = signal == SIGBUS ? previous_bus : previous_segv;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    // The instruction faults again, and then ends the process as it would have without us.
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);
    if (info->si_code <= 0) raise(signal);  // sent, not caused: nothing will fault again
  }
  errno = saved_errno;
}

}  // namespace

void report_faults(int device, const DeviceMemory& memory) {
  memories[device].store(&memory, std::memory_order_release);
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGSEGV, &action, &previous_segv) == 0 &&
           sigaction(SIGBUS, &action, &previous_bus) == 0;
  }();
  static_cast<void>(installed);
}

}  // namespace npu::sdk
