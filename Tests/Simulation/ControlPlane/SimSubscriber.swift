// SimSubscriber: a proxy's side of discovery in virtual time: the session of weft-proxy, its reconnects, its slowness, its refusals.

import WeftAccessLogs
import WeftBase
import WeftControlAPI
import WeftListenerFilters
import WeftLoadBalancers
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit
import WeftTranslation
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftDiscovery
@testable import WeftProxy
@testable import WeftXDSClient

final class SimSubscriber {
  let world: SimWorld
  let probes: SimProbes
  let host: SimEnds
  let form: DiscoveryForm
  let node: Envoy_Config_Core_V3_Node
  var session: XDSSession
  /// The highest version seen of each type.
  private var versions: [XDSType: UInt64] = [:]
  private(set) var end: SimSubscriberEnd?
  private var attempts = 0

  init(_ discovery: SimDiscovery, _ host: SimEnds, _ number: Int) {
    world = discovery.world
    probes = discovery.probes
    self.host = host
    form = discovery.world.pick([.stateOfTheWorld, .delta])
    var node = Envoy_Config_Core_V3_Node()
    let namespace = discovery.world.pick(MeshModel.namespaces)
    node.id = "sidecar~127.0.0.1~proxy-\(number).\(namespace)~\(namespace).svc.cluster.local"
    if discovery.world.chance(2, in: 3) {
      let upstreams = (0..<discovery.world.pick(1...3)).map { index -> JSONValue in
        let host = MeshModel.host(discovery.world.pick(MeshModel.names), discovery.world.pick(MeshModel.namespaces))
        return ["host": .string(host), "port": 9080, "listen": .string("127.0.0.1:\(19080 + index)")]
      }
      node.metadata = Google_Protobuf_Struct(["WEFT_UPSTREAMS": .array(upstreams)])
    }
    self.node = node
    let seed = discovery.world.seed
    let refusals = discovery.world.pick([0, 0, 8])
    let decode = XDSModel.decoder(extensions: Self.extensions.known)
    session = XDSSession(
      form: form == .delta ? .delta : .stateOfTheWorld, wildcards: [.clusters: nil, .listeners: nil],
      decode: { (type, resource, warnings) throws(ConfigError) in
        let model = try decode(type, resource, &warnings)
        if SimSubscriber.refuses(resource.value, seed, refusals) {
          throw ConfigError(name: model.name, "refused by chance")
        }
        return model
      })
    refusalShare = refusals
    refusalSeed = seed
  }

  /// What translation sends is used with.
  private static let extensions = ProxyExtensions(
    listenerFilters: ListenerFilters.registry, loadBalancers: LoadBalancers.registry,
    retryPriorities: RetryPriorities.registry,
    accessLogs: AccessLogs.registry)
  private let refusalShare: Int
  private let refusalSeed: UInt64

  /// Whether this proxy refuses a resource; the same bytes always or never.
  private static func refuses(_ bytes: [UInt8], _ seed: UInt64, _ percent: Int) -> Bool {
    percent > 0 && RandomSource.mix(seed, ContentHash(bytes).value) % 100 < UInt64(percent)
  }

  func connect() {
    attempts += 1
    let end = SimSubscriberEnd(host, self)
    self.end = end
    host.connect(end, to: SocketAddress(.loopback4, port: SimDiscovery.port[form] ?? 0))
  }

  func lost() {
    session.closed()
    end = nil
    if attempts > 1 { probes.reached("reconnect") }
    world.after(world.milliseconds(50...world.pick([200, 3_000]))) { [self] in connect() }
  }

  func received(_ response: XDSResponse) -> [XDSRequest] {
    if let type = XDSType(rawValue: response.typeURL), let version = UInt64(response.version) {
      world.expect(
        version >= versions[type] ?? 0, "\(node.id): \(type) went back from \(versions[type] ?? 0) to \(version)")
      versions[type] = max(version, versions[type] ?? 0)
    }
    let outcome = session.received(response)
    if outcome.changed { _ = session.settle(now: world.now) }
    return outcome.requests
  }

