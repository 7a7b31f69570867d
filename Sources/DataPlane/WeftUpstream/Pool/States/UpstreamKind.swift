// UpstreamKind: what a connection of ours speaks.
//
//   undecided ── http1, http2, codec, bytes ──▶ http1, http2, codec, tcp

/// What a connection of ours speaks, once it is known: from the start, or when its handshake has agreed on it.
@frozen @usableFromInline
package enum UpstreamKind: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case undecided, http1, http2, codec, tcp

  package mutating func http1() { if self == .undecided { self = .http1 } }
  package mutating func http2() { if self == .undecided { self = .http2 } }
  /// A protocol of a codec.
  package mutating func codec() { if self == .undecided { self = .codec } }
  /// A client's bytes as they come.
  package mutating func bytes() { if self == .undecided { self = .tcp } }
}
