"""Command lines of the benchmarks and of the soak: wrong usage gives one line and status 2."""

import argparse
import os
import sys


class Parser(argparse.ArgumentParser):
    def error(self, message):
        sys.stderr.write(f"{self.prog}: {message} (--help explains)\n")
        sys.exit(2)


def whole(least, most):
    def convert(text):
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} to {most}")
        return int(text)
    return convert


def number(least, most):
    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
        return value
    return convert


def one_of(names):
    def convert(text):
        if text not in names:
            raise argparse.ArgumentTypeError(f"'{text}' is not one of: {', '.join(names)}")
        return text
    return convert


def listed(names):
    def convert(text):
        return [one_of(names)(word) for word in text.split(",")]
    return convert


def program(text):
    if not os.access(text, os.X_OK) or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a program")
    return os.path.abspath(text)


def folder(text):
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a directory")
    return text


def output_file(text):
    if not text or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not the name of a file")
    return text
