import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds

extension ControlAPI {
  /// `POST /workloads` registers or renews; `GET` lists.
  func workloads(_ call: Call, _ body: [UInt8]) async throws -> Answer {
    switch call.method {
    case "GET", "HEAD": return workloadList(call.query["namespace"])
    case "POST":
      let json: JSONValue
      do throws(JSONError) {
        json = try JSONValue(parsing: body)
      } catch {
        return .error(400, "not valid JSON: \(error)")
      }
      let record = try WorkloadRecord(json: json)
      let warnings: [String]
      do {
        warnings = try registry.register(record)
      } catch StoreError.alreadyExists {
        return .error(
          409, "another live instance of \(record.workload.namespace) is registered as \(record.workload.id)",
          path: "id")
      }
      var answer: JSONObject = [
        "id": .string(record.workload.id), "host": .string(registry.host(of: record)),
        "leaseSeconds": .int(record.leaseSeconds),
      ]
      if !warnings.isEmpty { answer["warnings"] = .array(warnings.map { .string($0) }) }
      return .json(.object(answer))
    default: return .notAllowed("GET, HEAD, POST")
    }
  }

  func workloadList(_ namespace: String?) -> Answer {
    let items = registry.records().filter { namespace == nil || $0.record.workload.namespace == namespace }.map {
      entry -> JSONValue in
      var object = entry.record.json()
      object["host"] = .string(registry.host(of: entry.record))
      object["leaseRemainingSeconds"] = .int(entry.remaining.wholeMilliseconds / 1000)
      object["creationTimestamp"] = .string(entry.record.workload.creationTimestamp.description)
      return object
    }
    return .json(.object(["items": .array(items)]))
  }

  /// `DELETE /workloads/NS/ID`, `GET` the same.
  func workload(_ call: Call, namespace: String, id: String) async throws -> Answer {
    let missing = Answer.error(404, "no workload \(id) is registered in \(namespace)")
    switch call.method {
    case "GET", "HEAD":
      let found = registry.records().first { $0.record.workload.id == id && $0.record.workload.namespace == namespace }
      guard let found else { return missing }
      return .json(found.record.json())
    case "DELETE":
      return registry.deregister(id: id, namespace: namespace) ? .json(.object(["id": .string(id)])) : missing
    default: return .notAllowed("GET, HEAD, DELETE")
    }
  }

  /// `GET /services`
  func services(_ namespace: String?) async -> Answer {
    let snapshot = await aggregate.current()
    let items = snapshot.services.all.filter { namespace == nil || $0.namespace == namespace }
      .sorted { $0.id < $1.id }.map(Self.service)
    return .json(.object(["items": .array(items), "resourceVersion": .string(String(snapshot.version))]))
  }

  private static func service(_ service: Service) -> JSONValue {
    let ports = service.ports.map { port -> JSONValue in
      .object([
        "number": .int(port.number), "name": .string(port.name), "protocol": .string(port.protocol.rawValue),
      ])
    }
    let instances = service.instances.map { instance -> JSONValue in
      var object: JSONObject = [
        "id": .string(instance.id), "address": .string(instance.address),
        "labels": .object(
          JSONObject(instance.labels.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) })),
        "health": .string(instance.health.rawValue), "weight": .int(instance.weight),
      ]
      if let first = service.ports.first, let port = instance.ports[first.number] { object["port"] = .int(port) }
      object["ports"] = .object(
        JSONObject(instance.ports.sorted { $0.key < $1.key }.map { JSONMember(String($0.key), .int($0.value)) }))
      if !instance.locality.isEmpty { object["locality"] = .string(instance.locality.description) }
      return .object(object)
    }
    return .object([
      "host": .string(service.host), "namespace": .string(service.namespace), "ports": .array(ports),
      "resolution": .string(service.resolution.rawValue), "addresses": .array(service.addresses.map { .string($0) }),
      "origins": .array(service.origins.map { .string($0.description) }), "instances": .array(instances),
    ])
  }

  /// `GET /snapshot`: what the model holds, in numbers, and what it could not read.
  func snapshot() async -> Answer {
    let snapshot = await aggregate.current()
    let unreadable = await aggregate.unreadable().sorted { $0.key < $1.key }
    return .json(
      .object([
        "version": .string(String(snapshot.version)), "services": .int(snapshot.services.count),
        "instances": .int(snapshot.services.all.reduce(0) { $0 + $1.instances.count }),
        "workloads": .int(snapshot.workloads.count), "destinationRules": .int(snapshot.destinationRules.count),
        "gateways": .int(snapshot.gateways.count), "serviceEntries": .int(snapshot.serviceEntries.count),
        "sidecars": .int(snapshot.sidecars.count), "virtualServices": .int(snapshot.virtualServices.count),
        "workloadEntries": .int(snapshot.workloadEntries.count),
        "unreadable": .array(
          unreadable.map { .object(["object": .string($0.key.description), "message": .string($0.value)]) }),
      ]))
  }
}
