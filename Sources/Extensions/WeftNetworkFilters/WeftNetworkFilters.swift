// WeftNetworkFilters: the network filters that come with Weft, one folder each.
//
// Nothing here knows the engine: a filter is a struct with a message, a compiled form and a method per event.
//
// *Owns*: what each filter reads of its message, compiles and does. *Never does*: I/O, calls to the engine. *Neighbours*: WeftProxyAPI, which says what
// a filter is; programs give `NetworkFilters.registry` to the engine. How to add one: docs/adding/network-filter.md.

import WeftProxyAPI
