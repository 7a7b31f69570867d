#!/usr/bin/env python3
"""Prints the properties of WeftModel that neither the data plane nor the model itself reads, those of extensions (what their messages are compiled
to among them) that nothing reads, and the fields of Istio's kinds that nothing reads, as Type.property, sorted.

Asks the index that the compiler writes beside a debug build, through the toolchain's own library: exact where text is not, since it tells
readers from writers and two fields of one name apart. Who only hashes or compares a field has not read it. Exits 3 when the build has no index of the
data plane. Given another index's folder it looks at that one, however little is in it."""
import collections
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSTANCE_PROPERTY = 19
DEFINITION, READ, OVERRIDE_OF, CONTAINED_BY = 1 << 1, 1 << 3, 1 << 11, 1 << 16
RECORD = 2
# What makes a hash of all that is there, or asks whether anything changed.
COMPARERS = {"hash(into:)", "==(_:_:)", "identity(_:security:)"}
HASHED = re.compile(r"\bhasher\.combine\(")
# Where properties are looked for: the model, Istio's kinds, and the targets of Sources/Extensions.
MODULES = ["WeftModel", "WeftKinds"] + sorted(folder.name for folder in (ROOT / "Sources/Extensions").iterdir())
OURS = re.compile("|".join(f"{len(name)}{name}" for name in MODULES))


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    def __str__(self):
        return ctypes.string_at(self.data, self.length).decode()


def library():
    swift = pathlib.Path(shutil.which("swiftc")).resolve()
    return ctypes.CDLL(str(swift.parent.parent / "lib" / "libIndexStore.so"))


class Index:
    def __init__(self, folder):
        self.lib = library()
        self.store = self.call("indexstore_store_create", ctypes.c_void_p, str(folder).encode(), None)
        if not self.store:
            sys.exit(3)

    def call(self, name, result, *arguments):
        function = getattr(self.lib, name)
        function.restype = result
        function.argtypes = [ctypes.c_char_p if isinstance(a, bytes) else ctypes.c_void_p for a in arguments]
        return function(*arguments)

    def units(self):
        # The text lives as long as the call: it is copied in the callback.
        found = []
        kind = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, Text)
        callback = kind(lambda _, text: found.append(str(text)) or True)
        function = self.lib.indexstore_store_units_apply_f
        function.restype = ctypes.c_bool
        function.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, kind]
        function(self.store, 0, None, callback)
        return found

    def records(self, unit):
        """The main file of a unit and the names of that file's records."""
        reader = self.call("indexstore_unit_reader_create", ctypes.c_void_p, self.store, unit.encode(), None)
        if not reader:
            return "", []
        main = str(self.call("indexstore_unit_reader_get_main_file", Text, reader))
        names = []

        def dependency(_, d):
            if self.call("indexstore_unit_dependency_get_kind", ctypes.c_int, d) == RECORD:
                if str(self.call("indexstore_unit_dependency_get_filepath", Text, d)) == main:
                    names.append(str(self.call("indexstore_unit_dependency_get_name", Text, d)))
            return True

        kind = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
        function = self.lib.indexstore_unit_reader_dependencies_apply_f
        function.restype, function.argtypes = ctypes.c_bool, [ctypes.c_void_p, ctypes.c_void_p, kind]
        function(reader, None, kind(dependency))
        self.call("indexstore_unit_reader_dispose", None, reader)
        return main, names

    def occurrences(self, record, lines):
        reader = self.call("indexstore_record_reader_create", ctypes.c_void_p, self.store, record.encode(), None)
        if not reader:
            return []
        found = []

        def occurrence(_, o):
            symbol = self.call("indexstore_occurrence_get_symbol", ctypes.c_void_p, o)
            usr = str(self.call("indexstore_symbol_get_usr", Text, symbol))
            if OURS.search(usr):
                roles = self.call("indexstore_occurrence_get_roles", ctypes.c_uint64, o)
                kind = self.call("indexstore_symbol_get_kind", ctypes.c_int, symbol)
                if roles & READ and (self.container(o) in COMPARERS or HASHED.search(lines[min(self.line(o), len(lines)) - 1])):
                    roles &= ~READ
                found.append((usr, kind, roles))
            return True

        kind = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
        function = self.lib.indexstore_record_reader_occurrences_apply_f
        function.restype, function.argtypes = ctypes.c_bool, [ctypes.c_void_p, ctypes.c_void_p, kind]
        function(reader, None, kind(occurrence))
        self.call("indexstore_record_reader_dispose", None, reader)
        return found


    def line(self, occurrence):
        line, column = ctypes.c_uint(), ctypes.c_uint()
        self.call("indexstore_occurrence_get_line_col", None, occurrence, ctypes.addressof(line), ctypes.addressof(column))
        return line.value

    def container(self, occurrence):
        """The name of the function in which something occurs."""
        names = []

        def relation(_, r):
            if self.call("indexstore_symbol_relation_get_roles", ctypes.c_uint64, r) & CONTAINED_BY:
                symbol = self.call("indexstore_symbol_relation_get_symbol", ctypes.c_void_p, r)
                names.append(str(self.call("indexstore_symbol_get_name", Text, symbol)))
            return True

        kind = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
        function = self.lib.indexstore_occurrence_relations_apply_f
        function.restype, function.argtypes = ctypes.c_bool, [ctypes.c_void_p, ctypes.c_void_p, kind]
        function(occurrence, None, kind(relation))
        return names[0] if names else ""


