"""The node on the system account: every part of it, put together (spec system-and-monitoring sections 2 to 7).

==================  ==========================================================================================
voice               who speaks: ServerInfo and its counter, events, answers in their envelope
known_servers       the other servers, as long as they are heard
heartbeat           STATSZ of this one
account_connections how many connections each account has in the cluster, and its limit
client_events       CONNECT, DISCONNECT, AUTH.ERR, DENIED; leaf_events: the same of leaf nodes
requests            about this server; account_requests: about one account; account_services: by an account about itself
orders              KICK, LDM, RELOAD
subscribers         who subscribes, counted over the cluster
==================  ==========================================================================================

A request is a control-plane subscription of the system account; ``Message.link`` tells where it entered, so a question
about a client of another node is left to that node.
"""

from typing import TYPE_CHECKING

from gossamer.mesh.system.account_connections import AccountConnections
from gossamer.mesh.system.account_requests import AccountRequests
from gossamer.mesh.system.account_services import AccountServices
from gossamer.mesh.system.account_statistics import AccountFigures
from gossamer.mesh.system.client_events import ClientEvents
from gossamer.mesh.system.heartbeat import Heartbeat
from gossamer.mesh.system.known_servers import KnownServers
from gossamer.mesh.system.leaf_events import LeafEvents
from gossamer.mesh.system.orders import Orders
from gossamer.mesh.system.requests import ServerRequests
from gossamer.mesh.system.subscribers import Subscribers
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.system.server_info import ServerInfo


class SystemService:
    """``start`` subscribes, ``stop`` says SHUTDOWN. Made only where there is a system account."""

    def __init__(self, node: "Node") -> None:
        system = node.accounts.system
        assert system is not None, "without a system account there is nothing to serve"
        self._node = node
        self.voice = Voice(node, system)
        self.known = KnownServers(node, self.voice)
        self.counts = AccountConnections(node, self.voice, AccountFigures(node))
        self.events = ClientEvents(node, self.voice, self.counts)
        self.leaf_events = LeafEvents(node, self.voice, self.counts)
        self.orders = Orders(node, self.voice)
        self._heartbeat = Heartbeat(node, self.voice, self.known)
        self._requests = ServerRequests(node, self.voice, self._heartbeat)
        self._account_requests = AccountRequests(node, self.voice)
        self._account_services = AccountServices(node, self.voice)
        self._subscribers = Subscribers(node, self.voice, self.counts, f"$SYS._INBOX.{self.voice.server_id}.")
        self.known.came = self._met
        self.known.left = self.counts.forget
        self.counts.heard_from = self.known.heard_from

    @property
    def server_info(self) -> "ServerInfo":
        """For everybody who sends messages that carry it: there is one counter."""
        return self.voice.server_info

    def start(self) -> None:
        self.events.start()
        self.leaf_events.start()
        self.known.start()
        self.counts.start()
        self._requests.start()
        self._account_requests.start()
        self._account_services.start()
        self._subscribers.start()
        self.orders.start()
        self._heartbeat.start()

    def lame_duck(self) -> None:
        self.voice.announce("LAMEDUCK", self.server_info.take())

    def stop(self) -> None:
        self.events.stop()
        self.leaf_events.stop()
        for part in (self.known, self.counts, self._subscribers, self.orders, self._heartbeat):
            part.stop()
        self.voice.announce("SHUTDOWN", self.server_info.take())

    def route_ended(self) -> None:
        """A route connection is gone, perhaps the last one to its server."""
        self.known.routes_changed()

    def _met(self, server: str) -> None:
        """A server that was not known: it shall know us at once, and we what it has."""
        self._heartbeat.beat()
        self.counts.ask_again()
