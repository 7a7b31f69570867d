package import WeftBase
import WeftConfig

/// What a call of the API is answered with.
package struct Answer: Sendable {
  package var status: Int
  package var contentType: String
  package var body: [UInt8]
  package var headers: [(name: String, value: String)] = []

  package init(status: Int = 200, contentType: String, body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }

  package static func json(_ value: JSONValue, status: Int = 200) -> Answer {
    var body = value.bytes()
    body.append(UInt8(ascii: "\n"))
    return Answer(status: status, contentType: "application/json", body: body)
  }

  package static func text(_ text: String, status: Int = 200) -> Answer {
    Answer(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
  }

  /// The one form of every error: `{"errors": [{"path"?, "message"}]}`.
  package static func error(_ status: Int, _ message: String, path: String? = nil) -> Answer {
    var error = JSONObject()
    if let path { error["path"] = .string(path) }
    error["message"] = .string(message)
    return .json(.object(["errors": .array([.object(error)])]), status: status)
  }

  static func notAllowed(_ allowed: String) -> Answer {
    var answer = error(405, "the method is not allowed here; allowed are \(allowed)")
    answer.headers.append(("allow", allowed))
    return answer
  }

  /// What a refusal or failure of the store looks like.
  static func failure(_ error: any Error) -> Answer {
    switch error {
    case let error as StoreError:
      let status =
        switch error {
        case .notFound, .versionNotKept: 404
        case .alreadyExists, .conflict, .ownedElsewhere: 409
        case .tooOld: 410
        case .futureRevision: 400
        case .limitReached: 507
        case .inUse, .incompatible, .failed: 500
        }
      return .error(status, error.description)
    case let refusal as WorkloadRefusal: return .json(refusal.json, status: 400)
    default: return .error(500, "\(error)")
    }
  }
}

/// A call as its target says: path segments and query, percent-decoded.
package struct Call: Sendable {
  package var method: String
  package var segments: [String]
  package var query: [String: String]

  /// Nil when the target is not well formed.
  package init?(method: String, path: String, query: String?) {
    self.method = method
    segments = []
    for part in path.split(separator: "/") {
      guard let text = Self.decoded(part, plusIsSpace: false) else { return nil }
      segments.append(text)
    }
    self.query = [:]
    for pair in (query ?? "").split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decoded(parts[0], plusIsSpace: true),
        let value = parts.count > 1 ? Self.decoded(parts[1], plusIsSpace: true) : ""
      else { return nil }
      self.query[name] = value
    }
  }

  /// Whether a switch like `dryRun` is on: `?dryRun`, `?dryRun=true`, `=1`, `=All`.
  func isOn(_ name: String) -> Bool {
    guard let value = query[name]?.lowercased() else { return false }
    return ["", "true", "1", "all", "yes"].contains(value)
  }

  private static func decoded(_ text: Substring, plusIsSpace: Bool) -> String? {
    PercentEncoding.decode(text, plusIsSpace: plusIsSpace).flatMap { String(validating: $0, as: UTF8.self) }
  }
}
