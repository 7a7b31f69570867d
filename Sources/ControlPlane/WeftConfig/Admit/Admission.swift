package import WeftBase
package import WeftControlAPI
import WeftKinds

/// What became of one object of a request.
package struct AdmissionResult: Sendable {
  package enum Action: String, Sendable {
    case created
    case configured
    case unchanged
    case deleted
    case absent
    case refused
  }

  package var kind: String
  package var namespace: String
  package var name: String
  package var action: Action
  /// The object as it is now stored (or was, when deleted).
  package var object: Envelope?
  package var problems: [Problem]

  package init(_ candidate: Candidate, _ action: Action, object: Envelope? = nil, problems: [Problem] = []) {
    kind = candidate.kind
    namespace = candidate.namespace
    name = candidate.name
    self.action = action
    self.object = object
    self.problems = candidate.problems + problems
  }

  package var errors: [Problem] { problems.filter { $0.severity == .error } }
  package var warnings: [Problem] { problems.filter { $0.severity == .warning } }
  /// The object's name, as far as it could be read.
  package var key: ObjectKey? {
    kind.isEmpty || name.isEmpty ? nil : ObjectKey(kind: KindName(rawValue: kind), namespace: namespace, name: name)
  }

  /// As the API shows it.
  package var json: JSONValue {
    var result: JSONObject = [
      "kind": .string(kind), "namespace": .string(namespace), "name": .string(name),
      "action": .string(action.rawValue),
    ]
    if let version = object?.metadata.resourceVersion, version > 0 {
      result["resourceVersion"] = .string(String(version))
      result["generation"] = .int(object?.metadata.generation ?? 0)
    }
    let warnings = problems.filter { $0.severity == .warning }
    if !errors.isEmpty { result["errors"] = .array(errors.map(\.json)) }
    if !warnings.isEmpty { result["warnings"] = .array(warnings.map(\.json)) }
    return .object(result)
  }
}

/// Decides which of a set of changes may be stored, and stores them: each object for itself, or all or none.
package enum Admission {
  /// Whether one refusal refuses the others.
  package enum Unit: Sendable {
    case eachObject
    case allOrNothing
  }

  /// Writes the candidates that are valid. With `dryRun` nothing is kept, but the answer is the same.
  @discardableResult
  package static func apply(
    _ candidates: [Candidate], to store: ConfigStore, unit: Unit = .eachObject, dryRun: Bool = false,
    _ context: WriteContext
  ) throws -> [AdmissionResult] {
    let twins = twins(among: candidates)
    return try store.trial {
      let results = try candidates.enumerated().map { index, candidate in
        try apply(candidate, twin: twins[index].map { candidates[$0] }, to: store, context)
      }
      if dryRun { return (results, keeps: false) }
      let isSpared = unit == .allOrNothing && results.contains { $0.action == .refused }
      return isSpared ? (results.map(spared), keeps: false) : (results, keeps: true)
    }
  }

  /// Removes the objects that the candidates name; their specs do not matter.
  package static func remove(
    _ candidates: [Candidate], from store: ConfigStore, _ context: WriteContext
  ) throws -> [AdmissionResult] {
    try candidates.map { candidate in
      guard !candidate.kind.isEmpty, !candidate.name.isEmpty else { return AdmissionResult(candidate, .refused) }
      var named = candidate
      named.problems = []
      let key = ObjectKey(
        kind: KindName(rawValue: candidate.kind), namespace: candidate.namespace, name: candidate.name)
      do {
        let outcome = try store.delete(key, context)
        return AdmissionResult(named, .deleted, object: outcome.object)
      } catch StoreError.notFound {
        return AdmissionResult(named, .absent)
      } catch let error as StoreError where error.isRefusal {
        return AdmissionResult(named, .refused, problems: [Problem(.error, at: .root, error.description)])
      }
    }
  }

  /// For candidates that name the same object as an earlier one: which that is.
  private static func twins(among candidates: [Candidate]) -> [Int: Int] {
    var first: [ObjectKey: Int] = [:]
    var twins: [Int: Int] = [:]
    for (index, candidate) in candidates.enumerated() {
      guard let key = candidate.envelope?.key else { continue }
      if let earlier = first[key] { twins[index] = earlier } else { first[key] = index }
    }
    return twins
  }

  private static func apply(
    _ candidate: Candidate, twin: Candidate?, to store: ConfigStore, _ context: WriteContext
  ) throws -> AdmissionResult {
    guard let envelope = candidate.envelope else { return AdmissionResult(candidate, .refused) }
    if let twin {
      let place = twin.location.map { " at \($0)" } ?? ""
      return AdmissionResult(
        candidate, .refused,
        problems: [
          Problem(
            .error, at: FieldPath.root.field("metadata").field("name"), "the same object stands earlier\(place)",
            location: candidate.location)
        ])
    }
    do {
      let precondition = candidate.basedOn.map(WritePrecondition.resourceVersion) ?? .none
      let outcome = try store.put(envelope, if: precondition, context)
      let action: AdmissionResult.Action =
        switch outcome.effect {
        case .created: .created
        case .configured: .configured
        case .unchanged, .deleted: .unchanged
        }
      return AdmissionResult(candidate, action, object: outcome.object)
    } catch let error as StoreError where error.isRefusal {
      return AdmissionResult(
        candidate, .refused, problems: [Problem(.error, at: .root, error.description, location: candidate.location)])
    }
  }

  /// A good object of a unit that was refused for another's sake.
  private static func spared(_ result: AdmissionResult) -> AdmissionResult {
    guard result.action != .refused else { return result }
    var result = result
    result.action = .refused
    result.object = nil
    result.problems.append(Problem(.error, at: .root, "not applied because another object of the request was refused"))
    return result
  }
}

extension StoreError {
  /// The request is at fault, not the store.
  package var isRefusal: Bool {
    switch self {
    case .notFound, .versionNotKept, .alreadyExists, .conflict, .ownedElsewhere, .limitReached: true
    case .tooOld, .futureRevision, .inUse, .incompatible, .failed: false
    }
  }
}
