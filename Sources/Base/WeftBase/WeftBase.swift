// WeftBase: the vocabulary every other target is written in.
//
// Owns      bytes (ByteView, ByteBuffer, BufferPool), containers of trivially copyable slots (Slab), time (MonotonicInstant,
//           TimerWheel), randomness that can be seeded (RandomSource), errors (WeftError, ConfigError, FieldPath), small ASCII
//           work (decimal numbers, case folding), JSONValue, and the named limits shared by rooms (Limits).
// Never     does I/O, reads a clock, starts a thread, or knows a policy. Time and randomness are parameters.
// Neighbours none below; everybody above.
// Threads   values are Sendable; ByteBuffer, BufferPool, Slab and TimerWheel belong to one thread at a time.
//
// Unsafe memory lives in four types (ByteView, ByteBuffer, BufferPool, Slab), each marked `@safe` with the reason it holds.
// Its types and their stored properties are `@usableFromInline`: only then are `@inlinable package` members inlined into other targets.
