import Testing
import WeftTestKit

/// Expects each event to lead where the table says, from every state; and that none changes anything when it is said twice.
func expectTransitions<State: Equatable>(
  of states: [State], _ table: [Transition<State>], sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(violations(of: states, table) == [], sourceLocation: sourceLocation)
}
