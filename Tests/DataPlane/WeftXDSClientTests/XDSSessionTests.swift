import Testing
import WeftBase
import WeftModel
import WeftTestKit

@testable import WeftCompile
@testable import WeftXDSClient

/// A server's answers and a proxy's requests in short words: `c` is an EDS cluster (`c=5`: with five seconds for the first answer,
/// `c=never`: without a limit), `s=static` a static one, `l=r` a listener with discovered routes (`l=r%5` as above), `r=a+b` a route
/// configuration naming clusters, `e` an assignment, `c=static#s` a cluster with a secret (`s:5` as above), `s` the secret; `!` makes a resource that cannot be understood, `?` one that cannot be used, `~` one with a setting that has no effect.
enum Words {
  static func resource(_ type: XDSType, _ text: String, version: String = "") -> XDSResource {
    XDSResource(
      name: version.isEmpty ? "" : name(of: text), version: version, typeURL: type.rawValue, value: Array(text.utf8))
  }

  static func name(of text: String) -> String {
    String(text.drop { $0 == "!" || $0 == "?" }.prefix { $0 != "=" && $0 != "@" && $0 != "#" })
  }

  static let decode: XDSDecoder = { (type, resource, warnings) throws(ConfigError) in
    let text = String(decoding: resource.value, as: UTF8.self)
    let name = Words.name(of: text)
    if text.contains("~") { warnings.append(ConfigError(path: FieldPath().field("strange"), "has no effect")) }
    if text.hasPrefix("!") { throw ConfigError(name: name, path: FieldPath().field("bad"), "must not be") }
    let secrets = text.split(separator: "#").dropFirst().map(String.init)
    let rest = text.prefix { $0 != "#" }.split(separator: "=").dropFirst().first.map(String.init) ?? ""
    switch type {
    case .clusters:
      var cluster = Cluster(
        name: name, discovery: rest == "static" ? .fixed : .eds(serviceName: "", source: source(rest[...])))
      if let at = text.firstIndex(of: "@") { cluster.altStatName = String(text[at...]) }
      if !secrets.isEmpty {
        var tls = UpstreamTLSContext()
        tls.common.certificateSecrets = secrets.map { secret in
          let parts = secret.split(separator: ":")
          return SecretReference(name: String(parts[0]), source: source(parts.count > 1 ? parts[1] : ""))
        }
        cluster.tls = tls
      }
      return .cluster(cluster)
    case .endpoints:
      var assignment = LoadAssignment(clusterName: name)
      assignment.overprovisioningPercent = UInt32(rest) ?? 140
      return .endpoints(assignment)
    case .listeners:
      var chain = FilterChain(name: "")
      let parts = rest.split(separator: "%")
      let routes = HTTPConnectionManager.Routes.discovered(
        name: parts.first.map(String.init) ?? "", source: source(parts.count > 1 ? parts[1] : ""))
      chain.filters = [.httpConnectionManager(HTTPConnectionManager(statPrefix: "x", routes: routes))]
      var listener = Listener(name: name, address: .socket(host: "127.0.0.1", port: 1))
      listener.filterChains = [chain]
      return .listener(listener)
    case .routes:
      var routes = RouteConfiguration(name: name)
      var host = VirtualHost(name: "h", domains: ["*"])
      for cluster in rest.split(separator: "+") {
        host.routes.append(
          Route(
            match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .cluster(String(cluster))))))
      }
      routes.virtualHosts = [host]
      return .routes(routes)
    case .secrets: return .secret(Secret(name: name, content: .generic(Array(rest.utf8))))
    }
  }

  private static func source(_ limit: Substring) -> ConfigSource {
    var source = ConfigSource.ads
    if limit == "never" { source.initialFetchTimeout = nil }
    if let seconds = Int64(limit) { source.initialFetchTimeout = .seconds(seconds) }
    return source
  }

  static let check: XDSCheck = { (model, _) throws(ConfigError) in
    if model.name == "unusable" { throw ConfigError(path: FieldPath().field("routes").index(0), "cannot be used") }
  }

  static func session(_ form: XDSForm, wildcardLimit: Duration? = nil) -> XDSSession {
    XDSSession(
      form: form, wildcards: [.clusters: wildcardLimit, .listeners: wildcardLimit], decode: decode, check: check)
  }
}

