import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apimon.server.shop.store import SELECT_ORDERS, SELECT_PRODUCT, ShopStore, ShopStoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def store(path: Path) -> Iterator[ShopStore]:
    with ShopStore(path) as store:
        yield store


def test_a_new_store_has_the_catalogue(store: ShopStore) -> None:
    assert [product[:4] for product in store.list_products()] == [
        (1, "MacBook Pro", 45_000, "高效能筆電"),
        (2, "iPhone 15", 35_000, "最新智慧手機"),
        (3, "AirPods Pro", 8_000, "降噪耳機"),
        (4, "iPad Air", 20_000, "輕薄平板"),
    ]


def test_min_price_is_inclusive(store: ShopStore) -> None:
    assert [product.id for product in store.list_products(min_price=20_000)] == [1, 2, 4]


def test_find_product_is_none_for_an_unknown_id(store: ShopStore) -> None:
    assert store.find_product(5) is None


def test_a_purchase_is_an_order_with_its_price(store: ShopStore) -> None:
    receipt = store.purchase(3, 7, "ann")
    assert receipt is not None
    (order,) = store.list_orders(before=None, limit=10)
    assert receipt == (order.id, "AirPods Pro", 7, 56_000)
    assert order[1:5] == (3, 7, 56_000, "ann")


def test_a_purchase_of_nothing_known_leaves_no_order_and_no_lock(store: ShopStore, path: Path) -> None:
    assert store.purchase(99, 1, "ann") is None
    assert store.total_orders() == (0, 0)
    with ShopStore(path) as other:
        assert other.purchase(1, 1, "bob") is not None


def test_a_failed_purchase_is_rolled_back(store: ShopStore) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.purchase(1, 0, "ann")  # the table itself refuses it
    assert store.total_orders() == (0, 0)
    assert store.purchase(1, 1, "ann") is not None


def test_orders_come_newest_first_a_page_at_a_time(store: ShopStore) -> None:
    ids = [receipt.order_id for _ in range(5) if (receipt := store.purchase(1, 1, "ann"))]
    first = store.list_orders(before=None, limit=3)
    second = store.list_orders(before=first[-1].id, limit=3)
    assert [order.id for order in (*first, *second)] == ids[::-1]


def test_totals_are_exact_where_floats_would_not_be(store: ShopStore, path: Path) -> None:
    huge = 2**53 + 1
    with sqlite3.connect(path) as connection:
        for total in (huge, 2):
            connection.execute(
                "INSERT INTO orders (product_id, quantity, total_price, user_id, created_at) VALUES (1, 1, ?, '', '')",
                (total,),
            )
    connection.close()
    assert store.total_orders() == (2, huge + 2)


def test_orders_and_catalogue_are_there_after_reopening(path: Path) -> None:
    with ShopStore(path) as store:
        before = store.list_products()
        store.purchase(2, 1, "ann")
    with ShopStore(path) as store:
        assert store.list_products() == before
        assert store.total_orders() == (1, 35_000)


def test_no_query_of_a_page_reads_the_whole_table(store: ShopStore, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO orders (product_id, quantity, total_price, user_id, created_at) VALUES (1, 1, 45000, 'x', 'y')",
        [()] * 100_000,
    )
    connection.execute("COMMIT")
    for query, values in ((SELECT_ORDERS, (50_000, 50)), (SELECT_PRODUCT, (1,))):
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
        assert plan[3].startswith("SEARCH")
        assert "INTEGER PRIMARY KEY" in plan[3]
    connection.close()
    assert [order.id for order in store.list_orders(before=50_000, limit=3)] == [49_999, 49_998, 49_997]
    assert store.total_orders() == (100_000, 4_500_000_000)


def test_connections_that_make_the_file_together_share_it(path: Path) -> None:
    start = threading.Barrier(6)

    def make_and_buy(user: int) -> None:
        start.wait()
        with ShopStore(path) as store:
            for _ in range(20):
                store.purchase(1, 1, f"user-{user}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make_and_buy, range(6)))
    with ShopStore(path) as store:
        assert store.total_orders().orders == 120
        assert len(store.list_products()) == 4


def test_another_program_s_database_is_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ShopStoreError, match=r"another program's; name another file with --db"):
        ShopStore(path)
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(path: Path) -> None:
    ShopStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ShopStoreError, match="format 99"):
        ShopStore(path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_one_clear_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ShopStoreError, match=f"^the shop's database {path} can't be used: "):
        ShopStore(path)
    assert path.read_bytes() == content


def test_a_folder_that_can_t_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ShopStoreError, match="file"):
        ShopStore(tmp_path / "file" / "shop.db")
