"""Agents that start nothing: they keep what they are given, note who is started, and answer as told."""

from workers.fleet.worker_client import Answer


class KeptHere:
    """Keeps it in this process.

    Attributes:
        text: What was kept last.
        is_full: Nothing can be kept.
        started: Names of agents.
        asked: What workers were asked, with their names.
        answers: Given one after the other; then everything is done.
    """

    def __init__(self):
        self.text, self.is_full = None, False
        self.started, self.asked, self.answers = [], [], []

    def start(self, role, name, where):
        self.started.append(name)

    def keep(self, text):
        if self.is_full:
            raise OSError("no room")
        self.text = text

    def kept(self):
        return self.text

    def ask(self, name, question, is_gone):
        if is_gone():
            raise RuntimeError("it is gone")
        self.asked.append((name, question))
        return self.answers.pop(0) if self.answers else Answer(200, b"")
