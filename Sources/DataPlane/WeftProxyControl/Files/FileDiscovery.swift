// FileDiscovery: discovery resources that lie in files, and the files that secrets name.

import WeftBase
package import WeftCompile
package import WeftModel
import WeftProtobuf
package import WeftRuntime
package import WeftTelemetry
import WeftXDS
package import WeftXDSClient
import WeftXDSMessages
import WeftYAML

/// Adds to a configuration what files bring: listeners and clusters of the bootstrap's `path_config_source`s, the endpoints, routes and secrets
/// that any resource names with one, and the certificates that a delivered secret names by file.
///
/// A file holds a discovery response as YAML or JSON. It is read again when something in its directory (or in `watched_directory`) is moved or
/// written; what cannot be read or understood leaves the last good form in force and is logged. Secrets leave here with their bytes in
/// place, so that one changed file is one changed secret.
/// *Threads*: the control loop's. *Cost*: blocking reads of small files; at start and on a change.
package final class FileDiscovery {
  private struct Place: Hashable {
    var type: XDSType
    var path: String
  }

  private struct Missing: Hashable {
    var type: XDSType
    var resource: FileResource
  }

  private struct Content {
    var bytes: [UInt8]?
    var models: [XDSModel] = []
  }

  private let listeners: ConfigSource?
  private let clusters: ConfigSource?
  /// Whether there is an aggregated stream that resources in files may name.
  private let hasStream: Bool
  /// What the clusters and listeners that the last `fill` added want of the stream.
  private(set) var needs = XDSNeeds()
  private let decode: XDSDecoder
  private let metrics: MetricsRegistry
  private let log: Logger
  private var watch: FileWatch?
  private var contents: [Place: Content] = [:]
  private var lastGood: [SecretKey: Secret] = [:]
  /// What files have said of the clusters and route tables that are asked for. A file that leaves one out does not take it away: it says nothing of it.
  private var endpoints: [FileResource: LoadAssignment] = [:]
  private var routes: [FileResource: RouteConfiguration] = [:]
  /// What no file says anything of; told once.
  private var missing: Set<Missing> = []
  private var warnings = DiscoveryWarnings()
  /// Bytes of data files, by path; nil where it could not be read.
  private var data: [String: [UInt8]?] = [:]
  /// Files are read again at the next `fill`.
  private var isStale = true
  private var read: Set<Place> = []
  private var directories: Set<String> = []
  private var unwatched: Set<String> = []

  package init(
    _ bootstrap: Bootstrap, metrics: MetricsRegistry, log: LogOutput, decode: @escaping XDSDecoder = XDSModel.decode
  ) {
    listeners = bootstrap.listenersFile
    clusters = bootstrap.clustersFile
    hasStream = bootstrap.ads != nil
    self.metrics = metrics
    self.log = Logger(log, .config)
    self.decode = decode
  }

  /// Begins to watch. Without it files are read once. `changed` is called on the loop when files may have changed; call `fill` then.
  package func follow(on loop: EventLoop, changed: @escaping () -> Void) {
    do throws(WeftError) {
      watch = try FileWatch(loop) { [weak self] in
        self?.isStale = true
        changed()
      }
    } catch {
      log.warning("files of configuration are not watched", ("reason", .text(error.description)))
    }
    unwatched = watch?.follow(directories) ?? []
  }

  /// The next `fill` reads every file again.
  func reread() { isStale = true }

  /// Looks again for directories that were not there. *Returns*: whether one has come, so that files may have.
  package func retry() -> Bool {
    guard !unwatched.isEmpty, let watch else { return false }
    let before = unwatched
    unwatched = watch.follow(directories)
    if unwatched == before { return false }
    isStale = true
    return true
  }

  /// Adds what files bring to `state`. A listener or cluster that is there already wins over a file's of the same name; endpoints and tables are
  /// those of the place that they are asked of.
  package func fill(_ state: inout ConfigState) {
    if isStale {
      data = [:]
      read = []
      isStale = false
    }
    var places: [Place: String] = [:]
    let known = (clusters: state.clusters.count, listeners: state.listeners.count)
    if let source = clusters, case .path(let path) = source.kind {
      let own = Set(state.clusters.map(\.name))
      for case .cluster(let cluster) in models(.clusters, path, source, &places) where !own.contains(cluster.name) {
        state.clusters.append(cluster)
      }
    }
    if let source = listeners, case .path(let path) = source.kind {
      let own = Set(state.listeners.map(\.name))
      for case .listener(let listener) in models(.listeners, path, source, &places) where !own.contains(listener.name) {
        state.listeners.append(listener)
      }
    }
    needs = XDSNeeds(state.clusters.dropFirst(known.clusters), state.listeners.dropFirst(known.listeners))
    var absent: Set<Missing> = []
    var (endpoints, routes): ([FileResource: LoadAssignment], [FileResource: RouteConfiguration]) = ([:], [:])
    for cluster in state.clusters {
      guard case .eds(_, let source) = cluster.discovery, case .path(let path) = source.kind,
        let name = cluster.endpointsName
      else { continue }
      var said: LoadAssignment?
      for case .endpoints(let assignment) in models(.endpoints, path, source, &places)
      where assignment.clusterName == name {
        said = assignment
      }
      let key = FileResource(name, in: path)
      if said == nil { absent.insert(Missing(type: .endpoints, resource: key)) }
      endpoints[key] = said ?? self.endpoints[key]
    }
    for case .httpConnectionManager(let manager) in state.listeners.flatMap(\.allChains).flatMap(\.filters) {
      guard case .discovered(let name, let source) = manager.routes, case .path(let path) = source.kind else {
        continue
      }
      var said: RouteConfiguration?
      for case .routes(let table) in models(.routes, path, source, &places) where table.name == name { said = table }
      let key = FileResource(name, in: path)
      if said == nil { absent.insert(Missing(type: .routes, resource: key)) }
      routes[key] = said ?? self.routes[key]
    }
    (self.endpoints, self.routes) = (endpoints, routes)
    (state.endpointsOfFiles, state.routesOfFiles) = (endpoints, routes)
    tell(absent)
    var watched = Set(places.map { $0.value.isEmpty ? Self.directory(of: $0.key.path) : $0.value })
    fillSecrets(&state, &places, &watched)
    contents = contents.filter { places[$0.key] != nil }
    // What nobody asks for any more is read again when somebody does.
    read.formIntersection(places.keys)
    if watched != directories {
      directories = watched
      unwatched = watch?.follow(watched) ?? []
    }
  }

  /// Says what is asked for and stands in no file.
  private func tell(_ absent: Set<Missing>) {
    for one in absent.subtracting(missing) {
      let isKept = one.type == .endpoints ? endpoints[one.resource] != nil : routes[one.resource] != nil
      log.warning(
        isKept
          ? "a file does not say any more what is asked for: the last form stays"
          : "a file does not say what is asked for",
        ("file", .text(one.resource.file)), ("type", .text(one.type.messageName)), ("name", .text(one.resource.name)))
    }
    missing = absent
  }

  private func fillSecrets(_ state: inout ConfigState, _ places: inout [Place: String], _ watched: inout Set<String>) {
    let contexts =
      state.clusters.compactMap { $0.tls?.common } + state.listeners.flatMap(\.allChains).compactMap { $0.tls?.common }
    for reference in contexts.flatMap(\.secrets) {
      guard let source = reference.source, case .path(let path) = source.kind,
        state.secrets[reference.key] == nil
      else { continue }
      for case .secret(let secret) in models(.secrets, path, source, &places) where secret.name == reference.name {
        state.secrets[reference.key] = secret
      }
      watched.insert(source.watchedDirectory.isEmpty ? Self.directory(of: path) : source.watchedDirectory)
    }
    for (key, secret) in state.secrets where key.origin != .fixed {
      do throws(ConfigError) {
        let loaded = try load(secret, &watched)
        state.secrets[key] = loaded
        lastGood[key] = loaded
      } catch {
        log.warning("secret cannot be loaded", ("secret", .text(secret.name)), ("reason", .text(error.description)))
        state.secrets[key] = lastGood[key]
      }
    }
    lastGood = lastGood.filter { state.secrets[$0.key] != nil }
  }

  // MARK: Discovery resources

  /// The resources of a file, in their last good form.
  private func models(_ type: XDSType, _ path: String, _ source: ConfigSource, _ places: inout [Place: String])
    -> [XDSModel]
  {
    let place = Place(type: type, path: path)
    places[place] = source.watchedDirectory
    if read.insert(place).inserted {
      let scope: ScopeID? =
        switch type {
        case .clusters: metrics.scope(ScopeKey(.cds))
        case .listeners: metrics.scope(ScopeKey(.lds))
        default: nil
        }
      if let scope { metrics.add(SubscriptionMetric.updateAttempt, scope) }
      do throws(ConfigError) {
        let bytes = try DataSource.file(path: path).load()
        if contents[place]?.bytes != bytes {
          var found: [ConfigError] = []
          contents[place] = Content(
            bytes: bytes, models: try Self.parse(bytes, type, decode, hasStream: hasStream, &found))
          warnings.tell(found.map { ConfigError(kind: path, path: $0.path, $0.message) }, log)
          if !found.isEmpty {
            metrics.add(ServerMetric.dynamicUnknownFields, metrics.scope(ScopeKey(.server)), UInt64(found.count))
          }
        }
        if let scope { metrics.add(SubscriptionMetric.updateSuccess, scope) }
      } catch {
        log.warning("file of resources not used", ("file", .text(path)), ("reason", .text(error.description)))
        if let scope { metrics.add(SubscriptionMetric.updateRejected, scope) }
      }
    }
    return contents[place]?.models ?? []
  }

  /// The resources of a discovery response in YAML or JSON; what in it has no effect is added to `warnings`. *Errors*: the first thing that is
  /// wrong: a file is taken whole or not at all.
  static func parse(
    _ bytes: [UInt8], _ type: XDSType, _ decode: XDSDecoder, hasStream: Bool, _ warnings: inout [ConfigError]
  ) throws(ConfigError) -> [XDSModel] {
    let document: JSONValue
    do throws(ConfigError) { document = try BootstrapLoader.parse(bytes) } catch {
      throw ConfigError(path: error.path, error.message)
    }
    // An empty list takes everything away; a misspelt one does not.
    guard case .object(let members) = document, members["resources"] != nil else {
      throw ConfigError("needs resources: a list, which may be empty")
    }
    var options = JSONDecodingOptions(unknownFields: .collect, registry: TypeRegistry(EnvoyTypes.all))
    options.ignoresEnumCase = true
    var unknown: [FieldPath] = []
    let message: Envoy_Service_Discovery_V3_DiscoveryResponse
    do throws(ProtobufError) {
      message = try Envoy_Service_Discovery_V3_DiscoveryResponse(json: document, options: options, unknown: &unknown)
    } catch {
      throw ConfigError(path: error.path, error.message)
    }
    warnings += unknown.map { ConfigError(path: $0, UnreadField.sentence(of: $0)) }
    var names: Set<String> = []
    var models: [XDSModel] = []
    for (i, resource) in XDSResponse(message).resources.enumerated() {
      let at = FieldPath().field("resources").index(i)
      guard resource.typeURL == type.rawValue else {
        throw ConfigError(path: at, "is a \(resource.typeURL), not a \(type.messageName)")
      }
      do throws(ConfigError) {
        var found: [ConfigError] = []
        let model = try decode(type, resource, &found)
        warnings += found.map { $0.inside(at) }
        if !hasStream, let source = model.streamSource {
          throw ConfigError(path: source, "needs dynamic_resources.ads_config in the bootstrap")
        }
        guard names.insert(model.name).inserted else { throw ConfigError("\"\(model.name)\" comes twice") }
        models.append(model)
      } catch {
        throw error.inside(at)
      }
    }
    return models
  }

  /// What files say now, for a look at a configuration that does not run. Files that are not there are left aside.
  ///
  /// *Errors*: the first thing that is wrong in one, with its name in front.
  static func read(
    _ bootstrap: Bootstrap, _ decode: XDSDecoder, into state: inout ConfigState, _ warnings: inout [ConfigError]
  ) throws(ConfigError) {
    var known: [Place: [XDSModel]] = [:]
    func models(_ type: XDSType, _ source: ConfigSource?) throws(ConfigError) -> (path: String, models: [XDSModel]) {
      guard case .path(let path)? = source?.kind else { return ("", []) }
      let place = Place(type: type, path: path)
      if let models = known[place] { return (path, models) }
      known[place] = []
      guard let bytes = try? DataSource.file(path: path).load() else { return (path, []) }
      var found: [ConfigError] = []
      do throws(ConfigError) {
        let models = try parse(bytes, type, decode, hasStream: bootstrap.ads != nil, &found)
        warnings += found.map { ConfigError(kind: path, path: $0.path, $0.message) }
        known[place] = models
        return (path, models)
      } catch { throw ConfigError(kind: path, path: error.path, error.message) }
    }
    for case .cluster(let cluster) in try models(.clusters, bootstrap.clustersFile).models {
      state.clusters.append(cluster)
    }
    for case .listener(let listener) in try models(.listeners, bootstrap.listenersFile).models {
      state.listeners.append(listener)
    }
    for cluster in state.clusters {
      guard case .eds(_, let source) = cluster.discovery else { continue }
      let (path, models) = try models(.endpoints, source)
      for case .endpoints(let assignment) in models {
        state.endpointsOfFiles[FileResource(assignment.clusterName, in: path)] = assignment
      }
    }
    for case .httpConnectionManager(let manager) in state.listeners.flatMap(\.allChains).flatMap(\.filters) {
      guard case .discovered(_, let source) = manager.routes else { continue }
      let (path, models) = try models(.routes, source)
      for case .routes(let table) in models { state.routesOfFiles[FileResource(table.name, in: path)] = table }
    }
  }

  // MARK: Data files

  /// The secret with the bytes of its files in place.
  private func load(_ secret: Secret, _ watched: inout Set<String>) throws(ConfigError) -> Secret {
    var loaded = secret
    switch secret.content {
    case .certificate(var certificate):
      let directory = certificate.watchedDirectory
      certificate.chain = try load(certificate.chain, directory, &watched)
      certificate.privateKey = try load(certificate.privateKey, directory, &watched)
      if let password = certificate.password { certificate.password = try load(password, directory, &watched) }
      loaded.content = .certificate(certificate)
    case .validation(var validation):
      let directory = validation.watchedDirectory
      if let trusted = validation.trustedCA { validation.trustedCA = try load(trusted, directory, &watched) }
      if let list = validation.revocationList { validation.revocationList = try load(list, directory, &watched) }
      loaded.content = .validation(validation)
    case .generic: break
    }
    return loaded
  }

  private func load(_ source: DataSource, _ directory: String, _ watched: inout Set<String>) throws(ConfigError)
    -> DataSource
  {
    guard case .file(let path) = source else { return source }
    watched.insert(directory.isEmpty ? Self.directory(of: path) : directory)
    if let known = data[path], let bytes = known { return .inline(bytes) }
    let bytes = try source.load()
    data[path] = bytes
    return .inline(bytes)
  }

  private static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
