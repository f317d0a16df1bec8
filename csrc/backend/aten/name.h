// Text as a template argument.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace npu::backend {

template <size_t N>
struct Name {
  char text[N] = {};
  constexpr Name(const char (&literal)[N]) { std::copy_n(literal, N, text); }  // NOLINT
  constexpr std::string_view view() const { return {text, N - 1}; }
};

}  // namespace npu::backend
