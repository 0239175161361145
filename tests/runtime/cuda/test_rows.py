import torch

from pipeline.runtime.cuda.rows import Rows


def table() -> Rows:
    return Rows((2, 3), torch.zeros(1))


def test_what_is_written_is_read_and_nothing_else_changes() -> None:
    rows = table()
    first, second = rows.take(2)
    rows.write(
        torch.tensor([first.number, second.number]), torch.stack([torch.ones(2, 3), torch.full((2, 3), 2.0)])
    )
    out = torch.empty(3, 2, 3)
    rows.read(torch.tensor([second.number, 0, first.number]), out)
    assert out[:, 0, 0].tolist() == [2.0, 0.0, 1.0]


def test_rows_come_back_when_nobody_holds_them() -> None:
    rows = table()
    held = rows.take(5)
    assert rows.held == 5
    kept = held[2].number
    del held[2:]
    assert rows.held == 2
    assert kept in {row.number for row in rows.take(len(rows.table) - 3)}


def test_the_table_grows_with_what_is_held_and_keeps_its_contents() -> None:
    rows = table()
    (first,) = rows.take(1)
    rows.write(torch.tensor([first.number]), torch.ones(1, 2, 3))
    size = len(rows.table)
    held = rows.take(3 * size)
    numbers = {row.number for row in [first, *held]}
    assert len(numbers) == 3 * size + 1
    assert 0 not in numbers
    assert max(numbers) < len(rows.table)
    assert rows.table[first.number].eq(1).all()
    assert rows.table[0].eq(0).all()


def test_a_long_run_needs_no_more_rows_than_it_holds() -> None:
    rows = table()
    held = rows.take(4)
    size = len(rows.table)
    for _ in range(1000):
        held = [*held[1:], *rows.take(1)]
    assert len(rows.table) == size
