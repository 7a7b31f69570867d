import Dispatch
import Testing
import WeftBase
import WeftTestKit

/// What fails here, and what to do:
/// - *nothing comes of it and nobody is told*: read the field, warn about it (`unsupported` in the converter), refuse it, or take it out of Protos/ (what is not there is
///   warned about by itself). Only where nothing has to be done, say why in `Exceptions.swift`.
/// - *the walk cannot tell*: the message needs something to be good. Say what in `ProbeTables.swift`: `seeds`, `companions`, `values` or `extensions`;
///   of rules in `RuleTables.swift`, with the mesh around them.
/// - *out of date*: `make docs`, and read the difference.
@Suite("every field of what we convert")
struct FieldWalkTests {
  @Test("changes what is made, is warned about by path, or is refused; docs/reference/coverage.md says which")
  func told() async throws {
    try await walk(
      CoverageRoot.envoy + CoverageRoot.httpFilters + CoverageRoot.loadBalancers
        + CoverageRoot.retryPriorities + CoverageRoot.networkFilters + CoverageRoot.protocols, .proxy, "coverage.md",
      atLeast: 1500,
      exceptions: ProbeTables.silent, unread: Unread.ofModel())
  }

  @Test("of a rule changes what a proxy is sent, or is told by path; docs/reference/coverage-rules.md says which")
  func rules() async throws {
    try await walk(
      CoverageRoot.rules, .rules, "coverage-rules.md", atLeast: 500, exceptions: ProbeTables.silentInRules,
      unread: Unread([]))
  }

  private func walk(
    _ roots: [CoverageRoot], _ empty: CoveragePage, _ file: String, atLeast: Int, exceptions: [String: String],
    unread: Unread
  ) async throws {
    var page = empty
    var used: Set<String> = []
    var places = 0
    let walks = await withTaskGroup(of: (Int, FieldWalk).self) { group in
      for (index, root) in roots.enumerated() {
        group.addTask {
          // On threads of their own: the pool's few are for tests that wait for a peer.
          await withCheckedContinuation { done in
            DispatchQueue(label: "walk").async {
              var walk = FieldWalk(root, exceptions: exceptions, unread: unread)
              walk.run()
              done.resume(returning: (index, walk))
            }
          }
        }
      }
      return await group.reduce(into: [Int: FieldWalk]()) { $0[$1.0] = $1.1 }
    }
    for (index, root) in roots.enumerated() {
      guard let walk = walks[index] else { continue }
      page.add(root.type)
      places += walk.findings.count
      used.formUnion(walk.used)
      for finding in walk.findings {
        page.add(finding, in: root)
        switch finding.fate {
        case .silent:
          Issue.record("\(root): \(finding.name) at \(finding.path): nothing comes of it and nobody is told")
        case .unknown(let why):
          Issue.record("\(root): \(finding.name) at \(finding.path): the walk cannot tell: \(why)")
        case .carriedOut, .partly, .warned, .refused, .again, .excused: break
        }
      }
    }
    #expect(places > atLeast, "the walk does not get far any more")
    for name in exceptions.keys.sorted() where !used.contains(name) {
      Issue.record("\(name) is met by no walk: take it off the exceptions")
    }
    let text = try page.text()
    #expect(try Golden.expected("../../docs/reference/\(file)", for: text) == text, "out of date: make docs")
  }

  private func root(_ name: String) throws -> CoverageRoot {
    try #require(CoverageRoot.envoy.first { $0.description == name })
  }

  private func findings(_ root: CoverageRoot, _ unread: Unread) -> [Finding] {
    var walk = FieldWalk(root, exceptions: [:], unread: unread)
    walk.run()
    return walk.findings
  }

  @Test("a field that no converter reads is found")
  func planted() throws {
    let cluster = try root("envoy.config.cluster.v3.Cluster")
    // As if `connect_timeout` were read by nobody.
    let deaf = CoverageRoot(type: cluster.type, base: cluster.base, stops: Set(FieldShape.messages(of: cluster.type))) {
      cluster.convert($0.setting([FieldPath.Element.field("connect_timeout")], to: nil))
    }
    let findings = findings(deaf, Unread([]))
    #expect(findings.first { $0.field == "connect_timeout" }?.fate == .silent)
    #expect(findings.first { $0.field == "respect_dns_ttl" }?.fate == .carriedOut)
  }

  @Test("a field that a converter reads and nothing behind it is found, also where the other side reads it")
  func unheard() throws {
    func fates(_ root: CoverageRoot, _ field: String, _ unread: Set<String>) -> Set<Fate> {
      Set(findings(root, Unread(unread)).filter { $0.field == field }.map(\.fate))
    }
    let cluster = try root("envoy.config.cluster.v3.Cluster")
    #expect(fates(cluster, "connect_timeout", []) == [.carriedOut])
    #expect(fates(cluster, "connect_timeout", ["Cluster.connectTimeout"]) == [.silent])
    let place: Set = ["Cluster.http2.hpackTableBytes"]
    #expect(fates(cluster, "hpack_table_size", place) == [.silent])
    #expect(fates(try root("envoy.config.listener.v3.Listener"), "hpack_table_size", place) == [.carriedOut])
  }
}
