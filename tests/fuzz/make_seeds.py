#!/usr/bin/env python3
"""Write the seeds of the fuzz targets: make_seeds.py FOLDER (tests/fuzz/seeds)."""
import gzip
import pathlib
import struct
import sys
import zlib

# number in fuzz_cfi.c's input, DWARF numbers of the return address, sp and fp, ELF machine
ARCHS = {"x86_64": (0, 16, 7, 6, 62), "arm64": (1, 30, 31, 29, 183), "riscv64": (2, 1, 2, 8, 243)}
SECTION_RVA = 0x100000
CODE_BYTES = 0x10000


def record(body):
    body += bytes(-len(body) % 4)
    return struct.pack("<I", len(body)) + body


def breg(reg, off=0):
    return bytes([0x70 + reg, off & 0x7F])


def eh_frame(arch, rva, programs, start=0, signal=False):
    """One CIE and an FDE of 0x100 bytes of code for each program."""
    _, ra, sp, _, _ = ARCHS[arch]
    init = bytes([0x0C, sp, 8, 0x80 | ra, 1] if arch == "x86_64" else [0x0C, sp, 0])
    letters = b"zRS\0" if signal else b"zR\0"
    out = record(struct.pack("<IB", 0, 1) + letters + bytes([1, 0x78, ra, 1, 0x1B]) + init)
    for i, program in enumerate(programs):
        here = len(out) + 8
        pcrel = start + i * 0x100 - (rva + here)
        out += record(struct.pack("<IiI", len(out) + 4, pcrel, 0x100) + b"\0" + program)
    return out + bytes(4)


def debug_frame(arch, programs):
    _, ra, sp, _, _ = ARCHS[arch]
    out = record(struct.pack("<IBB", 0xFFFFFFFF, 3, 0) + bytes([1, 0x78, ra, 0x0C, sp, 8]))
    for i, program in enumerate(programs):
        out += record(struct.pack("<IQQ", 0, 0x100 + i * 0x100, 0x100) + program)
    return out


def programs(arch):
    _, ra, sp, fp, _ = ARCHS[arch]
    frame = bytes([0x41, 0x0E, 16, 0x80 | fp, 2, 0x43, 0x0D, fp, 0x0A, 0x48, 0x0C, sp, 8, 0x0B])
    aligned = b"\x0f" + bytes([3]) + breg(fp, -8) + b"\x06" + b"\x10" + bytes([fp, 2]) + breg(fp)
    plt = b"\x0f\x0b" + breg(sp, 8) + breg(16 if arch == "x86_64" else 15) + bytes(
        [0x3F, 0x1A, 0x3B, 0x2A, 0x33, 0x24, 0x22])
    odd = bytes([0x0C, 10, 0, 0x07, ra, 0x09, 3, 5, 0x14, 4, 1, 0x2E, 16, 0x2D])
    nested = bytes([0x0A] * 9 + [0x0B] * 9)
    far = bytes([0x0E]) + b"\xff" * 9 + b"\x7f" + bytes([0x04]) + b"\xff" * 4 + bytes([0x42, 0x0E, 8])
    return [frame, aligned, plt, odd, nested, far]


def cfi_input(arch, section, debug=False, whole=False):
    number = ARCHS[arch][0]
    stack_va = 0x7FFC00000000
    words = [stack_va] * 64
    for i in range(40, 64):
        words[i] = 0x7F0000000110 + (i % 6) * 0x100 if i % 2 else stack_va + 8 * i + 16
    stack = struct.pack("<64Q", *words)
    return struct.pack("<BBH", number, debug | whole << 1, len(stack)) + stack + section


