"""The shop's errors: one body for all of them, `{"error": …, "status_code": …}`."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

_MAX_REASONS = 5


class SimulatedFailureError(Exception):
    """What `/simulate-error` raises: nothing catches it, as nothing catches a real fault."""


def install_error_handlers(app: FastAPI) -> None:
    """Give every error of `app` the one body: raised, unknown path or method, invalid input, unhandled."""
    app.exception_handler(HTTPException)(_answer_http_error)
    app.exception_handler(RequestValidationError)(_answer_invalid_input)
    app.exception_handler(Exception)(_answer_unhandled)


async def _answer_http_error(request: Request, exc: HTTPException) -> Response:
    return _error_response(exc.status_code, str(exc.detail), exc.headers)


async def _answer_invalid_input(request: Request, exc: RequestValidationError) -> Response:
    reasons = [_explain(error) for error in exc.errors()[:_MAX_REASONS]]
    return _error_response(422, "; ".join(reasons))


async def _answer_unhandled(request: Request, exc: Exception) -> Response:
    # Nothing of the exception leaves: it is in the log.
    return _error_response(500, "Internal Server Error")


def _explain(error: Mapping[str, Any]) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _error_response(status_code: int, error: str, headers: Mapping[str, str] | None = None) -> Response:
    # json.dumps writes ASCII, so that no lone surrogate of the input can break the answer.
    body = json.dumps({"error": error, "status_code": status_code})
    return Response(body, status_code, headers, media_type="application/json")
