import Synchronization
import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit
@testable import WeftTables
@testable import WeftUpstream

/// Gives every key to the host that its table says, and counts the tables that are made.
private struct Counted: LoadBalancerPolicy {
  static let made = Mutex<[String: Int]>([:])
  static var name: StaticString { "example.counted" }
  static var message: String { "example.Counted" }
  struct Config: BitwiseCopyable { var name: ByteView }
  static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config {
    Config(name: context.storage.bytes(config.message))
  }

  static func traits(_ config: Config) -> BalancerTraits {
    var traits = BalancerTraits()
    (traits.hashes, traits.hasTable) = (.address, true)
    return traits
  }

  static func table(_ config: Config, _ list: borrowing BalancerList) -> BalancerTable {
    made.withLock { $0[config.name.string, default: 0] += 1 }
    let positions = (0..<list.count).map { list[$0].position }
    return BalancerTable { memory in
      let table = memory.table(0 as Int32, count: positions.count)
      for i in table.indices { table[i] = positions[i] }
      return table
    }
  }

  private let hosts: FlatTable<Int32>
  init(_ config: Config, _ list: borrowing BalancerList) { hosts = list.table(as: FlatTable<Int32>.self) }
  mutating func pick(_ x: borrowing BalancerPick) -> Int32 { hosts[Int(x.hash % UInt64(hosts.count))] }
}

@Suite("tables of balancers")
struct TableTests {
  /// A name of the test's own keeps its count from others'.
  private final class World {
    let name: String
    let storage = SnapshotStorage()
    let shared: BalancerTables
    let compiled: CompiledBalancer
    var random = RandomSource(seed: 1)
    var made: Int { Counted.made.withLock { $0[name] ?? 0 } }

    init(_ name: String, _ builder: BalancerTables.Builder = .thread) throws {
      self.name = name
      shared = BalancerTables(builder)
      compiled = try LoadBalancerRegistry([Counted.self]).compile(
        ExtensionConfig(typeName: Counted.message, message: Array(name.utf8)),
        BalancerContext(storage: storage, metrics: MetricsRegistry(workers: 1), cluster: "c"))
    }

    func balancer() -> LoadBalancer {
      var settings = LoadBalancing()
      settings.panicThresholdPercent = 0
      return LoadBalancer(settings, compiled, shared: shared)
    }

    func hosts(_ count: Int) -> [BalancerHost] {
      (0..<count).map { BalancerHost(key: storage.text("10.0.0.\($0):80")) }
    }

    /// What the balancer wants to have made.
    func order(_ balancer: inout LoadBalancer) throws -> [BalancerTableJob] {
      let jobs = balancer.order()
      return try #require(jobs)
    }

    /// Who is chosen.
    func chosen(_ balancer: inout LoadBalancer) -> Set<Int32> {
      var out: Set<Int32> = []
      for hash in 0..<64 as Range<UInt64> {
        if case .host(let host, _) = balancer.pick(hash: hash, random: &random) { out.insert(host) }
      }
      return out
    }
  }

  @Test("workers with equal lists have one table between them; it goes with the last of them")
  func shared() throws {
    let world = try World("shared")
    var one = world.balancer()
    var other = world.balancer()
    one.setHosts(world.hosts(3), random: &world.random)
    other.setHosts(world.hosts(3), random: &world.random)
    #expect(world.made == 1 && world.chosen(&one) == [0, 1, 2] && world.chosen(&other) == [0, 1, 2])
    other.setHosts(world.hosts(4), random: &world.random)
    #expect(world.made == 2)
    one.setHosts([], random: &world.random)
    other.setHosts([], random: &world.random)
    #expect(one.tableBytes == 0 && other.tableBytes == 0)
    one.setHosts(world.hosts(3), random: &world.random)
    #expect(world.made == 3)
  }

  @Test("a change of health is served by what is there until its table has come; what changes meanwhile comes next")
  func health() throws {
    let world = try World("health")
    var balancer = world.balancer()
    balancer.setHosts(world.hosts(4), random: &world.random)
    balancer.setAvailability(3, .unhealthy, random: &world.random)
    #expect(world.made == 1 && world.chosen(&balancer) == [0, 1, 2, 3])
    let first = try world.order(&balancer)
    let none = balancer.order()
    #expect(first.count == 1 && none == nil)
    balancer.setAvailability(2, .unhealthy, random: &world.random)
    balancer.setAvailability(1, .unhealthy, random: &world.random)
    let more = balancer.order()
    #expect(more == nil, "one order at a time")
    balancer.take(first.map { world.shared.make($0) }, random: &world.random)
    let second = try world.order(&balancer)
    #expect(world.made == 2 && world.chosen(&balancer) == [0, 1, 2, 3])
    balancer.take(second.map { world.shared.make($0) }, random: &world.random)
    #expect(world.made == 3 && world.chosen(&balancer) == [0] && !balancer.awaitsTables)
    // Back as it was, while the table of all is still somebody's.
    var other = world.balancer()
    other.setHosts(world.hosts(4), random: &world.random)
    for i in 1...3 as ClosedRange<Int32> { balancer.setAvailability(i, .healthy, random: &world.random) }
    while let jobs = balancer.order() { balancer.take(jobs.map { world.shared.make($0) }, random: &world.random) }
    #expect(world.chosen(&balancer) == [0, 1, 2, 3] && !balancer.awaitsTables)
  }

