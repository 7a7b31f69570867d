import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("filters of upgrades")
struct UpgradeFilterTests {
  static func abort(_ status: Int, _ name: String) throws -> ConfiguredFilter {
    ConfiguredFilter(
      name: name,
      .filter(try FaultTests.config(#"{"abort": {"http_status": \#(status), "percentage": {"numerator": 100}}}"#)))
  }

  /// Aborts 418 for all requests; `websocket` has `own` instead.
  static func world(_ own: [ConfiguredFilter]?, override: FilterOverride? = nil) throws -> ProxyWorld {
    let router = ConfiguredFilter(name: "router", .router(RouterOptions()))
    return FilterWorld.make(
      [try abort(418, "all")], table: { if let override { $0.virtualHosts[0].filters["own"] = override } },
      manager: {
        $0.upgrades = [
          UpgradeConfiguration(type: "websocket", filters: own.map { $0 + [router] }),
          UpgradeConfiguration(type: "other"),
        ]
      })
  }

  static func ask(_ world: ProxyWorld, upgrade: String?) -> String? {
    world.server.onBytes = { peer in
      guard HTTP1Text(peer.received) != nil else { return }
      peer.received = []
      peer.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    }
    let client = world.connect()
    let fields = upgrade.map {
      "connection: upgrade\r\nupgrade: \($0)\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\(fields ?? "")\r\n")
    world.run(for: .seconds(2)) { client.received.count > 12 || client.isOver }
    let text = String(decoding: client.received.prefix(12), as: UTF8.self)
    if !client.isOver { client.reset() }
    world.settle()
    world.expectClean()
    #expect(world.engine.filterBlocks[].lent == 0)
    return text.isEmpty ? nil : text
  }

  @Test("an upgrade with filters of its own runs through those, all else through the manager's")
  func own() throws {
    let world = try Self.world([try Self.abort(422, "own")])
    #expect(Self.ask(world, upgrade: "WebSocket") == "HTTP/1.1 422")
    #expect(Self.ask(world, upgrade: "other") == "HTTP/1.1 418")
    #expect(Self.ask(world, upgrade: nil) == "HTTP/1.1 418")
  }

  @Test("an upgrade whose filters are the router alone has none; one that says nothing has the manager's")
  func alone() throws {
    #expect(Self.ask(try Self.world([]), upgrade: "websocket") == "HTTP/1.1 101")
    #expect(Self.ask(try Self.world(nil), upgrade: "websocket") == "HTTP/1.1 418")
  }

  @Test("routes configure the filters of upgrades by name, too", arguments: [false, true])
  func overrides(disabled: Bool) throws {
    let override = FilterOverride(
      config: try FaultTests.config(#"{"abort": {"http_status": 409, "percentage": {"numerator": 100}}}"#),
      isDisabled: disabled)
    let world = try Self.world([try Self.abort(422, "own")], override: override)
    #expect(Self.ask(world, upgrade: "websocket") == (disabled ? "HTTP/1.1 101" : "HTTP/1.1 409"))
    #expect(Self.ask(world, upgrade: nil) == "HTTP/1.1 418")
  }

  @Test("an upgrade that is not allowed is refused behind the manager's filters")
  func forbidden() throws {
    let world = try Self.world([try Self.abort(422, "own")])
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0] else {
      return
    }
    manager.upgrades[0].enabled = false
    world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(manager)
    world.apply()
    #expect(Self.ask(world, upgrade: "websocket") == "HTTP/1.1 418")
  }

  @Test("CONNECT runs through filters of its own, or through the manager's", arguments: [false, true])
  func connect(hasOwn: Bool) throws {
    let router = ConfiguredFilter(name: "router", .router(RouterOptions()))
    let own = hasOwn ? [try Self.abort(422, "own"), router] : nil
    let world = FilterWorld.make(
      [try Self.abort(418, "all")], manager: { $0.upgrades = [UpgradeConfiguration(type: "CONNECT", filters: own)] })
    let client = world.connect()
    client.send("CONNECT a.test:1 HTTP/1.1\r\nHost: a.test:1\r\n\r\n")
    #expect(world.run { client.text.hasPrefix(hasOwn ? "HTTP/1.1 422" : "HTTP/1.1 418") })
    #expect(Self.ask(world, upgrade: nil) == "HTTP/1.1 418")
  }

  @Test("what is wrong with an upgrade's filter is told by its place")
  func refused() throws {
    let world = try Self.world(nil)
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0] else {
      return
    }
    manager.upgrades[0].filters = [
      try Self.abort(99, "own"), ConfiguredFilter(name: "router", .router(RouterOptions())),
    ]
    world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(manager)
    let refusal = try #require(world.rejections().first)
    #expect("\(refusal.path)".contains("upgrade_configs[0].filters[0].typed_config.abort.http_status"))
  }
}
