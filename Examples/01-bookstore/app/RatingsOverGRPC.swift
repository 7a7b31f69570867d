// bookstore.Ratings/Get over gRPC, by hand: a request names a book, the response holds its stars as packed varints (see ratings.proto).
import WeftBase
import WeftService

enum RatingsOverGRPC {
  static let path = "/bookstore.Ratings/Get"

  /// Answers one unary call.
  static func answer(_ request: HTTPServerRequest, _ responder: HTTPResponder, stars: [Int]) async throws {
    let headers: HTTPHeaders = ["content-type": "application/grpc"]
    guard request.head.path == path else {
      let unimplemented: HTTPHeaders = ["content-type": "application/grpc", "grpc-status": "12"]
      return try await responder.send(HTTPResponse(headers: unimplemented))
    }
    _ = try await request.body.collect(upTo: 4096)
    let writer = try responder.start(HTTPResponse(headers: headers))
    let message: [UInt8] = [0x0A, UInt8(stars.count)] + stars.map { UInt8($0) }
    try await writer.write([0, 0, 0, 0, UInt8(message.count)] + message)
    writer.finish(trailers: ["grpc-status": "0"])
  }

  /// Makes one unary call to the server at `base`.
  static func call(_ base: String, _ client: HTTPClient) async throws -> JSONValue {
    let answer: HTTPClientResponse
    do {
      answer = try await client.send(
        "POST", base + path, headers: ["content-type": "application/grpc", "te": "trailers"],
        body: [0, 0, 0, 0, 2, 0x08, 0], timeout: .seconds(10))
    } catch let error as ServiceError {
      throw UpstreamFailure(description: "ratings by gRPC: \(error)")
    }
    let status = answer.trailers["grpc-status"] ?? answer.headers["grpc-status"] ?? "none"
    guard status == "0", answer.body.count > 7, answer.body[5] == 0x0A else {
      throw UpstreamFailure(description: "ratings by gRPC answered grpc-status \(status), HTTP \(answer.status)")
    }
    return ["service": "ratings", "over": "grpc", "stars": .array(answer.body[7...].map { .int($0) })]
  }
}
