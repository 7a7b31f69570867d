import Glibc
import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("on real sockets")
struct SocketTests {
  @Test("a request crosses two workers' threads and the kernel, and a drain ends everything")
  func smoke() throws {
    // The upstream: a loop of its own on a free port.
    let port = Handover<UInt16>()
    let upstream = try Worker.loop(name: "upstream") { loop in
      let peers = Peers(loop)
      peers.onBytes = { peer in
        guard let message = HTTP1Text(peer.received) else { return }
        peer.received.removeFirst(message.length)
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
      }
      let id = try loop.listen(on: SocketAddress(.loopback4, port: 0))
      port.give(loop.address(of: id).port)
      return peers
    }
    let registry = MetricsRegistry(workers: 2)
    let proxy = try ProxyServer(ProxyServer.Options(concurrency: 2), registry: registry)
    let compiler = SnapshotCompiler(metrics: registry, logs: AccessLogFiles(workers: 2), extensions: .basics)
    var state = ConfigState()
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .cluster("backend"))))]
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host]
    var listener = Listener(name: "in", address: .socket(host: "127.0.0.1", port: 0))
    var chain = FilterChain(name: "chain")
    chain.filters = [.httpConnectionManager(HTTPConnectionManager(statPrefix: "test", routes: .inline(routes)))]
    listener.filterChains = [chain]
    state.listeners = [listener]
    var cluster = Cluster(name: "backend")
    var endpoints = LocalityEndpoints()
    endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: port.take()))]
    cluster.loadAssignment.localities = [endpoints]
    state.clusters = [cluster]
    let compilation = compiler.compile(state)
    #expect(compilation.rejections.isEmpty)
    proxy.apply(compilation.snapshot)

    for worker in proxy.addresses() {
      let address = try #require(worker.first?.address)
      // Two requests on one connection.
      for _ in 0..<2 { #expect(try Self.fetch(address.port).hasSuffix("hello")) }
    }
    #expect(registry.value(HTTPMetric.downstreamRq2xx, registry.scope(ScopeKey(.http, "test"))) == 4)
    proxy.drain(for: .seconds(5))
    #expect(proxy.ask { $0.downstreams.count } == [0, 0])
    proxy.stop()
    upstream.mailbox.post { $0.stop() }
    upstream.worker.join()
  }

  /// One request on a blocking socket.
  private static func fetch(_ port: UInt16) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { _ = close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let connected = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard connected == 0 else { throw WeftError.system("connect", errno) }
    let request = Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8)
    guard unsafe write(descriptor, request, request.count) == request.count else {
      throw WeftError.system("write", errno)
    }
    var text = ""
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let n = unsafe read(descriptor, &bytes, bytes.count)
      if n <= 0 { return text }
      text += String(decoding: bytes[..<n], as: UTF8.self)
    }
  }

  @Test(
    "a hundred connections that stay are spread over the workers, and most evenly where a listener asks for it",
    arguments: [2, 3, 4], [false, true])
  func balance(_ workers: Int, _ exact: Bool) throws {
    let registry = MetricsRegistry(workers: workers)
    let proxy = try ProxyServer(ProxyServer.Options(concurrency: workers), registry: registry)
    defer { proxy.stop() }
    // One address for all workers: a free one is taken once, then asked for by number.
    let finder = EventLoop(driver: EpollDriver())
    finder.handler = Peers(finder)
    let found = try finder.listen(on: .loopback(port: 0))
    let port = finder.address(of: found).port
    finder.shutdown()
    var listener = Listener(name: "in", address: .socket(host: "127.0.0.1", port: port))
    listener.exactBalance = exact
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = []
    var chain = FilterChain(name: "chain")
    chain.filters = [.httpConnectionManager(HTTPConnectionManager(statPrefix: "test", routes: .inline(routes)))]
    listener.filterChains = [chain]
    var state = ConfigState()
    state.listeners = [listener]
    let compiler = SnapshotCompiler(metrics: registry, logs: AccessLogFiles(workers: workers), extensions: .basics)
    proxy.apply(compiler.compile(state).snapshot)
    #expect(proxy.addresses().map { $0.map(\.address.port) } == Array(repeating: [port], count: workers))
    let clients = EventLoop(driver: EpollDriver())
    let peers = Peers(clients)
    clients.handler = peers
    defer { clients.shutdown() }
    for _ in 0..<100 { _ = peers.connect(SocketAddress(.loopback4, port: port)) }
    var counts: [Int] = []
    for _ in 0..<2000 where counts.reduce(0, +) < 100 {
      clients.turn(until: clients.now + .milliseconds(5))
      counts = proxy.ask { Int($0.downstreams.count) }
    }
    #expect(counts.reduce(0, +) == 100)
    let (least, most) = (counts.min() ?? 0, counts.max() ?? 0)
    #expect(most - least <= (exact ? 1 : 2 + least / 4), "\(counts)")
    // Every one of them is served where it is.
    for peer in peers.all { peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") }
    for _ in 0..<2000 where !peers.all.allSatisfy(\.isOver) { clients.turn(until: clients.now + .milliseconds(5)) }
    #expect(peers.all.allSatisfy { $0.text.hasPrefix("HTTP/1.1 404 ") })
  }

  @Test("places are given to whoever has fewest, with some grace, and given back")
  func places() {
    let loops = (0..<3).map { _ in EventLoop(driver: EpollDriver()) }
    let even = ConnectionBalance(loops.map(\.mailbox))
    func accept(by worker: Int, _ mode: ConnectionBalance.Mode) -> Int { even.place(acceptedBy: worker, mode) }
    // Two more than the one with fewest stay.
    #expect((0..<2).map { _ in accept(by: 0, .even) } == [0, 0])
    #expect(accept(by: 0, .even) == 1)
    #expect(accept(by: 0, .exact) == 2)
    #expect(accept(by: 1, .exact) == 1)
    // While workers change their listeners connections stay where they are accepted.
    even.change()
    #expect(accept(by: 0, .exact) == 0)
    for _ in 0..<3 { even.changed() }
    for _ in 0..<3 { even.left(0) }
    #expect(accept(by: 1, .exact) == 0)
    #expect((0..<3).map { _ in accept(by: 1, .exact) } == [0, 2, 1])
    #expect(even.places == [2, 3, 2])
  }

  @Test("two workers that place at the same moment see each other's place: none gets two more than another")
  func placesAtOnce() {
    let loops = (0..<3).map { _ in EventLoop(driver: EpollDriver()) }
    let balance = ConnectionBalance(loops.map(\.mailbox))
    // All decide before any of the connections is served.
    #expect([0, 1, 0, 1, 1, 0, 2].map { balance.place(acceptedBy: $0, .exact) } == [0, 1, 2, 1, 0, 2, 2])
    #expect(balance.places == [2, 2, 3])
  }

  @Test("a connection that is refused, or that the loop has no room for, gives its place back")
  func placesGivenBack() {
    var limits = WorkerEngine.Limits()
    limits.acceptedConnections = 1
    let world = ProxyWorld(limits: limits)
    world.simple()
    let balance = ConnectionBalance([world.proxyLoop.mailbox, world.serverLoop.mailbox])
    world.engine.balance[] = balance
    world.apply()
    let kept = world.connect()
    world.settle()
    #expect(kept.isConnected && balance.places == [1, 0])
    let refused = world.connect()
    #expect(world.run(for: .milliseconds(100)) { refused.isClosed })
    #expect(balance.places == [1, 0])
    kept.close()
    world.advance(by: .seconds(2))
    #expect(balance.places == [0, 0])
    // A socket that never becomes a connection has its place until the next one comes.
    let listener = world.engine.listenerTable[].entries[0].id
    #expect(!world.engine.takesAway(-1, on: listener, from: .loopback(port: 1)) && balance.places == [1, 0])
    let next = world.connect()
    world.settle()
    #expect(next.isConnected && balance.places == [1, 0])
  }
}
