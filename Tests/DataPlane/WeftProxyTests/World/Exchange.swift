// Exchange: one request and its response through the proxy, in any pair of HTTP versions.

import Testing
import WeftBase
import WeftHTTP
import WeftModel

@testable import WeftProxy

enum Version: CaseIterable, CustomTestStringConvertible {
  case one, two
  var testDescription: String { self == .one ? "HTTP/1" : "HTTP/2" }
}

/// What one side sees of a message.
struct Seen {
  var status = 0
  var method = ""
  var path = ""
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var trailers: [(name: String, value: String)] = []

  func first(_ name: String) -> String? { fields.first { $0.name.lowercased() == name }?.value }
  func trailer(_ name: String) -> String? { trailers.first { $0.name.lowercased() == name }?.value }
}

/// The tests' own ends, speaking either version.
final class Ends {
  let world: ProxyWorld
  let clientVersion: Version
  let serverVersion: Version
  /// Requests the server got, complete.
  private(set) var requests: [Seen] = []
  var respond: (Seen) -> (status: Int, body: [UInt8], chunked: Bool, trailers: [(String, String)])
  private var client: Peer?
  private var h2: H2Peer?

  init(
    _ world: ProxyWorld, client: Version, server: Version,
    respond: @escaping (Seen) -> (status: Int, body: [UInt8], chunked: Bool, trailers: [(String, String)])
  ) {
    self.world = world
    clientVersion = client
    serverVersion = server
    self.respond = respond
    world.server.onAccept = { [self] peer in
      guard serverVersion == .two else { return }
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [self, unowned h2] id, message in
        let seen = Seen(
          method: message.method, path: message.path, fields: message.fields, body: message.body,
          trailers: message.trailers)
        requests.append(seen)
        let answer = self.respond(seen)
        h2.respond(id, UInt16(answer.status), body: answer.body.isEmpty ? nil : answer.body, trailers: answer.trailers)
      }
    }
    world.server.onBytes = { [self] peer in
      guard serverVersion == .one else { return }
      while let message = HTTP1Text(peer.received) {
        peer.received.removeFirst(message.length)
        let words = message.start.split(separator: " ")
        let seen = Seen(
          method: String(words[0]), path: String(words[1]), fields: message.fields, body: message.body,
          trailers: message.trailers)
        requests.append(seen)
        let answer = self.respond(seen)
        var head = "HTTP/1.1 \(answer.status) X\r\n"
        if answer.chunked || !answer.trailers.isEmpty {
          head += "transfer-encoding: chunked\r\n\r\n"
          let trailers = answer.trailers.map { "\($0.0): \($0.1)\r\n" }.joined()
          peer.send(Array(head.utf8) + HTTP1Text.chunked(answer.body, size: 1000, trailers: trailers))
        } else {
          head += "content-length: \(answer.body.count)\r\n\r\n"
          peer.send(Array(head.utf8) + (seen.method == "HEAD" ? [] : answer.body))
        }
      }
    }
  }

  /// Sends a request and waits for its response.
  func exchange(
    _ method: HTTPMethod = .get, _ path: String = "/x", fields: [(String, String)] = [], body: [UInt8] = [],
    chunked: Bool = false, trailers: [(String, String)] = [], sourceLocation: SourceLocation = #_sourceLocation
  ) -> Seen? {
    if client == nil || client!.isOver {
      client = world.connect()
      if clientVersion == .two { h2 = H2Peer(.client, client!) }
    }
    guard let client else { return nil }
    if let h2, clientVersion == .two {
      let hasBody = !body.isEmpty || !trailers.isEmpty
      let id = h2.request(method, path, fields: fields, body: hasBody ? body : nil, end: trailers.isEmpty)
      if !trailers.isEmpty { h2.sendTrailers(id, trailers) }
      guard world.run(until: { h2.messages[id]?.ended ?? false || h2.messages[id]?.resetCode != nil || client.isOver }),
        let message = h2.messages[id], message.ended
      else { return nil }
      return Seen(
        status: Int(message.status), fields: message.fields, body: message.body, trailers: message.trailers)
    }
    var head = "\(method.text) \(path) HTTP/1.1\r\nhost: example.com\r\n"
    for (name, value) in fields { head += "\(name): \(value)\r\n" }
    if !trailers.isEmpty || chunked {
      head += "te: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n"
      client.send(
        Array(head.utf8)
          + HTTP1Text.chunked(body, size: 777, trailers: trailers.map { "\($0.0): \($0.1)\r\n" }.joined()))
    } else {
      head += "te: trailers\r\nconnection: te\r\n"
      if !body.isEmpty { head += "content-length: \(body.count)\r\n" }
      client.send(Array((head + "\r\n").utf8) + body)
    }
    var answer: HTTP1Text?
    let bodiless = method == .head
    world.run(until: {
      while let message = HTTP1Text(client.received, bodiless: bodiless) {
        client.received.removeFirst(message.length)
        if message.status >= 200 { answer = message } else { continue }
        return true
      }
      return client.isOver
    })
    guard let answer else { return nil }
    return Seen(status: answer.status, fields: answer.fields, body: answer.body, trailers: answer.trailers)
  }
}

extension ProxyWorld {
  /// A simple world whose upstream speaks `version`.
  func simple(
    upstream version: Version, manager: (inout HTTPConnectionManager) -> Void = { _ in },
    route: (inout RouteAction) -> Void = { _ in }, cluster change: (inout Cluster) -> Void = { _ in }
  ) {
    simple(
      manager: manager, route: route,
      cluster: { cluster in
        cluster.upstreamProtocol = version == .two ? .http2 : .http1
        change(&cluster)
      })
  }
}

/// Recognisable bytes.
func pattern(_ count: Int, seed: UInt64 = 7) -> [UInt8] {
  var random = RandomSource(seed: seed)
  return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

/// Equality without the difference that a failed expectation would work out, which takes for ever on large bodies.
func same(_ a: [UInt8]?, _ b: [UInt8]) -> Bool { a == b }
