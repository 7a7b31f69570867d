// swift-tools-version: 6.2
// Targets only, grouped by room, in dependency order. The allowed arrows between them are written in
// ARCHITECTURE.md and enforced by Tests/Tidy.
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Halves the link that ends every edit at the desk. Optimised programs keep the default one, which takes out what nobody calls.
let fastLinker = LinkerSetting.unsafeFlags(["-use-ld=lld"], .when(configuration: .debug))

func library(_ name: String, in room: String, _ dependencies: [String]) -> Target {
  .target(
    name: name, dependencies: dependencies.map { .byName(name: $0) }, path: "Sources/\(room)/\(name)",
    swiftSettings: strict)
}

func program(_ name: String, in room: String = "Programs", _ dependencies: [String]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies.map { .byName(name: $0) }, path: "Sources/\(room)/\(name)",
    swiftSettings: strict)
}

func tests(of name: String, in room: String, _ more: [String] = [], exclude: [String] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: ([name] + more).map { .byName(name: $0) },
    path: "Tests/\(room)/\(name)Tests", exclude: exclude, swiftSettings: strict)
}

/// The bundle `WeftProxy<folder>Tests`.
func proxyTests(_ folder: String) -> Target {
  .testTarget(
    name: "WeftProxy\(folder)Tests", dependencies: proxyTestsNeed.map { .byName(name: $0) },
    path: "Tests/DataPlane/WeftProxyTests/\(folder)", swiftSettings: strict)
}

