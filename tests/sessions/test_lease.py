"""Two machines on one run: one result, one kept fork, and both are told."""

from __future__ import annotations

import signal

from tests.conftest import GitCall
from tests.sessions.machines import Machines, until


def test_a_machine_that_wakes_late_keeps_a_fork_and_is_told(machines: Machines, git: GitCall) -> None:
    machines.hold(0)
    slow = machines.clone("slow")
    slow.call("init", "--trust", "--push-state")
    asleep = slow.start(*machines.run_words("r1", 2))
    until(lambda: "half-0.txt" in machines.saved_files(), process=asleep)
    asleep.send_signal(signal.SIGSTOP)
    quick = machines.clone("quick")
    machines.let_go(0)

    done = quick.call("resume", "--trust")
    asleep.send_signal(signal.SIGCONT)
    _, said = asleep.communicate()

    forks = git(machines.remote, "for-each-ref", "--format=%(refname)", "refs/orchestrator/forks")
    assert asleep.returncode == 5, said
    assert "error[session-taken-over]: Run r1 goes on elsewhere" in said
    assert "was being worked on by" in done.stderr
    assert len(forks.splitlines()) == 1
    assert forks in said
    assert git(quick.place, "rev-parse", "--verify", "orchestrator/r1")
    assert git(slow.place, "for-each-ref", "refs/heads/orchestrator") == ""
    assert machines.saved(run_id="r1", epoch=2, rests=True)


def test_the_machine_that_lost_can_take_over_what_the_other_reached(machines: Machines, git: GitCall) -> None:
    machines.hold(0)
    slow = machines.clone("slow")
    slow.call("init", "--trust", "--push-state")
    asleep = slow.start(*machines.run_words("r1", 2))
    until(lambda: "half-0.txt" in machines.saved_files(), process=asleep)
    asleep.send_signal(signal.SIGSTOP)
    quick = machines.clone("quick")
    machines.let_go(0)
    quick.call("resume", "--trust")
    asleep.send_signal(signal.SIGCONT)
    asleep.communicate()

    again = slow.call("resume", "r1", "--trust", status=5)
    slow.call("sessions", "restore")

    assert "goes on elsewhere" in again.stderr
    status = slow.call("status", "r1").stdout
    assert "completed" in status
    theirs = git(quick.place, "rev-parse", "orchestrator/r1")
    assert git(slow.place, "rev-parse", "orchestrator/r1") == theirs
    assert "refs/orchestrator/forks/" in git(slow.place, "for-each-ref", "--format=%(refname)")
    slow.call("doctor")


def test_of_two_that_resume_at_once_one_goes_on(machines: Machines, git: GitCall) -> None:
    machines.hold(0)
    first = machines.clone("first")
    first.call("init", "--trust", "--push-state")
    gone = first.start(*machines.run_words("r1", 2))
    until(lambda: "half-0.txt" in machines.saved_files(), process=gone)
    first.die(gone)
    both = [machines.clone(name) for name in ("one", "two")]
    for machine in both:
        machine.call("sessions", "restore")
    machines.let_go(0)

    working = [machine.start("resume", "r1", "--trust") for machine in both]
    said = [process.communicate()[1] for process in working]

    statuses = sorted(process.returncode for process in working)
    assert statuses == [0, 5], said
    assert sum("goes on elsewhere" in each for each in said) == 1
    assert sum("was being worked on by" in each for each in said) >= 1
    assert len(machines.saves()) == 1
    assert git(machines.remote, "for-each-ref", "refs/orchestrator/forks").count("\n") <= 0
