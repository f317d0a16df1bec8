#include "sim/engine/chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "sim/engine/reduce.h"
#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

// A chain of random links over rows, columns and reductions: what its links give in turn.
class RandomChain {
 public:
  explicit RandomChain(unsigned seed) : generator_(seed) {
    rows_ = 1 + static_cast<int64_t>(generator_() % 9);
    const int64_t widths[] = {1, 7, 64, 130, 1000, 5000};
    cols_ = widths[generator_() % 6];
    for (int i = 0; i < 3; ++i) {
      const DType types[] = {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32};
      outside_.push_back(tile(types[generator_() % (i == 2 ? 5 : 2)], cols_));
    }
    outside_.push_back(tile(DType::f32, 1));
    outside_.push_back(typed_tile(DType::bf16, 1, cols_, values(cols_)));
    const size_t links = 2 + generator_() % (kLongestChain - 2);
    for (size_t i = 0; i < links; ++i) add_link();
  }

  // The links' results, computed as a chain or one by one.
  std::vector<TypedTile> run(EngineContext& context, bool joined) const {
    std::vector<TypedTile> out;
    for (const Link& link : links_) {
      const int64_t cols = link.column ? 1 : cols_;
      out.push_back(typed_tile(link.type, rows_, cols,
                               std::vector<double>(static_cast<size_t>(rows_ * cols))));
    }
    std::vector<ChainLink> chain;
    for (size_t i = 0; i < links_.size(); ++i) {
      const Link& link = links_[i];
      ChainLink made{link.op, link.fn, {}, out[i].tile, joined && link.stream};
      for (size_t o = 0; o < link.operands.size(); ++o) {
        const Operand& operand = link.operands[o];
        if (operand.link >= 0) {
          made.operands[o] =
              operand_of(out[static_cast<size_t>(operand.link)].tile, joined ? operand.link : -1);
        } else if (operand.outside >= 0) {
          made.operands[o] = operand_of(outside_[static_cast<size_t>(operand.outside)].tile);
        } else {
          made.operands[o] = scalar(operand.value);
        }
      }
      if (joined && link.dead) made.dst.data = nullptr;
      chain.push_back(made);
    }
    if (joined) {
      run_chain(context, chain);
      return out;
    }
    for (const ChainLink& link : chain) {
      if (link.op == Opcode::v_reduce) {
        reduce(context, static_cast<ReduceFn>(link.fn), false, link.dst, link.operands[0].tile);
      } else {
        elementwise(context, link.op, link.fn, link.dst, link.operands);
      }
    }
    return out;
  }

  bool dead(size_t i) const { return links_[i].dead; }
  size_t size() const { return links_.size(); }

 private:
  struct Operand {
    int link = -1;
    int outside = -1;
    double value = 0;
  };
  struct Link {
    Opcode op;
    uint8_t fn;
    DType type;
    bool column;
    bool dead;
    bool stream;
    std::vector<Operand> operands;
  };

  std::vector<double> values(int64_t count) {
    std::uniform_real_distribution<double> uniform(-2, 2);
    std::vector<double> made(static_cast<size_t>(count));
    for (double& value : made) value = uniform(generator_);
    return made;
  }
  TypedTile tile(DType type, int64_t cols) {
    return typed_tile(type, rows_, cols, values(rows_ * cols));
  }

  // A result of whole rows (or of a column, where the link is one), or what comes from outside.
  Operand whole(bool column) {
    Operand operand;
    for (int tries = 0; tries < 4 && !links_.empty(); ++tries) {
      const size_t i = generator_() % links_.size();
      if (links_[i].column == column) {
        operand.link = static_cast<int>(i);
        return operand;
      }
    }
    operand.outside = column ? 3 : static_cast<int>(generator_() % 3);
    return operand;
  }

  // Something that is broadcast over rows.
  Operand narrow() {
    Operand operand;
    for (size_t i = 0; i < links_.size(); ++i) {
      if (links_[i].column && links_[i].type == DType::f32 && generator_() % 2 == 0) {
        operand.link = static_cast<int>(i);
        return operand;
      }
    }
    switch (generator_() % 3) {
      case 0:
        operand.value = 1.25;
        break;
      default:
        operand.outside = 3 + static_cast<int>(generator_() % 2);
    }
    return operand;
  }

  void add_link() {
    const UnaryFn unary[] = {UnaryFn::exp, UnaryFn::tanh, UnaryFn::square,
                             UnaryFn::neg, UnaryFn::erf,  UnaryFn::copy};
    const BinaryFn binary[] = {BinaryFn::add, BinaryFn::mul, BinaryFn::sub, BinaryFn::max,
                               BinaryFn::lt};
    const ReduceFn reductions[] = {ReduceFn::sum, ReduceFn::max, ReduceFn::min};
    const DType types[] = {DType::f32, DType::f32, DType::bf16, DType::f16};
    Link link;
    link.type = types[generator_() % 4];
    link.dead = generator_() % 3 == 0;
    link.stream = !link.dead && generator_() % 3 == 0;
    const unsigned choice = generator_() % 8;
    link.column = cols_ > 1 && choice < 2;
    if (link.column) {
      link.type = DType::f32;
      link.dead = link.stream = false;
    }
    if (link.column && choice == 0) {
      link.op = Opcode::v_reduce;
      link.fn = static_cast<uint8_t>(reductions[generator_() % 3]);
      do {
        link.operands = {whole(false)};
      } while (link.operands[0].outside == 2);  // may be of integers
    } else if (choice < 5) {
      link.op = Opcode::v_unary;
      link.fn = static_cast<uint8_t>(unary[generator_() % 6]);
      link.operands = {whole(link.column)};
    } else if (choice < 7) {
      link.op = Opcode::v_binary;
      link.fn = static_cast<uint8_t>(binary[generator_() % 5]);
      link.operands = {whole(link.column), whole(link.column)};
      // A column is computed in f32 by whoever reads it, unless f64 takes part.
      if (!link.column && link.operands[0].outside != 2) link.operands[1] = narrow();
    } else {
      link.op = Opcode::v_ternary;
      link.fn = static_cast<uint8_t>(TernaryFn::fma);
      link.operands = {whole(false), whole(false), whole(false)};
      link.column = false;
    }
    links_.push_back(link);
  }