def elf(arch, eh, hdr, kind=3):
    """A shared object with one segment, a build id, and both sections of call frame information."""
    machine = ARCHS[arch][4]
    names = b"\0.eh_frame\0.eh_frame_hdr\0.shstrtab\0"
    note = struct.pack("<III", 4, 8, 3) + b"GNU\0" + b"build-id"
    at, parts, offs = 64 + 2 * 56, b"", []
    for part in (eh, hdr, names, note):
        parts += bytes(-len(parts) % 8)
        offs.append(at + len(parts))
        parts += part
    parts += bytes(-len(parts) % 8)
    shoff = at + len(parts)
    size = shoff + 4 * 64
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", kind, machine, 1, 0x100, 64, shoff, 0, 64, 56, 2, 64, 4, 3)
    phdrs = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    phdrs += struct.pack("<IIQQQQQQ", 4, 4, offs[3], offs[3], 0, len(note), len(note), 4)
    sections = bytes(64)
    for i, (name, part) in enumerate(((1, eh), (11, hdr), (25, names))):
        addr = offs[i] if i < 2 else 0
        sections += struct.pack("<IIQQQQIIQQ", name, 1 if i < 2 else 3, 2, addr, offs[i],
                                len(part), 0, 0, 8, 0)
    return head + phdrs + parts + sections


def hdr_of(eh_rva, hdr_rva, starts_fdes):
    out = bytes([1, 0x1B, 0x03, 0x3B]) + struct.pack("<iI", eh_rva - hdr_rva - 4, len(starts_fdes))
    for start, fde in starts_fdes:
        out += struct.pack("<ii", start - hdr_rva, fde - hdr_rva)
    return out


def ring_record(kind, body, trailer=b"", misc=0):
    return struct.pack("<IHH", kind, misc, 8 + len(body) + len(trailer)) + body + trailer


def ring_records(first):
    """A process that starts, maps, is sampled by each layout of fuzz_rings.c, and ends."""
    time = first

    def side(kind, body, misc=0):
        nonlocal time
        time += 10
        return ring_record(kind, body, struct.pack("<IIQIIQ", 7, 7, time, 0, 0, 1), misc)

    def sample(event, *fields):
        nonlocal time
        time += 10
        return ring_record(9, struct.pack("<Q", event) + b"".join(fields))

    def words(*values):
        return struct.pack(f"<{len(values)}Q", *values)

    out = side(7, struct.pack("<IIIIQ", 7, 1, 7, 1, time))  # FORK
    out += side(3, struct.pack("<II", 7, 7) + b"name\0\0\0\0", misc=1 << 13)  # COMM, exec
    mapped = struct.pack("<IIQQQ", 7, 7, 0x1000, 0x1000, 0)
    inode = struct.pack("<IIQQII", 8, 1, 99, 0, 5, 2)
    out += side(10, mapped + inode + b"/bin/x\0\0")  # MMAP2
    build_id = bytes([20, 0, 0, 0]) + bytes(range(20)) + struct.pack("<II", 5, 2)
    out += side(10, mapped + build_id + b"/lib/y\0\0", misc=1 << 14)
    stack = words(16) + bytes(range(16)) + words(16)
    who = struct.pack("<II", 7, 7)
    out += sample(2, words(0x1010), who, words(time), struct.pack("<II", 0, 0), words(1000),
                  words(3, 2**64 - 512, 0x1010, 0x1020), words(2, 1, 2, 3), stack)
    out += sample(3, words(0x1010), who, words(time), struct.pack("<II", 0, 0),
                  words(5, 100, 100, 3, 0))
    out += sample(4, who, words(time), struct.pack("<II", 0, 0), words(2, 5, 4, 0, 6, 9, 0), stack)
    out += side(8, struct.pack("<II", 7, 7) + words(9, 100, 100, 3, 0))  # READ
    out += side(2, words(1, 5))  # LOST
    out += side(4, struct.pack("<IIIIQ", 7, 1, 7, 1, time))  # EXIT
    return out


def attr(kind, config, sample_type, read_format=0, size=128):
    """sample_id_all, and two registers."""
    out = struct.pack("<IIQQQQQ", kind, size, config, 1000, sample_type, read_format, 1 << 18)
    out += bytes(80 - len(out)) + struct.pack("<QI", 0x105, 16)
    return (out + bytes(size))[:size]


