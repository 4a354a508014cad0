//! Cuts lists of any length into messages of bounded size.

use std::iter::Peekable;

use prost::Message;

/// What one message of a list holds, bytes: far below [`MAX_CONTROL_BYTES`](crate::limits::MAX_CONTROL_BYTES), and within
/// what gRPC libraries take unless told otherwise.
pub const RUN_BYTES: usize = 2 << 20;

/// Cuts a list into runs of at most [`RUN_BYTES`], in order; an item that is larger is a run by itself.
pub fn runs<I>(items: I) -> Runs<I::IntoIter>
where
    I: IntoIterator,
    I::Item: Message,
{
    Runs { items: items.into_iter().peekable() }
}

/// See [`runs`].
pub struct Runs<I: Iterator> {
    items: Peekable<I>,
}

impl<I: Iterator> Runs<I> {
    /// True once everything has been given.
    pub fn at_end(&mut self) -> bool {
        self.items.peek().is_none()
    }
}

impl<I> Iterator for Runs<I>
where
    I: Iterator,
    I::Item: Message,
{
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut run, mut used) = (Vec::new(), 0);
        // Each item has a tag and a length around it.
        while let Some(item) = self.items.next_if(|item| used == 0 || used + item.encoded_len() + 8 <= RUN_BYTES) {
            used += item.encoded_len() + 8;
            run.push(item);
        }
        (!run.is_empty()).then_some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_in_order_and_in_bounds() {
        let items: Vec<String> =
            (0..50).map(|n| n.to_string().repeat(if n == 7 { RUN_BYTES } else { 100_000 })).collect();
        let all: Vec<Vec<String>> = runs(items.clone()).collect();
        assert!(all.len() > 3);
        for run in &all {
            let bytes: usize = run.iter().map(|item| item.encoded_len()).sum();
            assert!(bytes <= RUN_BYTES || run.len() == 1);
        }
        assert_eq!(all.concat(), items);
        assert_eq!(runs(Vec::<String>::new()).count(), 0);
    }
}
