// NetworkCall: what a network filter sees and may ask for while it is called.

public import WeftBase

/// What the engine lays out for network filters, and where they put what they want: one per worker, in use only while a filter is called.
///
/// Why sound: `output` is the engine's own buffer, which lives as long as the desk.
@safe @frozen @usableFromInline
package struct NetworkDesk: BitwiseCopyable {
  @usableFromInline package var now = MonotonicInstant.zero
  @usableFromInline package let worker: Int
  /// Set anew with every change of values.
  @usableFromInline package var runtime = RuntimeView.empty
  /// How long the connection is to rest. *Units*: nanoseconds.
  @usableFromInline package var wait: UInt64 = 0
  /// What a terminal filter sends, and whether that is all.
  @usableFromInline package let output: UnsafeMutablePointer<ByteBuffer>
  @usableFromInline package var closes = false

  package init(worker: Int, output: UnsafeMutablePointer<ByteBuffer>) {
    self.worker = worker
    unsafe self.output = output
  }
}

/// Where a call happens, untyped.
///
/// Why sound: made by the engine's walk only, from the chain's layout and the connection's block; never stored.
@frozen @safe @usableFromInline
package struct NetworkSite: BitwiseCopyable {
  @usableFromInline let state: UnsafeMutableRawPointer
  @usableFromInline let config: UnsafeRawPointer
  @usableFromInline let desk: UnsafeMutablePointer<NetworkDesk>
  @inlinable package init(
    _ state: UnsafeMutableRawPointer, _ config: UnsafeRawPointer, _ desk: UnsafeMutablePointer<NetworkDesk>
  ) {
    unsafe (self.state, self.config, self.desk) = (state, config, desk)
  }
}

/// A call's surroundings.
@frozen @safe @usableFromInline
package struct NetworkCall<Config: BitwiseCopyable>: ~Copyable {
  @usableFromInline let site: NetworkSite
  @inlinable init(_ site: NetworkSite) { self.site = site }

  /// What the filter was configured with.
  @inlinable package var config: Config { unsafe site.config.assumingMemoryBound(to: Config.self).pointee }
  @inlinable package var now: MonotonicInstant { unsafe site.desk.pointee.now }
  /// What runtime keys say now.
  @inlinable package var runtime: RuntimeView { unsafe site.desk.pointee.runtime }
  /// Number of the worker: the place of its blocks in tables of statistics.
  @inlinable package var worker: Int { unsafe site.desk.pointee.worker }
  /// Holds the connection for a time.
  @inlinable package func wait(nanoseconds: UInt64) -> NetworkVerdict {
    unsafe site.desk.pointee.wait = nanoseconds
    return .hold
  }
}
