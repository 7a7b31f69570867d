import Testing
import WeftBase
import WeftTranslation

@testable import WeftDiscovery

@Suite("session, delta")
struct DeltaTests {
  let base = [c("a"), c("b"), e("a"), e("b"), l("l"), r("80")]

  func settled() -> Conversation {
    var client = Conversation(.delta, base)
    for (type, names) in [
      (ResourceType.cluster, [String]()), (.endpoint, ["a", "b"]), (.listener, []), (.route, ["80"]),
    ] {
      client.ask(type, names)
      client.acknowledge(type)
    }
    return client
  }

  @Test("an empty first subscription to clusters or listeners means all")
  func wildcard() {
    var client = Conversation(.delta, base)
    #expect(client.ask(.cluster).text == "CDS[a b]")
    #expect(client.ask(.listener, ["*"]).text == "LDS[l]")
  }

  @Test("a name that does not exist is answered as removed")
  func missing() {
    var client = Conversation(.delta, base)
    #expect(client.ask(.endpoint, ["a", "nosuch"]).text == "EDS[a -nosuch]")
    #expect(client.ask(.endpoint, ["other"]).text == "EDS[-other]")
  }

  @Test("an empty world is answered, too")
  func emptyWorld() {
    var client = Conversation(.delta, [])
    #expect(client.ask(.cluster).text == "CDS[]")
  }

  @Test("a reconnecting client gets what differs from what it holds, and what is gone")
  func reconnect() {
    var client = Conversation(.delta, base)
    #expect(client.ask(.cluster, held: ["a": c("a").version, "b": "old", "gone": "x"]).text == "CDS[b -gone]")
    #expect(client.ask(.endpoint, ["a"], held: ["a": e("a").version]).text == "EDS[]")
    #expect(client.change(2, [c("a"), c("b"), e("a", 2), e("b"), l("l"), r("80")]).text == "EDS[a]")
  }

  @Test("only the changed resources are sent")
  func onlyChanges() {
    var client = settled()
    #expect(client.change(2, [c("a"), c("b"), e("a"), e("b", 2), l("l"), r("80")]).text == "EDS[b]")
    #expect(client.change(3, [c("a"), c("b", 3), e("a"), e("b", 2), l("l"), r("80")]).text == "CDS[b] EDS[b]")
    #expect(client.change(4, [c("a"), c("b", 3), e("a"), e("b", 2), l("l"), l("m"), r("80")]).text == "LDS[m]")
    #expect(client.change(5, [c("a"), c("b", 3), e("a"), e("b", 2), l("m"), r("80")]).text == "LDS[-l]")
  }

  @Test("a name subscribed to again is sent again")
  func resubscribe() {
    var client = settled()
    #expect(client.ask(.endpoint, ["a"]).text == "EDS[a]")
  }

  @Test("unsubscribing is met with silence, and later changes are not sent")
  func unsubscribe() {
    var client = settled()
    #expect(client.ask(.endpoint, unsubscribe: ["a"]).text == "")
    #expect(client.change(2, [c("a"), c("b"), e("a", 2), e("b"), l("l"), r("80")]).text == "")
  }

  @Test("a stale nonce still changes subscriptions")
  func stale() {
    var client = settled()
    client.change(2, [c("a"), c("b"), e("a", 2), e("b"), l("l"), r("80")])
    #expect(client.ask(.endpoint, ["n"], unsubscribe: ["b"], nonce: "1.2").text == "EDS[-n]")
    #expect(client.session.watches[.endpoint]?.names == ["a", "n"])
  }

  @Test("a wildcard can be given up and taken up again")
  func wildcardTurns() {
    var client = settled()
    client.ask(.cluster, unsubscribe: ["*"])
    #expect(client.change(2, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80")]).text == "")
    #expect(client.ask(.cluster, ["*"]).text == "CDS[a b]")
  }

  @Test("removals come after the listeners and routes that no longer need them")
  func retirement() {
    var client = settled()
    #expect(client.change(2, [c("a"), e("a"), l("l"), r("80", 2)]).text == "RDS[80]")
    #expect(client.acknowledge(.route).text == "CDS[-b] EDS[-b]")
    #expect(client.change(2, [c("a"), e("a"), l("l"), r("80", 2)]).text == "")
  }

  @Test("a refused resource is not sent again until it changes")
  func refusal() {
    var client = settled()
    client.change(2, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80")])
    #expect(client.refuse(.cluster, [], "Error adding/updating cluster(s) a: bad").text == "")
    #expect(client.change(3, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80", 3)]).text == "RDS[80]")
    #expect(client.change(4, [c("a", 4), c("b"), e("a"), e("b"), l("l"), r("80", 3)]).text == "CDS[a] EDS[a]")
  }

  @Test("a refusal stays when a response that was already under way is acknowledged")
  func refusalBesideRemoval() {
    var client = settled()
    // The changed cluster and the removal of the other one leave together; the client refuses the first and takes the second.
    #expect(client.change(2, [c("a", 2), e("a"), l("l"), r("80")]).text == "CDS[a] EDS[a] CDS[-b] EDS[-b]")
    let nonces = client.nonces(.cluster).suffix(2)
    client.ask(.cluster, nonce: nonces.first ?? "", refusal: "Error adding/updating cluster(s) a: bad")
    client.ask(.cluster, nonce: nonces.last ?? "")
    #expect(client.status(.cluster) == .error)
    #expect(client.session.watches[.cluster]?.sent["a"]?.refusal != nil)
    client.change(3, [c("a", 3), e("a"), l("l"), r("80")])
    client.acknowledge(.cluster)
    #expect(client.status(.cluster) == .synced)
  }

  @Test("a refusal of an earlier response does not pass for the answer to the last one")
  func staleRefusal() {
    var client = settled()
    client.change(2, [c("a", 2), c("b"), e("a"), e("b"), l("l"), r("80")])
    let first = client.nonces(.cluster).last ?? ""
    client.change(3, [c("a", 2), c("b", 3), e("a"), e("b"), l("l"), r("80")])
    client.ask(.cluster, nonce: first, refusal: "Error adding/updating cluster(s) a: bad")
    #expect(client.session.watches[.cluster]?.isSettled == false)
    client.acknowledge(.cluster)
    #expect(client.session.watches[.cluster]?.isSettled == true)
    // Nor does a refusal that was answered long ago, when the next response leaves.
    client.change(4, [c("a", 4), c("b", 3), e("a"), e("b"), l("l"), r("80")])
    #expect(client.session.watches[.cluster]?.isSettled == false)
    client.refuse(.cluster, [], "Error adding/updating cluster(s) a: still bad")
    #expect(client.session.watches[.cluster]?.isSettled == true)
  }
}
