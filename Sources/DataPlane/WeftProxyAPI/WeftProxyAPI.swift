// WeftProxyAPI: the seams of the data plane. What an extension is written against, and nothing of the engine that calls it.
//
// *Owns*: what each family of extensions conforms to and may ask for: HTTP filters (HTTPFilter/), network and listener filters (NetworkFilter/,
// ListenerFilter/), balancing policies (LoadBalancer/), protocols (ProtocolCodec/), access-log sinks (AccessLog/); what a program brings along
// (`ProxyExtensions`); what extensions share between streams (Shared/), indices of slots (Slots/), and the forms that configuration is compiled into
// (Config/).
// *Never does*: I/O, routing, reading configuration messages. *Neighbours*: extensions conform to it; WeftProxy and WeftUpstream call it.
// *Threads*: compiled forms are immutable and shared; a filter's state belongs to one stream of one worker.
