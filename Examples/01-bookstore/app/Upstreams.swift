// The services this one calls, through whatever address its environment gives.
import WeftBase
import WeftService

/// A call to another service that did not end in 200.
struct UpstreamFailure: Error, CustomStringConvertible {
  var description: String
}

struct Upstreams: Sendable {
  private let client: HTTPClient
  private let grpc: HTTPClient
  private let ratingsOverGRPC: Bool

  init(runtime: ServiceRuntime, ratingsOverGRPC: Bool) {
    client = HTTPClient(HTTPClientConfiguration(protocols: .http1), on: runtime)
    grpc = HTTPClient(HTTPClientConfiguration(protocols: .http2), on: runtime)
    self.ratingsOverGRPC = ratingsOverGRPC
  }

  /// `GET` of `path` at the address in the variable `name`, as JSON.
  func get(_ name: String, _ path: String, _ headers: HTTPHeaders) async throws -> JSONValue {
    guard let base = variable(name) else { throw UpstreamFailure(description: "\(name) is not set") }
    do {
      let answer = try await client.get(base + path, headers: headers, timeout: .seconds(10))
      guard answer.status == 200, let value = try? JSONValue(parsing: answer.text) else {
        throw UpstreamFailure(description: "\(name) answered \(answer.status): \(answer.text.prefix(200))")
      }
      return value
    } catch let error as ServiceError {
      throw UpstreamFailure(description: "\(name): \(error)")
    }
  }

  func ratings(_ headers: HTTPHeaders) async throws -> JSONValue {
    guard ratingsOverGRPC else { return try await get("RATINGS_URL", "/ratings/0", headers) }
    guard let base = variable("RATINGS_URL") else { throw UpstreamFailure(description: "RATINGS_URL is not set") }
    return try await RatingsOverGRPC.call(base, grpc)
  }
}
