import WeftControlAPI
import WeftService
package import WeftTelemetry

/// The command line of weft-control.
package struct ControlOptions: Sendable {
  package var configuration = ControlConfiguration()
  /// Written once everything is served: `api=HOST:PORT` and `xds=HOST:PORT`, one per line.
  package var readyFile: String?
  package var logLevel = LogLevel.info
  /// Copies the store here and ends, instead of serving.
  package var backup: String?
  package var asksForHelp = false
  package var asksForVersion = false

  package struct Refusal: Error, Sendable, CustomStringConvertible {
    package var description: String
  }

  package static let usage = """
    weft-control: the control plane of the mesh.

      --api-address HOST:PORT   where the API listens (default 127.0.0.1:15080; port 0 takes a free one)
      --api-host NAME           a name that clients call the API by; may be given several times. Any name is answered
                                where none is given, except on a loopback address, or to a web page
      --xds-address HOST:PORT   where xDS is served in plaintext (default 127.0.0.1:15010)
      --data-dir DIR            where the store lies (default: /var/lib/weft/control as root,
                                ~/.local/share/weft/control otherwise; :memory: keeps nothing)
      --config-dir DIR          a directory of YAML to mirror into the store; may be given several times
      --namespace NAME          where objects go that name none (default "default")
      --domain NAME             the DNS domain of services (default cluster.local)
      --root-namespace NAME     rules here hold for the whole mesh (default istio-system)
      --outbound-policy POLICY  ALLOW_ANY (default) or REGISTRY_ONLY for hosts that nobody knows
      --ready-file FILE         write the bound addresses here once serving
      --backup FILE             copy the store to FILE and end; a control plane that uses it goes on
      --log-level LEVEL         trace, debug, info (default), warning, error, off
      --version, --help
    """

  /// Reads the arguments after the program's name. *Parameter* `environment`: for the default state directory.
  package init(_ arguments: [String], environment: [String: String], isRoot: Bool) throws(Refusal) {
    var dataDirectory: String?
    var rest = arguments[...]
    while var flag = rest.popFirst() {
      var attached: String?
      if flag.hasPrefix("--"), let equals = flag.firstIndex(of: "=") {
        attached = String(flag[flag.index(after: equals)...])
        flag = String(flag[..<equals])
      }
      if flag == "--help" || flag == "-h" {
        asksForHelp = true
        continue
      }
      if flag == "--version" {
        asksForVersion = true
        continue
      }
      guard Self.flags.contains(flag) else { throw Refusal(description: "unknown argument \(flag); see --help") }
      guard let value = attached ?? rest.popFirst(), !value.isEmpty else {
        throw Refusal(description: "\(flag) needs a value")
      }
      switch flag {
      case "--api-address": configuration.apiAddress = try Self.address(value, flag)
      case "--api-host": configuration.apiHosts.append(value)
      case "--xds-address": configuration.xdsAddress = try Self.address(value, flag)
      case "--data-dir": dataDirectory = value
      case "--config-dir": configuration.configDirectories.append(value)
      case "--namespace": configuration.namespace = value
      case "--domain": configuration.mesh.domain = value
      case "--root-namespace": configuration.mesh.rootNamespace = value
      case "--outbound-policy":
        guard let policy = MeshSettings.OutboundTrafficPolicy(rawValue: value) else {
          throw Refusal(description: "\(flag) must be ALLOW_ANY or REGISTRY_ONLY, not \(value)")
        }
        configuration.mesh.outboundTrafficPolicy = policy
      case "--ready-file": readyFile = value
      case "--backup": backup = value
      default:
        guard let level = LogLevel(value) else {
          throw Refusal(description: "\(flag) must be trace, debug, info, warning, error or off, not \(value)")
        }
        logLevel = level
      }
    }
    switch dataDirectory {
    case ":memory:": configuration.dataDirectory = nil
    case let path?: configuration.dataDirectory = path
    case nil: configuration.dataDirectory = Self.stateDirectory(environment, isRoot: isRoot) + "/control"
    }
  }

  private static let flags: Set<String> = [
    "--api-address", "--api-host", "--xds-address", "--data-dir", "--config-dir", "--namespace", "--domain",
    "--root-namespace", "--outbound-policy", "--ready-file", "--log-level", "--backup",
  ]

  private static func address(_ text: String, _ flag: String) throws(Refusal) -> ServiceAddress {
    guard let address = ServiceAddress(text) else {
      throw Refusal(description: "\(flag) must be HOST:PORT or unix:/path, not \(text)")
    }
    return address
  }

  private static func stateDirectory(_ environment: [String: String], isRoot: Bool) -> String {
    if let path = environment["WEFT_STATE"] { return path }
    return isRoot ? "/var/lib/weft" : (environment["HOME"] ?? "/tmp") + "/.local/share/weft"
  }
}
