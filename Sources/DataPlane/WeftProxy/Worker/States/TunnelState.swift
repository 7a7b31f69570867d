// TunnelState: a request for another protocol, from being asked for to being granted.
//
//   none ── asked ──▶ connectAsked ── granted ──▶ connectOpen ── refused ──▶ connectAsked
//                     upgradeAsked ── granted ──▶ upgradeOpen ── refused ──▶ upgradeAsked

/// What a request wants its connection to become, and whether it has.
package enum TunnelState: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case none
  /// CONNECT (bytes to an authority), or an upgrade (another protocol: `Upgrade` in HTTP/1, extended CONNECT in HTTP/2), is asked for.
  case connectAsked, upgradeAsked
  /// It was granted: opaque bytes both ways.
  case connectOpen, upgradeOpen

  /// It was asked for, whatever became of it.
  @inline(__always) package var isAsked: Bool { self != .none }
  @inline(__always) package var isOpen: Bool { rawValue >= Self.connectOpen.rawValue }
  /// Asked for and not granted.
  @inline(__always) package var isPending: Bool { isAsked && !isOpen }
  @inline(__always) package var isConnect: Bool { self == .connectAsked || self == .connectOpen }
  @inline(__always) package var isUpgrade: Bool { self == .upgradeAsked || self == .upgradeOpen }

  /// The request's method is CONNECT.
  package mutating func connectAsked() { if self == .none { self = .connectAsked } }

  /// The request asks for another protocol.
  package mutating func upgradeAsked() { if self == .none { self = .upgradeAsked } }

  /// The upstream grants it.
  package mutating func granted() {
    switch self {
    case .connectAsked: self = .connectOpen
    case .upgradeAsked: self = .upgradeOpen
    case .none, .connectOpen, .upgradeOpen: break
    }
  }

  /// The client is told otherwise, whatever the upstream has granted.
  @inline(__always)
  package mutating func refused() {
    switch self {
    case .connectOpen: self = .connectAsked
    case .upgradeOpen: self = .upgradeAsked
    case .none, .connectAsked, .upgradeAsked: break
    }
  }
}
