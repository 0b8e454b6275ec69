"""Which route a path leads to."""

from collections.abc import Iterable

from trunkline.errors import NotFound
from trunkline.surfaces.http.problems import MethodNotAllowed
from trunkline.surfaces.http.route import BASE, Route


class _Node:
    """One segment of the paths."""

    __slots__ = ("literals", "name", "named", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.named: _Node | None = None
        self.name = ""
        self.routes: dict[str, Route] = {}


class Paths:
    """The routes of a table by their paths below BASE, as a tree of segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._ends: dict[str, _Node] = {}  # by the whole path, where nothing in it is named
        self.quick: dict[str, Route] = {}  # those with a quick answer, by the path before what they name
        for route in routes:
            self._add(route)
        self._note_ends(self._root, "")

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in (BASE + route.path).split("/")[1:]:
            if segment.startswith("{"):
                node.named = node.named or _Node()
                node.named.name = segment[1:-1]
                node = node.named
            else:
                node = node.literals.setdefault(segment, _Node())
        node.routes[route.method] = route
        if route.quick is not None:
            self.quick[(BASE + route.path).rpartition("/")[0]] = route

    def _note_ends(self, node: _Node, path: str) -> None:
        self._ends[path] = node
        for segment, below in node.literals.items():
            self._note_ends(below, f"{path}/{segment}")

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route, and the values of the {names} in its path. Raises NotFound and MethodNotAllowed."""
        # Most requests name one thing at the end of a path that is known as a whole.
        path = path.replace("\0", "\ufffd")  # which no name holds either: the database cannot be asked for a NUL
        before, _, last = path.rpartition("/")
        end = self._ends.get(before)
        if end is not None and end.named is not None and last and last not in end.literals:
            known = end.named.routes.get(method)
            if known is not None:
                return known, {end.named.name: last}
        node, values = self._root, {}
        for segment in path.split("/")[1:]:
            below = node.literals.get(segment)
            if below is None:
                below = node.named
                if below is None or not segment:
                    raise NotFound("There is nothing at this path.")
                values[below.name] = segment
            node = below
        route = node.routes.get(method)
        if route is None:
            if not node.routes:
                raise NotFound("There is nothing at this path.")
            allowed = ", ".join(sorted(node.routes))
            raise MethodNotAllowed(f"This path takes {allowed}.", allow=allowed)
        return route, values
