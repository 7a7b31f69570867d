import Synchronization
import WeftBase
import WeftService

/// Sets the mesh up, connects the proxies, and runs the rounds.
struct FleetBench: Sendable {
  let plan: FleetPlan

  init(_ plan: FleetPlan) { self.plan = plan }

  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// Between rounds: longer than the window in which changes are gathered.
  private static let pause: Duration = .milliseconds(300)
  private static let limit: Duration = .seconds(20)

  func run(_ report: @escaping @Sendable (String) -> Void) async throws {
    try await ServiceRuntime.with(name: "fleet") { runtime in
      let api = HTTPClient(on: runtime)
      try await fill(api)
      let arrivals = Arrivals()
      let ready = Count()
      let started = ContinuousClock.now
      let clients = (0..<plan.proxies).map { _ in GRPCClient(to: plan.xds, on: runtime) }
      let stuck = (0..<plan.stuck).map { _ in GRPCClient(to: plan.xds, on: runtime) }
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for (index, client) in clients.enumerated() {
          let proxy = SimulatedProxy(index: index, plan: plan, arrivals: arrivals)
          group.addTask {
            try await proxy.run(client) { ready.add() }
            return false
          }
        }
        for (place, client) in stuck.enumerated() {
          let proxy = SimulatedProxy(index: plan.proxies + place, plan: plan, arrivals: arrivals)
          group.addTask {
            // Until the control plane has had enough of it.
            try? await proxy.standStill(client)
            try await Task.sleep(for: .seconds(3600))
            return false
          }
        }
        group.addTask {
          while ready.value < plan.proxies {
            try await Task.sleep(for: .milliseconds(20))
            if ContinuousClock.now - started > .seconds(300) {
              throw Failure(description: "only \(ready.value) of \(plan.proxies) proxies are set up")
            }
          }
          report(
            JSONValue.object([
              "change": "connect", "proxies": .int(plan.proxies), "ms": .double(Self.milliseconds(.now - started)),
            ]).text())
          try await rounds(api, arrivals, report)
          return true
        }
        // A proxy whose stream ends before the rounds do is a failure.
        guard try await group.next() == true else { throw Failure(description: "a stream ended early") }
        group.cancelAll()
      }
    }
  }

  private func fill(_ api: HTTPClient) async throws {
    for service in plan.names {
      for instance in 0..<FleetPlan.instances {
        try await post(api, "/api/v1/workloads", plan.registration(service, instance, weight: 1).text())
      }
      try await post(api, "/api/v1/apply", plan.rule(service, round: 0))
    }
  }

  private func rounds(
    _ api: HTTPClient, _ arrivals: Arrivals, _ report: @Sendable (String) -> Void
  ) async throws {
    for service in plan.isCaptured ? [FleetPlan.hub] : [FleetPlan.rare, FleetPlan.hub] {
      let concerned = plan.concerned(by: service)
      for change in ["VirtualService", "endpoint"] {
        var times: [Duration] = []
        var others = 0
        var missing = 0
        for round in 1...plan.rounds {
          try await Task.sleep(for: Self.pause)
          if change == "endpoint" {
            arrivals.begin(SimulatedProxy.types[1], expecting: concerned)
            try await post(api, "/api/v1/workloads", plan.registration(service, 0, weight: round + 1).text())
          } else {
            arrivals.begin(SimulatedProxy.types[3], expecting: concerned)
            try await post(api, "/api/v1/apply", plan.rule(service, round: round))
          }
          let result = await arrivals.end(within: Self.limit)
          times += result.times
          others = max(others, result.others)
          missing += concerned.count - result.times.count
        }
        times.sort()
        report(
          JSONValue.object([
            "change": .string(change), "of": .string(service), "concerned": .int(concerned.count),
            "others": .int(others), "missing": .int(missing), "p50": .double(Self.at(0.5, times)),
            "p99": .double(Self.at(0.99, times)), "max": .double(Self.at(1, times)),
          ]).text())
      }
    }
  }

  private static func at(_ share: Double, _ sorted: [Duration]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    let index = min(sorted.count - 1, Int(share * Double(sorted.count)))
    return milliseconds(sorted[index])
  }

  private static func milliseconds(_ duration: Duration) -> Double {
    let (seconds, attoseconds) = duration.components
    let tenths = (Double(seconds) * 10_000 + Double(attoseconds) / 100_000_000_000_000).rounded()
    return tenths / 10
  }

  private func post(_ client: HTTPClient, _ path: String, _ body: String) async throws {
    let answer = try await client.send("POST", plan.api + path, body: Array(body.utf8))
    guard answer.status < 300 else { throw Failure(description: "\(path): \(answer.status) \(answer.text)") }
  }
}

private final class Count: Sendable {
  private let state = Mutex(0)
  var value: Int { state.withLock { $0 } }
  func add() { state.withLock { $0 += 1 } }
}