def text(s):
    return struct.pack("<I", 64) + s.encode().ljust(64, b"\0")


IDENTIFIER, ID_TIME_TID, READ, CALLCHAIN, PERIOD = 1 << 16, 0x46, 1 << 4, 1 << 5, 1 << 8
ROUND = struct.pack("<IHH", 68, 0, 8)
FEATURES = {
    2: struct.pack("<IHHI", 67, 1 << 15 | 2, 48, 2**32 - 1) + bytes(range(20)) +
       b"\x10\0\0\0" + b"/bin/x".ljust(12, b"\0"),
    3: text("host"), 4: text("6.1"), 6: text("x86_64"),
    11: struct.pack("<I", 2) + text("perf") + text("record"),
    12: struct.pack("<II", 1, 72) + bytes(72) + struct.pack("<I", 1) + text("an event") +
        bytes(8),
}


def perf_file(attrs, records, features=(), magic=b"PERFILE2"):
    """File mode: the ids of event i are i + 2."""
    size = len(attrs[0]) + 16
    attrs_at = 104 + 8 * len(attrs)
    data_at = attrs_at + size * len(attrs)
    flags = sum(1 << bit for bit in features)
    out = magic + struct.pack("<12Q", 104, size, attrs_at, size * len(attrs), data_at, len(records),
                              0, 0, flags, 0, 0, 0)
    out += b"".join(struct.pack("<Q", i + 2) for i in range(len(attrs)))
    for i, one in enumerate(attrs):
        out += one + struct.pack("<QQ", 104 + 8 * i, 8)
    out += records
    at = len(out) + 16 * len(features)
    for bit in sorted(features):
        out += struct.pack("<QQ", at, len(FEATURES[bit]))
        at += len(FEATURES[bit])
    return out + b"".join(FEATURES[bit] for bit in sorted(features))


def perf_stream(attrs, records, features=()):
    out = b"PERFILE2" + struct.pack("<Q", 16)
    for i, one in enumerate(attrs):
        out += struct.pack("<IHH", 64, 0, 16 + len(one)) + one + struct.pack("<Q", i + 2)
    for bit in sorted(features):
        body = struct.pack("<Q", bit) + FEATURES[bit]
        out += struct.pack("<IHH", 80, 0, 8 + len(body)) + body
    update = struct.pack("<QQ", 2, 2) + b"renamed\0"
    tracing = struct.pack("<IHHI", 66, 0, 12, 5) + b"12345\0\0\0"
    return out + ring_record(78, update) + tracing + records


def zstd_frame(data):
    """Not compressed at all: RFC 8878, one raw block of at most 255 bytes in a single segment."""
    block = struct.pack("<I", len(data) << 3 | 1)[:3] + data
    return struct.pack("<IBB", 0xFD2FB528, 0x20, len(data)) + block


def write_perf_data(folder):
    who = struct.pack("<IIQ", 7, 7, 1000)
    event = IDENTIFIER | ID_TIME_TID | CALLCHAIN | PERIOD
    one = attr(0, 0, event)
    chain = struct.pack("<Q5Q", 2, 10, 3, 2**64 - 512, 1, 2)
    sample = ring_record(9, struct.pack("<Q", 2) + who + chain)
    ids = who + struct.pack("<QQ", 2, 2)
    comm = ring_record(3, struct.pack("<II", 7, 7) + b"name\0\0\0\0", ids)
    group_attr = attr(0, 1, IDENTIFIER | ID_TIME_TID | READ, 4 | 8)
    counts = struct.pack("<6Q", 2, 2, 5, 2, 6, 3)
    group = ring_record(9, struct.pack("<Q", 2) + who + counts)
    lost = ring_record(2, struct.pack("<QQ", 2, 9), ids)
    records = comm + sample + ROUND + sample + lost + ROUND
    packed = zstd_frame(sample + sample[:20])
    rest = zstd_frame(sample[20:] + comm)
    compressed = comm + ring_record(81, packed)
    compressed += ring_record(83, struct.pack("<Q", len(rest)) + rest) + ROUND
    two = [one, attr(1, 9, event)]
    old = [attr(1, 0, event, size=64)]
    (folder / "file").write_bytes(perf_file(two, records, list(FEATURES)))
    (folder / "v1").write_bytes(perf_file(old, records, magic=b"PERFFILE"))
    (folder / "group").write_bytes(perf_file([group_attr, group_attr], group + group))
    (folder / "stream").write_bytes(perf_stream([one], records, list(FEATURES)))
    (folder / "compressed").write_bytes(perf_file([one], compressed))


