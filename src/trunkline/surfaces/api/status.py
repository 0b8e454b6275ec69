"""Handlers of the public status: how the components are, what became of them in 90 days, what is told of outages."""

from trunkline.monitoring import views
from trunkline.monitoring.page import Board
from trunkline.monitoring.views import ServiceStatus
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.documents import Latest
from trunkline.surfaces.http.route import Document, Route


class Status:
    def __init__(self, board: Board) -> None:
        self._status = Latest(board.current, lambda current: wire.success(views.status(current)), max_age_seconds=10)

    async def show(self, _: None) -> Document:
        return await self._status.document()

    def routes(self) -> list[Route]:
        """The table's lines for the status."""
        return [
            Route(
                method="GET",
                path="/status",
                scope=None,
                handler=self.show,
                tag="Status",
                summary="How the platform is",
                description="Components with 90 days of their up time, open incidents, and those of the last 14 days.",
                answer=ServiceStatus,
            )
        ]
