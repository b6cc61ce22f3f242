#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a header with the hash of the tables' layout: the ABI without comments and white space."""
import hashlib
import re
import sys

text = ""
for path in sorted(sys.argv[1:]):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    source = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.S)
    text += re.sub(r"\s+", " ", source)
print("#pragma once")
print(f'#define LAYOUT_HASH "{hashlib.sha256(text.encode()).hexdigest()[:12]}"')