def varint(n):
    n &= 2**64 - 1
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A field of a protobuf message: an int, bytes, or a list of ints, packed."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, list):
        value = b"".join(map(varint, value))
    return varint(number << 3 | 2) + varint(len(value)) + value


def pprof(types, comments=(), labels=(), system_names=False):
    """Two stacks of a kernel, a native and an inlined frame."""
    strings = [""]

    def text(s):
        if s not in strings:
            strings.append(s)
        return strings.index(s)

    out = b""
    for name, unit in types:
        out += field(1, field(1, text(name)) + field(2, text(unit)))
    for i, path in enumerate(["/usr/bin/server", "[kernel.kallsyms]"]):
        out += field(3, field(1, i + 1) + field(2, i << 20) + field(3, 2**40) + field(5, text(path)) +
                     field(6, text("c0ffee")))
    for i, (name, kind) in enumerate([("main", "native server"), ("add", "inlined server"),
                                      ("do_exit", "kernel? [kernel]"), ("run (a.py:3)", "python a.py")]):
        system = field(3, text(kind)) if system_names else b""
        out += field(5, field(1, i + 1) + field(2, text(name)) + system + field(4, text("a.py")))
    for i, lines in enumerate([[1], [2, 1], [3], [4], []]):
        body = field(1, i + 1) + field(2, 2 if lines == [3] else 1) + field(3, 0x1000 * i)
        for line in lines:
            body += field(4, field(1, line) + field(2, 7))
        out += field(4, body)
    for i, stack in enumerate([[3, 2, 1], [5, 4, 1], []]):
        body = field(1, stack) + field(2, [10**i * (j + 1) for j in range(len(types))])
        for key, value in labels:
            number = 2 if isinstance(value, str) else 3
            body += field(3, field(1, text(key)) + field(number, text(value) if number == 2 else value))
        out += field(2, body)
    out += field(13, [text(comment) for comment in comments]) + field(9, 10**18) + field(10, 10**9)
    out += field(11, field(1, text(types[-1][0])) + field(2, text(types[-1][1]))) + field(12, 1000)
    return out + b"".join(field(6, s.encode()) for s in strings)


def pprof_seeds(folder):
    (folder / "go").write_bytes(pprof([("samples", "count"), ("cpu", "microseconds")],
                                      labels=[("bytes", 512)]))
    (folder / "converter").write_bytes(pprof(
        [("cycles_sample", "count"), ("cycles_event", "count"), ("heap", "bytes")]))
    ours = pprof(
        [("cycles", "count"), ("cycles.samples", "count")], system_names=True,
        labels=[("process", "server"), ("cycles.joined", 3)],
        comments=["pmuflame profile 1", "pmuflame title server", "pmuflame run cpus=2",
                  "pmuflame event 0 freq_hz=997 counted=111 scale=1.5 samples=222 weight_sq=0.5",
                  "pmuflame fallback 0 why", "pmuflame warning 0 of it", "pmuflame note - of all"])
    (folder / "ours").write_bytes(ours)
    (folder / "ours-gzip").write_bytes(gzip.compress(ours, mtime=0))