extension XDSSession {
  fileprivate mutating func answer(
    _ type: XDSType, _ texts: [String], version: String = "1", nonce: String = "n", removed: [String] = []
  ) -> XDSOutcome {
    received(
      XDSResponse(
        typeURL: type.rawValue, version: version, nonce: nonce,
        resources: texts.map { Words.resource(type, $0, version: form == .delta ? version : "") }, removed: removed))
  }

  fileprivate mutating func view(_ seconds: Int64 = 0) -> (clusters: [String], routes: [String], listeners: [String]) {
    let now = MonotonicInstant(nanoseconds: UInt64(seconds) * 1_000_000_000)
    var state = settle(now: now)
    if uses(clusters: state.askedClusters) { state = settle(now: now) }
    return (state.clusters.map(\.name), state.routes.keys.sorted(), state.listeners.map(\.name))
  }

  /// Clusters that whoever asks one waits for.
  fileprivate mutating func awaited(_ seconds: Int64 = 0) -> [String] {
    settle(now: MonotonicInstant(nanoseconds: UInt64(seconds) * 1_000_000_000)).awaitedClusters.sorted()
  }
}

private func seconds(_ n: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: UInt64(n) * 1_000_000_000) }

extension ConfigState {
  /// What a compiler would find: clusters that are there and that a route names.
  fileprivate var askedClusters: Set<String> {
    Set(clusters.map(\.name)).intersection(routes.values.flatMap(XDSStore.clusterNames))
  }
}

@Suite("xDS session: settings without effect")
struct XDSWarningTests {
  @Test(
    "they are told with kind and name when a resource is new or changed, and not again",
    arguments: [XDSForm.stateOfTheWorld, .delta])
  func told(form: XDSForm) {
    var session = Words.session(form)
    _ = session.opened()
    let told = ["envoy.config.cluster.v3.Cluster a: strange: has no effect"]
    #expect(session.answer(.clusters, ["a=static@~"]).warnings.map(\.description) == told)
    #expect(session.answer(.clusters, ["a=static@~"], version: "2").warnings.isEmpty)
    // A change that makes no other model is a change: an unknown field has come.
    #expect(session.answer(.clusters, ["a=static@~", "b=static"], version: "3").warnings.isEmpty)
    #expect(session.answer(.clusters, ["a=static@~~", "b=static"], version: "4").warnings.map(\.description) == told)
  }
}

@Suite("xDS session: secrets")
struct XDSSecretTests {

  @Test(
    "the secrets that clusters and listeners name are asked for, once", arguments: [XDSForm.stateOfTheWorld, .delta])
  func subscribes(form: XDSForm) {
    var session = Words.session(form)
    _ = session.opened()
    let outcome = session.answer(.clusters, ["a=static#s1", "b=static#s1#s2", "c=static"])
    #expect(outcome.requests.map(\.type) == [.clusters, .secrets])
    #expect(outcome.requests[1].names == ["s1", "s2"])
    #expect(session.answer(.clusters, ["a=static#s2", "b=static#s1#s2", "c=static"]).requests.count == 1)
    // A reconnect asks again.
    session.closed()
    #expect(session.opened().last?.names == ["s1", "s2"])
  }

  @Test("a secret nobody names any more is dropped and not kept")
  func unsubscribes() {
    var session = Words.session(.delta)
    _ = session.opened()
    _ = session.answer(.clusters, ["a=static#s1"])
    _ = session.answer(.secrets, ["s1=x"])
    #expect(session.settle(now: seconds(0)).secrets.count == 1)
    let outcome = session.answer(.clusters, ["a=static"])
    #expect(outcome.requests.last?.type == .secrets && outcome.requests.last?.unsubscribe == ["s1"])
    #expect(session.settle(now: seconds(0)).secrets.isEmpty)
  }

