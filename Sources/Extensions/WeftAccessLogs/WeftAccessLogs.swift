// WeftAccessLogs: the access-log sinks that come with Weft, one folder each.
//
// Nothing here knows the engine: a sink is shown a request or connection that is over and says nothing back.
//
// *Owns*: what each sink reads of its message, and its lines. *Never does*: I/O on a worker, calls to the engine. *Neighbours*: WeftProxyAPI, which says
// what a sink is; WeftTelemetry, whose thread writes files. One is added as docs/adding/access-log.md says.

import WeftProxyAPI
