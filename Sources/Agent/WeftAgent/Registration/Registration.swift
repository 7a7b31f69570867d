// The control plane's register of workloads, as the agent sees it.
package import WeftBase
package import WeftService

/// What the agent says about its workload.
package enum WorkloadHealth: String, Sendable {
  case unhealthy = "UNHEALTHY"
  case healthy = "HEALTHY"
  case draining = "DRAINING"
}

/// Why a registration was refused; nothing is gained by trying the same again.
package struct RegistrationRefused: Error, CustomStringConvertible {
  package var description: String
}

/// Registers one workload with the control plane. *Source*: docs/design/0002-universal-contract.md.
package struct Registration: Sendable {
  private let client: HTTPClient
  private let control: String
  private let record: @Sendable (WorkloadHealth) -> JSONValue
  private let path: String

  package init(_ configuration: AgentConfiguration, _ ports: AgentPorts, client: HTTPClient) {
    self.client = client
    control = configuration.control
    path = "/api/v1/workloads/\(configuration.namespace)/\(configuration.instance)"
    record = { Self.record(configuration, ports, $0) }
  }

  /// The record as it goes over the wire.
  package static func record(
    _ configuration: AgentConfiguration, _ ports: AgentPorts, _ health: WorkloadHealth
  ) -> JSONValue {
    var labels = configuration.labels
    labels["app"] = configuration.service
    if !configuration.version.isEmpty { labels["version"] = configuration.version }
    var published: [JSONValue] = []
    if let port = configuration.port, let inbound = ports.inbound {
      published.append([
        "number": .int(configuration.servicePort ?? port),
        "protocol": .string(configuration.applicationProtocol), "appPort": .int(port), "inboundPort": .int(inbound),
      ])
    }
    return [
      "id": .string(configuration.instance),
      "namespace": .string(configuration.namespace),
      "service": .string(configuration.service),
      "labels": .object(JSONObject(labels.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) })),
      "address": "127.0.0.1",
      "inboundAddress": .string(configuration.address),
      "ports": .array(published),
      "health": .string(health.rawValue),
      "weight": 1,
      "leaseSeconds": .int(configuration.leaseSeconds),
    ]
  }

  /// Registers or renews. *Errors*: `RegistrationRefused` for a 4xx answer; `ServiceError` when the control plane is not there.
  /// *Returns*: what the control plane finds odd.
  @discardableResult
  package func put(_ health: WorkloadHealth) async throws -> [String] {
    let answer = try await client.send(
      "POST", "http://\(control)/api/v1/workloads", headers: ["content-type": "application/json"],
      body: record(health).bytes(), timeout: .seconds(5))
    if answer.status >= 500 { throw ServiceUnavailable(status: answer.status) }
    guard answer.status < 300 else {
      throw RegistrationRefused(description: "the control plane refused the registration: \(Self.reason(answer.text))")
    }
    let warnings = (try? JSONValue(parsing: answer.text))?["warnings"]?.arrayValue ?? []
    return warnings.compactMap(\.stringValue)
  }

  /// Deregisters; a record that is gone already is fine.
  package func delete(within limit: Duration = .seconds(5)) async throws {
    _ = try await client.send("DELETE", "http://\(control)\(path)", timeout: limit)
  }

  /// The messages of an error answer, else its text.
  private static func reason(_ text: String) -> String {
    guard let value = try? JSONValue(parsing: text), let errors = value["errors"]?.arrayValue else { return text }
    return errors.map { error in
      [error["path"]?.stringValue, error["message"]?.stringValue].compactMap { $0 }.joined(separator: ": ")
    }.joined(separator: "; ")
  }
}

/// The control plane answered, but cannot serve now.
struct ServiceUnavailable: Error, CustomStringConvertible {
  var status: Int
  var description: String { "the control plane answered \(status)" }
}
