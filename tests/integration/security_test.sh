#!/usr/bin/env bash
# Every threat in docs/SECURITY.md names its test, and each test named there is one that ctest knows. PEPSAL_BUILD_DIR
# names the build folder.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_programs ctest python3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ctest --test-dir "$PEPSAL_BUILD_DIR" -N | sed -nE 's/^ +Test +#[0-9]+: (.*)$/\1/p' >"$folder/tests"

# Prints what is wrong with a document, one a line. The first word of a line is the unknown name, or "-".
check_document() { # FILE
  python3 - "$1" "$folder/tests" "$root" <<'PYTHON'
import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
tests = Path(sys.argv[2]).read_text().split("\n")
root = Path(sys.argv[3])
wrong = []


def is_test(name):
    pattern = re.escape(name).replace(r"\*", ".*")
    start = "" if re.match(r"(unit|integration|e2e|fuzz)\.", name) else r"\w+\.(\w+/)?"
    return any(re.match(f"{start}{pattern}($|[./])", test) for test in tests)


def has_case(test, case):
    folder = root / "tests/integration"
    texts = [script.read_text() for script in [*folder.glob(f"{test}_test.sh"), *folder.glob(f"{test}_cases/*.sh")]]
    return any(re.search(rf"^(case_)?{case}\(\)", text, re.M) for text in texts)


def names_in(part):
    for names in re.findall(r"fuzz targets? ((?:`\w+`(?:, | and )?)+)", part):
        yield from (f"fuzz.{name}_replay" for name in re.findall(r"\w+", names) if name != "and")
    for name in re.findall(r"`([^`]+)`", part):
        if re.match(r"(unit|integration|e2e|fuzz)\.", name) or re.match(r"[A-Z]\w*Test(\.\w+)?$", name):
            yield name


count = 0
for name in names_in(text.replace("\n", " ")):
    count += 1
    if not is_test(name):
        wrong.append(f"{name} is no test that ctest knows")
for test, cases in re.findall(r"`integration\.(\w+)` \(([a-z_, ]+)\)", text.replace("\n", " ")):
    for case in cases.split(", "):
        if not has_case(test, case):
            wrong.append(f"{case} is no case of tests/integration/{test}_test.sh")
for script in re.findall(r"`(scripts/\w+)[^`]*`", text):
    if not (root / script).is_file():
        wrong.append(f"{script} is not there")
rows = 0
for section in re.findall(r"^## From .*?(?=^## |\Z)", text, re.M | re.S):
    for row in re.findall(r"^\| (?!threat|-)(.*) \|$", section, re.M):
        rows += 1
        if not list(names_in(row.split(" | ")[-1])):
            wrong.append(f"- names no test: {row.split(' | ')[0]}")
if count < 20 or rows < 20:
    wrong.append(f"- only {count} names and {rows} threats were found")
print("\n".join(wrong), end="")
PYTHON
}

case=document
found=$(check_document "$root/docs/SECURITY.md")
[[ -z $found ]] || wrong "docs/SECURITY.md: $found"

# The control: unknown names are found.
case=control
sed -e 's/ClientLimitTest/ClientTest/; s/(forged_syns)/(forged)/; s/target \(.\)peer\1/target \1pear\1/' \
  -e 's/.MalformedTest.*nfqueue. |/the malformed ones |/' "$root/docs/SECURITY.md" >"$folder/wrong.md"
found=$(check_document "$folder/wrong.md")
for name in ClientTest forged fuzz.pear_replay -; do
  grep -q "^$name " <<<"$found" || wrong "a name that is none is not found: $name"
done

end_test
