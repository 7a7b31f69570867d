package import WeftModel
package import WeftProxyAPI
import WeftRuntime

/// A filter in its place in a listener.
package struct CompiledListenerFilter {
  package let filter: any ListenerFilter
  /// Connections it has no part in.
  let disabled: ConfiguredListenerFilter.Predicate?

  package init(filter: any ListenerFilter, disabled: ConfiguredListenerFilter.Predicate?) {
    self.filter = filter
    self.disabled = disabled
  }

  package func isDisabled(for facts: ConnectionFacts) -> Bool {
    disabled?.matches(port: facts.destination.port) ?? false
  }
}
