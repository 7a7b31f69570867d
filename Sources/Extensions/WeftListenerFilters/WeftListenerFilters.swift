// WeftListenerFilters: the listener filters that come with Weft, one folder each.
//
// Nothing here knows the engine: a filter is a pull parser that is shown what has come and says what it wants.
//
// *Owns*: what each filter reads of its message and of a connection's first bytes. *Never does*: I/O, calls to the engine. *Neighbours*: WeftProxyAPI,
// which says what a filter is; WeftHTTP and WeftTLS, whose parsers read the bytes. One is added as docs/adding/listener-filter.md says.

import WeftProxyAPI