  @Test("a cluster is visible with its secrets, and awaited until then")
  func warming() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a=static#s1#s2"])
    _ = session.answer(.listeners, ["l=r"])
    _ = session.answer(.routes, ["r=a"])
    _ = session.answer(.secrets, ["s1=x"])
    #expect(session.view().clusters.isEmpty && session.awaited() == ["a"] && !session.isSettled)
    _ = session.answer(.secrets, ["s2=y"])
    #expect(session.awaited() == [])
    #expect(session.view().clusters == ["a"] && session.view().routes == ["r"] && session.isSettled)
    let state = session.settle(now: seconds(0))
    #expect(state.secrets[SecretKey("s2", .stream)]?.content == .generic(Array("y".utf8)))
    #expect(state.absentSecrets.isEmpty)
  }

  @Test("a secret that does not come is waited for as long as its source says, then the cluster goes on without")
  func timeout() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a=static#s1:5", "b=static#s2:never"])
    #expect(session.view(0).clusters.isEmpty)
    #expect(session.nextDeadline == seconds(5))
    #expect(session.view(4).clusters.isEmpty)
    #expect(session.view(5).clusters == ["a"])
    #expect(session.takeExpired() == [XDSExpiry(type: .secrets, name: "s1")])
    #expect(session.settle(now: seconds(6)).absentSecrets == [SecretKey("s1", .stream)])
    #expect(session.view(1000).clusters == ["a"])
    // Late is better than never.
    _ = session.answer(.secrets, ["s1=x"])
    #expect(session.settle(now: seconds(1001)).absentSecrets.isEmpty)
  }

  @Test("what the bootstrap's own resources take from the stream is asked for with the stream")
  func fixed() {
    var state = ConfigState()
    var cluster = Cluster(name: "own", discovery: .eds(serviceName: "own-endpoints", source: .ads))
    var tls = UpstreamTLSContext()
    tls.common.certificateSecrets = [
      SecretReference(name: "cert", source: .ads), SecretReference(name: "fixed"),
      SecretReference(name: "file", source: ConfigSource(.path("/x"))),
    ]
    cluster.tls = tls
    var chain = FilterChain(name: "")
    chain.filters = [
      .httpConnectionManager(
        HTTPConnectionManager(statPrefix: "x", routes: .discovered(name: "own-routes", source: .ads)))
    ]
    var listener = Listener(name: "l", address: .socket(host: "127.0.0.1", port: 1))
    listener.filterChains = [chain]
    state.clusters = [cluster]
    state.listeners = [listener]
    var session = XDSSession(
      form: .stateOfTheWorld, wildcards: [:], store: XDSStore(fixed: XDSNeeds(state)), decode: Words.decode)
    let requests = session.opened()
    #expect(requests.map(\.type) == [.endpoints, .routes, .secrets])
    #expect(requests.map(\.names) == [["own-endpoints"], ["own-routes"], ["cert"]])
    _ = session.answer(.routes, ["own-routes=own"])
    _ = session.answer(.endpoints, ["own-endpoints"])
    let seen = session.settle(now: seconds(0))
    #expect(seen.routes.keys.sorted() == ["own-routes"] && seen.endpoints.keys.sorted() == ["own-endpoints"])
  }

  private static func needs(_ clusters: [String], _ tables: [String], _ limit: Duration? = .seconds(5)) -> XDSNeeds {
    var source = ConfigSource.ads
    source.initialFetchTimeout = limit
    return XDSNeeds(
      clusters.map { Cluster(name: $0, discovery: .eds(serviceName: "", source: source)) },
      tables.map {
        var chain = FilterChain(name: "")
        chain.filters = [
          .httpConnectionManager(
            HTTPConnectionManager(statPrefix: "x", routes: .discovered(name: $0, source: source)))
        ]
        var listener = Listener(name: $0, address: .socket(host: "127.0.0.1", port: 1))
        listener.filterChains = [chain]
        return listener
      })
  }

  @Test(
    "what files want later is asked for on the stream that is open, and what they do not want any more is let go",
    arguments: [XDSForm.stateOfTheWorld, .delta])
  func later(form: XDSForm) {
    var session = Words.session(form)
    _ = session.opened()
    _ = session.answer(.clusters, ["theirs"])
    _ = session.answer(.endpoints, ["theirs"], nonce: "e1")
    let outcome = session.want(Self.needs(["own"], ["table"]))
    #expect(outcome.requests.map(\.type) == [.endpoints, .routes])
    #expect(outcome.requests.map(\.names) == [form == .delta ? ["own"] : ["own", "theirs"], ["table"]])
    #expect(outcome.requests[0].nonce == (form == .delta ? "" : "e1"))
    #expect(outcome.subscribed == [.endpoints: ["own"], .routes: ["table"]])
    #expect(session.want(Self.needs(["own"], ["table"])).requests.isEmpty)
    _ = session.answer(.endpoints, ["own"])
    _ = session.answer(.routes, ["table=own"])
    #expect(session.settle(now: seconds(0)).endpoints.keys.sorted() == ["own", "theirs"])
    let less = session.want(XDSNeeds())
    #expect(less.requests.map(\.unsubscribe) == (form == .delta ? [["own"], ["table"]] : [[], []]))
    #expect(less.requests.map(\.names) == (form == .delta ? [[], []] : [["theirs"], []]))
    let state = session.settle(now: seconds(0))
    #expect(state.endpoints.keys.sorted() == ["theirs"] && state.routes.isEmpty)
  }

  @Test("what files want while there is no stream is asked for with the next one")
  func between() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    session.closed()
    _ = session.want(Self.needs(["own"], []))
    #expect(session.opened().first { $0.type == .endpoints }?.names == ["own"])
  }

  @Test(
    "who asks a cluster of the bootstrap waits for its endpoints as long as their source says, and for the tables of a listener",
    arguments: [5, 20, nil] as [Int64?])
  func waits(limit: Int64?) {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.want(Self.needs(["own"], ["table"], limit.map { .seconds($0) }))
    #expect(session.awaited(0) == ["own"])
    #expect(session.settle(now: seconds(0)).routes.isEmpty && session.store.isWarming)
    #expect(session.nextDeadline == seconds(min(limit ?? 15, 15)))
    #expect(session.awaited(4) == ["own"])
    // Whoever only asks it is not held back for longer than this.
    #expect(session.awaited(15) == [])
    let last = session.settle(now: seconds(20))
    #expect(last.routes.keys.sorted() == (limit == nil ? [] : ["table"]))
    #expect(session.store.isWarming == (limit == nil))
    #expect(Set(session.takeExpired().map(\.name)) == (limit == nil ? [] : ["own", "table"]))
    // Endpoints under another name are waited for anew, and as long.
    var other = ConfigSource.ads
    other.initialFetchTimeout = .seconds(5)
    _ = session.want(XDSNeeds([Cluster(name: "own", discovery: .eds(serviceName: "new", source: other))], []))
    #expect(session.awaited(24) == ["own"] && session.awaited(28) == ["own"] && session.awaited(29) == [])
    _ = session.want(Self.needs(["own"], ["table"], limit.map { .seconds($0) }))
    _ = session.answer(.endpoints, ["own"])
    #expect(session.awaited(40) == [] && session.settle(now: seconds(40)).incompleteClusters.isEmpty)
  }

  @Test("endpoints of the bootstrap's that are taken away again are not waited for", arguments: [XDSForm.delta])
  func takenAway(form: XDSForm) {
    var session = Words.session(form)
    _ = session.opened()
    _ = session.want(Self.needs(["own"], [], nil))
    #expect(session.awaited(0) == ["own"])
    _ = session.answer(.endpoints, ["own"])
    #expect(session.awaited(1) == [] && !session.store.isWarming)
    _ = session.answer(.endpoints, [], removed: ["own"])
    let state = session.settle(now: seconds(2))
    #expect(state.incompleteClusters.isEmpty && state.endpoints.isEmpty && !session.store.isWarming)
  }
}

