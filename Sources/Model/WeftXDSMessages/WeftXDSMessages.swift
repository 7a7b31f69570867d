// WeftXDSMessages: Envoy's and xDS' messages as Protos/ declares them, written by protoc-gen-weft.
//
// Owns      Generated/.
// Never     gives a message a meaning: reading them is WeftXDS's, building them WeftTranslation's.
// Neighbours below: WeftProtobuf. Above: WeftXDS, the proxy's discovery client, the control plane's translation.
// Threads   none; values. A target of its own, because compiling it takes longer than all that reads it.