  @Test("hosts that come while a table is on its way are there at once")
  func newHosts() throws {
    let world = try World("new hosts")
    var balancer = world.balancer()
    balancer.setHosts(world.hosts(4), random: &world.random)
    balancer.setAvailability(3, .unhealthy, random: &world.random)
    let jobs = try world.order(&balancer)
    balancer.setHosts(world.hosts(2), random: &world.random)
    #expect(world.chosen(&balancer) == [0, 1])
    balancer.take(jobs.map { world.shared.make($0) }, random: &world.random)
    #expect(world.chosen(&balancer) == [0, 1] && !balancer.awaitsTables)
  }

  @Test("the builder makes what is ordered, one order after the other, and again when it has ended")
  func builder() throws {
    let world = try World("builder")
    let lists = BalancerLists(LoadBalancing(), world.compiled, overprovisioning: 140, world.hosts(3), [:])
    for _ in 0..<3 {
      let done = Handover<[BalancerTable]>()
      world.shared.order(lists.jobs(world.compiled)) { _ in }
      world.shared.order(lists.jobs(world.compiled)) { done.give($0) }
      let tables = done.take()
      #expect(tables.count == 1 && tables.first === world.shared.find(lists.jobs(world.compiled)[0]))
    }
  }

  @Test("a snapshot is handed out when its tables are made, and the newest of those that came meanwhile behind it")
  func snapshots() throws {
    let network = MemoryNetwork(seed: 1)
    let loop = EventLoop(driver: MemoryDriver(network: network), seed: 1)
    let metrics = MetricsRegistry(workers: 1)
    let server = try ProxyServer(ProxyServer.Options(concurrency: 0), registry: metrics)
    let tables = BalancerTables(.thread)
    var state = ConfigState()
    func cluster(_ hosts: Int) -> Cluster {
      var cluster = Cluster(name: "c")
      cluster.loadBalancing.policy = .ringHash
      var group = LocalityEndpoints()
      group.endpoints = (0..<hosts).map { Endpoint(address: .socket(host: "127.0.0.1", port: UInt16(1 + $0))) }
      cluster.loadAssignment.localities = [group]
      return cluster
    }
    state.clusters = [cluster(3)]
    let control = ProxyControl(
      loop: loop, server: server,
      compiler: SnapshotCompiler(
        metrics: metrics, logs: AccessLogFiles(workers: 0), random: RandomSource(seed: 1), extensions: .basics,
        tables: tables), state: state, log: LogOutput(level: .off), drainTime: .seconds(1))
    loop.handler = control
    var compiled: [Snapshot] = []
    control.compiled = { compiled.append($0.snapshot) }
    /// What was ordered is made, and the loop has heard of it.
    func settle() {
      let done = Handover<Bool>()
      tables.order([]) { _ in done.give(true) }
      _ = done.take()
      network.advance([loop], by: .milliseconds(1))
    }
    control.start()
    #expect(!server.isConfigured && compiled.count == 1)
    for hosts in 4...6 { control.update { $0.clusters = [cluster(hosts)] } }
    #expect(!server.isConfigured && compiled.count == 4)
    settle()
    #expect(server.isConfigured)
    settle()
    // Workers find the tables of what is in force: nothing is left to be made.
    let kept = try #require(compiled.last?.clusters[0])
    let lists = BalancerLists(
      kept[].config.loadBalancing, try #require(kept[].balancer), overprovisioning: 140,
      kept[].endpoints.map(BalancerHost.init), [:])
    #expect(kept[].endpoints.count == 6)
    #expect(lists.jobs(try #require(kept[].balancer)).allSatisfy { tables.find($0) != nil })
    loop.shutdown()
  }

  @Test("a worker goes on with an ejected host until the table without it has been made elsewhere")
  func ejection() throws {
    let tables = BalancerTables(.thread)
    let world = ProxyWorld(tables: tables)
    world.simple(
      ports: HashPolicyTests.ports, route: { $0.hashPolicies = [HashPolicyTests.header("x-user")] },
      cluster: {
        $0.loadBalancing.policy = .maglev
        $0.outlierDetection = OutlierDetection()
        $0.outlierDetection?.consecutive5xx = 1
      })
    var broken: UInt16 = 0
    world.server.onBytes = { peer in
      guard peer.take().hasSuffix("\r\n\r\n") else { return }
      let status = peer.port == broken ? "503 No" : "200 OK"
      peer.send("HTTP/1.1 \(status)\r\nx-port: \(peer.port)\r\ncontent-length: 0\r\n\r\n")
    }
    func ask() -> UInt16? {
      HashPolicyTests.port(HashPolicyTests.ask(world, "/", "x-user: 1\r\n")).flatMap { UInt16($0) }
    }
    // Whoever makes tables is busy.
    let (busy, done) = (Handover<Bool>(), Handover<Bool>())
    tables.order([]) { _ in _ = busy.take() }
    broken = try #require(ask())
    #expect((0..<3).map { _ in ask() } == [broken, broken, broken])
    busy.give(true)
    tables.order([]) { _ in done.give(true) }
    _ = done.take()
    world.settle()
    let next = try #require(ask())
    #expect(next != broken)
    #expect(ask() == next)
    world.expectClean()
  }
}
