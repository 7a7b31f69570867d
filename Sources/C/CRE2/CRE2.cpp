#include "CRE2.h"
#include <cstring>
#include <re2/re2.h>
#include <string>

using re2::RE2;
using re2::StringPiece;

static inline const RE2 *unwrap(const weft_re2 *re) { return reinterpret_cast<const RE2 *>(re); }

extern "C" {

weft_re2 *weft_re2_new(const char *pattern, size_t length, int64_t max_memory, char *error, size_t error_capacity) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  if (max_memory > 0) options.set_max_mem(max_memory);
  auto *re = new RE2(StringPiece(pattern, length), options);
  if (re->ok()) return reinterpret_cast<weft_re2 *>(re);
  if (error_capacity > 0) {
    std::strncpy(error, re->error().c_str(), error_capacity - 1);
    error[error_capacity - 1] = 0;
  }
  delete re;
  return nullptr;
}

void weft_re2_free(weft_re2 *re) { delete reinterpret_cast<RE2 *>(re); }

int weft_re2_full_match(const weft_re2 *re, const char *text, size_t length) {
  return RE2::FullMatchN(StringPiece(text, length), *unwrap(re), nullptr, 0);
}

int weft_re2_partial_match(const weft_re2 *re, const char *text, size_t length) {
  return RE2::PartialMatchN(StringPiece(text, length), *unwrap(re), nullptr, 0);
}

int weft_re2_program_size(const weft_re2 *re) { return unwrap(re)->ProgramSize(); }

size_t weft_re2_replace_all(const weft_re2 *re, const char *text, size_t length, const char *rewrite,
                            size_t rewrite_length, char *out, size_t capacity) {
  std::string value(text, length);
  RE2::GlobalReplace(&value, *unwrap(re), StringPiece(rewrite, rewrite_length));
  if (value.size() <= capacity) std::memcpy(out, value.data(), value.size());
  return value.size();
}
}
