"""The table says of each row what came of it, where, and whether it holds."""

from bypass.model import Arrival, Judged, Layer, Row, Seen, judge
from bypass.report import document, table

ROW = Row("tcp-443", "connect", "ways.tcp", layers=(Layer.FENCE,))
LEAK = Arrival(1.0, "tcp", "203.0.113.20", 443)


def judged(seen: Seen) -> Judged:
    return judge(ROW, seen, reachable=True)


def test_row_that_holds_shows_who_refused() -> None:
    (row,) = document([judged(Seen("tcp-443", "refused", "fence", "EHOSTUNREACH", 1.0, 1.5))])
    assert (row["outcome"], row["where"], row["verdict"]) == ("refused", "fence", "held")
    assert row["milliseconds"] == 500


def test_row_that_leaks_shows_what_arrived() -> None:
    breach = judged(Seen("tcp-443", "refused", "fence", arrivals=(LEAK,)))
    (row,) = document([breach])
    assert (row["outcome"], row["verdict"]) == ("allowed", "breached")
    assert "✗  tcp-443" in table([breach])
    assert "BREACHED tcp 203.0.113.20:443" in table([breach])


def test_table_counts_the_rows_that_hold() -> None:
    good = judged(Seen("tcp-443", "refused", "fence"))
    bad = judged(Seen("tcp-443", "through"))
    assert table([good, bad]).endswith("1 of 2 rows hold\n")
