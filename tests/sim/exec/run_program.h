// Assembles a program and runs it over host vectors.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "sim/error.h"
#include "sim/exec/executor.h"
#include "sim/isa/text.h"

namespace npu::sim {

// A pointer argument to element `first` of the vector, which is the whole allocation.
template <class T>
Arg pointer_to(std::vector<T>& data, int64_t first = 0) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  Buffer buffer;
  buffer.data = reinterpret_cast<std::byte*>(data.data()) + first * kSize;
  buffer.lower = -first * kSize;
  buffer.upper = (static_cast<int64_t>(data.size()) - first) * kSize;
  buffer.address = 0x1000000 + static_cast<uint64_t>(first * kSize);
  return Arg::pointer(buffer);
}

inline Counters run_program(std::string_view text, std::vector<Arg> args, int64_t grid = 1,
                            int threads = 1, uint8_t disabled = 0) {
  const Machine machine = load_machine("n1");
  const Program program = assemble(text);
  Executor executor(machine, threads, disabled);
  return executor.run({&program, grid, std::move(args)});
}

// The error that running it ends with; its text must hold every one of `parts`.
inline void expect_error(ErrorKind kind, const std::vector<std::string>& parts,
                         std::string_view text, std::vector<Arg> args, int64_t grid = 1,
                         int threads = 1, uint8_t disabled = 0) {
  try {
    run_program(text, std::move(args), grid, threads, disabled);
    FAIL() << "no error";
  } catch (const MachineError& error) {
    EXPECT_STREQ(name(error.kind()), name(kind));
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "'" << part << "' is not in: " << error.what();
    }
  }
}

}  // namespace npu::sim
