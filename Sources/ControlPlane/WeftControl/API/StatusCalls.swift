import Synchronization
import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds

/// Whether the control plane is ready to be asked.
package final class Readiness: Sendable {
  private let ready = Atomic<Bool>(false)

  package init() {}

  package var isReady: Bool { ready.load(ordering: .acquiring) }
  package func set(_ value: Bool) { ready.store(value, ordering: .releasing) }
}

/// Counters of the API, for `/metrics`.
package final class APICounters: Sendable {
  private let counts = Mutex<[Int: UInt64]>([:])
  private let refused = Atomic<UInt64>(0)

  func note(status: Int) { counts.withLock { $0[status, default: 0] += 1 } }
  func noteRefusedBody() { refused.add(1, ordering: .relaxed) }

  var byStatus: [(status: Int, count: UInt64)] {
    counts.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
  }
  var refusedBodies: UInt64 { refused.load(ordering: .relaxed) }
}

extension ControlAPI {
  /// `/healthz`, `/readyz`, `/version`, `/metrics`.
  func status(_ call: Call) async -> Answer {
    guard call.method == "GET" || call.method == "HEAD" else { return .notAllowed("GET, HEAD") }
    switch call.segments[0] {
    case "healthz": return .text("ok\n")
    case "readyz":
      guard readiness.isReady else { return .text("not ready\n", status: 503) }
      if let failure = store.failure {
        return .text("not ready: the store cannot be written: \(failure)\n", status: 503)
      }
      // What was read last is served on: proxies are better off with it than without a control plane.
      let unreadable = directories.map(\.report).filter(\.isUnreadable).flatMap(\.problems)
      return .text("ok\n" + unreadable.map { "configuration stays as it was: \($0.message)\n" }.joined())
    case "version": return .json(.object(["version": .string(version)]))
    case "metrics":
      var answer = Answer.text(await metrics())
      answer.contentType = "text/plain; version=0.0.4; charset=utf-8"
      return answer
    default: return .error(404, "there is nothing here")
    }
  }

  /// `GET /sources`: the directories that are mirrored into the store, and what is wrong with them now.
  func sources() -> Answer {
    let items = directories.map { directory -> JSONValue in
      let report = directory.report
      var object: JSONObject = [
        "source": .string(directory.source), "path": .string(directory.path),
        "watching": .string(directory.attention.text), "files": .int(report.files), "objects": .int(report.objects),
        "waiting": .int(report.waiting), "problems": .array(report.problems.map(Self.problem)),
      ]
      if case .polling(let reason) = directory.attention { object["reason"] = .string(reason) }
      return .object(object)
    }
    return .json(.object(["items": .array(items)]))
  }

  /// `GET /store`: whether what is written reaches the disk, and whether something of it is gone.
  func storeState() async throws -> Answer {
    let revision = try? await store.perform { $0.revision }
    var object: JSONObject = ["writable": .bool(store.failure == nil), "failures": .int(store.failures)]
    if let revision { object["resourceVersion"] = .string(String(revision)) }
    if let failure = store.failure { object["failure"] = .string(failure) }
    if let loss = store.loss {
      object["loss"] = .object([
        "message": .string(loss.description), "remembered": .string(String(loss.remembered)),
        "found": .string(String(loss.found)), "objects": .int(loss.objects),
      ])
    }
    return .json(.object(object))
  }

  static func problem(_ problem: Problem) -> JSONValue {
    var object = problem.json
    object["severity"] = .string(problem.severity == .error ? "error" : "warning")
    return object
  }

  /// `GET /proxies`
  func proxyList() async -> Answer {
    .json(.object(["items": .array(await proxies?.proxies() ?? [])]))
  }

  /// `GET /proxies/NODE_ID/config?type=CDS`; without a type all of them, in the order in which they are sent.
  func proxyConfig(_ node: String, _ type: String) async -> Answer {
    let types = ["CDS", "EDS", "LDS", "RDS"]
    guard type.isEmpty || types.contains(type) else {
      return .error(400, "type must be one of \(types.joined(separator: ", "))", path: "type")
    }
    var all: [JSONValue] = []
    for wanted in type.isEmpty ? types : [type] {
      guard let items = await proxies?.config(of: node, type: wanted) else {
        return .error(404, "no proxy \(node) is connected")
      }
      all += items
    }
    return .json(.object(["items": .array(all)]))
  }

  private func metrics() async -> String {
    let snapshot = await aggregate.current()
    let counts = registry.counts()
    var text = ""
    func gauge(_ name: String, _ help: String, _ value: some BinaryInteger, type: String = "gauge") {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n\(name) \(value)\n"
    }
    gauge("pilot_services", "Services known to the control plane.", snapshot.services.count)
    gauge("pilot_virt_services", "VirtualService objects in force.", snapshot.virtualServices.count)
    gauge(
      "weft_control_instances", "Instances of all services.",
      snapshot.services.all.reduce(0) { $0 + $1.instances.count })
    gauge("weft_control_snapshot_version", "Revision of the store that proxies are served from.", snapshot.version)
    gauge(
      "weft_control_unreadable_objects", "Stored objects that could not be read.", await aggregate.unreadable().count)
    gauge("weft_control_workloads", "Registered workloads.", counts.workloads)
    gauge("weft_control_lease_renewals_total", "Heartbeats that changed nothing.", counts.renewals, type: "counter")
    gauge("weft_control_lease_expirations_total", "Workloads whose lease ran out.", counts.expirations, type: "counter")
    gauge(
      "weft_control_agents_writable", "Whether registrations can be kept for a restart.",
      registry.lastGoodFailure == nil ? 1 : 0)
    gauge("weft_control_store_writable", "Whether the store can be written.", store.failure == nil ? 1 : 0)
    gauge(
      "weft_control_store_failures_total", "Times the store became unwritable.", store.failures, type: "counter")
    gauge(
      "weft_control_store_lost", "Whether the store was found with less than it once held.", store.loss == nil ? 0 : 1)
    gauge(
      "weft_control_api_bodies_refused_total", "Request bodies over the limit.", counters.refusedBodies, type: "counter"
    )
    text += "# HELP weft_control_api_requests_total Answers of the API by status.\n"
    text += "# TYPE weft_control_api_requests_total counter\n"
    for entry in counters.byStatus {
      text += "weft_control_api_requests_total{status=\"\(entry.status)\"} \(entry.count)\n"
    }
    for directory in directories { text += directory.metrics }
    if let proxies { text += await proxies.metrics() }
    return text
  }
}