func system(_ name: String, pkgConfig: String, apt: String) -> Target {
  .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let proxyWorldNeeds = [
  "WeftBase", "WeftModel", "WeftRuntime", "WeftHTTP", "WeftTLS", "WeftTelemetry", "WeftProxyAPI", "WeftUpstream",
  "WeftTables", "WeftCompile", "WeftProxy",
]
let proxyTestsNeed =
  [
    "WeftProxyTestKit", "WeftTestKit", "WeftAccessLogs", "WeftListenerFilters", "WeftLoadBalancers", "WeftProtobuf",
    "WeftXDS", "WeftXDSMessages",
  ]
  + proxyWorldNeeds

let package = Package(
  name: "weft",
  targets: [
    // Level 0: C. Shims hold no logic beyond what Swift cannot say.
    .target(name: "CLinux", path: "Sources/C/CLinux", linkerSettings: [fastLinker]),
    .target(name: "CAtomics", path: "Sources/C/CAtomics"),
    system("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
    system("CYAML", pkgConfig: "yaml-0.1", apt: "libyaml-dev"),
    system("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
    system("CAres", pkgConfig: "libcares", apt: "libc-ares-dev"),
    system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
    .target(name: "CRE2", path: "Sources/C/CRE2", linkerSettings: [.linkedLibrary("re2")]),

    // Base
    library("WeftBase", in: "Base", []),
    library("WeftYAML", in: "Base", ["WeftBase", "CYAML"]),
    library("WeftTelemetry", in: "Base", ["WeftBase", "CLinux", "CAtomics"]),

    // Protocol: sans-I/O codecs.
    library("WeftHTTP", in: "Protocol", ["WeftBase"]),
    library("WeftDubbo", in: "Protocol", ["WeftBase", "WeftHTTP"]),
    library("WeftProtobuf", in: "Protocol", ["WeftBase"]),
    library("WeftGRPC", in: "Protocol", ["WeftBase", "CZlib"]),

    // Runtime
    library("WeftRuntime", in: "Runtime", ["WeftBase", "CLinux", "CAres"]),
    library("WeftTLS", in: "Runtime", ["WeftBase", "WeftRuntime", "COpenSSL"]),
    library(
      "WeftService", in: "Runtime", ["WeftBase", "WeftRuntime", "WeftTLS", "WeftHTTP", "WeftGRPC", "WeftProtobuf"]),

    // Model
    library("WeftModel", in: "Model", ["WeftBase"]),
    library("WeftKinds", in: "Model", ["WeftBase", "WeftTelemetry", "WeftProtobuf", "CRE2"]),
    library("WeftXDSMessages", in: "Model", ["WeftBase", "WeftProtobuf"]),
    library("WeftXDS", in: "Model", ["WeftBase", "WeftTelemetry", "WeftProtobuf", "WeftModel", "WeftXDSMessages"]),

    // Data plane
    library(
      "WeftProxyAPI", in: "DataPlane",
      ["WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftHTTP", "CRE2", "CAtomics"]),
    library(
      "WeftUpstream", in: "DataPlane",
      ["WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftTLS", "WeftHTTP", "WeftProxyAPI", "CAtomics"]),
    library(
      "WeftTables", in: "DataPlane",
      ["WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftHTTP", "WeftProxyAPI", "WeftUpstream"]),
    library(
      "WeftCompile", in: "DataPlane",
      [
        "WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftTLS", "WeftHTTP", "WeftProxyAPI", "WeftUpstream",
        "WeftTables",
      ]),
    library(
      "WeftXDSClient", in: "DataPlane",
      [
        "WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftGRPC", "WeftProtobuf", "WeftXDS",
        "WeftXDSMessages", "WeftService", "WeftCompile",
      ]),
    library(
      "WeftProxy", in: "DataPlane",
      [
        "WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftTLS", "WeftHTTP", "WeftProxyAPI", "WeftUpstream",
        "WeftTables",
      ]),
    library(
      "WeftProxyControl", in: "DataPlane",
      [
        "WeftBase", "WeftYAML", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftProtobuf", "WeftXDS",
        "WeftXDSMessages", "WeftService", "WeftProxyAPI", "WeftUpstream", "WeftTables", "WeftCompile", "WeftXDSClient",
        "WeftProxy",
      ]),

    // Extensions: what programs bring along beside the engine.
    library(
      "WeftHTTPFilters", in: "Extensions",
      [
        "WeftBase", "WeftTelemetry", "WeftModel", "WeftHTTP", "WeftProtobuf", "WeftXDS", "WeftXDSMessages",
        "WeftProxyAPI",
      ]),
    library(
      "WeftProtocols", in: "Extensions", ["WeftBase", "WeftModel", "WeftHTTP", "WeftDubbo", "WeftProxyAPI"]),
    library(
      "WeftListenerFilters", in: "Extensions",
      [
        "WeftBase", "WeftTelemetry", "WeftModel", "WeftRuntime", "WeftTLS", "WeftHTTP", "WeftProtobuf", "WeftXDS",
        "WeftXDSMessages", "WeftProxyAPI",
      ]),
    library(
      "WeftAccessLogs", in: "Extensions",
      ["WeftBase", "WeftTelemetry", "WeftModel", "WeftProtobuf", "WeftXDS", "WeftXDSMessages", "WeftProxyAPI"]),
    library(
      "WeftNetworkFilters", in: "Extensions",
      ["WeftBase", "WeftTelemetry", "WeftModel", "WeftProtobuf", "WeftXDS", "WeftXDSMessages", "WeftProxyAPI"]),

    library(
      "WeftLoadBalancers", in: "Extensions",
      ["WeftBase", "WeftTelemetry", "WeftModel", "WeftProtobuf", "WeftXDS", "WeftXDSMessages", "WeftProxyAPI"]),

    // Control plane
    library("WeftControlAPI", in: "ControlPlane", ["WeftBase", "WeftKinds"]),
    library(
      "WeftConfig", in: "ControlPlane",
      [
        "WeftBase", "WeftYAML", "WeftProtobuf", "WeftKinds", "WeftControlAPI", "CSQLite", "CLinux",
      ]),
    library(
      "WeftTranslation", in: "ControlPlane",
      ["WeftBase", "WeftProtobuf", "WeftModel", "WeftKinds", "WeftXDSMessages", "WeftXDS", "WeftControlAPI"]),
    library(
      "WeftDiscovery", in: "ControlPlane",
      [
        "WeftBase", "WeftTelemetry", "WeftProtobuf", "WeftXDSMessages", "WeftControlAPI", "WeftTranslation",
        "WeftService",
        "WeftGRPC",
      ]),
    library(
      "WeftControl", in: "ControlPlane",
      [
        "WeftBase", "WeftTelemetry", "WeftProtobuf", "WeftKinds", "WeftControlAPI", "WeftConfig", "WeftTranslation",
        "WeftDiscovery", "WeftService",
      ]),

    // Agent and command line
    library(
      "WeftAgent", in: "Agent", ["WeftBase", "WeftYAML", "WeftTelemetry", "WeftRuntime", "WeftService", "CLinux"]),
    library("WeftCLI", in: "CLI", ["WeftBase", "WeftTelemetry", "WeftYAML", "WeftService", "WeftAgent", "CLinux"]),

    // Programs: parse, compose, run.
    program(
      "weft-proxy",
      [
        "WeftBase", "WeftModel", "WeftRuntime", "WeftTelemetry", "WeftProxyAPI", "WeftUpstream", "WeftCompile",
        "WeftXDSClient", "WeftProxy", "WeftProxyControl", "WeftHTTPFilters", "WeftAccessLogs", "WeftListenerFilters",
        "WeftLoadBalancers", "WeftNetworkFilters", "WeftProtocols",
      ]),
    program("weft-control", ["WeftBase", "WeftTelemetry", "WeftService", "WeftConfig", "WeftControl"]),
    program("weft-agent", ["WeftCLI"]),
    program("weft", ["WeftCLI"]),

    // Tools
    .executableTarget(
      name: "protoc-gen-weft", dependencies: ["WeftBase", "WeftProtobuf"], path: "Tools/protoc-gen-weft",
      exclude: ["plugin.proto"],
      swiftSettings: strict),
    .executableTarget(
      name: "protobuf-conformance", dependencies: ["WeftBase", "WeftProtobuf"], path: "Tools/protobuf-conformance",
      exclude: ["Protos"],
      swiftSettings: strict),
    .executableTarget(
      name: "weft-echo", dependencies: ["WeftBase", "WeftGRPC", "WeftHTTP", "WeftService"], path: "Tools/weft-echo",
      swiftSettings: strict),
    .executableTarget(
      name: "weft-fleet", dependencies: ["WeftBase", "WeftGRPC", "WeftProtobuf", "WeftService", "WeftXDSMessages"],
      path: "Tools/weft-fleet",
      swiftSettings: strict),
    .executableTarget(
      name: "bookstore", dependencies: ["WeftBase", "WeftHTTP", "WeftService"], path: "Examples/01-bookstore/app",
      swiftSettings: strict),

    // Tests mirror Sources room by room.
    .target(
      name: "WeftTestKit", dependencies: ["WeftBase", "WeftRuntime", "CLinux"], path: "Sources/TestKit/WeftTestKit",
      swiftSettings: strict),
    tests(of: "WeftBase", in: "Base"),
    tests(of: "WeftYAML", in: "Base", ["WeftBase", "WeftTestKit"]),
    tests(of: "WeftTelemetry", in: "Base", ["WeftBase"]),
    tests(of: "WeftHTTP", in: "Protocol", ["WeftBase", "WeftTestKit"]),
    tests(of: "WeftDubbo", in: "Protocol", ["WeftBase", "WeftHTTP", "WeftTestKit"]),
    tests(of: "WeftProtobuf", in: "Protocol", ["WeftBase", "WeftTestKit"], exclude: ["Protos"]),
    tests(of: "WeftGRPC", in: "Protocol", ["WeftBase"]),
    tests(of: "WeftRuntime", in: "Runtime", ["WeftBase", "WeftTestKit"]),
    tests(of: "WeftTLS", in: "Runtime", ["WeftBase", "WeftRuntime", "WeftTestKit"]),
    tests(
      of: "WeftService", in: "Runtime", ["WeftBase", "WeftRuntime", "WeftTLS", "WeftHTTP", "WeftGRPC", "WeftTestKit"]),
    tests(of: "WeftModel", in: "Model", ["WeftBase"]),
    tests(of: "WeftKinds", in: "Model", ["WeftBase", "WeftProtobuf"]),
    tests(
      of: "WeftXDS", in: "Model",
      ["WeftBase", "WeftProtobuf", "WeftModel", "WeftXDSMessages", "WeftYAML", "WeftTestKit"]),
    tests(
      of: "WeftUpstream", in: "DataPlane", ["WeftBase", "WeftModel", "WeftRuntime", "WeftProxyAPI", "WeftTestKit"]),
    // WeftProxy's tests are several bundles that share a world, so that an edit compiles a part of them again.
    .target(
      name: "WeftProxyTestKit",
      dependencies: ([
        "WeftAccessLogs", "WeftListenerFilters", "WeftLoadBalancers", "WeftProtobuf", "WeftXDSMessages",
      ] + proxyWorldNeeds).map { .byName(name: $0) },
      path: "Tests/DataPlane/WeftProxyTests/World", swiftSettings: strict),
    tests(of: "WeftTables", in: "DataPlane", ["WeftBase", "WeftModel", "WeftRuntime", "WeftProxyAPI"]),
    tests(of: "WeftCompile", in: "DataPlane", proxyTestsNeed.filter { $0 != "WeftCompile" }),
    tests(
      of: "WeftXDSClient", in: "DataPlane",
      ["WeftBase", "WeftModel", "WeftTelemetry", "WeftCompile", "WeftTestKit"]),
    tests(of: "WeftProxyControl", in: "DataPlane", ["WeftXDSClient"] + proxyTestsNeed),
    tests(
      of: "WeftProxy", in: "DataPlane", proxyTestsNeed.filter { $0 != "WeftProxy" },
      exclude: ["World", "Attempts", "Router", "Listeners", "Streams", "Tunnels"]),
    tests(of: "WeftHTTPFilters", in: "Extensions", proxyTestsNeed),
    tests(
      of: "WeftLoadBalancers", in: "Extensions",
      ["WeftProxyControl"] + proxyTestsNeed.filter { $0 != "WeftLoadBalancers" }),
    tests(of: "WeftProtocols", in: "Extensions", ["WeftDubbo", "WeftHTTPFilters"] + proxyTestsNeed),
    tests(of: "WeftListenerFilters", in: "Extensions", proxyTestsNeed.filter { $0 != "WeftListenerFilters" }),
    tests(of: "WeftAccessLogs", in: "Extensions", proxyTestsNeed.filter { $0 != "WeftAccessLogs" }),
    tests(of: "WeftNetworkFilters", in: "Extensions", proxyTestsNeed),
    proxyTests("Attempts"),
    proxyTests("Router"),
    proxyTests("Listeners"),
    proxyTests("Streams"),
    proxyTests("Tunnels"),
    tests(of: "WeftConfig", in: "ControlPlane", ["WeftBase", "WeftKinds", "WeftControlAPI", "WeftTestKit"]),
    tests(
      of: "WeftTranslation", in: "ControlPlane",
      [
        "WeftBase", "WeftProtobuf", "WeftModel", "WeftKinds", "WeftXDS", "WeftXDSMessages", "WeftControlAPI",
        "WeftTestKit",
      ]),
    tests(
      of: "WeftDiscovery", in: "ControlPlane",
      [
        "WeftBase", "WeftProtobuf", "WeftXDSMessages", "WeftKinds", "WeftControlAPI", "WeftTranslation", "WeftService",
        "WeftGRPC",
        "WeftTestKit",
      ]),
    tests(
      of: "WeftControl", in: "ControlPlane",
      [
        "WeftBase", "WeftProtobuf", "WeftKinds", "WeftControlAPI", "WeftConfig", "WeftService", "WeftTelemetry",
        "WeftDiscovery", "WeftTranslation", "WeftXDSMessages", "WeftGRPC", "WeftTestKit",
      ]),
    tests(of: "WeftAgent", in: "Agent", ["WeftBase", "WeftTestKit"]),
    tests(of: "WeftCLI", in: "CLI", ["WeftBase", "WeftService", "WeftAgent", "WeftTestKit"]),
    .testTarget(
      name: "SimulationTests",
      dependencies: [
        "WeftBase", "WeftHTTP", "WeftProtobuf", "WeftRuntime", "WeftTelemetry", "WeftModel", "WeftKinds",
        "WeftXDSMessages",
        "WeftUpstream", "WeftTables", "WeftCompile", "WeftXDSClient", "WeftProxy", "WeftProxyAPI", "WeftAccessLogs",
        "WeftHTTPFilters", "WeftListenerFilters",
        "WeftLoadBalancers", "WeftNetworkFilters", "WeftProtocols", "WeftXDS", "WeftControlAPI", "WeftTranslation",
        "WeftDiscovery", "WeftTestKit",
      ], path: "Tests/Simulation", exclude: ["run.py"], swiftSettings: strict),
    .testTarget(
      name: "CoverageTests",
      dependencies: [
        "WeftBase", "WeftProtobuf", "WeftModel", "WeftXDS", "WeftXDSMessages", "WeftTelemetry", "WeftProxyAPI",
        "WeftHTTPFilters", "WeftLoadBalancers", "WeftNetworkFilters", "WeftProtocols", "WeftListenerFilters",
        "WeftAccessLogs", "WeftKinds", "WeftControlAPI", "WeftConfig", "WeftTranslation",
        "WeftControl", "WeftTestKit",
      ], path: "Tests/Coverage", swiftSettings: strict),
    .testTarget(name: "TidyTests", dependencies: ["WeftTestKit"], path: "Tests/Tidy", swiftSettings: strict),
  ],
  cLanguageStandard: .gnu11,
  cxxLanguageStandard: .cxx17
)

// `WEFT_TESTS=WeftHTTP,Tidy` declares only these test bundles: at the desk an edit then recompiles what one bundle
// needs (`make unit-of`).
if let wanted = Context.environment["WEFT_TESTS"]?.split(separator: ",").map({ "\($0)Tests" }) {
  package.targets.removeAll { $0.type == .test && !wanted.contains($0.name) }
}

// `WEFT_ONLY=programs` declares what is shipped; `WEFT_ONLY=tools` adds what demonstration, benchmark and partner cases
// start. Optimised builds need one of them: test kits see internals, which only a debug build shows.
if let only = Context.environment["WEFT_ONLY"] {
  let kits = ["WeftTestKit", "WeftProxyTestKit"]
  package.targets.removeAll { target in
    let folder = target.path ?? ""
    return target.type == .test || kits.contains(target.name)
      || only == "programs" && (folder.hasPrefix("Tools/") || folder.hasPrefix("Examples/"))
  }
}
