"""The router, a tree of segments (trie): which route of which surface a path leads to."""

from collections.abc import Sequence

from trunkline.errors import NotFound
from trunkline.surfaces.http.problems import MethodNotAllowed
from trunkline.surfaces.http.route import Route
from trunkline.surfaces.http.surface import Surface


class _Node:
    """One segment of the paths."""

    __slots__ = ("literals", "name", "named", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.named: _Node | None = None
        self.name = ""
        self.routes: dict[str, tuple[Surface, Route]] = {}


class Paths:
    """The routes of all surfaces by their paths, as one tree of segments."""

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        self._root = _Node()
        self._ends: dict[str, _Node] = {}  # by the whole path, where nothing in it is named
        self.cached: dict[str, tuple[Surface, Route]] = {}  # those of a fast path, by what stands before the name
        self._first = surfaces[0]
        self._by_length = sorted(surfaces, key=lambda each: -len(each.base))
        for surface in surfaces:
            for route in surface.routes:
                self._add(surface, route)
        self._note_ends(self._root, "")

    def _add(self, surface: Surface, route: Route) -> None:
        node = self._root
        for segment in (surface.base + route.path).split("/")[1:]:
            if segment.startswith("{"):
                node.named = node.named or _Node()
                node.named.name = segment[1:-1]
                node = node.named
            else:
                node = node.literals.setdefault(segment, _Node())
        node.routes[route.method] = surface, route
        if route.cached is not None:
            self.cached[(surface.base + route.path).rpartition("/")[0]] = surface, route

    def _note_ends(self, node: _Node, path: str) -> None:
        self._ends[path] = node
        for segment, below in node.literals.items():
            self._note_ends(below, f"{path}/{segment}")

    def surface_at(self, path: str) -> Surface:
        """The surface that speaks for a path at which no route is: the one with the longest base, or the first."""
        return next((each for each in self._by_length if path.startswith(each.base)), self._first)

    def find(self, method: str, path: str) -> tuple[Surface, Route, dict[str, str]]:
        """The route, and the values of the {names} in its path. Raises NotFound and MethodNotAllowed."""
        # Most requests name one thing at the end of a path that is known as a whole.
        path = path.replace("\0", "\ufffd")  # which no name holds either: the database cannot be asked for a NUL
        before, _, last = path.rpartition("/")
        end = self._ends.get(before)
        if end is not None and end.named is not None and last and last not in end.literals:
            known = end.named.routes.get(method)
            if known is not None:
                return *known, {end.named.name: last}
        node, values = self._root, {}
        for segment in path.split("/")[1:]:
            below = node.literals.get(segment)
            if below is None:
                below = node.named
                if below is None or not segment:
                    raise NotFound("There is nothing at this path.")
                values[below.name] = segment
            node = below
        found = node.routes.get(method)
        if found is None:
            if not node.routes:
                raise NotFound("There is nothing at this path.")
            allowed = ", ".join(sorted(node.routes))
            raise MethodNotAllowed(f"This path takes {allowed}.", allow=allowed)
        return *found, values
