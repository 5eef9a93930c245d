"""The collection of stored records, step by step: what is asked, and up to where records count as safe."""

from drivers.gls.racp import NO_RECORDS, REPORT_ALL, SUCCESS, Answer, Collection, Mark, Outcome, report_from


def mark(sequence: int, series: int = 0) -> Mark:
    return Mark(sequence, bytes([series, sequence % 256]))


def answered(code: int) -> Answer:
    return Answer(1, code)


def fed(collection: Collection, *marks: Mark) -> Collection:
    for one in marks:
        assert collection.record(one)
    return collection


def test_a_meter_never_read_is_asked_for_all() -> None:
    collection = fed(Collection(None), mark(1), mark(2))
    assert collection.request == REPORT_ALL
    assert collection.answer(answered(SUCCESS)) is Outcome.COMPLETE
    assert collection.mark == mark(2)


def test_a_known_meter_is_asked_from_its_newest_known_record_on() -> None:
    collection = fed(Collection(mark(7)), mark(7), mark(8), mark(9))
    assert collection.request == report_from(7)
    assert collection.answer(answered(SUCCESS)) is Outcome.COMPLETE
    assert collection.mark == mark(9)


def test_numbers_that_began_anew_are_noticed_whether_fewer_or_more_than_before() -> None:
    fewer = Collection(mark(7))
    assert fewer.answer(answered(NO_RECORDS)) == REPORT_ALL
    more = fed(Collection(mark(2)), mark(2, series=1), mark(3, series=1))
    assert more.answer(answered(SUCCESS)) == REPORT_ALL
    assert fed(more, mark(1, 1), mark(2, 1), mark(3, 1)).answer(answered(SUCCESS)) is Outcome.COMPLETE
    assert more.mark == mark(3, series=1)


def test_a_meter_that_knows_only_report_all_is_asked_for_all() -> None:
    for code in (2, 3, 4, 5, 9):
        collection = Collection(mark(7))
        assert collection.answer(answered(code)) == REPORT_ALL
        assert collection.answer(answered(code)) is Outcome.REFUSED
        assert collection.mark == mark(7)


def test_half_way_only_records_in_rising_order_are_safe() -> None:
    assert fed(Collection(None), mark(1), mark(2), mark(3)).mark == mark(3)
    assert fed(Collection(None), mark(9), mark(8)).mark is None
    assert fed(Collection(None), mark(9)).mark is None, "one record tells no order"
    assert fed(Collection(mark(4)), mark(4), mark(5)).mark == mark(5)
    assert fed(Collection(mark(4)), mark(5, 1), mark(6, 1)).mark == mark(4), "another series: all has to be asked for"


def test_a_meter_that_gave_up_half_way_is_busy_and_its_mark_stays() -> None:
    collection = fed(Collection(mark(4)), mark(4))
    assert collection.answer(answered(8)) is Outcome.BUSY
    assert collection.mark == mark(4)


def test_an_empty_meter_leaves_the_mark_where_it_was() -> None:
    collection = Collection(mark(4))
    assert collection.answer(answered(NO_RECORDS)) == REPORT_ALL
    assert collection.answer(answered(NO_RECORDS)) is Outcome.COMPLETE
    assert collection.mark == mark(4)


def test_behind_the_last_number_all_is_asked_for_and_no_meter_fills_the_memory() -> None:
    collection = Collection(Mark(0xFFFF, b""))
    assert collection.request == REPORT_ALL
    assert all(collection.record(mark(1)) for _ in range(0x10000))
    assert not collection.record(mark(1))
