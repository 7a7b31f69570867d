import Testing
import WeftBase
import WeftTranslation

@testable import WeftDiscovery

@Suite("session, state of the world")
struct StateOfTheWorldTests {
  let base = [c("a"), c("b"), e("a"), e("b"), l("l"), r("80")]

  /// A client that has everything.
  func settled(_ list: [Resource]? = nil) -> Conversation {
    var client = Conversation(.stateOfTheWorld, list ?? base)
    client.ask(.cluster)
    client.ask(.endpoint, ["a", "b"])
    client.acknowledge(.cluster)
    client.ask(.listener)
    client.acknowledge(.endpoint, ["a", "b"])
    client.ask(.route, ["80"])
    client.acknowledge(.listener)
    client.acknowledge(.route, ["80"])
    return client
  }

  @Test("an empty first list of clusters or listeners asks for all")
  func wildcard() {
    var client = Conversation(.stateOfTheWorld, base)
    #expect(client.ask(.cluster).text == "CDS[a b]")
    #expect(client.ask(.listener).text == "LDS[l]")
  }

  @Test("endpoints and routes come by name, unknown names in an empty answer")
  func byName() {
    var client = Conversation(.stateOfTheWorld, base)
    #expect(client.ask(.endpoint, ["b"]).text == "EDS[b]")
    #expect(client.ask(.route, ["nosuch"]).text == "RDS[]")
  }

  @Test("names that come with a refusal are answered, and what was refused is not sent again")
  func namesOfRefusal() {
    var client = Conversation(.stateOfTheWorld, base)
    #expect(client.ask(.endpoint, ["a"]).text == "EDS[a]")
    #expect(client.refuse(.endpoint, ["a", "b"], "a: no").text == "EDS[b]")
    #expect(client.acknowledge(.endpoint, ["a", "b"]).text == "")
    #expect(client.session.isSettled)
  }

  @Test("a gRPC client never gets everything")
  func grpcByName() {
    var client = Conversation(.stateOfTheWorld, base, isGRPC: true)
    #expect(client.ask(.listener, ["l"]).text == "LDS[l]")
    #expect(client.acknowledge(.listener, ["l"]).text == "")
    #expect(client.ask(.cluster, ["a"]).text == "CDS[a]")
    #expect(client.acknowledge(.cluster, ["a", "b"]).text == "CDS[a b]")
  }

  @Test("a plain acknowledgement is met with silence")
  func silence() {
    var client = settled()
    #expect(client.status(.cluster) == .synced)
    #expect(client.acknowledge(.cluster).text == "")
  }

  @Test("a reconnecting client is answered in full, whatever version it names")
  func reconnect() {
    var client = Conversation(.stateOfTheWorld, base)
    let request = DiscoveryRequestEvent(type: .cluster, names: [], nonce: "", version: "1")
    let responses = client.session.receive(request, now: client.now) { _ in ProxyResources() }
    #expect(responses.text == "CDS[a b]")
  }

  @Test("a stale nonce changes nothing, not even the names")
  func stale() {
    var client = settled()
    client.change(2, [c("a"), c("b"), e("a", 2), e("b"), l("l"), r("80")])
    #expect(client.ask(.endpoint, ["a", "b", "c"], nonce: "1.2").text == "")
    #expect(client.session.watches[.endpoint]?.staleRequests == 1)
    #expect(client.session.watches[.endpoint]?.names == ["a", "b"])
    #expect(client.acknowledge(.endpoint, ["a", "b"]).text == "")
  }

  @Test("names that are added are answered alone, names that go are not")
  func names() {
    var client = settled()
    #expect(client.acknowledge(.endpoint, ["a"]).text == "")
    #expect(client.session.watches[.endpoint]?.sent.keys.sorted() == ["a"])
    #expect(client.acknowledge(.endpoint, ["a", "b"]).text == "EDS[b]")
  }

  @Test("an empty list of named resources ends the watch")
  func unsubscribe() {
    var client = settled()
    #expect(client.acknowledge(.endpoint, []).text == "")
    #expect(client.status(.endpoint) == .ignored)
    #expect(client.change(2, [c("a"), c("b"), e("a", 5), l("l"), r("80")]).text == "")
  }

  @Test("only what changed is sent, except that clusters and listeners come whole")
  func onlyChanges() {
    var client = settled()
    #expect(client.change(2, [c("a"), c("b"), e("a"), e("b", 2), l("l"), r("80")]).text == "EDS[b]")
    client.acknowledge(.endpoint, ["a", "b"])
    #expect(client.change(3, [c("a"), c("b"), e("a"), e("b", 2), l("l"), r("80", 3)]).text == "RDS[80]")
    client.acknowledge(.route, ["80"])
    #expect(client.change(4, [c("a"), c("b"), e("a"), e("b", 2), l("l", 2), l("m"), r("80", 3)]).text == "LDS[l m]")
    #expect(client.change(5, [c("a"), c("b"), e("a"), e("b", 2), l("l", 2), l("m"), r("80", 3)]).text == "")
  }

