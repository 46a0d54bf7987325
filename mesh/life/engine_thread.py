"""The engine's own thread: it runs without the GIL, so Python only starts it and sees it end."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import Engine


class EngineThread:
    """``ended`` is called in the engine's thread when ``run`` came back by itself or raised: the node is then dead."""

    __slots__ = ("_ended", "_engine", "_stopping", "_thread")

    def __init__(self, engine: "Engine", ended: Callable[[BaseException | None], None]) -> None:
        self._engine = engine
        self._ended = ended
        self._stopping = False
        # A daemon: a program that forgets to stop its server can still end.
        self._thread = threading.Thread(target=self._run, name="gossamer-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended: after the engine's current tick."""
        self._stopping = True
        self._engine.stop()
        self._thread.join()

    def _run(self) -> None:
        trouble: BaseException | None = None
        try:
            self._engine.run()
        except BaseException as error:
            trouble = error
        if not self._stopping:
            self._ended(trouble)
