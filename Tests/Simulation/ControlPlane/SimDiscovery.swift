// SimDiscovery: a control plane's streams in virtual time: the sessions of WeftDiscovery, driven as its server drives them.

import WeftBase
import WeftControlAPI
import WeftProtobuf
import WeftRuntime
import WeftTestKit
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

/// Messages with their length in front: gRPC's framing without gRPC.
struct Frames {
  private var buffer: [UInt8] = []

  mutating func feed(_ bytes: ByteView) -> [[UInt8]] {
    buffer += bytes.array
    var frames: [[UInt8]] = []
    while buffer.count >= 4 {
      let length = buffer[..<4].reduce(0) { $0 << 8 | Int($1) }
      guard buffer.count >= 4 + length else { break }
      frames.append(Array(buffer[4..<4 + length]))
      buffer.removeFirst(4 + length)
    }
    return frames
  }

  static func frame(_ bytes: [UInt8]) -> [UInt8] {
    (0..<4).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
  }
}

final class SimDiscovery {
  static let port: [DiscoveryForm: UInt16] = [.stateOfTheWorld: 15010, .delta: 15011]

  static let ports: [UInt16] = [15010, 15011]

  let world: SimWorld
  let model: MeshModel
  let probes: SimProbes
  let ends: SimEnds
  private var streams: [SimDiscoveryStream] = []

  init(_ world: SimWorld, _ probes: SimProbes) {
    self.world = world
    self.probes = probes
    model = MeshModel(world, probes)
    ends = SimEnds(world, world.addProcess("control plane"))
    listen()
  }

  func listen() {
    for (form, port) in Self.port.sorted(by: { $0.value < $1.value }) {
      ends.listen(port) { [unowned self] host in
        let stream = SimDiscoveryStream(host, self, form)
        streams.append(stream)
        return stream
      }
    }
  }

  func stopListening() { for port in Self.ports { ends.stopListening(port) } }

  /// Changes the model and tells every stream.
  func change() {
    let old = model.snapshot
    model.change()
    let changes = model.snapshot.changes(since: old)
    world.tell("version \(model.snapshot.version)")
    streams.removeAll { $0.isOver }
    for stream in streams { stream.post(changes) }
  }

  func forget(_ stream: SimDiscoveryStream) { streams.removeAll { $0 === stream } }
  var live: [SimDiscoveryStream] { streams.filter { !$0.isOver } }
}

final class SimDiscoveryStream: SimEnd {
  private let server: SimDiscovery
  private let form: DiscoveryForm
  private var frames = Frames()
  private var waiting: [[UInt8]] = []
  private var news: SnapshotChanges?
  private var isScheduled = false
  private(set) var session: Session?
  /// What the session was last given.
  private var snapshot: WeftSnapshot

  init(_ host: SimEnds, _ server: SimDiscovery, _ form: DiscoveryForm) {
    self.server = server
    self.form = form
    snapshot = server.model.snapshot
    super.init(host)
  }

  override func received(_ bytes: ByteView) {
    waiting += frames.feed(bytes)
    schedule()
  }

  func post(_ changes: SnapshotChanges) {
    if news == nil { news = changes } else { news?.merge(changes) }
    schedule()
  }

  private func schedule() {
    if isScheduled { return }
    isScheduled = true
    later(world.milliseconds(0...world.pick([1, 30, 400]))) { [self] in work() }
  }

  /// One step, as the server makes it: the newest snapshot first, then what the proxy asked.
  private func work() {
    isScheduled = false
    var responses: [DiscoveryResponseEvent] = []
    if let changes = news {
      news = nil
      snapshot = server.model.snapshot
      responses += apply(changes)
    } else if session == nil {
      snapshot = server.model.snapshot
    }
    for bytes in waiting { responses += take(bytes) }
    waiting = []
    send(responses)
    if let wake = session?.nextWake {
      later(max(.milliseconds(1), wake - world.now)) { [self] in
        if let due = session?.nextWake, due <= world.now { send(session?.wake(now: world.now) ?? []) }
      }
    }
  }

  private func take(_ bytes: [UInt8]) -> [DiscoveryResponseEvent] {
    let node: Envoy_Config_Core_V3_Node?
    let event: DiscoveryRequestEvent?
    switch form {
    case .stateOfTheWorld:
      let request = (try? DiscoveryRequest(serialized: bytes)) ?? DiscoveryRequest()
      node = request.node
      event = DiscoveryRequestEvent(request)
    case .delta:
      let request = (try? DeltaDiscoveryRequest(serialized: bytes)) ?? DeltaDiscoveryRequest()
      node = request.node
      event = DiscoveryRequestEvent(request)
    }
    if session == nil {
      guard let node else {
        world.fail("the first request of a stream has no node")
        return []
      }
      let proxy = ProxyIdentity(node: node)
      session = Session(form: form, proxy: proxy, resources: Translator.translate(snapshot, for: proxy))
    }
    guard let event, let proxy = session?.proxy else { return [] }
    if event.refusal != nil { server.probes.reached("NACK") }
    let snapshot = snapshot
    return session?.receive(event, now: world.now) { Translator.translate(snapshot, for: proxy, interest: $0) } ?? []
  }

  private func apply(_ changes: SnapshotChanges) -> [DiscoveryResponseEvent] {
    guard let old = session, !changes.isEmpty else { return [] }
    let whole = Translator.translate(snapshot, for: old.proxy, interest: old.interest)
    let dependencies = old.resources.dependencies
    guard dependencies.areTouched(by: changes, in: snapshot) else {
      // Nobody is told; so nothing may have changed for this proxy.
      expectSame(old.resources, whole, "a change that does not concern it")
      server.probes.reached("change that does not concern a proxy")
      return []
    }
    if dependencies.onlyEndpointsAreTouched(by: changes, in: snapshot),
      let refreshed = Translator.refreshEndpoints(
        of: old.resources, hosts: changes.endpoints, in: snapshot, for: old.proxy)
    {
      expectSame(refreshed, whole, "an update of endpoints alone")
      server.probes.reached("endpoints alone")
      return session?.update(refreshed, now: world.now) ?? []
    }
    return session?.update(whole, now: world.now) ?? []
  }

  private func expectSame(_ has: ProxyResources, _ wanted: ProxyResources, _ what: String) {
    for type in ResourceType.allCases {
      let a = has.all(type).mapValues(\.hash)
      let b = wanted.all(type).mapValues(\.hash)
      if a == b { continue }
      let names = Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
      world.fail("\(what) leaves \(session?.proxy.nodeID ?? "") with an old \(type.shortName) of \(names)")
    }
  }

  private func send(_ responses: [DiscoveryResponseEvent]) {
    for response in responses {
      world.tell(
        "\(session?.proxy.workload ?? "") ← \(response.type.shortName) \(response.nonce) \(response.names) -\(response.removed)"
      )
      write(Frames.frame(form == .delta ? response.delta.serialized() : response.stateOfTheWorld.serialized()))
    }
  }

  override func readEnded() { loop.close(c) }
  override func closed(_ reason: CloseReason) { server.forget(self) }
}
