// Instructions that wait for each other give what they would give one after the other.
#include "sim/exec/pending_chain.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/sim/exec/run_program.h"

namespace npu::sim {
namespace {

// A program of random vector instructions over a few tiles, which change their shapes: whole rows,
// columns, rows and elements. In the end all are stored.
class RandomProgram {
 public:
  explicit RandomProgram(unsigned seed) : random_(seed) {
    const int heights[] = {1, 2, 7, 40, 100};
    const int widths[] = {1, 3, 17, 64, 200, 1000, 5000};
    rows_ = heights[pick(5)];
    cols_ = widths[pick(7)];
    if (rows_ * cols_ > kMost) rows_ = 1;
    const int tiles = 3 + pick(4);
    const bool mixed = pick(2) == 0;
    const std::string_view types[] = {"f32", "bf16", "i32", "b8", "f64", "f16"};
    for (int i = 0; i < tiles; ++i) types_.emplace_back(types[mixed ? pick(6) : 0]);
    shapes_.resize(types_.size());
    for (size_t i = 0; i < types_.size(); ++i) load(i);
    for (int i = 3 + pick(30); i > 0; --i) add();
    for (size_t i = 0; i < types_.size(); ++i) store(i);
  }

  // With `apart`, no instruction waits for the next.
  std::string text(bool apart) const {
    std::string text = ".kernel random\n";
    for (int i = 0; i < stores_; ++i) text += fmt::format(".arg y{} ptr\n", i);
    text += ".arg x ptr\n";
    for (size_t i = 0; i < types_.size(); ++i) {
      text += fmt::format(".tile t{} {} {}\n", i, types_[i], rows_ * cols_);
    }
    text += ".tile z i64 1\n";
    for (const std::string& line : lines_) {
      text += line + "\n";
      if (apart) text += "v.iota z, 0, 1, 0, (1, 1)\n";
    }
    return text + "exit\n";
  }
  int stores() const { return stores_; }
  static constexpr int kMost = 20000;

 private:
  struct Size {
    int rows = 0;
    int cols = 0;
    bool operator==(const Size&) const = default;
  };

  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool is_float(size_t tile) const { return types_[tile] != "i32" && types_[tile] != "b8"; }

  void load(size_t tile) {
    const Size sizes[] = {{rows_, cols_}, {rows_, cols_}, {rows_, 1}, {1, cols_}, {1, 1}};
    const Size size = sizes[pick(5)];
    shapes_[tile] = size;
    // Rows far apart or next to each other, columns of one element each.
    const int stride = size.cols == 1 ? 1 + pick(2) * (cols_ - 1) : size.cols;
    lines_.push_back(fmt::format("d.load t{}, x[{}], ({} | {}):({} | 1)", tile, pick(2) * 3,
                                 size.rows, size.cols, std::max(stride, 1)));
  }

  void store(size_t tile) {
    const Size size = shapes_[tile];
    lines_.push_back(fmt::format("d.store y{}[0], t{}, ({} | {}):({} | 1)", stores_++, tile,
                                 size.rows, size.cols, size.cols));
  }

  void add() {
    const size_t dst = static_cast<size_t>(pick(static_cast<int>(types_.size())));
    const int choice = pick(10);
    if (choice == 0) return load(dst);
    if (choice == 1) return store(dst);
    std::vector<size_t> sources;
    for (int i = 0; i < 3; ++i) {
      sources.push_back(static_cast<size_t>(pick(static_cast<int>(types_.size()))));
    }
    if (choice <= 3) {
      const std::string_view functions[] = {"max", "min", "sum"};
      const size_t source = sources[0];
      lines_.push_back(fmt::format("v.reduce.{} t{}, t{}", functions[pick(3)], dst, source));
      shapes_[dst] = {shapes_[source].rows, 1};
      return;
    }
    std::string_view function;
    bool real = is_float(dst);
    if (choice <= 5) {
      sources.resize(1);
      const std::string_view functions[] = {"neg", "abs", "copy", "relu"};
      function = functions[pick(3)];
    } else if (choice <= 8) {
      sources.resize(2);
      const std::string_view functions[] = {"add", "sub", "max", "min", "lt"};
      function = functions[pick(5)];
    } else {
      function = "where";
    }
    for (const size_t source : sources) real |= is_float(source);
    if (real && choice == 4) function = pick(2) == 0 ? "sigmoid" : "tanh";
    if (real && choice == 6) function = "mul";
    Size size = {1, 1};
    for (const size_t source : sources) {
      size.rows = std::max(size.rows, shapes_[source].rows);
      size.cols = std::max(size.cols, shapes_[source].cols);
    }
    std::string line = fmt::format("v.{} t{}", function, dst);
    for (const size_t source : sources) line += fmt::format(", t{}", source);
    lines_.push_back(line);
    shapes_[dst] = size;
  }

  std::mt19937 random_;
  int rows_;
  int cols_;
  std::vector<std::string> types_;
  std::vector<Size> shapes_;
  std::vector<std::string> lines_;
  int stores_ = 0;
};

// Results as bytes; elements are at most eight.
std::vector<std::vector<double>> results(const std::string& text, int stores) {
  std::vector<double> x(2 * RandomProgram::kMost);
  std::mt19937 generator(7);
  for (double& value : x) {
    // Numbers as 32 bits as well as 64; small integers as both halves.
    const float number = static_cast<float>(generator() % 17) / 4 - 2;
    const float pair[2] = {number, number};
    std::memcpy(&value, pair, sizeof(value));
  }
  std::vector<std::vector<double>> outputs(static_cast<size_t>(stores),
                                           std::vector<double>(RandomProgram::kMost));
  std::vector<Arg> args;
  for (std::vector<double>& output : outputs) args.push_back(pointer_to(output));
  args.push_back(pointer_to(x));
  run_program(text, args);
  return outputs;
}

TEST(PendingChain, RandomProgramsGiveWhatTheirInstructionsGiveInTurn) {
  for (unsigned seed = 0; seed < 1500; ++seed) {
    const RandomProgram program(seed);
    // Together first: what it may not read has not been computed before.
    const auto together = results(program.text(false), program.stores());
    const auto apart = results(program.text(true), program.stores());
    for (size_t i = 0; i < apart.size(); ++i) {
      const bool same =
          std::memcmp(together[i].data(), apart[i].data(), apart[i].size() * sizeof(double)) == 0;
      ASSERT_TRUE(same) << "seed " << seed << ", store " << i << "\n" << program.text(false);
    }
  }
}

}  // namespace
}  // namespace npu::sim
