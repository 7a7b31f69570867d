// ClustersPage: `/clusters` as Envoy prints it, line by line and as `envoy.admin.v3.Clusters`.

import WeftBase
import WeftModel
import WeftRuntime
import WeftUpstream

/// The clusters and their hosts for people and for tools.
struct ClustersPage {
  private let clusters: [AdminStatus.ClusterStatus]

  init(_ clusters: [AdminStatus.ClusterStatus]) { self.clusters = clusters.sorted { $0.name < $1.name } }

  // MARK: Text

  /// `cluster::fact::value` and `cluster::address::fact::value`.
  package var text: String {
    var out = ""
    for cluster in clusters {
      let name = AdminPages.printable(cluster.name)
      out += "\(name)::observability_name::\(AdminPages.printable(cluster.observabilityName))\n"
      if let rates = cluster.successRates {
        out += "\(name)::outlier::success_rate_average::\(Self.rate(rates.average))\n"
        out += "\(name)::outlier::success_rate_ejection_threshold::\(Self.rate(rates.threshold))\n"
        out += "\(name)::outlier::local_origin_success_rate_average::\(Self.rate(rates.localOriginAverage))\n"
        out +=
          "\(name)::outlier::local_origin_success_rate_ejection_threshold::\(Self.rate(rates.localOriginThreshold))\n"
      }
      for (label, limits) in [("default", cluster.breakers.standard), ("high", cluster.breakers.high)] {
        out += "\(name)::\(label)_priority::max_connections::\(limits.maxConnections)\n"
        out += "\(name)::\(label)_priority::max_pending_requests::\(limits.maxPendingRequests)\n"
        out += "\(name)::\(label)_priority::max_requests::\(limits.maxRequests)\n"
        out += "\(name)::\(label)_priority::max_retries::\(limits.maxRetries)\n"
      }
      out += "\(name)::added_via_api::\(cluster.isFromAPI)\n"
      if !cluster.endpointsName.isEmpty {
        out += "\(name)::eds_service_name::\(AdminPages.printable(cluster.endpointsName))\n"
      }
      for host in cluster.hosts {
        write(host, "\(name)::\(AdminPages.printable(host.address.description))::", to: &out)
      }
    }
    return out
  }

  private func write(_ host: AdminStatus.Host, _ line: String, to out: inout String) {
    for (name, value, _) in host.numbers.named { out += "\(line)\(name)::\(value)\n" }
    out += "\(line)hostname::\(AdminPages.printable(host.hostname))\n"
    out += "\(line)health_flags::\(host.healthFlags)\n"
    out += "\(line)weight::\(host.weight)\n"
    out += "\(line)region::\(AdminPages.printable(host.locality.region))\n"
    out += "\(line)zone::\(AdminPages.printable(host.locality.zone))\n"
    out += "\(line)sub_zone::\(AdminPages.printable(host.locality.subZone))\n"
    out += "\(line)canary::\(host.isCanary)\n"
    out += "\(line)priority::\(host.priority)\n"
    out += "\(line)success_rate::\(Self.rate(host.successRate))\n"
    out += "\(line)local_origin_success_rate::\(Self.rate(host.localOriginSuccessRate))\n"
  }

  /// -1 where there is none.
  private static func rate(_ rate: Double?) -> String {
    guard let rate else { return "-1" }
    return rate == rate.rounded() ? "\(Int(rate))" : "\(rate)"
  }

  // MARK: JSON

  var json: JSONValue { ["cluster_statuses": .array(clusters.map(Self.json))] }