def demangled(usrs):
    """USRs as `Type.property`; computed ones and what is below functions are left out."""
    symbols = ["$s" + usr.removeprefix("s:") for usr in usrs]
    text = subprocess.run(["swift-demangle", "-compact"], input="\n".join(symbols), capture_output=True, text=True).stdout
    return [re.sub(f"^({'|'.join(MODULES)})\\.", "", line.split(" : ")[0]) for line in text.splitlines()]


# Said of other properties, which are looked at by themselves.
DERIVED = {"CommonTLSContext.verifiesPeer", "HeaderMutations.isEmpty"}


def is_reader(path):
    """Whether what a file reads has an effect: the engine, its extensions and how those read their messages, and the programs."""
    rooms = ("/Sources/DataPlane/", "/Sources/Extensions/", "/Sources/Programs/")
    return any(room in path for room in rooms) or path.endswith("ExtensionReader.swift")


def main(store=None, build=None):
    """Of an index (`store`), or of that of a whole build (`--build`, or the debug build)."""
    if store == "--build":
        store = None
    folder = pathlib.Path(store or pathlib.Path(build or ROOT / ".build/debug") / "index/store")
    if not folder.is_dir():
        sys.exit(3)
    index = Index(folder)
    defined, read, seen = set(), set(), collections.Counter()
    for unit in index.units():
        main_file, records = index.records(unit)
        in_model, in_engine = "/Sources/Model/WeftModel/" in main_file, is_reader(main_file)
        in_extension = "/Sources/Extensions/" in main_file
        in_kinds = "/Sources/Model/WeftKinds/Generated/" in main_file
        # Istio's fields are read by validation and by the control plane.
        in_control = not in_kinds and ("/Sources/Model/WeftKinds/" in main_file or "/Sources/ControlPlane/" in main_file)
        if not (in_model or in_engine or in_kinds or in_control) or not pathlib.Path(main_file).exists():
            continue
        seen["model" if in_model else "engine" if in_engine else "kinds" if in_kinds else "control"] += 1
        lines = pathlib.Path(main_file).read_text().split("\n") + [""]
        for record in records:
            for usr, kind, roles in index.occurrences(record, lines):
                if kind != INSTANCE_PROPERTY:
                    continue
                # What a protocol asks for is read through the protocol.
                if (in_model or in_kinds or in_extension) and roles & DEFINITION and not roles & OVERRIDE_OF:
                    defined.add(usr)
                if roles & READ and not in_kinds:
                    read.add(usr)
    if not store and (seen["model"] < 10 or seen["engine"] < 60 or seen["kinds"] < 5 or seen["control"] < 60):
        sys.exit(3)
    for name in sorted(demangled(sorted(defined - read))):
        # A private type is a means of the model's own.
        is_private = re.search(r"\(\w+ in _[0-9A-F]+\)", name)
        if not is_private and name not in DERIVED and not re.search(r"\.(description|hashValue|rawValue|unknownFields)$", name):
            print(name)


main(*sys.argv[1:])
