import Testing
import WeftBase
import WeftTestKit

/// What fails here, and what to do:
/// - *nothing comes of it and nobody is told*: read the field, warn about it (`unsupported` in the converter), refuse it, or take it out of Protos/ (what is not there is
///   warned about by itself). Only where nothing has to be done, say why in `Exceptions.swift`.
/// - *the walk cannot tell*: the message needs something to be good. Say what in `ProbeTables.swift`: `seeds`, `companions`, `values` or `extensions`.
/// - *out of date*: `make docs`, and read the difference.
@Suite("every field of what we convert")
struct FieldWalkTests {
  @Test("changes what is made, is warned about by path, or is refused; docs/reference/coverage.md says which")
  func told() throws {
    var page = CoveragePage()
    var used: Set<String> = []
    var places = 0
    for root in CoverageRoot.envoy + CoverageRoot.httpFilters + CoverageRoot.loadBalancers {
      var walk = FieldWalk(root)
      walk.run()
      places += walk.findings.count
      used.formUnion(walk.used)
      for finding in walk.findings {
        page.add(finding, in: root)
        switch finding.fate {
        case .silent:
          Issue.record("\(root): \(finding.name) at \(finding.path): nothing comes of it and nobody is told")
        case .unknown(let why):
          Issue.record("\(root): \(finding.name) at \(finding.path): the walk cannot tell: \(why)")
        case .carriedOut, .warned, .refused, .again, .excused: break
        }
      }
    }
    #expect(places > 1500, "the walk does not get far any more")
    for name in ProbeTables.silent.keys.sorted() where !used.contains(name) {
      Issue.record("\(name) is met by no walk: take it off the exceptions")
    }
    let text = try page.text()
    #expect(try Golden.expected("../../docs/reference/coverage.md", for: text) == text, "out of date: make docs")
  }

  @Test("a field that is read nowhere is found")
  func planted() {
    let cluster = CoverageRoot.envoy.first { $0.description == "envoy.config.cluster.v3.Cluster" }
    guard let cluster else {
      Issue.record("no such root")
      return
    }
    // As if `connect_timeout` were read by nobody.
    let deaf = CoverageRoot(type: cluster.type, base: cluster.base, stops: Set(FieldShape.messages(of: cluster.type))) {
      cluster.convert($0.setting([FieldPath.Element.field("connect_timeout")], to: nil))
    }
    var walk = FieldWalk(deaf)
    walk.run()
    #expect(walk.findings.first { $0.field == "connect_timeout" }?.fate == .silent)
    #expect(walk.findings.first { $0.field == "respect_dns_ttl" }?.fate == .carriedOut)
  }
}
