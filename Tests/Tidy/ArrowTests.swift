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
    #expect(Self.upward(target) == [], "ARCHITECTURE.md has the levels")
  }

  /// The dependencies of a target that do not lie below it, or have no level; its own name where it has none.
  static func upward(_ target: DeclaredTarget) -> [String] {
    guard let level = levels[target.name] else { return [target.name] }
    return target.dependencies.filter { levels[$0].map { $0 >= level } ?? true }
  }

  @Test("data plane and control plane never meet in one target")
  func planesStayApart() {
    #expect(Self.crossing(Self.targets) == [])
  }

  /// The arrows from one plane into the other.
  static func crossing(_ targets: [DeclaredTarget]) -> [String] {
    let rooms = Dictionary(uniqueKeysWithValues: targets.map { ($0.name, $0.room) })
    let others = ["DataPlane": "ControlPlane", "ControlPlane": "DataPlane"]
    return targets.flatMap { target in
      target.dependencies.filter { rooms[$0] != nil && rooms[$0] == others[target.room] }
        .map { "\(target.name) -> \($0)" }
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
    for path in Repository.files(under: target.folder, suffix: ".swift") {
      for module in Self.imports(of: Repository.text(path)) {
        #expect(target.dependencies.contains(module), "\(path) imports \(module), which Package.swift does not name")
      }
    }
  }

  /// Our modules that a file imports, in whatever form.
  static func imports(of text: String) -> [String] {
    let pattern =
      #/(?m)^(?:package |public |internal |private |fileprivate |@testable )*import (?:\w+ )?(?<module>(?:Weft|C[A-Z])\w*)/#
    return text.matches(of: pattern).map { String($0.module) }.filter { levels[$0] != nil }
  }

  @Test("the engine imports no extension: only programs know both")
  func engineKnowsNoExtension() {
    #expect(Self.knowingExtensions(Self.targets) == [])
  }

  /// The arrows to extensions from what is neither one itself nor a program.
  static func knowingExtensions(_ targets: [DeclaredTarget]) -> [String] {
    let extensions = Set(targets.filter { $0.room == "Extensions" }.map(\.name))
    return targets.filter { $0.room != "Extensions" && $0.room != "Programs" }.flatMap { target in
      target.dependencies.filter(extensions.contains).map { "\(target.name) -> \($0)" }
    }
  }

  @Test("planted arrows are found, in every form that the manifest and a file have for them")
  func planted() throws {
    let targets = DeclaredTarget.all(
      in: """
        library("WeftBase", in: "Base", ["WeftModel"]),
        library(
          "WeftProxy", in: "DataPlane",
          [
            "WeftBase", "WeftTables", "WeftCompile",
            "WeftHTTPFilters", "WeftConfig",
          ]),
        library("WeftHTTPFilters", in: "Extensions", ["WeftProxyAPI"]),
        library("WeftConfig", in: "ControlPlane", ["WeftKinds"]),
        library("WeftNew", in: "Base", []),
        program("weft-proxy", ["WeftProxy", "WeftHTTPFilters"]),
        """)
    #expect(targets.map(\.name) == ["WeftBase", "WeftProxy", "WeftHTTPFilters", "WeftConfig", "WeftNew", "weft-proxy"])
    #expect(targets.flatMap(Self.upward) == ["WeftModel", "WeftCompile", "WeftNew"])
    #expect(Self.crossing(targets) == ["WeftProxy -> WeftConfig"])
    #expect(Self.knowingExtensions(targets) == ["WeftProxy -> WeftHTTPFilters"])
    let file = """
      import Glibc
      package import WeftBase
      @testable import WeftProxy
      import struct WeftModel.Route
      // import WeftConfig
      import CLinux
      """
    #expect(Self.imports(of: file) == ["WeftBase", "WeftProxy", "WeftModel", "CLinux"])
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
