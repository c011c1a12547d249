"""The one desired state: how it changes, and when it goes to disk.

A change is saved before it holds, so what was acknowledged survives a kill. One that takes a right away holds first:
no disk may keep a key alive. Event loop only; the store's blocking calls run in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.store import LoadedState, StateStore

log = logging.getLogger(__name__)

SAVE_AGAIN_S: Final = 5.0

Edit: TypeAlias = Callable[[DesiredState], DesiredState]


class HoldsUnsaved(ServingError):
    """A change holds, though it could not be saved: the next engine will not know of it unless it is saved later."""


class DurableState:
    """The desired state and its copy on disk. `apply` is called with each new one, when it holds."""

    def __init__(
        self, store: StateStore, apply: Callable[[DesiredState], None], save_again_s: float = SAVE_AGAIN_S
    ) -> None:
        self.state = DesiredState()
        self._store = store
        self._apply = apply
        self._save_again_s = save_again_s
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_behind = False
        self._catching_up: asyncio.Task[None] | None = None

    async def load(self) -> LoadedState:
        """What was saved last, for `take_up`. FAILED_PRECONDITION if it cannot be read."""
        return await asyncio.to_thread(self._store.load)

    def take_up(self, state: DesiredState) -> None:
        """It holds from now on; nothing is saved."""
        self.state = state
        self._apply(state)

    async def change(self, edit: Edit, on_saved: Callable[[], None]) -> None:
        """Edits, saves, applies, one change after another; a caller that gives up does not halve one.

        `on_saved` is called between, if the edit changed anything. What `edit` raises is raised here.
        """
        await self._whole(self._commit(edit, on_saved))

    async def revoke(self, edit: Edit, on_revoked: Callable[[], None]) -> None:
        """As `change`, but it holds first and is saved then. `HoldsUnsaved` if it can't be: it is tried again by and by,
        with every other change, and by an edit that changes nothing.
        """
        await self._whole(self._commit_revocation(edit, on_revoked))

    async def close(self, keep_models: bool) -> None:
        """No change is taken from now on; what is under way is over. The next engine takes up the models if
        `keep_models`, else it remembers them for when their folders are opened again.
        """
        async with self._changing:
            is_first, self._is_closed = not self._is_closed, True
            if self._catching_up is not None:
                self._catching_up.cancel()
            if is_first and (self._is_behind or not keep_models):
                try:
                    await self._save(self.state if keep_models else self.state.closed())
                except ServingError as error:
                    log.warning(
                        "%s", error.message
                    )  # the state of the last change that was saved is still there

    async def _whole(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        await asyncio.shield(task)

    async def _commit(self, edit: Edit, on_saved: Callable[[], None]) -> None:
        async with self._changing:
            state = self._edited(edit)
            if state != self.state:
                await self._save(state)
                on_saved()
                self.take_up(state)

    async def _commit_revocation(self, edit: Edit, on_revoked: Callable[[], None]) -> None:
        async with self._changing:
            state = self._edited(edit)
            if state != self.state:
                self._is_behind = True
                on_revoked()
                self.take_up(state)
            if not self._is_behind:
                return
            try:
                await self._save(state)
            except ServingError as error:
                if self._catching_up is None or self._catching_up.done():
                    self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())
                raise HoldsUnsaved(error.code, error.message) from None

    def _edited(self, edit: Edit) -> DesiredState:
        if self._is_closed:
            raise ServingError(Code.FAILED_PRECONDITION, "The server is shutting down")
        return edit(self.state)

    async def _save(self, state: DesiredState) -> None:
        await asyncio.to_thread(self._store.save, state)
        self._is_behind = False

    async def _catch_up(self) -> None:
        while self._is_behind:
            await asyncio.sleep(self._save_again_s)
            async with self._changing:
                if self._is_behind and not self._is_closed:
                    with contextlib.suppress(ServingError):
                        await self._save(self.state)


def unsaved(error: HoldsUnsaved, what: str) -> ServingError:
    """What the caller is told: `what` holds ("The key is revoked"), but not for ever."""
    return ServingError(
        error.code,
        f"{what} now, but not beyond a restart: {error.message}",
        "It is saved as soon as that is possible; once this call succeeds it is for good.",
    )
