#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "sim/error.h"
#include "sim/isa/form.h"
#include "sim/isa/lexer.h"
#include "sim/isa/text.h"
#include "sim/isa/verify.h"

namespace npu::sim {
namespace {

// Every mnemonic without flags and element type, sub-function included: "v.reduce.sum".
const std::map<std::string, std::pair<Opcode, uint8_t>, std::less<>>& mnemonics() {
  static const auto table = [] {
    std::map<std::string, std::pair<Opcode, uint8_t>, std::less<>> all;
    for (int code = 0; code < kOpcodeCount; ++code) {
      const auto op = static_cast<Opcode>(code);
      if (fn_count(op) == 0) all.emplace(mnemonic(op), std::pair(op, uint8_t{0}));
      for (int fn = 0; fn < fn_count(op); ++fn) {
        const auto number = static_cast<uint8_t>(fn);
        all.emplace(fmt::format("{}.{}", mnemonic(op), fn_name(op, number)), std::pair(op, number));
      }
    }
    return all;
  }();
  return table;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  const char* end = text.data() + text.size();
  if (text.starts_with("0x")) {
    uint64_t bits = 0;
    const auto [rest, error] = std::from_chars(text.data() + 2, end, bits, 16);
    if (error != std::errc() || rest != end) return std::nullopt;
    return static_cast<int64_t>(bits);
  }
  int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

// Real literals have a '.' or an exponent, or are inf, nan, or 0f and the bits in 16 hexadecimal
// digits.
std::optional<double> parse_real(std::string_view text) {
  const char* end = text.data() + text.size();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text.starts_with("0f")) {
    uint64_t bits = 0;
    const auto [rest, error] = std::from_chars(text.data() + 2, end, bits, 16);
    if (error != std::errc() || rest != end || text.size() != 18) return std::nullopt;
    return std::bit_cast<double>(bits);
  }
  if (text.find_first_of(".eE") == std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

class Assembler {
 public:
  Program run(std::string_view text) {
    while (!text.empty()) {
      const size_t length = std::min(text.find('\n'), text.size());
      ++line_;
      parse_line(text.substr(0, length));
      text.remove_prefix(std::min(length + 1, text.size()));
    }
    if (program_.name.empty()) fail(1, "expected '.kernel NAME'");
    if (program_.code.empty() || program_.code.back().op != Opcode::exit) {
      program_.code.emplace_back();
      places_.push_back({line_, 1});
    }
    finalize(program_, [&](size_t instruction) {
      return fmt::format("line {}, column {}, {}", places_[instruction].line,
                         places_[instruction].column, describe(program_, instruction));
    });
    return std::move(program_);
  }

 private:
  [[noreturn]] void fail(int column, const std::string& what) const {
    const std::string kernel =
        program_.name.empty() ? "" : fmt::format("kernel '{}', ", program_.name);
    throw MachineError(ErrorKind::kAssembly,
                       fmt::format("{}line {}, column {}: {}", kernel, line_, column, what));
  }

  [[noreturn]] void expected(std::string_view what) const {
    const Token& token = peek();
    fail(token.column,
         fmt::format("expected {}, found {}", what,
                     token.kind == Token::Kind::end ? "the end of the line"
                                                    : fmt::format("'{}'", token.text)));
  }

  const Token& peek() const { return tokens_[next_]; }
  Token take() { return tokens_[next_ + 1 < tokens_.size() ? next_++ : next_]; }
  bool accept(std::string_view symbol) {
    if (!peek().is(symbol)) return false;
    take();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!accept(symbol)) expected(fmt::format("'{}'", symbol));
  }

  void parse_line(std::string_view line) {
    tokens_ = tokenize(line);
    next_ = 0;
    if (peek().kind == Token::Kind::end) return;
    if (peek().kind != Token::Kind::word) expected("a directive or an instruction");
    const Token head = take();
    if (head.text == ".kernel") {
      parse_kernel(line, head);
      return;
    }
    if (program_.name.empty()) fail(head.column, "expected '.kernel NAME' before anything else");
    if (head.text == ".arg") {
      parse_arg();
    } else if (head.text == ".tile") {
      parse_tile();
    } else if (head.text == ".cluster") {
      parse_cluster(head);
    } else if (head.text.starts_with('.')) {
      fail(head.column,
           fmt::format("expected .kernel, .cluster, .arg or .tile, found '{}'", head.text));
    } else {
      parse_instruction(head);
    }
    if (peek().kind != Token::Kind::end) expected("the end of the line");
  }

  // A kernel's name may hold characters that are symbols elsewhere, so it is cut from the line.
  void parse_kernel(std::string_view line, const Token& head) {
    if (!program_.name.empty()) fail(head.column, "a second .kernel: one program is one kernel");
    std::string_view rest = line.substr(static_cast<size_t>(head.column - 1) + head.text.size());
    rest = rest.substr(0, rest.find(';'));
    const size_t first = rest.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) expected("the kernel's name");
    rest = rest.substr(first, rest.find_last_not_of(" \t\r") + 1 - first);
    if (rest.find_first_of(" \t") != std::string_view::npos) {
      fail(head.column, fmt::format("expected a name without spaces, found '{}'", rest));
    }
    program_.name = rest;
  }

  std::string parse_new_name(std::string_view what) {
    if (peek().kind != Token::Kind::word || peek().text.starts_with('.')) expected(what);
    if (is_reserved_name(peek().text)) {
      fail(peek().column, fmt::format("expected {}, found '{}', which is kept", what, peek().text));
    }
    const std::string name(peek().text);
    if (names_.contains(name)) {
      fail(peek().column, fmt::format("'{}' is declared twice", name));
    }
    take();
    return name;
  }

  void parse_cluster(const Token& head) {
    if (program_.cluster != Cluster{}) fail(head.column, "a second .cluster");
    for (int* extent : {&program_.cluster.rows, &program_.cluster.cols}) {
      const auto programs = parse_integer(peek().text);
      if (!programs || *programs < 1 || *programs > kMaxClusterSize) {
        expected(fmt::format("the cluster's {}, 1 to {} programs",
                             extent == &program_.cluster.rows ? "rows" : "columns",
                             kMaxClusterSize));
      }
      *extent = static_cast<int>(*programs);
      take();
    }
  }

  void parse_arg() {
    static const std::map<std::string_view, ArgKind> kKinds = {
        {"ptr", ArgKind::pointer}, {"i64", ArgKind::integer}, {"f64", ArgKind::real}};
    const std::string name = parse_new_name("the argument's name");
    const auto kind = kKinds.find(peek().text);
    if (kind == kKinds.end()) expected("ptr, i64 or f64");
    take();
    if (program_.args.size() == kMaxArgs) {
      fail(peek().column, fmt::format("more than {} arguments", kMaxArgs));
    }
    names_.emplace(name, Name{false, static_cast<uint16_t>(program_.args.size())});
    program_.args.push_back({name, kind->second});
  }

  void parse_tile() {
    TileDecl tile;
    tile.name = parse_new_name("the tile's name");
    const auto dtype = parse_dtype(peek().text);
    if (!dtype) expected("an element type");
    tile.dtype = *dtype;
    take();
    const auto capacity = parse_integer(peek().text);
    if (!capacity) expected("the capacity in elements");
    tile.capacity = *capacity;
    take();
    if (peek().kind != Token::Kind::end) {
      const auto buffers =
          peek().text.starts_with('x') ? parse_integer(peek().text.substr(1)) : std::nullopt;
      if (!buffers || *buffers < 1 || *buffers > std::numeric_limits<int>::max()) {
        expected("the number of buffers, such as x2");
      }
      tile.buffers = static_cast<int>(*buffers);
      take();
    }
    if (program_.tiles.size() == kNoTile) fail(peek().column, "too many tiles");
    names_.emplace(tile.name, Name{true, static_cast<uint16_t>(program_.tiles.size())});
    program_.tiles.push_back(std::move(tile));
  }

  void parse_instruction(const Token& head) {
    const auto& table = mnemonics();
    std::string_view stem = head.text;
    auto entry = table.find(stem);
    while (entry == table.end() && stem.find('.') != std::string_view::npos) {
      stem = stem.substr(0, stem.rfind('.'));
      entry = table.find(stem);
    }
    if (entry == table.end()) {
      fail(head.column, fmt::format("expected an instruction, found '{}'", head.text));
    }
    Instruction inst;
    std::tie(inst.op, inst.fn) = entry->second;
    const Form form = form_of(inst.op, inst.fn);
    parse_suffixes(head, stem.size(), form, inst);
    for (size_t i = 0; i < form.operands.size(); ++i) {
      const Operand& operand = form.operands[i];
      if (operand.role == Role::kOptional && peek().kind == Token::Kind::end) break;
      if (i > 0) expect(",");
      parse_operand(operand, inst);
    }
    program_.code.push_back(inst);
    places_.push_back({line_, head.column});
  }

  void parse_suffixes(const Token& head, size_t at, const Form& form, Instruction& inst) {
    bool typed = false;
    while (at < head.text.size()) {
      const size_t end = std::min(head.text.find('.', at + 1), head.text.size());
      const std::string_view suffix = head.text.substr(at + 1, end - at - 1);
      const int column = head.column + static_cast<int>(at) + 1;
      uint16_t flag = 0;
      for (const FlagName& candidate : flag_names()) {
        if (candidate.suffix == suffix) flag = candidate.flag & form.flags;
      }
      if (flag != 0 && (inst.flags & flag) == 0) {
        inst.flags |= flag;
      } else if (const auto dtype = parse_dtype(suffix); dtype && form.dtype && !typed) {
        inst.dtype = *dtype;
        typed = true;
      } else {
        fail(column, fmt::format("expected {}, found '{}'", suffixes_of(form), suffix));
      }
      at = end;
    }
    if (form.dtype && !typed) {
      fail(head.column + static_cast<int>(head.text.size()),
           fmt::format("expected an element type, such as {}.f32", head.text));
    }
  }

  static std::string suffixes_of(const Form& form) {
    std::string all = form.dtype ? "one element type" : "";
    for (const FlagName& candidate : flag_names()) {
      if ((candidate.flag & form.flags) == 0) continue;
      all += fmt::format("{}.{}", all.empty() ? "" : " or ", candidate.suffix);
    }
    return all.empty() ? "nothing behind the mnemonic" : all;
  }

  void parse_operand(const Operand& operand, Instruction& inst) {
    const uint8_t i = operand.index;
    switch (operand.role) {
      case Role::kDst:
        inst.dst = parse_tile_operand();
        break;
      case Role::kDst2:
        inst.dst2 = parse_tile_operand();
        break;
      case Role::kTile:
      case Role::kIndexTile:
        inst.src[i] = parse_tile_operand();
        break;
      case Role::kTileOrValue:
        if (const Name* name = find_name(); name != nullptr && name->is_tile) {
          inst.src[i] = parse_tile_operand();
        } else {
          inst.s[i] = parse_scalar("a tile, a register, an argument or a number");
        }
        break;
      case Role::kRegister:
        if (!is_register()) expected("a register, r0 to r63");
        inst.s[i] = parse_scalar("a register");
        break;
      case Role::kInteger:
      case Role::kReal:
      case Role::kValue:
      case Role::kAny:
      case Role::kOptional:
        inst.s[i] = parse_scalar("a register, an argument or a number");
        break;
      case Role::kShape:
        expect("(");
        inst.s[i] = parse_scalar("the number of rows");
        expect(",");
        inst.s[i + 1] = parse_scalar("the number of columns");
        expect(")");
        break;
      case Role::kMemory: {
        const Name* name = find_name();
        if (name == nullptr || name->is_tile ||
            program_.args[name->number].kind != ArgKind::pointer) {
          expected("a pointer argument");
        }
        inst.buffer = static_cast<uint8_t>(name->number);
        take();
        expect("[");
        inst.s[i] = parse_scalar("an element offset");
        expect("]");
        break;
      }
      case Role::kAccess: {
        const int column = peek().column;
        const auto [sizes, size_rows] = parse_dims(inst, kDmaSizes);
        expect(":");
        const auto [strides, stride_rows] = parse_dims(inst, kDmaStrides);
        if (sizes != strides || size_rows != stride_rows) {
          fail(column, fmt::format("expected a stride for each size, found {} sizes ({} of rows) "
                                   "and {} strides ({} of rows)",
                                   sizes, size_rows, strides, stride_rows));
        }
        inst.ndim = static_cast<uint8_t>(sizes);
        inst.row_dims = static_cast<uint8_t>(size_rows);
        break;
      }
    }
  }

  // "(r1, r2 | r3)": how many there are, and how many before the bar (0 without one).
  std::pair<int, int> parse_dims(Instruction& inst, int first) {
    int count = 0;
    int rows = 0;
    bool bar = false;
    expect("(");
    while (!accept(")")) {
      if (!bar && accept("|")) {
        bar = true;
        rows = count;
        continue;
      }
      if (count > (bar ? rows : 0)) expect(",");
      if (count == kMaxDims) fail(peek().column, fmt::format("more than {} dimensions", kMaxDims));
      inst.s[first + count++] = parse_scalar("a register, an argument, an integer, '|' or ')'");
    }
    return {count, rows};
  }

  struct Name {
    bool is_tile;
    uint16_t number;
  };

  const Name* find_name() const {
    if (peek().kind != Token::Kind::word) return nullptr;
    const auto found = names_.find(peek().text);
    return found == names_.end() ? nullptr : &found->second;
  }

  TileId parse_tile_operand() {
    const Name* name = find_name();
    if (name == nullptr || !name->is_tile) expected("a tile");
    take();
    return name->number;
  }

  bool is_register() const {
    const std::string_view text = peek().text;
    if (peek().kind != Token::Kind::word || !is_reserved_name(text) || text[0] != 'r') return false;
    const auto number = parse_integer(text.substr(1));
    return number && *number < kRegisterCount && (text[1] != '0' || text.size() == 2);
  }

  Slot parse_scalar(std::string_view what) {
    const Token token = peek();
    if (is_register()) {
      take();
      return static_cast<Slot>(*parse_integer(token.text.substr(1)));
    }
    if (token.kind == Token::Kind::special && (token.text == "%pid" || token.text == "%grid")) {
      take();
      return token.text == "%pid" ? kPidSlot : kGridSlot;
    }
    if (const Name* name = find_name(); name != nullptr && !name->is_tile) {
      take();
      return static_cast<Slot>(kArgSlot + name->number);
    }
    if (token.kind == Token::Kind::number || token.kind == Token::Kind::word) {
      if (const auto integer = parse_integer(token.text)) {
        take();
        return constant(Constant::integer(*integer));
      }
      if (const auto real = parse_real(token.text)) {
        take();
        return constant(Constant::number(*real));
      }
    }
    expected(what);
  }

  Slot constant(Constant value) {
    const auto [place, fresh] = constants_.try_emplace({value.real, value.bits}, Slot{0});
    if (fresh) {
      if (program_.constants.size() >= size_t{kNoSlot} - kConstantSlot) {
        fail(peek().column, "too many constants");
      }
      place->second = static_cast<Slot>(kConstantSlot + program_.constants.size());
      program_.constants.push_back(value);
    }
    return place->second;
  }

  struct Place {
    int line;
    int column;
  };

  Program program_;
  std::vector<Place> places_;  // of each instruction
  std::map<std::string, Name, std::less<>> names_;
  std::map<std::pair<bool, int64_t>, Slot> constants_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
  int line_ = 0;
};

}  // namespace

Program assemble(std::string_view text) { return Assembler().run(text); }

}  // namespace npu::sim
