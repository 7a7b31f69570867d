// The echo service: its methods, and what a server answers.
import WeftGRPC
import WeftService

/// The methods of echo.Echo. Messages are raw bytes.
enum EchoService {
  /// Answers with the request; `x-ask` comes back as initial metadata `x-answer`, its length as trailing metadata `seen`.
  static let unary = GRPCMethod(raw: "/echo.Echo/Unary")
  /// The request is a decimal number n; answers "0", "1", … n−1.
  static let serverStream = GRPCMethod(raw: "/echo.Echo/ServerStream")
  /// Answers with the sum of the requests' lengths, in decimal.
  static let clientStream = GRPCMethod(raw: "/echo.Echo/ClientStream")
  /// Answers each request with its bytes reversed.
  static let both = GRPCMethod(raw: "/echo.Echo/Both")
  /// FAILED_PRECONDITION, with a message outside ASCII and the request as status details.
  static let fail = GRPCMethod(raw: "/echo.Echo/Fail")
  /// Never answers.
  static let hang = GRPCMethod(raw: "/echo.Echo/Hang")

  static let failureMessage = "as asked: 100 % ünïcode"

  static func routes(name: String) -> GRPCRoutes {
    var routes = GRPCRoutes()
    routes.unary(unary) { request, context in
      var initial = GRPCMetadata([("x-server", name)])
      if let ask = context.metadata["x-ask"] { initial.add("x-answer", ask) }
      if let bytes = context.metadata.bytes("x-ask-bin") { initial.add("x-answer-bin", bytes: bytes) }
      context.sendInitialMetadata(initial)
      context.setTrailingMetadata(GRPCMetadata([("seen", String(request.count))]))
      return request
    }
    routes.serverStreaming(serverStream) { request, writer, _ in
      guard let count = Int(String(decoding: request, as: UTF8.self)), (0...1_000_000).contains(count) else {
        throw GRPCStatus(.invalidArgument, "the request must be a number up to 1000000")
      }
      for number in 0..<count { try await writer.send(Array(String(number).utf8)) }
    }
    routes.clientStreaming(clientStream) { requests, _ in
      var sum = 0
      for try await request in requests { sum += request.count }
      return Array(String(sum).utf8)
    }
    routes.bidirectional(both) { requests, writer, _ in
      for try await request in requests { try await writer.send(request.reversed()) }
    }
    routes.unary(fail) { request, _ in throw GRPCStatus(.failedPrecondition, failureMessage, details: request) }
    routes.unary(hang) { _, _ in
      try await Task.sleep(for: .seconds(3600))
      return []
    }
    return routes
  }
}
