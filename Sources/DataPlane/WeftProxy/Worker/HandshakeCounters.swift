// HandshakeCounters: what handshakes add to the `ssl.` statistics of listeners and clusters.

import WeftRuntime
import WeftTelemetry

extension HandshakeReport {
  /// The handshake is done.
  func countSuccess(in stats: StatBlock<ListenerMetric>) {
    stats.add(.sslHandshake)
    if isResumed { stats.add(.sslSessionReused) }
    if !hasPeerCertificate { stats.add(.sslNoCertificate) }
  }

  func countSuccess(in stats: StatBlock<ClusterMetric>) {
    stats.add(.sslHandshake)
    if isResumed { stats.add(.sslSessionReused) }
    if !hasPeerCertificate { stats.add(.sslNoCertificate) }
  }

  /// The connection is over: why, if the transport was the cause. A peer that only went away is none.
  func countFault(in stats: StatBlock<ListenerMetric>) {
    switch fault {
    case .none: break
    case .noCertificate: stats.add(.sslFailVerifyNoCert)
    case .untrusted: stats.add(.sslFailVerifyError)
    case .wrongName: stats.add(.sslFailVerifySAN)
    case .notPinned: stats.add(.sslFailVerifyCertHash)
    case .wire: stats.add(.sslConnectionError)
    }
  }

  func countFault(in stats: StatBlock<ClusterMetric>) {
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
