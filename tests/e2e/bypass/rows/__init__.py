"""The table: every attempt, who refuses it, and how it is known that it would get through. Data."""

from bypass.rows import addresses, inside, outward, requests, targets, tunnels

ROWS = (
    *outward.ROWS,
    *addresses.ROWS,
    *inside.ROWS,
    *targets.ROWS,
    *requests.ROWS,
    *tunnels.ROWS,
)
"""In the order in which they run; those that wait or make trouble come last in their part."""
