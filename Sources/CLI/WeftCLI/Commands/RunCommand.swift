import Glibc
import WeftAgent
import WeftBase
import WeftService

/// `weft run … -- COMMAND`.
enum RunCommand: Command {
  static let path = ["run"]
  static let supervises = true
  static let summary = "run a program in the mesh: agent, sidecar and program, in the right order"
  static let operands = "-- COMMAND [ARGUMENT…]"
  static let discussion = """
    The proxy is ready before the program starts; the instance takes traffic once the program answers on its port. On a signal it leaves
    its service first, then stops. The exit code is the program's.

      weft run --service reviews --version v1 --port 9080 -- ./reviews
      weft run --service page --port 9081 --upstreams reviews:9080=127.0.0.1:19080 -- ./page   # sees REVIEWS_URL
      weft run --gateway ingress
    """
  static let service = Flag("service", short: "s", .one("NAME"), help: "the service this program is an instance of")
  static let version = Flag("version", .one("NAME"), help: "its version, for subsets")
  static let port = Flag("port", short: "p", .one("PORT"), help: "where the program listens on the loopback address")
  static let servicePort = Flag(
    "service-port", .one("PORT"), help: "the port clients of the service use (default: --port)")
  static let kind = Flag(
    "protocol", .choice(["HTTP", "HTTP2", "GRPC", "TCP"]), default: "HTTP", help: "what the program speaks")
  static let upstreams = Flag(
    "upstreams", short: "u", .many("HOST:PORT[=LISTEN:PORT]"), help: "services it calls, each by a local address")
  static let labels = Flag("labels", short: "l", .many("NAME=VALUE"), help: "more labels")
  static let instance = Flag("instance", .one("ID"), help: "the instance's id (default: made up)")
  static let address = Flag(
    "address", .one("IP"), default: "127.0.0.1", help: "the address other proxies reach this machine by")
  static let inbound = Flag("inbound-port", .one("PORT"), help: "where the proxy accepts traffic for the program")
  static let proxied = Flag("http-proxy", help: "also offer the program an HTTP_PROXY")
  static let gateway = Flag("gateway", .one("NAME"), help: "run a gateway that Gateway objects select by istio: NAME")
  static let discovery = Flag(
    "xds", .one("HOST:PORT"),
    help: "the control plane's xDS address (environment: WEFT_XDS; default: port 15010 where its API is)")
  static let admin = Flag("admin-port", .one("PORT"), help: "the proxy's admin page (default: a free port)")
  static let drain = Flag("drain-seconds", .one("SECONDS"), default: "5", help: "time for peers to let go when leaving")
  static let concurrency = Flag("concurrency", .one("N"), default: "1", help: "the proxy's workers")
  static let state = Flag(
    "state-dir", .one("DIR"), help: "where the proxy keeps bootstrap, log and last good configuration")
  static let level = Flag("log-level", .level, default: "warning", help: "the proxy's log level")
  static let quiet = Flag("quiet", short: "q", help: "report warnings and errors only")
  static let flags: [Flag] = [
    service, version, port, servicePort, kind, upstreams, labels, instance, address, inbound, proxied, gateway,
    discovery, admin,
    drain, concurrency, state, level, quiet, .namespace, .control,
  ]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let signals = Signals.take(Agent.signals)
    let configuration = try configuration(arguments, context)
    let quiet = arguments.has(quiet)
    let terminal = context.terminal
    return try await ServiceRuntime.with(name: "weft-agent") { runtime in
      let client = HTTPClient(on: runtime)
      let agent = try Agent(configuration, client: client) { event in
        switch event.level {
        case .info: if !quiet { terminal.complain(terminal.faint("weft: \(event.message)")) }
        case .warning: terminal.complain("weft: warning: \(event.message)")
        case .error: terminal.complain(terminal.bad("weft: error: \(event.message)"))
        }
      }
      return .program(try await agent.run(signals: signals))
    }
  }

  /// What flags and environment say, checked.
  static func configuration(
    _ arguments: Arguments, _ context: CommandContext
  ) throws -> AgentConfiguration {
    let gatewayName = arguments.value(gateway)
    guard let name = arguments.value(service) ?? gatewayName else { throw UsageError("--service NAME is required") }
    let command = arguments.rest ?? []
    guard arguments.positionals.isEmpty else {
      throw UsageError(
        "put the program after --: weft run --service \(name) … -- \(arguments.positionals.joined(separator: " "))")
    }
    guard gatewayName != nil || !command.isEmpty else { throw UsageError("name the program to run after --") }
    guard gatewayName == nil || command.isEmpty else { throw UsageError("a gateway runs no program") }
    for label in [name, arguments.value(.namespace) ?? "default"] where !isDNSLabel(label) {
      throw UsageError(
        "'\(label)' is not a name: lower-case letters, digits and '-', at most 63, starting with a letter or digit")
    }
    let version = arguments.value(version) ?? ""
    let state = arguments.value(state) ?? StateDirectory.path(context.environment)
    let instance =
      arguments.value(instance) ?? [name, version, randomSuffix()].filter { !$0.isEmpty }.joined(separator: "-")
    var result = AgentConfiguration(service: name, instance: instance, stateDirectory: state)
    if let gatewayName { result.role = .gateway(gatewayName) }
    result.version = version
    result.namespace = arguments.value(.namespace) ?? "default"
    result.port = try arguments.number(port, in: 1...65535).map { UInt16($0) }
    result.servicePort = try arguments.number(servicePort, in: 1...65535).map { UInt16($0) }
    result.applicationProtocol = arguments.value(kind) ?? "HTTP"
    result.address = arguments.value(address) ?? "127.0.0.1"
    result.inboundPort = try arguments.number(inbound, in: 1...65535).map { UInt16($0) }
    result.adminPort = try arguments.number(admin, in: 1...65535).map { UInt16($0) }
    result.concurrency = try arguments.number(concurrency, in: 1...256) ?? 1
    result.drainTime = .seconds(try arguments.number(drain, in: 0...3600) ?? 5)
    result.logLevel = arguments.value(level) ?? "warning"
    for text in arguments.all(upstreams) {
      guard let upstream = Upstream(text) else {
        throw UsageError("--upstreams takes HOST:PORT or HOST:PORT=LISTEN_HOST:LISTEN_PORT, not '\(text)'")
      }
      result.upstreams.append(upstream)
    }
    for text in arguments.all(labels) {
      guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
        throw UsageError("--labels takes NAME=VALUE, not '\(text)'")
      }
      result.labels[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    if arguments.has(proxied) { result.offersHTTPProxy = true }
    let control = arguments.isGiven(.control) ? nil : context.environment["WEFT_CONTROL"]
    result.control = try place(control ?? arguments.required(.control), otherwise: 15080, "the control plane's address")
    let xds =
      arguments.isGiven(discovery)
      ? try arguments.required(discovery) : context.environment["WEFT_XDS"] ?? Self.beside(result.control)
    result.discovery = try place(xds, otherwise: 15010, "--xds")
    result.proxyProgram = try Siblings.required("weft-proxy", context)
    result.command = command
    result.environment = context.environment
    return result
  }

  /// The xDS address of a control plane whose API is at `control`.
  private static func beside(_ control: String) -> String {
    guard var place = HostPort(control[...]) else { return "127.0.0.1:15010" }
    place.port = 15010
    return place.description
  }

  /// `host:port` of an address or of an http URL.
  private static func place(_ text: String, otherwise port: UInt16, _ what: String) throws -> String {
    var rest = text[...]
    if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
    guard let place = HostPort(rest.prefix { $0 != "/" }, defaultPort: port) else {
      throw UsageError("\(what) must be HOST:PORT, with brackets around an IPv6 address, not '\(text)'")
    }
    return place.description
  }

  private static func isDNSLabel(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard (1...63).contains(bytes.count), bytes.first != 0x2D, bytes.last != 0x2D else { return false }
    return bytes.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
  }

  private static func randomSuffix() -> String {
    let alphabet = Array("abcdefghijkmnpqrstuvwxyz23456789")
    var generator = SystemRandomNumberGenerator()
    return String((0..<6).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
  }
}
