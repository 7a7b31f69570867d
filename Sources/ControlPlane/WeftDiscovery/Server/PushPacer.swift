package import WeftBase

/// How long to wait for more changes before pushing: nothing when it is quiet, up to a limit when changes keep coming.
package struct PushPacer: Sendable {
  /// The window when changes follow each other and proxies keep up.
  package static let normalLimit: Duration = .milliseconds(20)
  /// The window when proxies have not been served by the time the next change comes.
  package static let busyLimit: Duration = .milliseconds(200)

  private var window: Duration = .zero
  private var lastPush: MonotonicInstant?

  package init() {}

  /// A change has arrived: how long to collect further ones before it is pushed. `backlog` tells whether proxies still
  /// have the last push before them.
  package mutating func delay(now: MonotonicInstant, backlog: Bool) -> Duration {
    guard let lastPush else { return .zero }
    let quiet = now - lastPush
    let limit = backlog ? Self.busyLimit : Self.normalLimit
    if quiet >= Self.busyLimit {
      window = .zero
    } else if window == .zero {
      window = .milliseconds(1)
    } else {
      window = min(window * 2, limit)
    }
    window = min(window, limit)
    // What has passed since the last push counts.
    return quiet >= window ? .zero : window - quiet
  }

  package mutating func pushed(now: MonotonicInstant) { lastPush = now }
}
