// The variables through which an application finds its upstreams.
import WeftBase

/// Builds the application's environment. *Source*: docs/design/0002-universal-contract.md.
package enum ApplicationEnvironment {
  package static func variables(_ configuration: AgentConfiguration, _ ports: AgentPorts) -> [String: String] {
    var result = configuration.environment
    result["WEFT_SERVICE"] = configuration.service
    result["WEFT_VERSION"] = configuration.version
    result["WEFT_NAMESPACE"] = configuration.namespace
    result["WEFT_INSTANCE"] = configuration.instance
    if let port = configuration.port, result["PORT"] == nil { result["PORT"] = String(port) }
    for (upstream, port) in zip(configuration.upstreams, ports.upstreams) {
      let stem = upstream.variableStem
      result["\(stem)_URL"] = "http://\(HostPort(host: upstream.listenHost, port: port))"
      result["\(stem)_HOST"] = upstream.listenHost
      result["\(stem)_PORT"] = String(port)
    }
    if let port = ports.httpProxy {
      for name in ["HTTP_PROXY", "http_proxy"] { result[name] = "http://127.0.0.1:\(port)" }
      for name in ["NO_PROXY", "no_proxy"] { result[name] = "localhost,127.0.0.1,::1" }
    }
    return result
  }
}
