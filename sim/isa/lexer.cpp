#include "sim/isa/lexer.h"

namespace npu::sim {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '.'; }

// The end of the number that starts at `start`; a sign belongs to it at the front and behind a
// decimal exponent's e.
size_t number_end(std::string_view line, size_t start) {
  size_t at = start + (line[start] == '-' ? 1 : 0);
  const bool prefixed =
      at + 1 < line.size() && line[at] == '0' && (line[at + 1] == 'x' || line[at + 1] == 'f');
  while (at < line.size()) {
    const bool exponent_sign = !prefixed && (line[at] == '-' || line[at] == '+') &&
                               (line[at - 1] == 'e' || line[at - 1] == 'E');
    if (!is_word(line[at]) && !exponent_sign) break;
    ++at;
  }
  return at;
}

}  // namespace

std::vector<Token> tokenize(std::string_view line) {
  using Kind = Token::Kind;
  std::vector<Token> tokens;
  size_t at = 0;
  const auto push = [&](Kind kind, size_t end) {
    tokens.push_back({kind, line.substr(at, end - at), static_cast<int>(at) + 1});
    at = end;
  };
  while (at < line.size() && line[at] != ';') {
    const char c = line[at];
    if (c == ' ' || c == '\t' || c == '\r') {
      ++at;
    } else if (is_letter(c) || c == '.' || c == '%') {
      size_t end = at + 1;
      while (end < line.size() && is_word(line[end])) ++end;
      push(c == '%' ? Kind::special : Kind::word, end);
    } else if (is_digit(c) || (c == '-' && at + 1 < line.size() && is_word(line[at + 1]))) {
      push(Kind::number, number_end(line, at));
    } else {
      const bool known = std::string_view(",[]():|").find(c) != std::string_view::npos;
      push(known ? Kind::symbol : Kind::bad, at + 1);
    }
  }
  push(Kind::end, at);
  return tokens;
}

}  // namespace npu::sim
