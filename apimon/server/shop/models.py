"""The shop's JSON: what it answers and what it accepts, as the OpenAPI page shows it."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_QUANTITY = 1000

Timestamp = Annotated[str, Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"})]
Dollars = Annotated[int, Field(ge=0, description="Whole New Taiwan dollars, exact.")]
Id = Annotated[int, Field(ge=1)]


class _Model(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Greeting(_Model):
    """A word, and the server's time."""

    message: str
    timestamp: Timestamp


class Health(_Model):
    """Whether the shop is up."""

    status: str = Field(examples=["healthy"])
    timestamp: Timestamp


class ProductOut(_Model):
    """A product."""

    id: Id
    name: str
    price: Dollars
    description: str
    created_at: Timestamp


def _require_number(value: object) -> object:
    # JSON knows one kind of number, so 2.0 is a whole one; a string or a truth value is none.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


class PurchaseIn(BaseModel):
    """How many to buy."""

    # The lower bound is documented here and checked by the endpoint: below it the answer is a 400, not a 422.
    quantity: Annotated[
        int,
        Field(le=MAX_QUANTITY, json_schema_extra={"minimum": 1}, examples=[1]),
        BeforeValidator(_require_number),
    ]


class PurchaseOut(_Model):
    """A purchase that went through."""

    order_id: Id
    product: str
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
    total_price: Dollars
    message: str


class OrderOut(_Model):
    """An order."""

    id: Id
    product_id: Id
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
    total_price: Dollars
    user_id: str
    created_at: Timestamp


class OrderPage(_Model):
    """Orders, newest first; `next_cursor` asks for the next page, null on the last."""

    orders: list[OrderOut]
    next_cursor: Id | None


class OrderStats(_Model):
    """Figures of all orders."""

    total_orders: Annotated[int, Field(ge=0)]
    total_revenue: Dollars
    average_order_value: Annotated[float, Field(ge=0, description="Rounded half up to cents; 0 without orders.")]


class ErrorBody(BaseModel):
    """Every error of the shop, whatever its status."""

    error: str
    status_code: Annotated[int, Field(ge=400, le=599)]
