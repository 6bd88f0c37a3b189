"""The shop's database: products and orders in one SQLite file, shared by all workers.

Synchronous, and knows nothing of HTTP. Money is whole New Taiwan dollars (the currency has no smaller coin in use),
kept as integers, so that no sum is ever rounded. Times are RFC 3339 in UTC.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from apimon.errors import ApimonError
from apimon.units import format_rfc3339_ns

MAX_ID = 2**31 - 1
FEATURED_PRICE = 20_000

_BUSY_TIMEOUT_S = 30.0
_APPLICATION_ID = 0x61706D73  # "apms", so that another program's database is never taken for ours
_SCHEMA_VERSION = 1
_CATALOGUE = (
    (1, "MacBook Pro", 45_000, "高效能筆電"),
    (2, "iPhone 15", 35_000, "最新智慧手機"),
    (3, "AirPods Pro", 8_000, "降噪耳機"),
    (4, "iPad Air", 20_000, "輕薄平板"),
)
_SCHEMA = (
    """CREATE TABLE products (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        price INTEGER NOT NULL CHECK (price >= 0),
        description TEXT NOT NULL,
        created_at TEXT NOT NULL
    )""",
    """CREATE TABLE orders (
        id INTEGER PRIMARY KEY,
        product_id INTEGER NOT NULL REFERENCES products (id),
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        total_price INTEGER NOT NULL CHECK (total_price >= 0),
        user_id TEXT NOT NULL,
        created_at TEXT NOT NULL
    )""",
)

SELECT_PRODUCTS = "SELECT id, name, price, description, created_at FROM products WHERE price >= ? ORDER BY id"
SELECT_PRODUCT = "SELECT id, name, price, description, created_at FROM products WHERE id = ?"
SELECT_ORDERS = """SELECT id, product_id, quantity, total_price, user_id, created_at FROM orders
    WHERE id < ? ORDER BY id DESC LIMIT ?"""
SELECT_STATS = "SELECT count(*), coalesce(sum(total_price), 0) FROM orders"
INSERT_ORDER = "INSERT INTO orders (product_id, quantity, total_price, user_id, created_at) VALUES (?, ?, ?, ?, ?)"


class ShopStoreError(ApimonError):
    """The shop's database can't be opened."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the shop's database {path} can't be used: {reason}; name another file with --db")
        self.path = path
        self.reason = reason


class Product(NamedTuple):
    """One row of the catalogue; `price` in whole dollars."""

    id: int
    name: str
    price: int
    description: str
    created_at: str


class Order(NamedTuple):
    """One purchase; `total_price` in whole dollars."""

    id: int
    product_id: int
    quantity: int
    total_price: int
    user_id: str
    created_at: str


class Receipt(NamedTuple):
    """What a purchase made: the new order's id and what it cost."""

    order_id: int
    product: str
    quantity: int
    total_price: int


class OrderTotals(NamedTuple):
    """How many orders there are, and what they come to in whole dollars."""

    orders: int
    revenue: int


class ShopStore:
    """One connection to the database; a thread uses it at a time.

    Opening creates the file, the tables and the catalogue where they are missing. Raises ShopStoreError.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connect(path)
        except OSError as exc:
            raise ShopStoreError(path, f"{exc.filename}: {exc.strerror}") from exc
        except sqlite3.Error as exc:
            raise ShopStoreError(path, str(exc)) from exc
        try:
            _prepare(self._connection)
        except (sqlite3.Error, OSError) as exc:
            self._connection.close()
            raise ShopStoreError(path, str(exc)) from exc

    def close(self) -> None:
        """Close the connection; the last one of all workers folds the write-ahead log into the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def list_products(self, *, min_price: int = 0) -> Sequence[Product]:
        """Return the products from `min_price` (inclusive) on, by id."""
        return [Product._make(row) for row in self._connection.execute(SELECT_PRODUCTS, (min_price,)).fetchall()]

    def find_product(self, product_id: int) -> Product | None:
        """Return the product, or None where there is none with this id."""
        row = self._connection.execute(SELECT_PRODUCT, (product_id,)).fetchone()
        return None if row is None else Product._make(row)

    def purchase(self, product_id: int, quantity: int, user_id: str) -> Receipt | None:
        """Record one order in a transaction of its own, or return None where there is no such product.

        When this returns, the order is in the file's log: a process killed afterwards loses nothing.
        """
        with _transaction(self._connection):
            product = self.find_product(product_id)
            if product is None:
                return None
            total_price = product.price * quantity
            values = (product_id, quantity, total_price, user_id, _now())
            order_id = self._connection.execute(INSERT_ORDER, values).lastrowid
        return Receipt(order_id or 0, product.name, quantity, total_price)  # never 0 after an INSERT

    def list_orders(self, *, before: int | None, limit: int) -> Sequence[Order]:
        """Return up to `limit` orders, newest first, with ids below `before` (exclusive; None: from the newest)."""
        first = MAX_ID + 1 if before is None else before
        return [Order._make(row) for row in self._connection.execute(SELECT_ORDERS, (first, limit)).fetchall()]

    def total_orders(self) -> OrderTotals:
        """Return count and revenue of all orders, by one aggregate query."""
        return OrderTotals._make(self._connection.execute(SELECT_STATS).fetchone())


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    # IMMEDIATE takes the write lock at once, so that two workers queue up instead of failing half-way through.
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled back already
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: transactions are begun and ended in so many words. The threads that share it take turns.
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection) -> None:
    with _transaction(connection, "DEFERRED"):
        _check_owner(connection)
    _enter_wal(connection)
    # In WAL mode NORMAL survives every kill of a process; only a power cut may take the last orders with it.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    with _transaction(connection):
        if not _check_owner(connection):
            _create(connection)


def _check_owner(connection: sqlite3.Connection) -> bool:
    """Return whether the tables are there, False for a new file; raises OSError where it isn't a shop's.

    Inside a transaction, or another process may make the tables between two of the reads.
    """
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != _APPLICATION_ID:
        if _pragma(connection, "schema_version"):
            raise OSError("it is another program's")
        return False
    if version > _SCHEMA_VERSION:
        raise OSError(f"a newer apimon wrote it (format {version}, this one knows {_SCHEMA_VERSION})")
    return True


def _enter_wal(connection: sqlite3.Connection) -> None:
    # SQLite doesn't wait for its busy timeout here: two processes that make the file together would trip each other.
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    created_at = _now()
    connection.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", [(*row, created_at) for row in _CATALOGUE])
    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _now() -> str:
    return format_rfc3339_ns(time.time_ns())
