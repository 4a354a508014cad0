"""How batches are cut into the bundles of a stream."""

from __future__ import annotations

import pyarrow as pa

from udfleet.streams import BUNDLE_BYTES, _pieces


def test_pieces_have_their_rows_in_order_and_no_more_bytes_than_a_bundle() -> None:
    texts = ["small"] * 5_000
    for row in range(6):
        texts[row * 800] = "x" * (3 << 20)
    texts[4_999] = "y" * (BUNDLE_BYTES + 1)
    batch = pa.record_batch({"text": texts})
    pieces = list(_pieces(batch, 2_000))
    assert [text for piece in pieces for text in piece.column("text").to_pylist()] == texts
    for piece in pieces:
        assert piece.num_rows <= 2_000
        assert piece.nbytes <= BUNDLE_BYTES or piece.num_rows == 1
    assert [piece.num_rows for piece in _pieces(pa.record_batch({"n": [1, 2, 3]}), 2)] == [2, 1]
