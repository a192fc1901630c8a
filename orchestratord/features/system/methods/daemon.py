"""``daemon.*``: is it well, what is it set to, stop, reload, repair."""

from __future__ import annotations

from pathlib import Path

from orchestratord.config import BadSetting, UnknownSetting, UnreadableFile
from orchestratord.features.system.doctor import examine
from orchestratord.features.system.fault import BackupExists, NoSuchDirectory
from orchestratord.features.system.model import (
    BackedUp,
    BackUp,
    Diagnosis,
    Effective,
    Ping,
    Reconciled,
    Reloaded,
    Status,
    StopDaemon,
    Stopped,
)
from orchestratord.features.system.service import System
from orchestratord.model import Empty
from orchestratord.rpc.method import Call, Cli, method
from orchestratord.rpc.principal import WouldEndCaller
from orchestratord.store.fault import StoreFailing, StoreFull


@method("daemon.ping", needs="nothing", cli=Cli(columns=("version", "pid", "uptime")))
def ping(system: System, params: Empty) -> Ping:
    """Say that the daemon is alive."""
    return system.ping()


@method("daemon.status")
async def status(system: System, params: Empty) -> Status:
    """Tell how the daemon, its tmux server and its store are."""
    return system.status()


@method("daemon.stop", mutates=True, needs="admin", errors=(WouldEndCaller,))
def stop(system: System, params: StopDaemon, call: Call) -> Stopped:
    """Stop the daemon; its panes live on unless the tmux server is ended too.

    Answers, then stops: other calls are given some seconds to end.
    """
    if params.tmux and call.principal.pane is not None and not params.force:
        raise WouldEndCaller(thing=call.principal.pane)
    system.shut_down(f"daemon.stop by pid {call.peer.pid}", params.tmux)
    return Stopped(stopping=True, tmux=params.tmux)


@method(
    "daemon.reload",
    mutates=True,
    needs="admin",
    errors=(BadSetting, UnknownSetting, UnreadableFile),
)
async def reload(system: System, params: Empty) -> Reloaded:
    """Read the configuration anew; an unusable one changes nothing."""
    return await system.reload()


@method("daemon.config", cli=Cli(columns=("key", "value", "origin", "reloads", "description")))
def config(system: System, params: Empty) -> Effective:
    """Show every setting in effect and where its value came from."""
    return system.effective()


@method("daemon.reconcile", needs="admin")
async def reconcile(system: System, params: Empty) -> Reconciled:
    """Compare with tmux now, and tell what differed."""
    return Reconciled(differences=await system.reconcile())


@method("daemon.doctor", cli=Cli(columns=("check", "verdict", "detail", "remedy")))
async def doctor(system: System, params: Empty) -> Diagnosis:
    """Look for what is wrong with the daemon and its surroundings, and say what helps."""
    return Diagnosis(checks=await examine(system.configuration.settings, system.store, system.link))


@method(
    "daemon.backup",
    mutates=True,
    needs="admin",
    errors=(BackupExists, NoSuchDirectory, StoreFull, StoreFailing),
    cli=Cli(forms=(("path",),)),
    deadline=300.0,
)
async def backup(system: System, params: BackUp) -> BackedUp:
    """Copy the store, as of now, to a file; callers are served meanwhile."""
    return await system.back_up(Path(params.path))
