// A proxy whose listener speaks a codec's protocol, with peers on one simulated network.

import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftHTTPFilters
@testable import WeftProtocols
@testable import WeftProxy
@testable import WeftProxyTestKit

enum ProtocolWorld {
  static let dubbo = ExtensionConfig(typeName: DubboCodec.messages[0], message: [])
  static let lines = ExtensionConfig(typeName: Lines.messages[0], message: [])

  static func make(
    _ codec: ExtensionConfig = dubbo, ports: [UInt16] = [8080], splits: Bool = false, seed: UInt64 = 1,
    window: Int = 64 << 10, limits: WorkerEngine.Limits = WorkerEngine.Limits(),
    manager change: (inout HTTPConnectionManager) -> Void = { _ in }, route: (inout RouteAction) -> Void = { _ in },
    cluster: (inout Cluster) -> Void = { _ in }
  ) -> ProxyWorld {
    let world = ProxyWorld(
      seed: seed, splits: splits, window: window, limits: limits,
      extensions: ProxyExtensions(
        httpFilters: HTTPFilters.registry, protocols: ProtocolRegistry(Protocols.all + [Lines.self])))
    world.simple(
      ports: ports,
      manager: { manager in
        manager.protocolCodec = codec
        change(&manager)
      }, route: route, cluster: cluster)
    return world
  }
}

extension RouteConfiguration {
  /// Tables of a manager that are written in it.
  static func of(_ manager: inout HTTPConnectionManager, _ change: (inout RouteConfiguration) -> Void) {
    guard case .inline(var table) = manager.routes else { return }
    change(&table)
    manager.routes = .inline(table)
  }
}

/// Servers that speak Dubbo: each whole frame is answered by `answer`, with what comes of it.
final class DubboServers {
  /// Requests in the order in which they came, heartbeats not among them.
  private(set) var requests: [(peer: Peer, frame: [UInt8])] = []
  private(set) var events: [[UInt8]] = []
  var answer: (Peer, [UInt8]) -> [UInt8] = { _, frame in DubboFrames.answer(id: DubboFrames.id(frame)) }
  var answersHeartbeats = true

  init(_ world: ProxyWorld) {
    world.server.onBytes = { [unowned self] peer in
      for frame in peer.frames() {
        if frame[2] & 0x20 != 0 {
          events.append(frame)
          if answersHeartbeats, frame[2] & 0x40 != 0 {
            peer.send(DubboFrames.heartbeatAnswer(id: DubboFrames.id(frame)))
          }
          continue
        }
        requests.append((peer, frame))
        let says = answer(peer, frame)
        if !says.isEmpty { peer.send(says) }
      }
    }
  }
}

extension Peer {
  /// Takes the whole frames received so far.
  func frames() -> [[UInt8]] {
    var whole: [[UInt8]] = []
    while received.count >= 16 {
      let length = 16 + received[12..<16].reduce(0) { $0 << 8 | Int($1) }
      guard received.count >= length else { break }
      whole.append(Array(received[..<length]))
      received.removeFirst(length)
    }
    return whole
  }
}

/// What an answer says: its number, status, and text.
struct DubboAnswer: Equatable, CustomStringConvertible {
  var id: UInt64
  var status: UInt8
  var text: String

  init(id: UInt64, _ status: UInt8, _ text: String) {
    (self.id, self.status, self.text) = (id, status, text)
  }

  init(_ frame: [UInt8]) {
    id = DubboFrames.id(frame)
    status = frame[3]
    let value = frame.dropFirst(status == 20 ? 17 : 16)
    text = String(decoding: value.first == 0x53 ? value.dropFirst(3) : value.dropFirst(), as: UTF8.self)
  }

  var description: String { "\(id): \(status) \(text)" }
}
