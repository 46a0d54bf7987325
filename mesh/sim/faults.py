"""Random faults on some members, one at a time; several may be in force together."""

from collections.abc import Sequence

from gossamer.mesh.sim.mesh import Mesh


class Chaos:
    """``victims`` are the members that faults may strike; a connection is struck if one of its ends is a victim's."""

    def __init__(self, mesh: Mesh, victims: Sequence[str], *, connected: bool = False) -> None:
        """``connected``: what happens between two members happens, if it can, between two with a connection."""
        self._mesh = mesh
        self._connected = connected
        self._victims = list(victims)
        self._chance = mesh.chance.fork("chaos")
        self._faults = (
            *(self._crash, self._crash, self._return, self._return, self._stop, self._block, self._block, self._clear),
            *(self._cut, self._halve, self._sleep, self._wake, self._thin, self._widen),
        )

    async def strike(self) -> None:
        """One fault, or the end of one."""
        await self._chance.choose(self._faults)()

    def _pair(self) -> tuple[str, str]:
        """A victim and somebody else, in any order."""
        victim = self._chance.choose(self._victims)
        others = [name for name in self._mesh.members if name != victim]
        if self._connected:
            others = [name for name in others if self._mesh.connections(victim, name)] or others
        other = self._chance.choose(others)
        return (victim, other) if self._chance.happens(0.5) else (other, victim)

    async def _crash(self) -> None:
        member = self._mesh.members[self._chance.choose(self._victims)]
        dark = self._chance.happens(0.4)
        if member.alive and len(self._mesh.living) > 1:
            self._mesh.note(f"{member.name} {'loses power' if dark else 'is killed'}")
            member.crash(dark=dark)

    async def _return(self) -> None:
        dead = [name for name in self._victims if not self._mesh.members[name].alive]
        if dead:
            name = self._chance.choose(dead)
            self._mesh.note(f"{name} starts again")
            await self._mesh.members[name].start(with_disk=self._chance.happens(0.5))

    async def _stop(self) -> None:
        member = self._mesh.members[self._chance.choose(self._victims)]
        if member.alive and len(self._mesh.living) > 1 and not self._mesh.network.sleeps(member.host):
            self._mesh.note(f"{member.name} stops")
            await member.stop()

    async def _block(self) -> None:
        one, other = self._pair()
        self._mesh.note(f"{one} to {other} blocked")
        self._mesh.network.block(*self._mesh.hosts([one, other]))

    async def _clear(self) -> None:
        self._mesh.note("nothing blocked any more")
        self._mesh.network.clear_all()

    async def _cut(self) -> None:
        ends = self._mesh.connections(*self._pair())
        if ends:
            end = self._chance.choose(ends)
            self._mesh.note(f"connection {end.number} cut")
            self._mesh.network.cut(end)

    async def _halve(self) -> None:
        ends = self._mesh.connections(*self._pair())
        if ends:
            end = self._chance.choose(ends)
            self._mesh.note(f"connection {end.number} half-open, {end.host} knows")
            self._mesh.network.halve(end)

    async def _sleep(self) -> None:
        member = self._mesh.members[self._chance.choose(self._victims)]
        if member.alive:
            self._mesh.note(f"{member.name} sleeps")
            member.sleep()

    async def _wake(self) -> None:
        for name in self._victims:
            member = self._mesh.members[name]
            if self._mesh.network.sleeps(member.host):
                self._mesh.note(f"{name} wakes")
                member.wake()

    async def _thin(self) -> None:
        one, other = self._pair()
        hosts = self._mesh.hosts([one, other])
        self._mesh.note(f"{one} to {other} is a thin line")
        self._mesh.network.disturb(*hosts)
        self._mesh.network.shape(*hosts, bytes_per_s=self._chance.choose([1_000, 20_000, 500_000]))

    async def _widen(self) -> None:
        self._mesh.note("all lines wide again")
        self._mesh.network.widen_all()
