// WeftDiscovery: what it owns, what it never does, its neighbours, its threads. Written by the room that fills it.
