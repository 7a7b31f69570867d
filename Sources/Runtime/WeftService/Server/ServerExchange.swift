/// One request and its response on the server, shared by the loop and the handler's task.
final class ServerExchange: Sendable {
  let outbound: OutboundStream

  init(outbound: OutboundStream) { self.outbound = outbound }

  func start(_ response: HTTPResponse, wholeBody: [UInt8]?) throws { throw ServiceError.shutDown }
  func sendInterim(_ response: HTTPResponse) {}
  func reset(code: UInt32) {}
  func setDeadline(in timeout: Duration) {}
  var isEnded: Bool { true }
}
