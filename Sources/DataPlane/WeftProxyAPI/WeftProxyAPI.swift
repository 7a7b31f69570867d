// WeftProxyAPI: the seams of the data plane. What an extension is written against, and nothing of the engine that calls it.
//
// *Owns*: the protocols of HTTP filters and what they may ask for (HTTPFilter/), and the forms that configuration is compiled into (Config/).
// *Never does*: I/O, routing, reading configuration messages. *Neighbours*: extensions conform to it; WeftProxy and WeftUpstream call it.
// *Threads*: compiled forms are immutable and shared; a filter's state belongs to one stream of one worker.
