// HandshakeCounters: what handshakes add to the `ssl.` statistics of listeners and clusters.

import WeftRuntime
import WeftTelemetry

/// The numbers that listeners and clusters have alike.
protocol HandshakeMetric: Metric {
  static var sslHandshake: Self { get }
  static var sslSessionReused: Self { get }
  static var sslNoCertificate: Self { get }
  static var sslFailVerifyNoCert: Self { get }
  static var sslFailVerifyError: Self { get }
  static var sslFailVerifySAN: Self { get }
  static var sslFailVerifyCertHash: Self { get }
  static var sslConnectionError: Self { get }
}

extension ListenerMetric: HandshakeMetric {}
extension ClusterMetric: HandshakeMetric {}

extension HandshakeReport {
  /// The handshake is done.
  func countSuccess<M: HandshakeMetric>(in stats: StatBlock<M>) {
    stats.add(.sslHandshake)
    if isResumed { stats.add(.sslSessionReused) }
    if !hasPeerCertificate { stats.add(.sslNoCertificate) }
  }

  /// The connection is over: why, if the transport was the cause. A peer that only went away is none.
  func countFault<M: HandshakeMetric>(in stats: StatBlock<M>) {
    switch fault {
    case .none: break
    case .noCertificate: stats.add(.sslFailVerifyNoCert)
    case .untrusted: stats.add(.sslFailVerifyError)
    case .wrongName: stats.add(.sslFailVerifySAN)
    case .notPinned: stats.add(.sslFailVerifyCertHash)
    case .wire: stats.add(.sslConnectionError)
    }
  }
}
