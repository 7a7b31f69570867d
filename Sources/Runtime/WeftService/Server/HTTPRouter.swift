import WeftBase

/// Chooses a handler by method and path.
///
/// Patterns are literal paths whose segments may be `{name}` (one segment, captured) and whose last may be `*` (the rest).
/// Literal segments win over captures. HEAD is served by GET's handler; other methods of a known path are 405.
package struct HTTPRouter: Sendable {
  /// Percent-decoded captures of the pattern.
  package struct Captures: Sendable {
    private(set) var values: [String: String] = [:]

    package subscript(name: String) -> String { values[name] ?? "" }
  }

  package typealias Handler = @Sendable (HTTPServerRequest, Captures, HTTPResponder) async throws -> Void

  private struct Route: Sendable {
    let method: String
    let segments: [String]
    let handler: Handler
  }

  private var routes: [Route] = []

  package init() {}

  /// Adds a route; an earlier equal one wins.
  package mutating func on(_ method: String, _ pattern: String, _ handler: @escaping Handler) {
    routes.append(Route(method: method, segments: Self.segments(pattern), handler: handler))
  }

  /// The handler for a server.
  package func handle(_ request: HTTPServerRequest, _ responder: HTTPResponder) async throws {
    let path = Self.segments(request.head.path)
    let method = request.head.method == "HEAD" ? "GET" : request.head.method
    var best: (route: Route, captures: Captures, literals: Int)?
    var allowed: Set<String> = []
    for route in routes {
      guard let (captures, literals) = Self.match(route.segments, path) else { continue }
      allowed.insert(route.method)
      guard route.method == method, literals > best?.literals ?? -1 else { continue }
      best = (route, captures, literals)
    }
    if let best { return try await best.route.handler(request, best.captures, responder) }
    if allowed.isEmpty { return try await responder.send(status: 404, "not found: \(request.head.path)\n") }
    try await responder.send(
      HTTPResponse(status: 405, headers: ["allow": allowed.sorted().joined(separator: ", ")]))
  }

  private static func segments(_ path: String) -> [String] {
    path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
  }

  private static func match(_ pattern: [String], _ path: [String]) -> (Captures, literals: Int)? {
    var captures = Captures()
    var literals = 0
    for (index, segment) in pattern.enumerated() {
      if segment == "*", index == pattern.count - 1 {
        captures.set("*", path.dropFirst(index).joined(separator: "/"))
        return (captures, literals)
      }
      guard index < path.count else { return nil }
      if segment.hasPrefix("{"), segment.hasSuffix("}") {
        guard let value = HTTPQuery.decode(path[index], plusIsSpace: false) else { return nil }
        captures.set(String(segment.dropFirst().dropLast()), value)
      } else if segment == path[index] {
        literals += 1
      } else {
        return nil
      }
    }
    return pattern.count == path.count ? (captures, literals + 1) : nil
  }
}

extension HTTPRouter.Captures {
  fileprivate mutating func set(_ name: String, _ value: String) { values[name] = value }
}

/// The items of a query.
package enum HTTPQuery {
  /// Decoded name and value pairs in order; an item that is not valid percent-encoding is left out.
  package static func items(_ query: String?) -> [(name: String, value: String)] {
    (query ?? "").split(separator: "&").compactMap { item in
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let name = decode(parts[0], plusIsSpace: true),
        let value = decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
      else { return nil }
      return (name, value)
    }
  }

  /// The first value of a name.
  package static func value(_ name: String, in query: String?) -> String? {
    items(query).first { $0.name == name }?.value
  }

  /// nil when an escape is malformed or the result is not UTF-8.
  package static func decode(_ text: String, plusIsSpace: Bool) -> String? {
    PercentEncoding.decode(text, plusIsSpace: plusIsSpace).flatMap { String(validating: $0, as: UTF8.self) }
  }
}
