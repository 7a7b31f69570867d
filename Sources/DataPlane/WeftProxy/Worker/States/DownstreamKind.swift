// DownstreamKind: what a client's connection turns out to speak.
//
//   unmatched ── http ──▶ http ── http1, http2, codec ──▶ http1, http2, codec
//   unmatched ── bytes ──▶ tcp          unmatched ── inside ──▶ inside

/// What a client's connection speaks, once it is known.
package enum DownstreamKind: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  /// Its filter chain is not chosen yet: TLS handshake or inspection under way.
  case unmatched
  /// HTTP, version not known yet.
  case http
  case http1, http2
  /// A protocol of a codec (`CodecConnection/CodecDownstream.swift`).
  case codec
  case tcp
  /// No client at all: a stream of the proxy's own (`Streams/InsideStreams.swift`).
  case inside

  /// It lists its streams: there may be many at once.
  @inline(__always)
  package var hasMany: Bool { self == .http2 || self == .codec }

  /// Its chain is chosen and ends with a connection manager.
  package mutating func http() { if self == .unmatched { self = .http } }

  /// Its chain is chosen and ends with a filter that takes bytes.
  package mutating func bytes() { if self == .unmatched { self = .tcp } }

  /// Its first bytes, its handshake or the configuration say so.
  package mutating func http1() { if self == .http { self = .http1 } }

  /// Likewise.
  package mutating func http2() { if self == .http { self = .http2 } }

  /// The configuration says so.
  package mutating func codec() { if self == .http { self = .codec } }

  /// It was made for a stream of the proxy's own.
  package mutating func inside() { if self == .unmatched { self = .inside } }
}
