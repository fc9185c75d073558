"""What is kept of moves: enough to go on from, and never more than an annotation holds."""

from agent_operator.reconcile.move_record import STAYS_KEPT, Moves, dump, load

START = Moves("dp_2", restart=True, moving=("inv_a", "inv_b"))


def test_it_reads_back_as_it_was_written() -> None:
    record = START.with_moved("inv_a").with_stayed("inv_b").with_restarting("inv_c")
    assert load(dump(record)) == record
    assert load(None) is None


def test_an_invocation_is_in_one_place_only() -> None:
    record = START.with_restarting("inv_a")
    assert (record.moving, record.restarting) == (("inv_b",), ("inv_a",))
    record = record.with_restarting("inv_a").with_restarted("inv_a", "inv_new")
    assert (record.moving, record.restarting) == (("inv_b",), ())
    assert record.restarted.first == ("inv_new",)


def test_it_is_open_while_anything_is_half_moved() -> None:
    assert START.open
    record = START.with_moved("inv_a").with_restarting("inv_b")
    assert record.open
    assert not record.with_restarted("inv_b", "inv_new").open


def test_words_name_the_first_and_count_all() -> None:
    record = Moves("dp_2")
    assert record.in_words() == ""
    for number in range(5):
        record = record.with_moved(f"inv_{number}")
    record = record.with_stayed("inv_x")
    assert record.in_words() == "moved: 5 (inv_0, inv_1, inv_2, ...), stay: 1 (inv_x)"


def test_it_never_outgrows_its_annotation() -> None:
    record = Moves("dp_2")
    for number in range(STAYS_KEPT + 10):
        record = record.with_stayed(f"inv_{number:034d}")
    assert record.stayed.count == STAYS_KEPT + 10
    assert len(dump(record)) < 64 * 1024
    assert len(dump(record.finished())) < 512
