// WeftProtocols: the protocols beside HTTP that come with Weft, one folder each.
//
// *Owns*: what each codec reads of its configuration, and the form in which its messages stand before routes. *Never does*: I/O, calls to the engine.
// *Neighbours*: WeftProxyAPI, which says what a codec is; WeftDubbo, the pure codec; programs give `Protocols.registry` to the engine. How to add one:
// docs/adding/protocol.md.

import WeftProxyAPI
