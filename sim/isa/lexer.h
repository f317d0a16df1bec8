// Cuts one line of assembly text into tokens.
#pragma once

#include <string_view>
#include <vector>

namespace npu::sim {

struct Token {
  enum class Kind {
    word,     // names, mnemonics and directives: v.add, .tile, r0, inf
    special,  // %pid, %grid
    number,   // -1, 0x10, 1.5e-3, 0f7ff8000000000001, -inf
    symbol,   // one of , [ ] ( ) : |
    bad,      // anything else
    end,      // of the line
  };
  Kind kind;
  std::string_view text;
  int column;  // counts from 1

  bool is(std::string_view symbol) const { return kind == Kind::symbol && text == symbol; }
};

// Text behind a ';' is a comment. The last token is always Kind::end.
std::vector<Token> tokenize(std::string_view line);

}  // namespace npu::sim