def jitdump(order, version=1, flags=0):
    """Lines, code, the same elsewhere, other code at its first place, unwinding, the end."""
    def record(kind, time, body):
        return struct.pack(order + "IIQ", kind, 16 + len(body), time) + body

    def load(va, name):
        return struct.pack(order + "IIQQQQ", 7, 7, va, va, 64, 1) + name + b"\0" + bytes(64)

    lines = struct.pack(order + "QQ", 0x1000, 3)
    lines += struct.pack(order + "QII", 0x1000, 10, 0) + b"/a.c\0"
    lines += struct.pack(order + "QII", 0x1010, 11, 0) + b"\xff\0"
    lines += struct.pack(order + "QII", 0x1020, 12, 0) + b"/b.c\0"
    return (struct.pack(order + "6I2Q", 0x4A695444, version, 40, 62, 0, 7, 1, flags)
            + record(2, 1, lines) + record(0, 2, load(0x1000, b"JS:*f /a.js:1:2"))
            + record(1, 3, struct.pack(order + "QQQQQQ", 7 << 32 | 7, 0x8000, 0x1000, 0x8000, 64, 1))
            + record(0, 4, load(0x1000, b"La/B;f(IJ)V")) + record(4, 5, bytes(40)) + record(3, 6, b""))


def jit_seeds(folder):
    (folder / "map").write_bytes(
        b"\x0011000 10 a\n0x1008 0x20 JS:~ /a.js:1:2\n2000 400000 void a.B.f(int)\nnonsense\n"
        b"1000 0 empty\nfffffffffffffff0 100 wraps\n1000 10 py::f:/a.py\n1004 8 \x1b[31m\nhalf")
    (folder / "dump").write_bytes(b"\x01" + jitdump("<"))
    (folder / "dump-big-endian").write_bytes(b"\x01" + jitdump(">"))
    (folder / "dump-version").write_bytes(b"\x01" + jitdump("<", version=2))
    (folder / "dump-arch-time").write_bytes(b"\x01" + jitdump("<", flags=1))
    (folder / "dump-broken").write_bytes(b"\x01" + jitdump("<")[:-60] + b"\xff" * 60)


# ---- DWARF 5: an ELF file of debug sections, and the code at CODE_RVA that they are about ----

CODE_RVA = 0x1000


def uleb(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def dwarf_elf(sections, compressed=()):
    """Sections by name, of which some are compressed."""
    names = b"\0.text\0.shstrtab\0"
    # name, type, flags, address, offset, size, link, info, alignment, entry size
    headers = [bytes(64), struct.pack("<IIQQQQIIQQ", 1, 8, 6, CODE_RVA, 64, CODE_BYTES, 0, 0, 1, 0)]
    body = b""
    for name, data in sections.items():
        flags = 0
        if name in compressed:
            data = struct.pack("<IIQQ", 1, 0, len(data), 1) + zlib.compress(data)
            flags = 0x800
        headers.append(struct.pack("<IIQQQQIIQQ", len(names), 1, flags, 0, 64 + len(body), len(data),
                                   0, 0, 1, 0))
        names += name.encode() + b"\0"
        body += data
    headers.append(struct.pack("<IIQQQQIIQQ", 7, 3, 0, 0, 64 + len(body), len(names), 0, 0, 1, 0))
    body += names
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64 + len(body), 0, 64, 56, 0, 64,
                               len(headers), len(headers) - 1) + body + b"".join(headers)


def abbrev(code, tag, children, *attributes):
    return uleb(code) + uleb(tag) + bytes([children]) + b"".join(
        uleb(a) + uleb(f) for a, f in attributes) + b"\0\0"


