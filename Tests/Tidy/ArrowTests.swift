// Which target may depend on which. ARCHITECTURE.md draws the same picture; this file is the one that bites.
import Foundation
import Testing

@Suite("arrows between targets")
struct ArrowTests {
  /// A target may depend only on targets of a lower level.
  static let levels: [String: Int] = [
    "CLinux": 0, "COpenSSL": 0, "CYAML": 0, "CSQLite": 0, "CAres": 0, "CZlib": 0, "CRE2": 0, "CAtomics": 0,
    "WeftBase": 1,
    "WeftYAML": 2, "WeftTelemetry": 2, "WeftHTTP": 2, "WeftProtobuf": 2, "WeftGRPC": 2, "WeftRuntime": 2,
    "WeftModel": 2,
    "WeftTLS": 3, "WeftDubbo": 3, "WeftKinds": 3, "WeftXDSMessages": 3,
    "WeftXDS": 4, "WeftService": 4, "WeftProxyAPI": 4, "WeftControlAPI": 4,
    "WeftUpstream": 5, "WeftHTTPFilters": 5, "WeftNetworkFilters": 5, "WeftListenerFilters": 5, "WeftLoadBalancers": 5,
    "WeftProtocols": 5, "WeftAccessLogs": 5,
    "WeftConfig": 5,
    "WeftTranslation": 5,
    "WeftTables": 6, "WeftDiscovery": 6, "WeftAgent": 6,
    "WeftCompile": 7, "WeftProxy": 7, "WeftControl": 7, "WeftCLI": 7,
    "WeftXDSClient": 8, "WeftProxyControl": 9,
    "weft": 10, "weft-agent": 10, "weft-control": 10, "weft-proxy": 10,
  ]

  static let targets = DeclaredTarget.all()

  @Test("the manifest is understood: every room has targets")
  func manifestIsUnderstood() {
    #expect(Self.targets.count >= 24)
    #expect(
      Set(Self.targets.map(\.room)).isSuperset(of: [
        "Base", "Protocol", "Runtime", "Model", "DataPlane", "ControlPlane", "Agent", "CLI", "Programs",
      ]))
  }

  @Test("every target points only downwards", arguments: targets.map(\.name))
  func pointsDownwards(name: String) throws {
    let target = try #require(Self.targets.first { $0.name == name })
    let level = try #require(Self.levels[name], "give \(name) a level here and in ARCHITECTURE.md")
    for dependency in target.dependencies {
      let below = try #require(Self.levels[dependency], "give \(dependency) a level")
      #expect(below < level, "\(name) (level \(level)) must not depend on \(dependency) (level \(below))")
    }
  }

  @Test("data plane and control plane never meet in one target")
  func planesStayApart() {
    let rooms = Dictionary(uniqueKeysWithValues: Self.targets.map { ($0.name, $0.room) })
    for target in Self.targets where target.room == "DataPlane" {
      #expect(!target.dependencies.contains { rooms[$0] == "ControlPlane" }, "\(target.name)")
    }
    for target in Self.targets where target.room == "ControlPlane" {
      #expect(!target.dependencies.contains { rooms[$0] == "DataPlane" }, "\(target.name)")
    }
  }

  @Test("protocol code does no I/O: it never sees the runtime")
  func protocolsAreSansIO() {
    for target in Self.targets where target.room == "Protocol" {
      #expect(!target.dependencies.contains("WeftRuntime") && !target.dependencies.contains("CLinux"), "\(target.name)")
    }
  }

  @Test("every import of one of our modules is declared in the manifest", arguments: targets.map(\.name))
  func importsAreDeclared(name: String) throws {
    let target = try #require(Self.targets.first { $0.name == name })
    let pattern =
      #/^(?:package |public |internal |private |fileprivate |@testable )*import (?:\w+ )?(?<module>(?:Weft|C[A-Z])\w*)/#
    for path in Repository.files(under: target.folder, suffix: ".swift") {
      for line in Repository.lines(path) {
        guard let match = line.firstMatch(of: pattern) else { continue }
        let module = String(match.module)
        guard Self.levels[module] != nil else { continue }
        #expect(target.dependencies.contains(module), "\(path) imports \(module), which Package.swift does not name")
      }
    }
  }

  @Test("the engine imports no extension: only programs know both")
  func engineKnowsNoExtension() {
    let extensions = Set(Self.targets.filter { $0.room == "Extensions" }.map(\.name))
    for target in Self.targets where target.room != "Extensions" && target.room != "Programs" {
      let known = extensions.intersection(target.dependencies)
      #expect(known.isEmpty, "\(target.name) depends on \(known.sorted())")
    }
  }

  @Test("the engine reads tables: neither does it compile them, nor does it know where configuration comes from")
  func engineKnowsTablesOnly() throws {
    let engine = try #require(Self.targets.first { $0.name == "WeftProxy" })
    #expect(engine.dependencies.contains("WeftTables"))
    let cold = [
      "WeftCompile", "WeftXDSClient", "WeftProxyControl", "WeftXDS", "WeftXDSMessages", "WeftProtobuf", "WeftService",
    ]
    #expect(Set(cold).isDisjoint(with: engine.dependencies))
  }

  @Test("the test kit is imported by tests only")
  func testKitStaysInTests() {
    for path in Repository.files(under: "Sources", suffix: ".swift") where !path.hasPrefix("Sources/TestKit/") {
      #expect(!Repository.text(path).contains("import WeftTestKit"), "\(path)")
    }
  }

  /// Everything that weft-proxy links.
  static func linkedByProxy() -> Set<String> {
    let byName = Dictionary(uniqueKeysWithValues: targets.map { ($0.name, $0) })
    var seen: Set<String> = [], open = ["weft-proxy"]
    while let next = open.popLast() {
      guard seen.insert(next).inserted, let target = byName[next] else { continue }
      open += target.dependencies
    }
    return seen
  }

  @Test("no target imports full Foundation, and nothing weft-proxy links imports any of it")
  func foundationStaysOut() {
    let proxy = Self.linkedByProxy()
    #expect(proxy.contains("WeftProxy") && proxy.contains("WeftHTTP"))
    for target in Self.targets {
      for path in Repository.files(under: target.folder, suffix: ".swift") {
        for line in Repository.lines(path) where line.contains("import Foundation") {
          #expect(line.contains("FoundationEssentials"), "\(path): full Foundation weighs 58 MB")
          #expect(!proxy.contains(target.name), "\(path): weft-proxy links \(target.name)")
        }
      }
    }
  }
}
