"""A line of calls that double a number, with its callers."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from sync_worker.gateways.group_commit import GroupCommit
from tests.threads import await_that

Line = GroupCommit


def everybody(journey):
    tickets = journey.waiting()
    journey.depart(tickets)
    return tickets


def answer(tickets):
    for ticket in tickets:
        ticket.answer(ticket.item * 2)


def calls_in_line(line: Line, count: int, pool: ThreadPoolExecutor, first: int = 1) -> list[Future]:
    """That many calls more, each in line before the next one comes."""
    futures = []
    before = len(line._waiting())
    for number in range(count):
        futures.append(pool.submit(line.run, first + number))
        await_that(lambda: len(line._waiting()) > before + len(futures) - 1)
    return futures