@Suite("xDS session")
struct XDSSessionTests {
  @Test("a fresh stream asks for clusters and listeners, whole", arguments: [XDSForm.stateOfTheWorld, .delta])
  func opens(form: XDSForm) {
    var session = Words.session(form)
    let requests = session.opened()
    #expect(requests.map(\.type) == [.clusters, .listeners])
    #expect(requests.allSatisfy { $0.names.isEmpty && $0.nonce.isEmpty && $0.version.isEmpty })
  }

  @Test("an answer is acknowledged with its version and nonce, then its references are asked for")
  func acknowledges() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    let outcome = session.answer(.clusters, ["b", "a", "s=static"], version: "7", nonce: "x1")
    #expect(outcome.requests.count == 2)
    #expect(
      outcome.requests[0].version == "7" && outcome.requests[0].nonce == "x1" && outcome.requests[0].error.isEmpty)
    #expect(outcome.requests[1].type == .endpoints && outcome.requests[1].names == ["a", "b"])
    #expect(outcome.accepted == 3 && outcome.changed)
  }

  @Test(
    "a bad resource is refused by name and path; the good ones of the same answer are taken; the last version is told")
  func refusesOne() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["s=static"], version: "1", nonce: "a")
    let outcome = session.answer(.clusters, ["t=static", "!s"], version: "2", nonce: "b")
    #expect(outcome.requests[0].version == "1" && outcome.requests[0].nonce == "b")
    #expect(outcome.requests[0].error == "envoy.config.cluster.v3.Cluster s: bad: must not be")
    #expect(session.view().clusters == ["s", "t"])
  }

  @Test("a cluster that goes while it is awaited is awaited no more")
  func awaitedGoes() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["s=static"], nonce: "a")
    _ = session.answer(.listeners, ["l=r"], nonce: "b")
    _ = session.answer(.routes, ["r=s"], nonce: "c")
    #expect(session.view().routes == ["r"])
    #expect(session.isSettled)
    _ = session.answer(.clusters, ["s=static", "late"], version: "2", nonce: "d")
    #expect(session.awaited(1) == ["late"] && !session.isSettled)
    _ = session.answer(.clusters, ["s=static"], version: "3", nonce: "g")
    #expect(session.awaited(2) == [] && session.isSettled)
    #expect(session.nextDeadline == nil)
  }

  @Test("a resource that was understood and cannot be used is refused alike, and its last good form stays")
  func refusesUnusable() {
    var session = Words.session(.delta)
    _ = session.opened()
    let outcome = session.answer(.clusters, ["s=static", "unusable=static"], nonce: "a")
    #expect(
      outcome.requests[0].error
        == "envoy.config.cluster.v3.Cluster unusable: routes[0]: cannot be used")
    #expect(outcome.acceptedNames == ["s"])
    #expect(session.view().clusters == ["s"])
  }

  @Test("in the state of the world an absent cluster or listener is gone, an absent route or assignment is not")
  func absence() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a", "b"])
    _ = session.answer(.endpoints, ["a", "b"])
    _ = session.answer(.endpoints, ["a=150"], version: "2")
    #expect(session.store.resources(.endpoints).keys.sorted() == ["a", "b"])
    _ = session.answer(.clusters, ["a"], version: "2")
    #expect(session.view().clusters == ["a"])
    #expect(session.store.resources(.endpoints).keys.sorted() == ["a"])
  }

  @Test("delta names what it adds and what it drops")
  func deltaSubscriptions() {
    var session = Words.session(.delta)
    _ = session.opened()
    var outcome = session.answer(.clusters, ["a", "b"])
    #expect(outcome.requests[1].names == ["a", "b"] && outcome.requests[1].unsubscribe.isEmpty)
    outcome = session.answer(.clusters, ["c"], removed: ["a"])
    #expect(outcome.requests[1].names == ["c"] && outcome.requests[1].unsubscribe == ["a"])
    #expect(outcome.removed == 1)
    outcome = session.answer(.clusters, ["c@2"])
    #expect(outcome.requests.count == 1, "the same references need no request")
  }

  @Test("after a reconnect the state of the world tells versions, delta tells what it holds")
  func reconnects() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a"], version: "3", nonce: "n9")
    _ = session.answer(.endpoints, ["a"], version: "4", nonce: "n10")
    session.closed()
    let requests = session.opened()
    #expect(requests.map(\.type) == [.clusters, .endpoints, .listeners])
    #expect(requests.map(\.version) == ["3", "4", ""] && requests.allSatisfy(\.nonce.isEmpty))
    #expect(requests[1].names == ["a"])

    session = Words.session(.delta)
    _ = session.opened()
    _ = session.answer(.clusters, ["a"], version: "v1")
    session.closed()
    let delta = session.opened()
    #expect(delta[0].initialVersions == ["a": "v1"] && delta[0].names.isEmpty)
    #expect(delta[1].type == .endpoints && delta[1].names == ["a"])
  }

  @Test("an unasked type is refused and disturbs nothing")
  func unaskedType() {
    var session = Words.session(.delta)
    _ = session.opened()
    let outcome = session.received(
      XDSResponse(typeURL: "type.googleapis.com/x.Y", version: "", nonce: "n", resources: []))
    #expect(outcome.requests.isEmpty && outcome.rejections.count == 1 && !outcome.changed)
  }

  @Test("a name that stands twice in one answer is refused")
  func duplicateName() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    let outcome = session.answer(.clusters, ["s=static", "s=static"])
    #expect(outcome.requests[0].error.contains("named twice"))
  }
}

