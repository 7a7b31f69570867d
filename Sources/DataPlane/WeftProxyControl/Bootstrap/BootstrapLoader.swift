package import WeftBase
import WeftCompile
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftUpstream
import WeftXDS
import WeftXDSClient
import WeftXDSMessages
import WeftYAML

/// Reads a proxy's bootstrap: Envoy's v3 message as YAML or JSON.
package enum BootstrapLoader {
  /// A bootstrap that can be used.
  package struct Loaded: Sendable {
    package var bootstrap: Bootstrap
    /// Unknown fields and settings without effect, by path. They do not keep the proxy from starting.
    package var warnings: [ConfigError] = []
    /// The document as it was read, for `/config_dump`. Holds secrets: redact before showing.
    package var document: JSONValue
  }

  package static let kind = "envoy.config.bootstrap.v3.Bootstrap"

  /// Loads a file. *Cost*: blocking.
  package static func load(
    path: String, refuseUnknownFields: Bool = false, extensions: ProxyExtensions = .none
  ) throws(ConfigError) -> Loaded {
    let bytes: [UInt8]
    do throws(ConfigError) { bytes = try DataSource.file(path: path).load(waits: true) } catch {
      throw ConfigError(kind: kind, error.message)
    }
    return try load(bytes, refuseUnknownFields: refuseUnknownFields, extensions: extensions)
  }

  /// Loads a document: JSON when it begins with a brace, else YAML. `more`: one that is merged into it. *Errors*: where in the document, and what is
  /// allowed there.
  package static func load(
    _ bytes: [UInt8], with more: [UInt8]? = nil, refuseUnknownFields: Bool = false, extensions: ProxyExtensions = .none
  ) throws(ConfigError) -> Loaded {
    var document = try parse(bytes)
    if let more { document = merge(try parse(more), into: document) }
    var options = JSONDecodingOptions(unknownFields: .collect, registry: TypeRegistry(EnvoyTypes.all))
    options.ignoresEnumCase = true
    var leftOut: [FieldPath] = []
    let carriedOut = leaveOut(document, options.registry, at: .root, &leftOut)
    if refuseUnknownFields { options.unknownFields = .refuse }
    var unknown: [FieldPath] = []
    let message: Envoy_Config_Bootstrap_V3_Bootstrap
    do throws(ProtobufError) {
      message = try Envoy_Config_Bootstrap_V3_Bootstrap(json: carriedOut, options: options, unknown: &unknown)
    } catch {
      throw ConfigError(kind: kind, path: error.path, explain(error, in: document, options.registry) + beside(unknown))
    }
    let converter = Converter(extensions: extensions.known)
    let bootstrap: Bootstrap
    do throws(ConfigError) { bootstrap = try converter.bootstrap(message) } catch {
      var error = error.of(kind: kind, name: "")
      error.message += beside(unknown)
      throw error
    }
    let unknownWarnings =
      unknown.map { ConfigError(kind: kind, path: $0, UnreadField.sentence(of: $0)) }
      + leftOut.map { ConfigError(kind: kind, path: $0, "is not supported and has no effect") }
    return Loaded(
      bootstrap: bootstrap, warnings: unknownWarnings + converter.warnings.map { $0.of(kind: kind, name: "") },
      document: document)
  }

  /// Everything `load` checks and what only compiling finds: patterns, formats, TLS contexts, certificates with keys of others. Files that are not
  /// there are left aside.
  package static func validate(
    _ bytes: [UInt8], with more: [UInt8]? = nil, extensions: ProxyExtensions = .none
  ) throws(ConfigError) -> Loaded {
    var loaded = try load(bytes, with: more, extensions: extensions)
    var state = ConfigState(loaded.bootstrap)
    // Names of DNS clusters are not looked up, and discovered tables have not arrived: neither is an error here.
    state.addresses = [:]
    (state.awaitsClusters, state.awaitedClusters) = (false, [])
    try FileDiscovery.read(
      loaded.bootstrap, XDSModel.decoder(extensions: extensions.known, dnsResolver: loaded.bootstrap.dnsResolver),
      into: &state, &loaded.warnings)
    state.forgoSecrets()
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      security: CheckingSecurity(), extensions: extensions, tables: BalancerTables(.none))
    let compilation = compiler.compile(state)
    if let first = compilation.rejections.first { throw locate(first, in: loaded.bootstrap) }
    loaded.warnings += compilation.warnings
    for (i, secret) in loaded.bootstrap.secrets.enumerated() {
      guard case .certificate(let certificate) = secret.content else { continue }
      do throws(ConfigError) { try TLSSecurity.check(certificate) } catch {
        let at = FieldPath().field("static_resources").field("secrets").index(i)
        throw error.inside(at.field("tls_certificate")).of(kind: kind, name: "")
      }
    }
    return loaded
  }

  /// A document that must be an object, in JSON or YAML, of which JSON is a part but for what each says of a mistake. What begins with a brace is
  /// JSON if it can be, else YAML in flow style.
  static func parse(_ bytes: [UInt8]) throws(ConfigError) -> JSONValue {
    let first = bytes.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }
    let value: JSONValue
    if first == UInt8(ascii: "{") {
      do throws(JSONError) { value = try JSONValue(parsing: bytes) } catch {
        do throws(YAMLError) { value = try yaml(bytes) } catch let second {
          throw ConfigError(kind: kind, "is neither JSON (\(error)) nor YAML (\(second))")
        }
      }
    } else {
      do throws(YAMLError) { value = try yaml(bytes) } catch { throw ConfigError(kind: kind, "\(error)") }
    }
    guard value.objectValue != nil else { throw ConfigError(kind: kind, "must be an object, is \(value.kindName)") }
    return value
  }

  /// Single values and what names its type take the place of what was there, lists follow, objects merge. *Source*: Envoy's `--config-yaml` over
  /// `--config-path`, which merges the messages.
  private static func merge(_ more: JSONValue, into value: JSONValue) -> JSONValue {
    switch (value, more) {
    case (.array(let first), .array(let then)): return .array(first + then)
    case (.object(let object), .object(let other)) where other["@type"] == nil:
      var members = object.members
      for member in other.members {
        if let i = members.firstIndex(where: { camelCase($0.name) == camelCase(member.name) }) {
          members[i] = JSONMember(members[i].name, merge(member.value, into: members[i].value))
        } else {
          members.append(member)
        }
      }
      return .object(JSONObject(members))
    default: return more
    }
  }

  private static func yaml(_ bytes: [UInt8]) throws(YAMLError) -> JSONValue {
    try YAML.document(String(decoding: bytes, as: UTF8.self)).value
  }

  /// Fields that have no effect here whatever stands in them: an extension in one of them that nobody knows is reported and left out, and
  /// the proxy serves. By field, and the field it is in (empty: any).
  private static let withoutEffect: [(parent: String, field: String)] = [
    ("tracing", "provider"), ("tracing", "http"), ("", "stats_sinks"), ("", "bootstrap_extensions"),
    ("", "overload_manager"),
  ]

  /// The document without those; `leftOut` says which.
  private static func leaveOut(
    _ value: JSONValue, _ registry: TypeRegistry, at path: FieldPath, in parent: String = "",
    _ leftOut: inout [FieldPath]
  ) -> JSONValue {
    switch value {
    case .object(let object):
      var members: [JSONMember] = []
      for member in object.members {
        let at = path.field(member.name)
        let isIdle = withoutEffect.contains {
          (member.name == $0.field || member.name == camelCase($0.field)) && ($0.parent.isEmpty || $0.parent == parent)
        }
        if isIdle, namesUnknownType(member.value, registry) {
          leftOut.append(at)
        } else {
          members.append(
            JSONMember(member.name, leaveOut(member.value, registry, at: at, in: member.name, &leftOut)))
        }
      }
      return .object(JSONObject(members))
    case .array(let items):
      return .array(
        items.enumerated().map { leaveOut($0.element, registry, at: path.index($0.offset), in: parent, &leftOut) })
    default: return value
    }
  }

  private static func namesUnknownType(_ value: JSONValue, _ registry: TypeRegistry) -> Bool {
    switch value {
    case .object(let object):
      object.members.contains { member in
        if member.name == "@type", let url = member.value.stringValue { return registry.type(forURL: url) == nil }
        return namesUnknownType(member.value, registry)
      }
    case .array(let items): items.contains { namesUnknownType($0, registry) }
    default: false
    }
  }

  private static func camelCase(_ name: String) -> String {
    let words = name.split(separator: "_")
    return words.prefix(1).joined() + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  /// An extension nobody knows is told in Envoy's words, with the name that stands beside it, or under which it stands in a map, and with
  /// those of its family that are known.
  private static func explain(_ error: ProtobufError, in document: JSONValue, _ registry: TypeRegistry) -> String {
    let prefix = "unknown type \""
    guard error.message.hasPrefix(prefix), error.message.hasSuffix("\"") else { return error.message }
    let url = String(error.message.dropFirst(prefix.count).dropLast())
    var parent: JSONValue? = document
    for element in error.path.elements.dropLast() {
      switch element {
      case .field(let name), .key(let name): parent = parent?[name]
      case .index(let index): parent = parent?[index]
      }
    }
    var name = parent?["name"]?.stringValue ?? ""
    if name.isEmpty, case .key(let key)? = error.path.elements.last { name = key }
    let type = url.split(separator: "/").last.map(String.init) ?? url
    return
      "Didn't find a registered implementation for '\(name)' with type URL: '\(type)'\(known(beside: type, registry))"
  }

  /// Unknown fields are warned about, but where there is an error, too, they are likely its cause.
  private static func beside(_ unknown: [FieldPath]) -> String {
    if unknown.isEmpty { return "" }
    let more = unknown.count > 3 ? " and \(unknown.count - 3) more" : ""
    return "; unknown: " + unknown.prefix(3).map(\.description).joined(separator: ", ") + more
  }

  /// The types of the same family, such as `envoy.extensions.filters.http.`.
  private static func known(beside type: String, _ registry: TypeRegistry) -> String {
    let parts = type.split(separator: ".")
    for length in stride(from: min(4, parts.count - 1), through: 3, by: -1) {
      let names = registry.names(beginningWith: parts.prefix(length).joined(separator: ".") + ".")
      if !names.isEmpty { return "; known here: \(names.joined(separator: ", "))" }
    }
    return ""
  }

  /// Gives a resource's own error the path from the top of the file.
  private static func locate(_ error: ConfigError, in bootstrap: Bootstrap) -> ConfigError {
    let at = FieldPath().field("static_resources")
    var located = error
    if let i = bootstrap.listeners.firstIndex(where: { $0.name == error.name }), error.kind.hasSuffix("Listener") {
      located = error.inside(at.field("listeners").index(i))
    } else if let i = bootstrap.clusters.firstIndex(where: { $0.name == error.name }), error.kind.hasSuffix("Cluster") {
      located = error.inside(at.field("clusters").index(i))
    } else {
      // Of a file's resource.
      return error
    }
    (located.kind, located.name) = (kind, "")
    return located
  }
}

extension ConfigState {
  /// The static part of a bootstrap.
  package init(_ bootstrap: Bootstrap) {
    self.init()
    listeners = bootstrap.listeners
    clusters = bootstrap.clusters
    awaitsClusters = bootstrap.ads != nil && bootstrap.clustersFromADS
    // Until the stream's client says which of them still do.
    if bootstrap.ads != nil {
      awaitedClusters = XDSNeeds(self).clustersWithEndpoints
      incompleteClusters = awaitedClusters
    }
    for secret in bootstrap.secrets { secrets[SecretKey(secret.name, .fixed)] = secret }
  }
}
