// WeftHTTP: HTTP messages and their wire forms: semantics (heads, fields, limits, paths), HTTP/1.1, HPACK and HTTP/2.
//
// Owns: the one model of a message head that every protocol version is parsed into and serialised from (`MessageHead`),
// the pull parsers (`H1Decoder`, `H2Connection.next`), the encoders, and every limit on what a peer may send (`HTTPLimits`).
//
// Never: does I/O, reads a clock, calls back, or repairs an ambiguous message. Wrong input becomes an error value with a
// status and a detail name; the owner answers, counts and closes. A message is never forwarded as the bytes it came in:
// it is parsed into the model and serialised anew.
//
// Neighbours: below, WeftBase (ByteView, ByteBuffer). Above, WeftService, WeftUpstream and WeftProxy feed bytes in and
// flush bytes out.
//
// Threads: none of its own. A `HeadScratch`, decoder or connection belongs to one worker and is not Sendable.
//
// Lifetimes: a head holds absolute pointers into the read buffer, the scratch's arena, configuration or static memory.
// It is valid until the decoder is called again with the same scratch or the read buffer's owner returns, whichever is
// first. What must live longer is copied with `StoredHead`.