@Suite("xDS warming")
struct XDSWarmingTests {
  @Test("a cluster is seen once its endpoints are there, and awaited until then")
  func clusterThenRoute() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a"])
    _ = session.answer(.listeners, ["l=r"])
    #expect(session.view() == ([], [], ["l"]))
    #expect(!session.isSettled)
    _ = session.answer(.routes, ["r=a"])
    #expect(session.view() == ([], ["r"], ["l"]) && session.awaited() == ["a"])
    _ = session.answer(.endpoints, ["a"])
    #expect(session.view() == (["a"], ["r"], ["l"]))
    #expect(session.isSettled)
  }

  @Test("a cluster is awaited as long as its source says, at most fifteen seconds; its own wait goes on")
  func awaited() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a=never", "b=5", "c=40"])
    #expect(session.awaited(0) == ["a", "b", "c"])
    #expect(session.awaited(5) == ["a", "c"])
    #expect(session.nextDeadline == seconds(15))
    #expect(session.awaited(14) == ["a", "c"])
    #expect(session.awaited(15) == [] && session.store.warmingClusters == 2)
    #expect(session.nextDeadline == seconds(40), "nothing is done over and over")
    // What goes and comes back begins anew.
    _ = session.answer(.clusters, [], version: "2")
    #expect(session.awaited(16) == [])
    _ = session.answer(.clusters, ["a=never"], version: "3")
    #expect(session.awaited(17) == ["a"])
  }

  @Test(
    "any cluster may be on its way until discovery has said which there are, be it none, or its time is over",
    arguments: [XDSForm.stateOfTheWorld, .delta])
  func firstClusters(form: XDSForm) {
    var session = Words.session(form, wildcardLimit: .seconds(15))
    session.begin(now: seconds(0))
    _ = session.opened()
    _ = session.answer(.listeners, ["l=r"])
    let before = session.settle(now: seconds(1))
    #expect(before.awaitsClusters)
    var later = session
    let first = session.answer(.clusters, [])
    #expect(first.changed)
    var state = session.settle(now: seconds(2))
    #expect(!state.awaitsClusters)
    let second = session.answer(.clusters, [], version: "2")
    #expect(!second.changed)
    state = later.settle(now: seconds(14))
    #expect(state.awaitsClusters)
    state = later.settle(now: seconds(15))
    #expect(!state.awaitsClusters)
    var fixed = XDSSession(form: form, wildcards: [.listeners: nil], decode: Words.decode)
    state = fixed.settle(now: seconds(0))
    #expect(!state.awaitsClusters, "clusters do not come this way")
  }

  @Test("waiting ends after the patience: the cluster is seen without endpoints")
  func patienceEnds() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a"])
    #expect(session.view(1).clusters == [])
    #expect(session.view(15).clusters == [])
    #expect(session.view(16).clusters == ["a"])
  }

  @Test("each source says how long its first answer is waited for; one without a limit waits for ever")
  func limitsOfSources() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a", "b=5", "c=never", "d=40"])
    #expect(session.view(100).clusters == [])
    #expect(session.nextDeadline == MonotonicInstant(nanoseconds: 105_000_000_000))
    #expect(session.view(104).clusters == [])
    #expect(session.view(105).clusters == ["b"])
    #expect(session.takeExpired() == [XDSExpiry(type: .endpoints, name: "b")])
    _ = session.answer(.endpoints, ["b"], version: "2")
    #expect(session.view(115).clusters == ["a", "b"])
    #expect(session.view(140).clusters == ["a", "b", "d"])
    #expect(session.takeExpired().map(\.name) == ["a", "d"])
    #expect(session.view(1_000_000).clusters == ["a", "b", "d"])
    #expect(session.takeExpired().isEmpty, "told once")
    #expect(session.nextDeadline == nil)
    _ = session.answer(.endpoints, ["b", "c"], version: "3")
    #expect(session.view(1_000_001).clusters == ["a", "b", "c", "d"])
  }

  @Test("routes that never come are empty when the listener's time is over, and real when they come")
  func routesTimeOut() {
    var session = Words.session(.delta)
    _ = session.opened()
    _ = session.answer(.listeners, ["l=r%5", "m=q%never", "n=r%7"])
    #expect(session.view(10) == ([], [], ["l", "m", "n"]))
    #expect(session.view(16).routes == [], "the longest time of those who want it")
    #expect(!session.isSettled)
    let state = session.settle(now: MonotonicInstant(nanoseconds: 17_000_000_000))
    #expect(state.routes.keys.sorted() == ["r"] && state.routes["r"]?.virtualHosts.isEmpty == true)
    #expect(session.takeExpired() == [XDSExpiry(type: .routes, name: "r")])
    #expect(!session.isSettled, "q is waited for without a limit")
    _ = session.answer(.clusters, ["s=static"])
    _ = session.answer(.routes, ["r=s", "q=s"])
    let late = session.settle(now: MonotonicInstant(nanoseconds: 18_000_000_000))
    #expect(late.routes["r"]?.virtualHosts.count == 1 && late.routes["q"]?.virtualHosts.count == 1)
    #expect(session.isSettled)
  }

  @Test("readiness waits for clusters and listeners as long as their sources say")
  func wildcardLimits() {
    var session = Words.session(.delta, wildcardLimit: .seconds(15))
    session.begin(now: MonotonicInstant(nanoseconds: 0))
    _ = session.opened()
    #expect(session.nextDeadline == MonotonicInstant(nanoseconds: 15_000_000_000))
    _ = session.answer(.clusters, ["s=static"])
    _ = session.view(14)
    #expect(!session.isSettled)
    _ = session.view(15)
    #expect(session.isSettled)
    #expect(session.takeExpired() == [XDSExpiry(type: .listeners, name: "")])
    session = Words.session(.delta)
    _ = session.view(1_000_000)
    #expect(!session.isSettled)
  }

  @Test("a removed cluster stays while something compiled leads to it, at most thirty seconds")
  func removedClusterStays() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a", "b"])
    _ = session.answer(.endpoints, ["a", "b"])
    _ = session.answer(.listeners, ["l=r"])
    _ = session.answer(.routes, ["r=a"])
    _ = session.view(0)
    _ = session.answer(.clusters, ["b"], version: "2")
    #expect(session.view(1).clusters == ["a", "b"])
    #expect(session.view(40).clusters == ["b"])
    _ = session.answer(.clusters, ["a", "b"], version: "3")
    _ = session.answer(.endpoints, ["a"], version: "3")
    _ = session.view(41)
    _ = session.answer(.clusters, ["b"], version: "4")
    _ = session.answer(.routes, ["r=b"], version: "4")
    #expect(session.view(42).clusters == ["b"])
  }

  @Test("a changed cluster keeps its endpoints and stays in view")
  func changedClusterStays() {
    var session = Words.session(.stateOfTheWorld)
    _ = session.opened()
    _ = session.answer(.clusters, ["a"])
    _ = session.answer(.endpoints, ["a=150"])
    _ = session.view()
    _ = session.answer(.clusters, ["a@other"], version: "2")
    let state = session.settle(now: MonotonicInstant(nanoseconds: 0))
    #expect(state.clusters.map(\.altStatName) == ["@other"])
    #expect(state.endpoints["a"]?.overprovisioningPercent == 150)
  }
}

