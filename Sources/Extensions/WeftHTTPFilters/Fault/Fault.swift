// Fault: delays requests, answers them with errors, and slows responses down, on purpose.

import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.http.fault`.
///
/// A request that the conditions hold for is delayed first, then perhaps aborted, as Envoy does. What a route says replaces the chain's configuration.
package struct Fault: RequestHeadFilter, HoldingFilter, StreamEndFilter {
  package static var name: StaticString { "envoy.filters.http.fault" }

  package struct Config: BitwiseCopyable {
    enum Source: UInt8, BitwiseCopyable, Sendable { case none, fixed, header }
    var delay = Source.none
    var delayNanoseconds: UInt64 = 0
    var delayShare = RuntimeShare.none
    var delayTimeKey = RuntimeKey.none
    var delayScale: UInt64 = 100

    var abort = Source.none
    /// One of the two is set when `abort` is fixed.
    var status: UInt16 = 0
    var grpcStatus: Int32 = -1
    var abortShare = RuntimeShare.none
    var statusKey = RuntimeKey.none
    var grpcStatusKey = RuntimeKey.none
    var abortScale: UInt64 = 100

    var pace = Source.none
    /// *Units*: KiB per second.
    var kibibytesPerSecond: UInt64 = 0
    var paceShare = RuntimeShare.none
    var paceScale: UInt64 = 100

    /// Empty: whatever cluster the route leads to.
    var cluster = ByteView.empty
    var headers = ConstantTable<CompiledHeaderMatcher>()
    var nodes = ConstantTable<ByteView>()
    /// Shared by all workers.
    var active: SharedCounter
    var maxActive: UInt64 = .max
    var maxActiveKey = RuntimeKey.none
    /// One of the three is configured, and can happen: without a runtime value, or with one.
    var injects = false
    var mayInject = false
    var stats = ConstantTable<StatBlock<FaultMetric>>()
  }

  private var isActive = false

  package init(_ config: Config) {}

  package mutating func requestHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    x.config.injects || x.config.mayInject && x.runtime.hasValues ? inject(head, x) : .go
  }

  @inline(never)
  private mutating func inject(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    guard concerns(head, x) else { return .go }
    if let kibibytes = pace(head, x), begin(x) {
      x.config.stats[x.worker].add(.responseRlInjected)
      x.paceResponse(bytesPerSecond: kibibytes.multipliedReportingOverflow(by: 1024).overflow ? .max : kibibytes * 1024)
    }
    if let nanoseconds = delay(head, x), begin(x) {
      x.config.stats[x.worker].add(.delaysInjected)
      x.note(.delayInjected)
      return x.wait(nanoseconds: nanoseconds)
    }
    return abortIfDue(head, x)
  }

  package mutating func resumed(
    _ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    abortIfDue(head, x)
  }

  package mutating func streamEnded(_ x: borrowing FilterCall<Config>) {
    guard isActive else { return }
    isActive = false
    x.config.active.give()
    x.config.stats[x.worker].subtract(.activeFaults)
  }

  // MARK: Whether

  private func concerns(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> Bool {
    if !x.config.cluster.isEmpty, !x.routeCluster.equals(x.config.cluster) { return false }
    if !x.config.nodes.isEmpty {
      guard let node = head.first(.envoyDownstreamServiceNode) else { return false }
      var known = false
      for i in x.config.nodes.indices where x.config.nodes[i].equals(node) { known = true }
      if !known { return false }
    }
    return x.config.headers.isEmpty || x.config.headers.allMatch(head)
  }

  /// Counts the fault among the active ones; false at the limit.
  private mutating func begin(_ x: borrowing FilterCall<Config>) -> Bool {
    if isActive { return true }
    guard x.config.active.take(limit: x.runtime.integer(x.config.maxActiveKey) ?? x.config.maxActive) else {
      x.config.stats[x.worker].add(.faultsOverflow)
      return false
    }
    isActive = true
    x.hearEnd()
    x.config.stats[x.worker].add(.activeFaults)
    return true
  }

  // MARK: What

  private func delay(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> UInt64? {
    var nanoseconds: UInt64
    var share = x.config.delayShare
    switch x.config.delay {
    case .none: return nil
    case .fixed: nanoseconds = x.config.delayNanoseconds
    case .header:
      guard let text = head.first(named: ByteView("x-envoy-fault-delay-request")), let n = ASCII.parseDecimal(text)
      else {
        return nil
      }
      nanoseconds = n.multipliedReportingOverflow(by: 1_000_000).overflow ? UInt64(Int64.max) : n * 1_000_000
      share = asked("x-envoy-fault-delay-request-percentage", head, share, x.config.delayScale)
    }
    if let milliseconds = x.runtime.integer(x.config.delayTimeKey) {
      nanoseconds = min(milliseconds, UInt64(Int64.max) / 1_000_000) * 1_000_000
    }
    return nanoseconds > 0 && x.falls(0x5851_f42d, share) ? nanoseconds : nil
  }

  private func pace(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> UInt64? {
    var kibibytes = x.config.kibibytesPerSecond
    var share = x.config.paceShare
    switch x.config.pace {
    case .none: return nil
    case .fixed: break
    case .header:
      guard let text = head.first(named: ByteView("x-envoy-fault-throughput-response")),
        let n = ASCII.parseDecimal(text)
      else {
        return nil
      }
      kibibytes = n
      share = asked("x-envoy-fault-throughput-response-percentage", head, share, x.config.paceScale)
    }
    return kibibytes > 0 && x.falls(0x27d4_eb2f, share) ? kibibytes : nil
  }

  private mutating func abortIfDue(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    var status = x.config.status
    var grpcStatus = x.config.grpcStatus
    var share = x.config.abortShare
    switch x.config.abort {
    case .none: return .go
    case .fixed: break
    case .header:
      if let text = head.first(named: ByteView("x-envoy-fault-abort-request")), let n = ASCII.parseDecimal(text),
        (200..<600).contains(n)
      {
        status = UInt16(n)
      } else if let text = head.first(named: ByteView("x-envoy-fault-abort-grpc-request")),
        let n = ASCII.parseDecimal(text),
        n <= UInt64(Int32.max)
      {
        grpcStatus = Int32(n)
      } else {
        return .go
      }
      share = asked("x-envoy-fault-abort-request-percentage", head, share, x.config.abortScale)
    }
    if status != 0, let n = x.runtime.integer(x.config.statusKey), (200..<600).contains(n) { status = UInt16(n) }
    if grpcStatus >= 0, let n = x.runtime.integer(x.config.grpcStatusKey), n <= 16 { grpcStatus = Int32(n) }
    guard x.falls(0x1405_7b7e, share), begin(x) else { return .go }
    x.config.stats[x.worker].add(.abortsInjected)
    return x.reply(
      status == 0 ? GRPCStatusMapping.httpStatus(of: Int64(grpcStatus)) : status, body: ByteView("fault filter abort"),
      details: "fault_filter_abort", flag: .faultInjected, grpcStatus: grpcStatus)
  }

  /// The share that the request itself asks for, at most the configured one; its header counts in the configured denominator. A runtime value has
  /// the last word.
  private func asked(
    _ name: StaticString, _ head: MessageHead, _ configured: RuntimeShare, _ scale: UInt64
  ) -> RuntimeShare {
    guard let text = head.first(named: ByteView(name)), let n = ASCII.parseDecimal(text) else { return configured }
    var share = configured
    share.partsPerMillion = min(share.partsPerMillion, UInt32(min(n, scale) * (1_000_000 / scale)))
    return share
  }
}
