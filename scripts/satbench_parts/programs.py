"""What people run besides a browser: an OpenSSH login with a command, and an upload with curl over TLS."""

import subprocess
import time

import transfer

UPLOAD_TIMES = "%{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total} %{http_code}"

SSHD = """Port 22
ListenAddress {host}
HostKey {folder}/host_key
PidFile none
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
AuthorizedKeysFile {folder}/client_key.pub
"""


def run(namespace, command, limit):
    """Runs a program in a namespace. Returns the seconds until its end (None: after the limit), status, outputs, and the
    machine's longest pause."""
    with transfer.PauseWatch() as watch:
        begin = time.monotonic()
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not transfer.stop.is_set() and time.monotonic() - begin < limit:
            try:
                out, err = process.communicate(timeout=0.5)
                seconds, status = time.monotonic() - begin, process.returncode
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
            out, err = process.communicate()
            seconds = status = None
    return seconds, status, out, err, watch.longest


def last_line(text, otherwise):
    lines = text.strip().splitlines()
    return lines[-1] if lines else otherwise


def ssh(namespace, host, folder, limit):
    """Login and the command 'true', from the start of the client's process to its end."""
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes",
               "IdentitiesOnly=yes", "PreferredAuthentications=publickey")
    words = [word for option in options for word in ("-o", option)]
    seconds, status, _, err, pause = run(
        namespace, ["ssh", "-F", "none", "-i", f"{folder}/client_key", *words, f"root@{host}", "true"], limit)
    outcome = transfer.Outcome(series=[(0.0, 0)], total=seconds, longest_pause=pause)
    if seconds is not None:
        outcome.intact = status == 0
        if status != 0:
            outcome.error = last_line(err, f"ssh ended with {status}")
    return outcome


def tls_upload(namespace, host, folder, content, limit):
    """PUT over TLS 1.3, HTTP/1.1; folder: the server's, where it arrives."""
    (folder / "upload").write_bytes(content)
    arrived = folder / "www/up/tls"
    arrived.unlink(missing_ok=True)
    seconds, status, out, err, pause = run(
        namespace, ["curl", "-sS", "-k", "--http1.1", "-H", "Expect:", "-o", str(folder / "answer"), "-w", UPLOAD_TIMES,
                    "-T", str(folder / "upload"), f"https://{host}:8443/up/tls"], limit)
    outcome = transfer.Outcome(series=[(0.0, 0)], longest_pause=pause)
    if seconds is None:
        return outcome
    if status != 0:
        outcome.error = last_line(err, f"curl ended with {status}")
        return outcome
    connect, _, first_byte, total, code = out.split()
    outcome.connect, outcome.first_byte, outcome.total = float(connect), float(first_byte), float(total)
    outcome.received = arrived.stat().st_size if arrived.exists() else 0
    outcome.series.append((outcome.total, outcome.received))
    outcome.intact = arrived.exists() and arrived.read_bytes() == content
    if code not in ("201", "204"):
        outcome.error = f"HTTP status {code}"
    return outcome
