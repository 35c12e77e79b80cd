"""The machine on which the measurements are made, as shown in reports."""

import os


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": os.cpu_count(), "memory_gib": round(memory), "kernel": os.uname().release.split("-")[0]}


def machine_text(about):
    return f"{about['cores']} cores, {about['memory_gib']} GiB, kernel {about['kernel']}"
