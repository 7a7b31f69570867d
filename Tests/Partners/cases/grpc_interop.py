#!/usr/bin/env python3
"""gRPC's C-core against ours, both ways round: unary, all streams, deadline, cancellation, gzip, metadata, details, health, drain."""
import concurrent.futures, re, signal, subprocess, threading
import lab

grpc = lab.need_module("grpc")
lab.need_module("grpc_health")
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

ECHO = lab.BIN / "weft-echo"
lab.need(ECHO)
FAILURE = "as asked: 100 % ünïcode"
DETAILS = "grpc-status-details-bin"


def their_server():
    def unary(request, context):
        given = dict(context.invocation_metadata())
        initial = [("x-server", "c-core")]
        if "x-ask" in given:
            initial.append(("x-answer", given["x-ask"]))
        if "x-ask-bin" in given:
            initial.append(("x-answer-bin", given["x-ask-bin"]))
        context.send_initial_metadata(initial)
        context.set_trailing_metadata((("seen", str(len(request))),))
        return request

    def server_stream(request, context):
        for number in range(int(request)):
            yield str(number).encode()

    def client_stream(requests, context):
        return str(sum(len(r) for r in requests)).encode()

    def both(requests, context):
        for request in requests:
            yield request[::-1]

    def fail(request, context):
        context.set_trailing_metadata(((DETAILS, request),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, FAILURE)

    def hang(request, context):
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(30)
        return b""

    handlers = grpc.method_handlers_generic_handler("echo.Echo", {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Hang": grpc.unary_unary_rpc_method_handler(hang)})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), compression=grpc.Compression.Gzip,
                         options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((handlers,))
    state = health.HealthServicer()
    state.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def our_client_their_server():
    server, port = their_server()
    done = subprocess.run([str(ECHO), "check", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=120)
    server.stop(0)
    print(done.stdout, done.stderr, sep="")
    assert done.returncode == 0, "our client against the C-core's server"


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def their_client(port, compression):
    options = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options, compression=compression) as channel:
        unary = channel.unary_unary("/echo.Echo/Unary")
        answer, call = unary.with_call(b"abc", timeout=10, metadata=(("x-ask", "plain"), ("x-ask-bin", b"\x00\xff\x01")))
        initial = dict(call.initial_metadata())
        assert answer == b"abc" and initial["x-answer"] == "plain" and initial["x-answer-bin"] == b"\x00\xff\x01", initial
        assert dict(call.trailing_metadata())["seen"] == "3", call.trailing_metadata()
        assert unary(b"", timeout=10) == b""
        big = bytes(range(256)) * 12000
        assert unary(big, timeout=30) == big

        numbers = list(channel.unary_stream("/echo.Echo/ServerStream")(b"5000", timeout=30))
        assert numbers == [str(n).encode() for n in range(5000)]
        summed = channel.stream_unary("/echo.Echo/ClientStream")((b"x" * n for n in range(1000)), timeout=30)
        assert summed == b"499500", summed
        sent = [b"", b"ab", big, b"z"]
        assert list(channel.stream_stream("/echo.Echo/Both")(iter(sent), timeout=30)) == [s[::-1] for s in sent]

        error = status_of(lambda: channel.unary_unary("/echo.Echo/Fail")(b"\x08\x09\xc8", timeout=10))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION and error.details() == FAILURE, error
        assert dict(error.trailing_metadata())[DETAILS] == b"\x08\x09\xc8", error.trailing_metadata()
        error = status_of(lambda: channel.unary_unary("/echo.Echo/Hang")(b"", timeout=0.3))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
        error = status_of(lambda: channel.unary_unary("/echo.Echo/Nope")(b"", timeout=10))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED, error
        hanging = channel.unary_unary("/echo.Echo/Hang").future(b"", timeout=30)
        hanging.cancel()
        assert hanging.cancelled()

        window, errors, left = threading.Semaphore(64), [], [3000]

        def finished(future, expected):
            if future.exception() or future.result() != expected:
                errors.append(future.exception())
            left[0] -= 1
            window.release()

        for number in range(3000):
            window.acquire()
            message = f"message {number}".encode()
            unary.future(message, timeout=30).add_done_callback(lambda f, m=message: finished(f, m))
        lab.eventually("all calls end", lambda: left[0] == 0)
        assert not errors, errors[:3]

        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == health_pb2.HealthCheckResponse.SERVING
        error = status_of(lambda: stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=10))
        assert error.code() is grpc.StatusCode.NOT_FOUND, error
        print(f"ok    C-core client, {compression}")


def drain(world, port):
    """A draining server finishes the stream it has."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        go_on = threading.Event()

        def requests():
            yield b"one"
            go_on.wait(20)
            yield b"two"

        answers = channel.stream_stream("/echo.Echo/Both")(requests(), timeout=30)
        assert next(answers) == b"eno"
        world.processes["echo"].send_signal(signal.SIGTERM)
        lab.eventually("the port closes", lambda: not lab.listens(port))
        go_on.set()
        assert list(answers) == [b"owt"]
        assert world.processes["echo"].wait(20) == 0, "the server did not end in order"
        print("ok    drain")


def main():
    our_client_their_server()
    with lab.Lab() as world:
        world.start("echo", ECHO, "serve", "--gzip")
        port = int(lab.eventually("the server says its port", lambda: re.search(r":(\d+)\n", world.log("echo"))).group(1))
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            their_client(port, compression)
        drain(world, port)
    print("gRPC both ways")


main()
