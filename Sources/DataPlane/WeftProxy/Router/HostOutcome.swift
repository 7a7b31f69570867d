// HostOutcome: whether a host served an attempt well, on that host's own books.

import WeftBase
import WeftProxyAPI
import WeftUpstream

extension WorkerEngine {
  /// A final response head has come. For gRPC the status in it, or the one to come, decides.
  @inline(__always)
  func countOutcome(_ s: StreamIndex, _ status: UInt16, end: Bool) {
    let stream = streams.ref(s)
    if stream[].host.isNone { return }
    let host = hosts.ref(stream[].host)
    if status >= 500 {
      host[].numbers.requestsFailed &+= 1
    } else if !stream[].flags.contains(.isGRPC) {
      host[].numbers.requestsSucceeded &+= 1
    } else {
      stream[].awaitsGRPCStatus = true
      if end { countGRPCOutcome(s, isComplete: true) }
    }
  }

  /// The end of a gRPC response, with its status or without one. One that the client did not wait for says nothing of the host.
  func countGRPCOutcome(_ s: StreamIndex, isComplete: Bool) {
    let stream = streams.ref(s)
    stream[].awaitsGRPCStatus = false
    if !isComplete { return }
    if GRPCOutcome.isServerFailure(stream[].grpcStatus) {
      hosts[stream[].host].numbers.requestsFailed &+= 1
    } else {
      hosts[stream[].host].numbers.requestsSucceeded &+= 1
    }
  }

  /// The attempt ended without a complete response. One whose head was counted stays counted as it was.
  func countFailure(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].host.isNone { return }
    if stream[].response.hasStarted, !stream[].awaitsGRPCStatus { return }
    stream[].awaitsGRPCStatus = false
    hosts[stream[].host].numbers.requestsFailed &+= 1
  }

  /// Nobody waits for the attempt's answer any longer.
  func countTimeout(_ s: StreamIndex) {
    let h = streams[s].host
    if !h.isNone { hosts[h].numbers.requestsTimedOut &+= 1 }
  }
}

/// What a gRPC status says of the server.
enum GRPCOutcome {
  /// Whether `status` stands for a 5xx: unknown, deadline exceeded, unimplemented, internal, unavailable, data loss; so does a missing or
  /// unheard-of one.
  static func isServerFailure(_ status: Int64) -> Bool {
    switch status {
    case 0, 1, 3, 5...11, 16: false
    default: true
    }
  }
}