  @Test("a changed cluster is followed by its endpoints, though they are the same")
  func endpointsAfterClusters() {
    var client = settled()
    #expect(client.change(2, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80")]).text == "CDS[a b] EDS[a]")
  }

  @Test("everything at once comes in the order clusters, endpoints, listeners, routes")
  func order() {
    var client = settled()
    #expect(
      client.change(2, [c("a", 2), c("b"), e("a", 2), e("b"), l("l", 2), r("80", 2)]).text
        == "CDS[a b] EDS[a] LDS[l] RDS[80]")
  }

  @Test("a new cluster's endpoints are answered when the client asks for them")
  func newCluster() {
    var client = settled()
    #expect(client.change(2, base + [c("n"), e("n")]).text == "CDS[a b n]")
    #expect(client.acknowledge(.endpoint, ["a", "b", "n"]).text == "EDS[n]")
  }

  @Test("a warming client that repeats its last acknowledgement is answered once")
  func repeated() {
    var client = settled()
    client.change(2, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80")])
    client.acknowledge(.endpoint, ["a", "b"])
    #expect(client.acknowledge(.endpoint, ["a", "b"]).text == "EDS[a b]")
    #expect(client.acknowledge(.endpoint, ["a", "b"]).text == "")
    #expect(client.acknowledge(.endpoint, ["a", "b"]).text == "")
  }

  @Test("a cluster goes only after listeners and routes have been acknowledged")
  func retirement() {
    var client = settled()
    #expect(client.change(2, [c("a"), e("a"), l("l", 2), r("80", 2)]).text == "LDS[l] RDS[80]")
    #expect(client.acknowledge(.listener).text == "")
    #expect(client.acknowledge(.route, ["80"]).text == "CDS[a]")
    #expect(client.session.nextWake == nil)
  }

  @Test("a cluster that nothing else waits for goes at once")
  func immediateRetirement() {
    var client = settled()
    #expect(client.change(2, [c("a"), e("a"), l("l"), r("80")]).text == "CDS[a]")
  }

  @Test("a retiring cluster stays in whole answers until it goes")
  func retiringStays() {
    var client = settled()
    #expect(client.change(2, [c("a", 2), e("a"), l("l"), r("80", 2)]).text == "CDS[a b] EDS[a] RDS[80]")
    #expect(client.acknowledge(.route, ["80"]).text == "CDS[a]")
  }

  @Test("a client that never acknowledges cannot hold a cluster for ever")
  func retirementLimit() {
    var client = settled()
    client.change(2, [c("a"), e("a"), l("l"), r("80", 2)])
    #expect(client.pass(.seconds(4)).text == "")
    #expect(client.pass(.seconds(1)).text == "CDS[a]")
  }

  @Test("a cluster that comes back while retiring is not removed")
  func returns() {
    var client = settled()
    client.change(2, [c("a"), e("a"), l("l"), r("80", 2)])
    client.change(3, base.dropLast() + [r("80", 2)])
    #expect(client.acknowledge(.route, ["80"]).text == "")
    #expect(client.pass(.seconds(10)).text == "")
  }

  @Test("a refusal is recorded against the resource it names and not answered")
  func refusal() {
    var client = settled()
    client.change(2, [c("a", 2), c("b", 2), e("a"), e("b"), l("l"), r("80")])
    #expect(client.refuse(.cluster, [], "Error adding/updating cluster(s) b: ring hash: too large").text == "")
    #expect(client.status(.cluster) == .error)
    #expect(client.session.watches[.cluster]?.sent["b"]?.refusal != nil)
    #expect(client.session.watches[.cluster]?.sent["a"]?.refusal == nil)
    #expect(client.change(2, [c("a", 2), c("b", 2), e("a"), e("b"), l("l"), r("80")]).text == "")
  }

  @Test("after a refusal the next change is sent, and an acknowledgement clears the error")
  func recovery() {
    var client = settled()
    client.change(2, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80")])
    client.refuse(.cluster, [], "no")
    #expect(client.change(3, [c("a", 3), c("b"), e("a"), e("b"), l("l"), r("80")]).text == "CDS[a b] EDS[a]")
    client.acknowledge(.cluster)
    #expect(client.status(.cluster) == .synced)
  }

  @Test("changes are sent though earlier ones are not acknowledged")
  func neverBlocks() {
    var client = settled()
    for version in UInt64(2)...9 {
      #expect(client.change(version, base.dropLast() + [r("80", Int(version))]).text == "RDS[80]")
    }
    #expect(client.status(.route) == .stale)
    client.acknowledge(.route, ["80"])
    #expect(client.session.typeStatuses[.route]?.acknowledged == 9)
  }
}