  // MARK: The end

  /// When it is quiet: what is accepted is what translation says, but for what this proxy refuses.
  func checkConvergence(_ snapshot: WeftSnapshot) {
    let wanted = Translator.translate(snapshot, for: ProxyIdentity(node: node))
    var refused = 0
    for (ours, theirs) in [
      (XDSType.clusters, ResourceType.cluster), (.endpoints, .endpoint), (.listeners, .listener), (.routes, .route),
    ] {
      let has = session.store.resources(ours)
      let needed: Set<String>? =
        switch ours {
        case .endpoints: Set(session.store.neededEndpoints)
        case .routes: Set(session.store.neededRoutes)
        default: nil
        }
      for (name, resource) in wanted.all(theirs) where needed?.contains(name) ?? true {
        if Self.refuses(resource.body, refusalSeed, refusalShare) {
          refused += 1
          continue
        }
        if has[name]?.resource.value != resource.body {
          world.fail(
            "\(node.id) (\(form)): \(theirs.shortName) \(name) is \(has[name] == nil ? "missing" : "old") when all is quiet"
          )
        }
      }
      for name in has.keys.sorted() where wanted[theirs, name] == nil && needed?.contains(name) ?? true {
        world.fail("\(node.id) (\(form)): \(theirs.shortName) \(name) is still there, though it was removed")
      }
    }
    if refused > 0 { return probes.reached("converged but for what is refused") }
    var state = session.settle(now: world.now)
    state.forgoSecrets()
    world.expect(session.isSettled, "\(node.id): not settled when all is quiet")
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      security: CheckingSecurity(),
      random: RandomSource(seed: 1), extensions: Self.extensions)
    let compilation = compiler.compile(state)
    world.expect(
      compilation.rejections.isEmpty && compilation.warming.isEmpty,
      "\(node.id): cannot use \(compilation.rejections) \(compilation.warming)")
    world.expect(
      Set(state.clusters.map(\.name)) == Set(wanted.names(.cluster)),
      "\(node.id): other clusters are visible than accepted")
  }
}

final class SimSubscriberEnd: SimEnd {
  private let subscriber: SimSubscriber
  private var frames = Frames()
  private var waiting: [[UInt8]] = []
  private var isScheduled = false
  private var isFirst = true
  private(set) var isOpen = false

  init(_ host: SimEnds, _ subscriber: SimSubscriber) {
    self.subscriber = subscriber
    super.init(host)
  }

  override func opened() {
    isOpen = true
    send(subscriber.session.opened())
  }

  private func send(_ requests: [XDSRequest]) {
    for request in requests {
      let node = isFirst ? subscriber.node : nil
      isFirst = false
      world.tell(
        "\(subscriber.node.id.split(separator: "~")[2]) → \(request.type) +\(request.names) -\(request.unsubscribe) \(request.nonce) \(request.error)"
      )
      write(
        Frames.frame(
          subscriber.form == .delta
            ? request.delta(node: node).serialized() : request.stateOfTheWorld(node: node).serialized()))
    }
  }

  override func received(_ bytes: ByteView) {
    waiting += frames.feed(bytes)
    if isScheduled { return }
    isScheduled = true
    later(world.milliseconds(0...world.pick([1, 50, 1_500]))) { [self] in work() }
  }

  /// Slow at times: several answers may have gathered.
  private func work() {
    isScheduled = false
    if waiting.count > 1 { subscriber.probes.reached("answers gathered at a slow proxy") }
    let list = waiting
    waiting = []
    for bytes in list {
      switch subscriber.form {
      case .delta:
        if let message = try? DeltaDiscoveryResponse(serialized: bytes) {
          send(subscriber.received(XDSResponse(message)))
        }
      case .stateOfTheWorld:
        if let message = try? DiscoveryResponse(serialized: bytes) { send(subscriber.received(XDSResponse(message))) }
      }
    }
  }

  override func readEnded() { loop.close(c) }
  override func closed(_ reason: CloseReason) { subscriber.lost() }
}