NAME, LOW, HIGH, RANGES, DECL_LINE, CALL_LINE = 0x03, 0x11, 0x12, 0x55, 0x3B, 0x59
ADDR, DATA1, DATA4, STRING, REF4, SEC_OFFSET = 0x01, 0x0B, 0x06, 0x08, 0x13, 0x17
ORIGIN, UNIT, FUNCTION, ABSTRACT, LOOP, INLINED, BLOCK, MANY = 0x31, 1, 2, 3, 4, 5, 6, 7
ABBREVS = (
    abbrev(UNIT, 0x11, 1, (LOW, ADDR), (HIGH, DATA4), (0x10, SEC_OFFSET), (0x1B, STRING))
    + abbrev(FUNCTION, 0x2E, 1, (NAME, STRING), (LOW, ADDR), (HIGH, DATA4), (DECL_LINE, DATA1))
    + abbrev(ABSTRACT, 0x2E, 0, (NAME, STRING), (DECL_LINE, DATA1))
    + abbrev(LOOP, 0x2E, 0, (ORIGIN, REF4))
    + abbrev(INLINED, 0x1D, 1, (ORIGIN, REF4), (LOW, ADDR), (HIGH, DATA4), (CALL_LINE, DATA1))
    + abbrev(BLOCK, 0x0B, 1))


def die(code, form="", *values):
    return uleb(code) + struct.pack("<" + form, *values)


def dwarf_unit(children):
    head = struct.pack("<HBBI", 5, 1, 8, 0)
    root = die(UNIT, "QII", CODE_RVA, CODE_BYTES, 0) + b"/src\0"
    return struct.pack("<I", len(head) + len(root) + len(children) + 1) + head + root + children + b"\0"


# Where the first child of a unit stands in it.
FIRST_CHILD = len(dwarf_unit(b"")) - 1


def function(name, start, size, line, children=b""):
    return uleb(FUNCTION) + name + b"\0" + struct.pack("<QIB", start, size, line) + children + b"\0"


def inlined(origin, start, size, line, children=b""):
    return die(INLINED, "IQIB", origin, start, size, line) + children + b"\0"


def dwarf_lines(program, names=None):
    """Version 5: one folder, one file; line_base -3, line_range 12, opcode_base 13."""
    names = names if names is not None else (
        b"\x01\x01\x08\x01/src\0" + b"\x02\x01\x08\x02\x0b\x02one.c\0\0one.c\0\0")
    head = struct.pack("<BBBbBB", 1, 1, 1, -3, 12, 13) + bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) + names
    body = struct.pack("<HBBI", 5, 8, 0, len(head)) + head + program
    return struct.pack("<I", len(body)) + body


SET_ADDRESS = b"\0\x09\x02" + struct.pack("<Q", CODE_RVA)
ROWS = SET_ADDRESS + b"\x03\x09\x01" + b"\x02\x18\x03\x05\x01" + b"\x02\x80\x02\0\x01\x01"