  std::mt19937 generator_;
  int64_t rows_;
  int64_t cols_;
  std::vector<TypedTile> outside_;
  std::vector<Link> links_;
};

TEST(Chain, RandomChainsEqualTheirLinksInTurn) {
  for (unsigned seed = 0; seed < 1500; ++seed) {
    const RandomChain chain(seed);
    for (const char* name : {"avx2", "avx512"}) {
      const VectorTable* table = vector_table(name);
      if (table == nullptr) continue;
      EngineContext context{*table, {}};
      const std::vector<TypedTile> wanted = chain.run(context, false);
      for (const bool fuse : {false, true}) {
        if (fuse && !table->fuses) continue;
        context.fuse = fuse;
        const std::vector<TypedTile> got = chain.run(context, true);
        for (size_t i = 0; i < chain.size(); ++i) {
          if (chain.dead(i)) continue;
          expect_same(got[i].tile, wanted[i].tile,
                      "seed " + std::to_string(seed) + ", " + name + (fuse ? ", fused" : "") +
                          ", link " + std::to_string(i));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// A chain gives what its links give one after the other, whatever types they hand on.
TEST(Chain, EqualsItsLinksInTurn) {
  for (const auto& [rows, cols] : {std::pair{1, 5000}, {7, 33}, {40, 100}, {3, 2500}, {1, 1}}) {
    for (const DType middle : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
      const auto count = static_cast<size_t>(rows * cols);
      std::vector<double> values(count);
      for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<double>(i)) * 3;
      const TypedTile x = typed_tile(DType::bf16, rows, cols, values);
      const TypedTile column = typed_tile(
          DType::bf16, rows, 1, std::vector<double>(values.begin(), values.begin() + rows));
      const TypedTile row = typed_tile(DType::f32, 1, cols,
                                       std::vector<double>(values.begin(), values.begin() + cols));
      const auto links = [&](const std::array<TypedTile, 5>& out, bool joined) {
        const auto from = [&](int i) { return operand_of(out[i].tile, joined ? i : -1); };
        const VectorOperand source = operand_of(x.tile);
        const auto fn = [](auto name) { return static_cast<uint8_t>(name); };
        return std::array<ChainLink, 5>{{
            {Opcode::v_binary, fn(BinaryFn::sub), {source, operand_of(column.tile)}, out[0].tile},
            {Opcode::v_unary, fn(UnaryFn::exp), {from(0)}, out[1].tile},
            {Opcode::v_binary, fn(BinaryFn::gt), {from(1), source}, out[2].tile},
            {Opcode::v_ternary,
             fn(TernaryFn::where),
             {from(2), from(0), operand_of(row.tile)},
             out[3].tile},
            {Opcode::v_unary, fn(UnaryFn::copy), {from(3)}, out[4].tile},
        }};
      };
      const auto outputs = [&] {
        const std::vector<double> zeros(count);
        return std::array<TypedTile, 5>{
            typed_tile(middle, rows, cols, zeros), typed_tile(DType::f32, rows, cols, zeros),
            typed_tile(DType::b8, rows, cols, zeros), typed_tile(middle, rows, cols, zeros),
            typed_tile(DType::bf16, rows, cols, zeros)};
      };
      EngineContext context{vector_table(), {}};
      const std::array<TypedTile, 5> alone = outputs();
      for (const ChainLink& link : links(alone, false)) {
        elementwise(context, link.op, link.fn, link.dst, link.operands);
      }
      for (const bool stream : {false, true}) {
        const std::array<TypedTile, 5> joined = outputs();
        auto chain = links(joined, true);
        for (const int i : {0, 1, 2}) chain[i].dst.data = nullptr;
        chain[4].stream = stream;
        run_chain(context, chain);
        EXPECT_EQ(joined[3].bytes, alone[3].bytes) << rows << " x " << cols;
        EXPECT_EQ(joined[4].bytes, alone[4].bytes) << rows << " x " << cols;
      }
    }
  }
}

// A tile that a copy has converted is read again by a later link.
TEST(Chain, ReadsAgainWhatACopyConverted) {
  for (const DType type : {DType::i64, DType::bf16, DType::f16}) {
    const std::vector<double> values = {0, 1, 2, -3, 5};
    const TypedTile x = typed_tile(type, 1, 5, values);
    const TypedTile square = typed_tile(DType::f32, 1, 5, std::vector<double>(5));
    VectorOperand source;
    source.is_tile = true;
    source.tile = x.tile;
    VectorOperand copied = source;
    copied.link = 0;
    copied.tile = square.tile;
    Tile between = square.tile;
    between.data = nullptr;
    const std::array<ChainLink, 2> links = {
        {{Opcode::v_unary, static_cast<uint8_t>(UnaryFn::copy), {source}, between},
         {Opcode::v_binary, static_cast<uint8_t>(BinaryFn::mul), {copied, source}, square.tile}}};
    EngineContext context{vector_table(), {}};
    run_chain(context, links);
    const TypedTile expected = typed_tile(DType::f32, 1, 5, {0, 1, 4, 9, 25});
    EXPECT_EQ(square.bytes, expected.bytes) << name(type);
  }
}

}  // namespace
}  // namespace npu::sim
