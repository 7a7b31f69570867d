// Atomic access to plain 64-bit cells in memory that several threads share: what statistics and circuit breakers need and Swift's
// `Atomic` cannot say of raw memory. No logic lives here.
#pragma once
#include <stdint.h>

/// Reads without ordering.
static inline uint64_t weft_load(const uint64_t *cell) { return __atomic_load_n(cell, __ATOMIC_RELAXED); }
/// Writes without ordering.
static inline void weft_store(uint64_t *cell, uint64_t value) { __atomic_store_n(cell, value, __ATOMIC_RELAXED); }
/// Adds where only this thread writes; others may read. Costs as much as a plain addition.
static inline void weft_bump(uint64_t *cell, uint64_t amount) {
  __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}
/// Adds where several threads write; returns the value before.
static inline uint64_t weft_fetch_add(uint64_t *cell, uint64_t amount) {
  return __atomic_fetch_add(cell, amount, __ATOMIC_RELAXED);
}
/// Replaces `expected` by `desired`; 0 when another value was there.
static inline int weft_compare_exchange(uint64_t *cell, uint64_t expected, uint64_t desired) {
  return __atomic_compare_exchange_n(cell, &expected, desired, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
/// Reads a published pointer, and with it what was written before it was published.
static inline void *weft_load_pointer(void *const *cell) { return __atomic_load_n(cell, __ATOMIC_ACQUIRE); }
/// Publishes a pointer.
static inline void weft_publish_pointer(void **cell, void *value) { __atomic_store_n(cell, value, __ATOMIC_RELEASE); }