def dwarf_seeds(folder):
    inner = uleb(ABSTRACT) + b"inner\0\x03"
    call = inlined(FIRST_CHILD, CODE_RVA + 16, 16, 7)
    lines = dwarf_lines(ROWS)
    plain = {".debug_abbrev": ABBREVS + b"\0", ".debug_line": lines, ".debug_info": dwarf_unit(
        inner + function(b"outer", CODE_RVA, 256, 5, call))}
    loop = die(LOOP, "I", FIRST_CHILD + 5) + die(LOOP, "I", FIRST_CHILD)
    deep = b"".join(die(INLINED, "IQIB", FIRST_CHILD, CODE_RVA + 16, 16, 7) for _ in range(2000))
    deep += die(BLOCK) * 10000 + bytes(12000)
    # A thousand functions of the same thousands of ranges, which have no end.
    endless = b"".join(b"\x07" + struct.pack("<QB", CODE_RVA + i, 1) for i in range(4000))
    head = struct.pack("<IHBBI", len(endless) + 8, 5, 8, 0, 0)
    flags = abbrev(MANY, 0x2E, 0, *[(0x3F, 0x19)] * 10000)
    ranged = abbrev(MANY, 0x2E, 0, (RANGES, SEC_OFFSET))
    seeds = {
        "plain": plain,
        "loop": plain | {".debug_info": dwarf_unit(
            loop + function(b"outer", CODE_RVA, 256, 5, call))},
        "deep": plain | {".debug_info": dwarf_unit(
            inner + function(b"outer", CODE_RVA, 256, 5, deep))},
        "ranges": plain | {".debug_abbrev": ABBREVS + ranged + b"\0", ".debug_rnglists": head + endless,
                           ".debug_info": dwarf_unit(die(MANY, "I", 12) * 4000)},
        "abbrevs": plain | {".debug_abbrev": ABBREVS + flags + b"\0",
                            ".debug_info": dwarf_unit(die(MANY) * 40000)},
        # Each byte a row of another line; then an end that lies before the start.
        "rows": plain | {".debug_line": dwarf_lines(
            SET_ADDRESS + b"\x1d\x1e" * 20000 + b"\x08" * 1000 + b"\0\x01\x01")},
        "names": plain | {".debug_line": dwarf_lines(ROWS, b"\0" + uleb(1 << 60) + b"\0" + uleb(1 << 60))},
    }
    for name, sections in seeds.items():
        (folder / name).write_bytes(dwarf_elf(sections))
    (folder / "compressed").write_bytes(dwarf_elf(plain, plain))
    # Two million units without anything in them.
    units = plain | {".debug_info": plain[".debug_info"] + struct.pack("<IHIB", 7, 4, 0, 8) * (2 << 20)}
    (folder / "units").write_bytes(dwarf_elf(units, units))


def main():
    folder = pathlib.Path(sys.argv[1])
    for target in ("fuzz_cfi", "fuzz_dwarf", "fuzz_image", "fuzz_jit", "fuzz_perf_data", "fuzz_pprof",
                   "fuzz_rings"):
        (folder / target).mkdir(parents=True, exist_ok=True)
    write_perf_data(folder / "fuzz_perf_data")
    pprof_seeds(folder / "fuzz_pprof")
    dwarf_seeds(folder / "fuzz_dwarf")
    jit_seeds(folder / "fuzz_jit")
    rings = folder / "fuzz_rings"
    one = ring_records(1000)
    (rings / "one").write_bytes(bytes([0, 0]) + one)
    (rings / "wraps").write_bytes(bytes([0, 40]) + one + ring_records(1 << 21))
    (rings / "two-readers").write_bytes(bytes([0x81, 3]) + one + ring_records(1005))
    (rings / "broken").write_bytes(bytes([0, 0]) + one[:-40] + b"\xff" * 40)
    for arch in ARCHS:
        eh = eh_frame(arch, SECTION_RVA, programs(arch))
        signal = eh_frame(arch, SECTION_RVA, programs(arch), signal=True)
        cfi = folder / "fuzz_cfi"
        (cfi / f"eh_frame-{arch}").write_bytes(cfi_input(arch, eh))
        (cfi / f"signal-{arch}").write_bytes(cfi_input(arch, signal, whole=True))
        (cfi / f"debug_frame-{arch}").write_bytes(
            cfi_input(arch, debug_frame(arch, programs(arch)), debug=True))
        at = 64 + 2 * 56
        eh = eh_frame(arch, at, programs(arch)[:2], start=0x100)
        hdr_rva = at + len(eh) + -len(eh) % 8
        first = struct.unpack_from("<I", eh)[0] + 4
        second = first + struct.unpack_from("<I", eh, first)[0] + 4
        hdr = hdr_of(at, hdr_rva, [(0x100, at + first), (0x200, at + second)])
        (folder / "fuzz_image" / f"shared-{arch}").write_bytes(elf(arch, eh, hdr))
        (folder / "fuzz_image" / f"no-table-{arch}").write_bytes(elf(arch, eh, b"\0" * 12, kind=2))


main()
