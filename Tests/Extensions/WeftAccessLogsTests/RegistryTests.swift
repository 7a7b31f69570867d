import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

@testable import WeftAccessLogs

@Suite("the registry of access-log sinks")
struct AccessLogRegistryTests {
  @Test("the control plane knows what weft-proxy comes with")
  func shipped() { #expect(AccessLogs.registry.known == KnownExtensions.shipped.accessLogs) }

  @Test("sinks are sorted by name, and each has a message of its own")
  func sorted() {
    #expect(AccessLogs.registry.known.count == AccessLogs.all.count)
    var names: [String] = []
    for sink in AccessLogs.all { names.append(sink.name.description) }
    #expect(names == names.sorted())
  }

  private static var known: KnownExtensions {
    var known = KnownExtensions()
    known.accessLogs = AccessLogs.registry.known
    return known
  }

  private func convert(
    _ typed: String, _ extensions: KnownExtensions = known
  ) throws -> (logs: [AccessLog], warnings: [ConfigError]) {
    let json = #"""
      {"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
       "filter_chains": [{"filters": [{"name": "t", "typed_config": {
         "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "c",
         "access_log": [{"name": "a", "typed_config": \#(typed)}]}}]}]}
      """#
    let message = try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(parsing: Array(json.utf8)),
      options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    let converter = Converter(extensions: extensions)
    let chain = try #require(try converter.listener(message).filterChains.first)
    guard case .tcpProxy(let proxy)? = chain.filters.first else { return ([], converter.warnings) }
    return (proxy.accessLogs, converter.warnings)
  }

  private static func typed(_ type: String, _ rest: String = "") -> String {
    #"{"@type": "type.googleapis.com/\#(type)"\#(rest)}"#
  }

  private static let place = "filter_chains[0].filters[0].typed_config.access_log[0].typed_config"

  @Test(
    "every sink is taken with what its lines look like", arguments: AccessLogs.registry.known.keys.sorted())
  func formats(_ type: String) throws {
    let path = type == FileAccessLog.message ? #", "path": "/p""# : ""
    let log = try #require(
      try convert(
        Self.typed(type, path + #", "log_format": {"omit_empty_values": true, "json_format": {"a": "%PROTOCOL%"}}"#)
      ).logs.first)
    let reader = ExtensionReader()
    let format =
      switch type {
      case FileAccessLog.message: try reader.fileAccessLog(log.config).format
      case StderrAccessLog.message: try reader.stderrAccessLog(log.config)
      default: try reader.stdoutAccessLog(log.config)
      }
    var expected = LogFormat()
    expected.shape = .json(.object([LogFormat.JSONShape.Field(name: "a", value: .format("%PROTOCOL%"))]))
    expected.omitsEmptyValues = true
    #expect(format == expected)
  }

  @Test("sinks come as structures, too, and are checked where they are read")
  func structures() throws {
    func structure(_ value: String) -> String {
      Self.typed(
        "xds.type.v3.TypedStruct",
        #", "type_url": "type.googleapis.com/\#(FileAccessLog.message)", "value": {\#(value)}"#)
    }
    let log = try #require(try convert(structure(#""path": "/p""#)).logs.first)
    #expect(log.config.typeName == FileAccessLog.message)
    #expect(try ExtensionReader().fileAccessLog(log.config) == FileAccessLogSettings(path: "/p"))
    let error = #expect(throws: ConfigError.self) { try convert(structure("")) }
    #expect("\(error?.path ?? .root)" == Self.place + ".path")
  }

  @Test("what has no effect is warned of by its path; an unknown sink is refused with the list of known ones")
  func told() throws {
    let formatters = #", "log_format": {"text_format": "a", "formatters": [{"name": "f"}]}"#
    #expect(
      try convert(Self.typed(StdoutAccessLog.message, formatters)).warnings.map { "\($0.path)" }
        == [Self.place + ".log_format.formatters"])
    let other = Self.typed("envoy.extensions.filters.network.echo.v3.Echo")
    let error = #expect(throws: ConfigError.self) { try convert(other) }
    #expect(error?.message.contains("known are envoy.access_loggers.file, envoy.access_loggers.stderr") ?? false)
    // A stock Envoy may have it.
    #expect(try convert(other, .any).logs.count == 1)
  }
}
