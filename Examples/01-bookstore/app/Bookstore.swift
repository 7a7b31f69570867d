// What each service answers.
import WeftBase
import WeftHTTP
import WeftService

enum Role: String, Sendable {
  case page, details, reviews, ratings
}

/// One of the services.
struct Bookstore: Sendable {
  var role: Role
  var version: String
  var upstreams: Upstreams

  /// Headers an application must pass on, so that routes by user and traces hold across services.
  private static let propagated = ["end-user", "x-request-id", "traceparent", "tracestate", "b3"]

  @Sendable func answer(_ request: HTTPServerRequest, _ responder: HTTPResponder) async throws {
    if request.head.path == "/health" { return try await responder.send("ok\n") }
    if request.version == .http2, request.head.headers["content-type"]?.hasPrefix("application/grpc") == true {
      return try await RatingsOverGRPC.answer(request, responder, stars: Self.stars)
    }
    var passed = HTTPHeaders()
    for name in Self.propagated {
      if let value = request.head.headers[name] { passed.add(name, value) }
    }
    do {
      try await reply(try await document(request.head.path, passed), status: 200, responder)
    } catch let failure as UpstreamFailure {
      try await reply(["error": .string(failure.description)], status: 502, responder)
    }
  }

  private func document(_ path: String, _ headers: HTTPHeaders) async throws -> JSONValue {
    switch role {
    case .page:
      async let details = upstreams.get("DETAILS_URL", "/details/0", headers)
      async let reviews = upstreams.get("REVIEWS_URL", "/reviews/0", headers)
      return [
        "service": "page", "version": .string(version), "details": try await details, "reviews": try await reviews,
      ]
    case .details:
      return ["service": "details", "version": .string(version), "title": "The Comedy of Errors", "pages": 200]
    case .reviews:
      var result: [JSONMember] = [
        JSONMember("service", "reviews"), JSONMember("version", .string(version)),
        JSONMember("reviews", ["An extremely entertaining play.", "Absolutely fun and entertaining."]),
      ]
      // Version 1 shows no stars; later ones ask for them.
      if version != "v1" { result.append(JSONMember("ratings", try await upstreams.ratings(headers))) }
      return .object(JSONObject(result))
    case .ratings:
      return ["service": "ratings", "version": .string(version), "stars": .array(Self.stars.map { .int($0) })]
    }
  }

  private static let stars = [5, 4]

  private func reply(_ value: JSONValue, status: Int, _ responder: HTTPResponder) async throws {
    let headers: HTTPHeaders = ["content-type": "application/json", "x-served-by": "\(role.rawValue)-\(version)"]
    try await responder.send(HTTPResponse(status: status, headers: headers), body: value.bytes())
  }
}
