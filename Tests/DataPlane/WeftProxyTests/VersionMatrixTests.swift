import Testing
import WeftBase
import WeftHTTP
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("any client version meets any upstream version")
struct VersionMatrixTests {
  @Test("requests and responses of all framings arrive whole", arguments: Version.allCases, Version.allCases)
  func framings(client: Version, server: Version) {
    for seed in 1...4 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed, splits: seed > 1)
      world.simple(upstream: server)
      let ends = Ends(world, client: client, server: server) { _ in (200, [], false, []) }
      for size in seed > 1 ? [0, 1, 1000, 5000] : [0, 1, 1000, 20_000, 200_000] {
        for chunked in [false, true] {
          let up = pattern(size, seed: seed)
          let down = pattern(size / 2, seed: seed &+ 1)
          ends.respond = { _ in (200, down, chunked, []) }
          let got = ends.exchange(.post, "/f?\(size)", body: up, chunked: chunked)
          #expect(got?.status == 200, "seed \(seed) size \(size) chunked \(chunked)")
          #expect(same(got?.body, down))
          #expect(same(ends.requests.last?.body, up))
          #expect(ends.requests.last?.path == "/f?\(size)")
        }
      }
      world.settle()
      world.expectClean()
    }
  }

  @Test("trailers pass both ways", arguments: Version.allCases, Version.allCases)
  func trailers(client: Version, server: Version) {
    for seed in 1...3 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed, splits: seed > 1)
      world.simple(upstream: server)
      let ends = Ends(world, client: client, server: server) { _ in (200, [1, 2, 3], true, [("x-down", "d")]) }
      let got = ends.exchange(.post, body: [9, 9], trailers: [("x-up", "u")])
      #expect(got?.body == [1, 2, 3])
      #expect(got?.trailer("x-down") == "d")
      #expect(ends.requests.last?.trailer("x-up") == "u")
      world.settle()
      world.expectClean()
    }
  }

  @Test("HEAD keeps its length and has no body", arguments: Version.allCases, Version.allCases)
  func head(client: Version, server: Version) {
    let world = ProxyWorld()
    world.simple(upstream: server)
    let ends = Ends(world, client: client, server: server) { _ in (200, server == .one ? pattern(10) : [], false, []) }
    let got = ends.exchange(.head)
    #expect(got?.status == 200)
    #expect(got?.body == [])
    if server == .one { #expect(got?.first("content-length") == "10") }
    // The connection goes on.
    #expect(ends.exchange()?.status == 200)
    world.settle()
    world.expectClean()
  }

  @Test("many requests share connections", arguments: Version.allCases, Version.allCases)
  func reuse(client: Version, server: Version) {
    let world = ProxyWorld()
    world.simple(upstream: server)
    let ends = Ends(world, client: client, server: server) { _ in (200, [1], false, []) }
    for i in 0..<50 { #expect(ends.exchange(.get, "/\(i)")?.body == [1]) }
    #expect(world.value(ClusterMetric.upstreamCxTotal) == 1)
    #expect(world.value(HTTPMetric.downstreamRq2xx) == 50)
    world.settle()
    world.expectClean()
  }
}
