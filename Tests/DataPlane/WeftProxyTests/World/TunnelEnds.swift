// TunnelEnds: the two ends of an upgrade or CONNECT through the proxy, in any pair of HTTP versions.

import Testing
import WeftBase
import WeftHTTP
import WeftModel

@testable import WeftProxy

enum Asked: CaseIterable, CustomTestStringConvertible {
  case webSocket, connect
  var testDescription: String { self == .webSocket ? "websocket" : "CONNECT" }
}

final class TunnelEnds {
  let world: ProxyWorld
  let asked: Asked
  let clientVersion: Version
  let serverVersion: Version
  let client: Peer
  private(set) var clientH2: H2Peer?
  private var clientID: H2StreamID = 0
  private(set) var server: Peer?
  private(set) var serverH2: H2Peer?
  private(set) var serverID: H2StreamID = 0
  /// What RFC 6455 has as its example.
  static let key = "dGhlIHNhbXBsZSBub25jZQ=="
  static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

  init(_ world: ProxyWorld, _ asked: Asked, client: Version, server: Version, allowsExtended: Bool = true) {
    self.world = world
    self.asked = asked
    clientVersion = client
    serverVersion = server
    self.client = world.connect()
    self.client.closesOnEnd = false
    if client == .two { clientH2 = H2Peer(.client, self.client) }
    world.server.onAccept = { [unowned self] peer in
      peer.closesOnEnd = false
      self.server = peer
      guard server == .two else { return }
      var limits = HTTPLimits()
      limits.http2.allowsExtendedConnect = allowsExtended
      let h2 = H2Peer(.server, peer, limits: limits)
      serverH2 = h2
      h2.onHead = { [unowned self] id, _ in serverID = id }
    }
  }

  /// The client asks. `key`: an HTTP/2 client's, too.
  func ask(fields: [(String, String)] = [], key: Bool? = nil) {
    if let clientH2 {
      var fields = fields
      if key ?? false { fields.append(("sec-websocket-key", Self.key)) }
      clientID =
        asked == .connect
        ? clientH2.connect(authority: "example.com:443")
        : clientH2.connect("websocket", path: "/chat", fields: fields)
      return
    }
    let more = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
    client.send(
      asked == .connect
        ? "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
        : "GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          + "Sec-WebSocket-Version: 13\r\n" + (key ?? true ? "Sec-WebSocket-Key: \(Self.key)\r\n" : "") + more + "\r\n")
  }

  /// The request as the server sees it; nil before it has come.
  var request: Seen? {
    guard let server else { return nil }
    if let serverH2 {
      guard let message = serverH2.messages[serverID] else { return nil }
      var seen = Seen(method: message.method, path: message.path, fields: message.fields)
      if !message.protocolName.isEmpty { seen.fields.append((":protocol", message.protocolName)) }
      return seen
    }
    guard let message = HTTP1Text(server.received, bodiless: true) else { return nil }
    let words = message.start.split(separator: " ")
    return Seen(method: String(words[0]), path: String(words[1]), fields: message.fields)
  }

  /// The server says yes, in its version's way; `accept` as the handshake asks for when nil.
  func grant(fields: [(String, String)] = [], accept: String? = nil) {
    if let serverH2 { return serverH2.respond(serverID, 200, fields: fields, end: false) }
    guard asked == .webSocket else { return server?.send("HTTP/1.1 200 OK\r\n\r\n") ?? () }
    let key = request?.first("sec-websocket-key") ?? ""
    let answer = accept ?? Self.answer(to: key)
    let more = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
    server?.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Accept: \(answer)\r\n" + more + "\r\n")
  }

  static func answer(to key: String) -> String {
    let scratch = HeadScratch()
    return key.withByteView { WebSocketHandshake.accept($0, scratch: scratch.head).string }
  }

  /// The answer as the client sees it; nil before it has come.
  var answer: Seen? {
    if let clientH2 {
      guard let message = clientH2.messages[clientID], message.status != 0 else { return nil }
      return Seen(status: Int(message.status), fields: message.fields)
    }
    guard let message = HTTP1Text(client.received, bodiless: true) else { return nil }
    return Seen(status: message.status, fields: message.fields)
  }

  /// Asks, grants, waits for the client to hear of it.
  func open() -> Bool {
    ask()
    guard world.run(until: { request != nil }) else { return false }
    grant()
    return world.run { answer != nil }
  }

  func clientSends(_ bytes: [UInt8]) {
    if let clientH2 { clientH2.send(clientID, bytes, end: false) } else { client.send(bytes) }
  }
  func clientEnds() {
    if let clientH2 { clientH2.send(clientID, [], end: true) } else { client.finish() }
  }
  func serverSends(_ bytes: [UInt8]) {
    if let serverH2 { serverH2.send(serverID, bytes, end: false) } else { server?.send(bytes) }
  }
  func serverEnds() {
    if let serverH2 { serverH2.send(serverID, [], end: true) } else { server?.finish() }
  }

  /// Bytes of the tunnel that have arrived.
  var clientGot: [UInt8] {
    if let clientH2 { return clientH2.messages[clientID]?.body ?? [] }
    guard let head = HTTP1Text(client.received, bodiless: true) else { return [] }
    return Array(client.received[head.length...])
  }
  var serverGot: [UInt8] {
    if let serverH2 { return serverH2.messages[serverID]?.body ?? [] }
    guard let server, let head = HTTP1Text(server.received, bodiless: true) else { return [] }
    return Array(server.received[head.length...])
  }
  var clientSawEnd: Bool { clientH2.map { $0.messages[clientID]?.ended ?? false } ?? client.readEnded }
  var serverSawEnd: Bool { serverH2.map { $0.messages[serverID]?.ended ?? false } ?? server?.readEnded ?? false }
  var clientResetCode: H2ErrorCode? { clientH2?.messages[clientID]?.resetCode }
  var serverResetCode: H2ErrorCode? { serverH2?.messages[serverID]?.resetCode }

  func clientResets() {
    if let clientH2 { clientH2.reset(clientID) } else { client.reset() }
  }
  func serverResets() {
    if let serverH2 { serverH2.reset(serverID) } else { server?.reset() }
  }
}

extension ProxyWorld {
  /// A simple world that allows upgrades to WebSocket, and CONNECT.
  func tunnels(
    upstream version: Version, manager change: (inout HTTPConnectionManager) -> Void = { _ in },
    route: (inout RouteAction) -> Void = { _ in }, ports: [UInt16] = [8080],
    cluster changeCluster: (inout Cluster) -> Void = { _ in }
  ) {
    simple(
      ports: ports,
      manager: { manager in
        manager.upgrades = [UpgradeConfiguration(type: "websocket"), UpgradeConfiguration(type: "CONNECT")]
        guard case .inline(var routes) = manager.routes else { return }
        var connect = routes.virtualHosts[0].routes[0]
        connect.match = RouteMatch(.connect)
        routes.virtualHosts[0].routes.insert(connect, at: 0)
        manager.routes = .inline(routes)
        change(&manager)
      }, route: route,
      cluster: { cluster in
        cluster.upstreamProtocol = version == .two ? .http2 : .http1
        changeCluster(&cluster)
      })
  }
}
