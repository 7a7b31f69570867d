// A C face on RE2: linear-time regular expressions over bytes. No logic beyond the language crossing.
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct weft_re2 weft_re2;
/// Compiles `pattern`; on failure returns null and writes a zero-terminated reason into `error`.
weft_re2 *weft_re2_new(const char *pattern, size_t length, int64_t max_memory, char *error, size_t error_capacity);
void weft_re2_free(weft_re2 *re);
/// 1 when the whole of `text` matches.
int weft_re2_full_match(const weft_re2 *re, const char *text, size_t length);
/// 1 when some part of `text` matches.
int weft_re2_partial_match(const weft_re2 *re, const char *text, size_t length);
/// Size of the compiled program, a measure of its cost.
int weft_re2_program_size(const weft_re2 *re);
/// Replaces every match with `rewrite` (\1 … \9 name groups). Returns the length the result needs; writes at most `capacity`.
size_t weft_re2_replace_all(const weft_re2 *re, const char *text, size_t length, const char *rewrite, size_t rewrite_length, char *out, size_t capacity);
#ifdef __cplusplus
}
#endif
