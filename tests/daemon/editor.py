"""A program with a line editor of its own, as chat programs have one; run in panes by tests.

Every message that is submitted, and every Enter, becomes a line of JSON in a log. Its habits
are flags: it swallows an Enter that comes soon after text, takes it for a line end, shows
what it was given late, draws a box and leaves the cursor below it, or never reads at all.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import re
import select
import sys
import time
import tty

BEGIN, END = "\x1b[200~", "\x1b[201~"


class Editor:
    """The text being edited, and what was done with it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.text = options.draft
        self.pasting = False
        self.last_text = 0.0
        self.enters = 0
        self.rows = 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.log = open(options.log, "a", buffering=1)  # noqa: PTH123, SIM115

    def run(self) -> None:
        tty.setraw(0)
        if self.options.bracketed:
            self.write("\x1b[?2004h")
        if self.options.deaf:
            self.write("deaf\r\n")
            while True:
                time.sleep(1000)
        self.draw()
        self.note(ready=True)
        while True:
            if self.options.spinner:
                while not select.select([0], [], [], 0.05)[0]:
                    self.write("\x1b7\x1b[1;1H" + "|/-\\"[int(time.time() * 20) % 4] + "\x1b8")
            data = os.read(0, 65536)
            if not data:
                return
            self.take(self.decoder.decode(data))

    def take(self, text: str) -> None:
        for part in re.split(f"({re.escape(BEGIN)}|{re.escape(END)}|\r|\x7f|\x03)", text):
            if part == BEGIN:
                self.pasting = True
            elif part == END:
                self.pasting = False
                self.last_text = time.monotonic()
            elif part == "\x03":
                sys.exit(0)
            elif part == "\x7f":
                self.text = self.text[:-1]
            elif part == "\r" and not self.pasting:
                self.enter()
            elif part:
                self.text += part
                self.last_text = time.monotonic()
        time.sleep(self.options.late)
        self.draw()

    def enter(self) -> None:
        self.enters += 1
        early = time.monotonic() - self.last_text < self.options.early
        self.note(enter=self.enters, early=early)
        if self.enters <= self.options.ignore or (early and not self.options.newline):
            return
        if early:
            self.text += "\n"
            return
        self.note(message=self.text)
        said, self.text = self.text, ""
        self.erase()
        if not self.options.quiet:
            self.write("you: " + said.replace("\n", "\r\n     ") + "\r\n\r\n* thinking\r\n")

    def erase(self) -> None:
        self.write("\r" + (f"\x1b[{self.rows}A" if self.rows else "") + "\x1b[J")
        self.rows = 0

    def draw(self) -> None:
        if self.options.blind:
            return
        lines = self.text.split("\n")
        self.erase()
        if self.options.box:
            width = 60
            rows = [
                line[at : at + width] for line in lines for at in range(0, len(line) or 1, width)
            ]
            body = "".join(f"\u2502 > {row:<{width}} \u2502\r\n" for row in rows)
            edge = "\u2500" * (width + 4)
            self.write(
                f"\x1b[?25l\u256d{edge}\u256e\r\n{body}\u2570{edge}\u256f\r\n  ? for shortcuts"
            )
            self.rows = len(rows) + 2
        else:
            self.write("> " + "\r\n  ".join(lines))
            self.rows = len(lines) - 1

    def note(self, **what: object) -> None:
        self.log.write(json.dumps(what) + "\n")

    def write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(1, data) :]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--early", type=float, default=0.0)
    parser.add_argument("--ignore", type=int, default=0)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--draft", default="")
    for flag in ("bracketed", "box", "newline", "deaf", "spinner", "blind", "quiet"):
        parser.add_argument(f"--{flag}", action="store_true")
    Editor(parser.parse_args()).run()


if __name__ == "__main__":
    main()