@Suite("last good configuration on disk")
struct LastGoodFileTests {
  @Test("what is written is read back and taken as if a server had sent it")
  func roundTrip() throws {
    let directory = TemporaryDirectory()
    let file = LastGoodFile(path: directory.path + "/last-good")
    #expect(try file.read().get() == nil, "no file is not an error")
    var session = Words.session(.delta)
    _ = session.opened()
    _ = session.answer(.clusters, ["a", "s=static"], version: "5")
    _ = session.answer(.endpoints, ["a"])
    _ = session.answer(.listeners, ["l=r"])
    _ = session.answer(.routes, ["r=a"])
    #expect(file.write(session.store) == nil)
    var other = Words.session(.delta)
    let kept = try #require(try file.read().get())
    #expect(other.restore(kept) == 5)
    #expect(other.view() == (["a", "s"], ["r"], ["l"]))
    #expect(other.isSettled)
    #expect(other.opened()[0].initialVersions == ["a": "5", "s": "5"])
  }

  @Test("a file torn at any byte, or with any byte changed, is refused whole")
  func damage() throws {
    let directory = TemporaryDirectory()
    let file = LastGoodFile(path: directory.path + "/last-good")
    var session = Words.session(.delta)
    _ = session.opened()
    _ = session.answer(.clusters, ["s=static"], version: "5")
    #expect(file.write(session.store) == nil)
    let bytes = try SourceTree.bytes(directory.path + "/last-good")
    for end in 0..<bytes.count {
      #expect(throws: LastGoodProblem.self) { try LastGoodFile.parse(Array(bytes[..<end])).get() }
    }
    for at in bytes.indices {
      var changed = bytes
      changed[at] ^= 1
      #expect(throws: LastGoodProblem.self) { try LastGoodFile.parse(changed).get() }
    }
  }

  @Test(
    "a removed cluster that routes still name keeps its endpoints for its grace time",
    arguments: [XDSForm.stateOfTheWorld, .delta])
  func leavingKeepsEndpoints(form: XDSForm) {
    var session = Words.session(form)
    _ = session.opened()
    _ = session.answer(.clusters, ["a", "b"])
    _ = session.answer(.endpoints, ["a", "b"])
    _ = session.answer(.listeners, ["l=r"])
    _ = session.answer(.routes, ["r=a"])
    #expect(session.view().clusters == ["a", "b"])
    _ = session.answer(.clusters, ["b"], version: "2", removed: ["a"])
    if form == .delta { _ = session.answer(.endpoints, [], version: "2", removed: ["a"]) }
    let state = session.settle(now: MonotonicInstant(nanoseconds: 1_000_000_000))
    #expect(state.clusters.map(\.name) == ["a", "b"])
    let mayGo = session.uses(clusters: state.askedClusters)
    #expect(!mayGo)
    #expect(state.endpoints.keys.sorted() == ["a", "b"])
    _ = session.answer(.routes, ["r=b"], version: "3")
    #expect(session.view(2).clusters == ["b"])
    #expect(session.store.resources(.endpoints).keys.sorted() == ["b"])
  }
}
