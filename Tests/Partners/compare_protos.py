#!/usr/bin/env python3
"""Compares our Protos/ with the published wire formats, field by field.

Envoy, xDS, UDPA, google.rpc and gRPC messages are compared with the descriptors of the Python packages xds-protos,
googleapis-common-protos and grpcio-health-checking; Istio messages with the facts in Tests/Golden/istio-wire.txt.
Name, number, type, label, oneof and presence must be equal; every value of every enum of ours must exist there with
the same number. Ours is a subset, so what we left out is no difference.

Run it with the Python of the partners' virtual environment. Prints `N messages, M fields compared, D differences`
and exits with 1 if D is not 0.
"""

import importlib
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor as Field

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = {"grpc/health/v1/health.proto": "grpc_health.v1.health_pb2"}
TYPE_NAMES = {getattr(Field, name): name[5:].lower() for name in dir(Field) if name.startswith("TYPE_")}

differences = []
compared = {"messages": 0, "fields": 0}


def differ(place, what, ours, theirs):
    differences.append(f"{place}: {what}: ours {ours}, published {theirs}")


def our_files():
    """Compiles Protos/ and returns a pool of its own, and the names of its files."""
    names = sorted(str(p.relative_to(ROOT / "Protos")) for p in (ROOT / "Protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory) / "protos.desc"
        well_known = pathlib.Path(importlib.util.find_spec("grpc_tools").origin).parent / "_proto"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'Protos'}", f"-I{well_known}"]
        command += ["--include_imports", f"--descriptor_set_out={out}", *names]
        if subprocess.run(command).returncode != 0:
            sys.exit("Protos/ does not compile")
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool, names


def messages_of(container):
    for message in container:
        if not message.GetOptions().map_entry:
            yield message
            yield from messages_of(message.nested_types)


def enums_of(file):
    yield from file.enum_types_by_name.values()
    for message in messages_of(file.message_types_by_name.values()):
        yield from message.enum_types


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def type_text(field):
    if is_map(field):
        key, value = (field.message_type.fields_by_name[n] for n in ("key", "value"))
        return f"map<{type_text(key)},{type_text(value)}>"
    if field.message_type is not None:
        return field.message_type.full_name
    if field.enum_type is not None:
        return field.enum_type.full_name
    return TYPE_NAMES[field.type]


def label_text(field):
    return "map" if is_map(field) else "many" if field.is_repeated else "one"


def oneof_text(field):
    """The oneof's name; `-` for none and for the synthetic one of `optional`."""
    oneof = field.containing_oneof
    if oneof is None or (field.has_presence and oneof.name == "_" + field.name):
        return "-"
    return oneof.name


def facts(field):
    return {
        "number": field.number, "type": type_text(field), "label": label_text(field), "oneof": oneof_text(field),
        "presence": field.has_presence, "JSON name": field.json_name,
    }


def compare_with_descriptors(file, published):
    for message in messages_of(file.message_types_by_name.values()):
        try:
            theirs = published.FindMessageTypeByName(message.full_name)
        except KeyError:
            differ(message.full_name, "message", "present", "absent")
            continue
        compared["messages"] += 1
        for field in message.fields:
            compared["fields"] += 1
            place = f"{message.full_name}.{field.name}"
            if field.name not in theirs.fields_by_name:
                differ(place, "field", "present", "absent")
                continue
            mine, other = facts(field), facts(theirs.fields_by_name[field.name])
            for what in mine:
                if mine[what] != other[what]:
                    differ(place, what, mine[what], other[what])
    for enum in enums_of(file):
        try:
            theirs = published.FindEnumTypeByName(enum.full_name)
        except KeyError:
            differ(enum.full_name, "enum", "present", "absent")
            continue
        mine = {value.name: value.number for value in enum.values}
        other = {value.name: value.number for value in theirs.values}
        if mine != other:
            differ(enum.full_name, "values", mine, other)
    for service in file.services_by_name.values():
        theirs = published.FindServiceByName(service.full_name)
        for method in service.methods:
            other = theirs.methods_by_name.get(method.name)
            shape = lambda m: m and (
                m.input_type.full_name, m.client_streaming, m.output_type.full_name, m.server_streaming)
            if shape(method) != shape(other):
                differ(method.full_name, "method", shape(method), shape(other))


def read_istio_facts():
    """message -> field name -> (number, label, type, oneof), and enum -> value name -> number."""
    messages, enums = {}, {}
    for line in (ROOT / "Tests/Golden/istio-wire.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if words[0] == "enum":
            enums.setdefault(words[1], {})[words[3]] = int(words[2])
        elif words[1] == "-":
            messages[words[0]] = {}
        else:
            messages.setdefault(words[0], {})[words[2]] = (int(words[1]), words[3], words[4], words[5])
    return messages, enums


def compare_with_facts(file, messages, enums, seen):
    for message in messages_of(file.message_types_by_name.values()):
        theirs = messages.get(message.full_name)
        if theirs is None:
            differ(message.full_name, "message", "present", "absent")
            continue
        seen.add(message.full_name)
        compared["messages"] += 1
        for field in message.fields:
            compared["fields"] += 1
            mine = (field.number, label_text(field), type_text(field), oneof_text(field))
            if mine != theirs.get(field.name):
                differ(f"{message.full_name}.{field.name}", "field", mine, theirs.get(field.name))
        for name in set(theirs) - set(message.fields_by_name):
            differ(f"{message.full_name}.{name}", "field", "absent", theirs[name])
    for enum in enums_of(file):
        seen.add(enum.full_name)
        mine = {value.name: value.number for value in enum.values}
        if mine != enums.get(enum.full_name):
            differ(enum.full_name, "values", mine, enums.get(enum.full_name))


def main():
    pool, names = our_files()
    istio_messages, istio_enums = read_istio_facts()
    seen = set()
    for name in names:
        file = pool.FindFileByName(name)
        if name.startswith("istio/"):
            compare_with_facts(file, istio_messages, istio_enums, seen)
        else:
            module = MODULES.get(name, name.removesuffix(".proto").replace("/", ".") + "_pb2")
            importlib.import_module(module)
            compare_with_descriptors(file, descriptor_pool.Default())
    for name in sorted((set(istio_messages) | set(istio_enums)) - seen):
        differ(name, "message or enum", "absent", "present")
    print("\n".join(differences), end="\n" if differences else "")
    print(f"{compared['messages']} messages, {compared['fields']} fields compared, {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
