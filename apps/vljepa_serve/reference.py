"""The addresses as a page without script, made from the OpenAPI description: it works without the internet."""

from __future__ import annotations

from html import escape
from typing import Any

__all__ = ["reference_page"]


def reference_page(openapi: dict[str, Any]) -> str:
    """HTML with every address, what it takes and what it is for.

    Args:
        openapi: What `FastAPI.openapi` gives.
    """
    rows = [
        _operation(path, method, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    title = f"{escape(openapi['info']['title'])} {escape(openapi['info']['version'])}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>' + title + "</title>"
        '<meta name="viewport" content="width=device-width"></head><body><main>'
        f"<h1>{title}</h1><p>{escape(openapi['info'].get('summary', ''))} "
        'For programs: <a href="/openapi.json">openapi.json</a>. A token goes into '
        "<code>Authorization: Bearer TOKEN</code>. Messages come over the WebSocket <code>/api/live</code>.</p>"
        + "".join(rows)
        + "</main></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    taken = [
        f"<code>{escape(each['name'])}</code> ({each['in']})" for each in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if body:
        taken.append(f"a body: <code>{escape(body.get('$ref', 'JSON').rpartition('/')[2])}</code>")
    takes = f"<p>Takes {', '.join(taken)}.</p>" if taken else ""
    said = escape(operation.get("description") or operation.get("summary") or "")
    return f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{said}</p>{takes}"