  private static func json(_ cluster: AdminStatus.ClusterStatus) -> JSONValue {
    var members = [
      JSONMember("name", .string(cluster.name)), JSONMember("added_via_api", .bool(cluster.isFromAPI)),
    ]
    append(percent: cluster.successRates?.threshold, "success_rate_ejection_threshold", to: &members)
    members.append(JSONMember("host_statuses", .array(cluster.hosts.map(Self.json))))
    append(
      percent: cluster.successRates?.localOriginThreshold, "local_origin_success_rate_ejection_threshold", to: &members)
    members.append(
      JSONMember(
        "circuit_breakers",
        [
          "thresholds": [
            thresholds(cluster.breakers.standard, "DEFAULT"), thresholds(cluster.breakers.high, "HIGH"),
          ]
        ]))
    members.append(JSONMember("observability_name", .string(cluster.observabilityName)))
    if !cluster.endpointsName.isEmpty { members.append(JSONMember("eds_service_name", .string(cluster.endpointsName))) }
    return .object(JSONObject(members))
  }

  private static func thresholds(_ limits: CircuitBreakers.Thresholds, _ priority: String) -> JSONValue {
    [
      "priority": .string(priority), "max_connections": .int(limits.maxConnections),
      "max_pending_requests": .int(limits.maxPendingRequests), "max_requests": .int(limits.maxRequests),
      "max_retries": .int(limits.maxRetries),
    ]
  }

  private static func json(_ host: AdminStatus.Host) -> JSONValue {
    let stats = host.numbers.named.map { name, value, isLevel -> JSONValue in
      isLevel
        ? ["type": "GAUGE", "name": .string(name), "value": .string("\(value)")]
        : ["name": .string(name), "value": .string("\(value)")]
    }
    var health = [JSONMember("eds_health_status", .string(host.health.adminName))]
    if host.isEjected { health.append(JSONMember("failed_outlier_check", .bool(true))) }
    var members = [
      JSONMember("address", AdminPages.json(of: host.address)), JSONMember("stats", .array(stats)),
      JSONMember("health_status", .object(JSONObject(health))),
    ]
    append(percent: host.successRate, "success_rate", to: &members)
    members.append(JSONMember("weight", .int(host.weight)))
    members.append(JSONMember("hostname", .string(host.hostname)))
    members.append(JSONMember("priority", .int(host.priority)))
    append(percent: host.localOriginSuccessRate, "local_origin_success_rate", to: &members)
    members.append(
      JSONMember(
        "locality",
        [
          "region": .string(host.locality.region), "zone": .string(host.locality.zone),
          "sub_zone": .string(host.locality.subZone),
        ]))
    return .object(JSONObject(members))
  }

  /// Absent where there is none, as in Envoy.
  private static func append(percent: Double?, _ name: String, to members: inout [JSONMember]) {
    guard let percent else { return }
    members.append(JSONMember(name, ["value": .double(percent)]))
  }
}

extension HostNumbers {
  /// In the order of Envoy's page; the levels are marked.
  fileprivate var named: [(name: String, value: UInt64, isLevel: Bool)] {
    [
      ("cx_active", connectionsActive, true), ("cx_connect_fail", connectionsFailed, false),
      ("cx_total", connectionsTotal, false), ("rq_active", requestsActive, true),
      ("rq_error", requestsFailed, false), ("rq_success", requestsSucceeded, false),
      ("rq_timeout", requestsTimedOut, false), ("rq_total", requestsTotal, false),
    ]
  }
}

extension HealthStatus {
  /// As `envoy.config.core.v3.HealthStatus` spells it; what nobody said anything of counts as healthy.
  fileprivate var adminName: String {
    switch self {
    case .unknown, .healthy: "HEALTHY"
    case .unhealthy: "UNHEALTHY"
    case .draining: "DRAINING"
    case .timeout: "TIMEOUT"
    case .degraded: "DEGRADED"
    }
  }
}

extension AdminStatus.Host {
  /// The way Envoy prints it: `healthy`, or flags joined by slashes.
  var healthFlags: String {
    var flags: [String] = []
    if isEjected { flags.append("failed_outlier_check") }
    switch health {
    case .unhealthy, .timeout, .draining: flags.append("failed_eds_health")
    case .degraded: flags.append("eds_degraded")
    case .unknown, .healthy: break
    }
    return flags.isEmpty ? "healthy" : "/" + flags.joined(separator: "/")
  }
}
