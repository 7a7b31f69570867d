// OutlierEventLog: ejections of hosts, one line each.

import Glibc
import Synchronization
package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftTelemetry
package import WeftUpstream

/// Writes ejections and their ends as JSON. *Source*: Envoy's `OutlierDetectionEvent`, field by field.
///
/// *Threads*: any; lines come in the order of the calls.
package final class OutlierEventLog: Sendable {
  private let file: AccessLogFile
  private let lane: Int
  /// Nanoseconds since 1970.
  private let clock: @Sendable () -> Int64
  /// Lines of other threads than workers share a lane of the file, which is the log's alone: only workers write access logs.
  private let turn = Mutex(())

  /// `workers`: how many the file knows.
  package init(_ file: AccessLogFile, workers: Int, clock: @escaping @Sendable () -> Int64) {
    self.file = file
    lane = workers
    self.clock = clock
  }

  /// The log that a bootstrap asks for; nil: it asks for none. *Errors*: its file cannot be opened.
  package convenience init?(_ bootstrap: Bootstrap, _ files: AccessLogFiles, workers: Int) throws(WeftError) {
    if bootstrap.outlierEventLog.isEmpty { return nil }
    self.init(
      try files.file(.file(path: bootstrap.outlierEventLog)), workers: workers, clock: Self.wallClock)
  }

  package func write(_ event: OutlierEvent) {
    turn.withLock { _ in
      let line = Self.line(event, at: clock()) + "\n"
      _ = line.withByteView { file.append($0, worker: lane) }
    }
  }

  /// `write`, for who tells of events.
  package var hears: @Sendable (OutlierEvent) -> Void { { event in self.write(event) } }

  /// *Source*: `envoy.data.cluster.v3.OutlierDetectionEvent` as JSON; the end of an ejection has the first type, as Envoy's has.
  static func line(_ event: OutlierEvent, at unixNanoseconds: Int64) -> String {
    var members: [JSONMember] = []
    var (type, action, enforced) = ("CONSECUTIVE_5XX", "UNEJECT", false)
    if case .ejected(let rule, let isEnforced) = event.action {
      (type, action, enforced) = (name(of: rule), "EJECT", isEnforced)
    }
    members.append(JSONMember("type", .string(type)))
    members.append(JSONMember("timestamp", .string(time(unixNanoseconds))))
    if let since = event.sinceLastAction {
      members.append(JSONMember("secs_since_last_action", .string("\(since.components.seconds)")))
    }
    members.append(JSONMember("cluster_name", .string(event.cluster)))
    members.append(JSONMember("upstream_url", .string(event.host)))
    members.append(JSONMember("action", .string(action)))
    members.append(JSONMember("num_ejections", .int(event.ejections)))
    members.append(JSONMember("enforced", .bool(enforced)))
    if case .ejected(let rule, _) = event.action { members.append(details(rule, event.rates)) }
    return JSONValue.object(JSONObject(members)).text()
  }

  private static func time(_ unixNanoseconds: Int64) -> String {
    let milliseconds = max(0, unixNanoseconds / 1_000_000)
    var stamp = Google_Protobuf_Timestamp()
    stamp.seconds = milliseconds / 1000
    stamp.nanos = Int32(milliseconds % 1000 * 1_000_000)
    return stamp.text ?? ""
  }

  /// Nanoseconds since 1970, of the system.
  private static let wallClock: @Sendable () -> Int64 = {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  private static func name(of rule: OutlierRule) -> String {
    switch rule {
    case .consecutive5xx: "CONSECUTIVE_5XX"
    case .consecutiveGatewayFailure: "CONSECUTIVE_GATEWAY_FAILURE"
    case .consecutiveLocalOriginFailure: "CONSECUTIVE_LOCAL_ORIGIN_FAILURE"
    case .successRate: "SUCCESS_RATE"
    case .localOriginSuccessRate: "SUCCESS_RATE_LOCAL_ORIGIN"
    case .failurePercentage: "FAILURE_PERCENTAGE"
    }
  }

  private static func details(_ rule: OutlierRule, _ rates: OutlierEvent.Rates?) -> JSONMember {
    func percent(_ rate: Double?) -> JSONValue { .int(UInt32(max(0, min(100, rate ?? 0)))) }
    return switch rule {
    case .consecutive5xx, .consecutiveGatewayFailure, .consecutiveLocalOriginFailure:
      JSONMember("eject_consecutive_event", .object(JSONObject([])))
    case .successRate, .localOriginSuccessRate:
      JSONMember(
        "eject_success_rate_event",
        [
          "host_success_rate": percent(rates?.host), "cluster_average_success_rate": percent(rates?.average),
          "cluster_success_rate_ejection_threshold": percent(rates?.threshold),
        ])
    case .failurePercentage:
      JSONMember("eject_failure_percentage_event", ["host_success_rate": percent(rates?.host)])
    }
  }
}
