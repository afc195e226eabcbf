"""MLflow's pages without their assistant: ``mlflow server --app-name starloom`` serves them.

MLflow has no switch for the assistant. Here its endpoints do not exist, and one style rule of the index page hides its
controls: they are drawn by a script that browsers keep for a month, the index page is asked for at every visit. The
same rule hides the notice that MLflow collects usage data: it stands there though `SERVER_SETTINGS` switch that off.
Another keeps the parameters of a run to one line in charts of images, so that the images are seen.
"""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDPOINTS = "/mlflow/assistant"
"""In the path of every endpoint of the assistant."""

HIDDEN = (
    "[data-assistant-ui]",
    '[data-component-id^="mlflow.assistant."]',
    '[data-component-id$=".open_assistant"]',
    '[data-component-id="mlflow.run-view-evaluations.analyze-button"]',
    'div:has(> [role="button"] [data-component-id^="mlflow.experiment_side_nav.assistant"])',
    '[role="tab"][aria-controls$="-content-assistant"]',
    '[data-component-id="mlflow.home.telemetry-alert"]',
)
"""CSS selectors of what opens the assistant, of its panel, and of the notice of telemetry."""

PARAMETERS = '[data-testid="experiment-view-compare-runs-card"] [tooltip-data-state] > div:has(> label) + div'
"""CSS selector of a run's parameters in a chart of images, hundreds of them above each image."""

# MLflow has rules with !important of its own: these are more specific than a few classes.
_RULES = (
    f":root:root body :is({', '.join(HIDDEN)}) {{ display: none !important; }}",
    f":root:root body {PARAMETERS} {{ max-height: 1lh; overflow: hidden; }}",
)
_STYLE = f"<style>{' '.join(_RULES)}</style>".encode()
_CONDITIONS = (b"if-none-match", b"if-modified-since")
_VALIDATORS = (b"etag", b"last-modified", b"content-length")


class WithoutAssistant:
    """An ASGI app that serves ``app`` but for the assistant."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and ENDPOINTS in path:
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "GET" and path.endswith("/"):
            headers = [header for header in scope["headers"] if header[0] not in _CONDITIONS]
            await self._app({**scope, "headers": headers}, receive, _StyledPage(send))
        else:
            await self._app(scope, receive, send)


class _StyledPage:
    """Sends an answer on when it is complete, with the style in the head of an HTML page."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        body = self._body.replace(b"</head>", _STYLE + b"</head>", 1)
        headers = [header for header in self._start["headers"] if header[0].lower() not in _VALIDATORS]
        await self._send({**self._start, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
        await self._send({**message, "body": body})


def create_app() -> ASGIApp:
    """Return the app of ``mlflow server``, which has set the environment that MLflow reads while it is imported."""
    from mlflow.server.fastapi_app import app

    return WithoutAssistant(app)
