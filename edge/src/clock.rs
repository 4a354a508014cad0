//! Time, as the programs see it: tokio's. On a thread that simulates a fleet it is the simulation's instead, which passes
//! only while nothing else is left to do, so that hours take seconds and a run can be repeated.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

thread_local! {
    static SIMULATED: RefCell<Option<SimulatedTime>> = const { RefCell::new(None) };
}

/// Those who wait for a moment, each with a number of its own.
#[derive(Debug)]
struct SimulatedTime {
    now: Instant,
    last_number: u64,
    waiting: BTreeMap<(Instant, u64), Waker>,
}

/// The time that a future had is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// The present moment.
#[must_use]
pub fn now() -> Instant {
    simulated(|time| time.now).unwrap_or_else(|| tokio::time::Instant::now().into_std())
}

/// Waits for so long.
pub async fn sleep(pause: Duration) {
    sleep_until(now() + pause).await;
}

/// Waits for a moment.
pub async fn sleep_until(deadline: Instant) {
    if simulated(|_| ()).is_some() {
        SimulatedSleep { deadline, number: None }.await;
    } else {
        tokio::time::sleep_until(deadline.into()).await;
    }
}

/// The result of `work`, where it comes in time.
///
/// # Errors
/// [`Elapsed`] where it does not.
pub async fn timeout<T>(within: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    tokio::select! {
        biased;
        result = work => Ok(result),
        () = sleep(within) => Err(Elapsed),
    }
}

/// From now on, time on this thread is simulated; it begins now.
pub fn simulate() {
    let time = SimulatedTime { now: Instant::now(), last_number: 0, waiting: BTreeMap::new() };
    SIMULATED.with_borrow_mut(|simulated| *simulated = Some(time));
}

/// Ends [`simulate`].
pub fn stop_simulating() {
    // Dropped outside: those who wait may wait for others.
    drop(SIMULATED.with_borrow_mut(Option::take));
}

/// Goes on to the next moment that somebody waits for, and wakes those who wait for it: to be called when nothing else is
/// left to do. False where nobody waits.
pub fn advance() -> bool {
    let mut woken = Vec::new();
    simulated(|time| {
        let Some(((next, _), _)) = time.waiting.first_key_value() else { return };
        time.now = time.now.max(*next);
        while let Some(first) = time.waiting.first_entry().filter(|first| first.key().0 <= time.now) {
            woken.push(first.remove());
        }
    });
    let any = !woken.is_empty();
    woken.into_iter().for_each(Waker::wake);
    any
}

/// `None` where time is tokio's.
fn simulated<T>(work: impl FnOnce(&mut SimulatedTime) -> T) -> Option<T> {
    // A thread that ends simulates nothing any more.
    SIMULATED.try_with(|simulated| simulated.borrow_mut().as_mut().map(work)).ok().flatten()
}

struct SimulatedSleep {
    deadline: Instant,
    number: Option<u64>,
}

impl Future for SimulatedSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let known = self.number;
        let number = simulated(|time| {
            if time.now >= deadline {
                return None;
            }
            let number = known.unwrap_or(time.last_number + 1);
            time.last_number = time.last_number.max(number);
            time.waiting.insert((deadline, number), context.waker().clone());
            Some(number)
        });
        match number.flatten() {
            Some(number) => {
                self.number = Some(number);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for SimulatedSleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let key = (self.deadline, number);
            drop(simulated(|time| time.waiting.remove(&key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_nothing_is_simulated_time_is_tokios() {
        let begun = now();
        sleep(Duration::from_millis(2)).await;
        assert!(now() >= begun + Duration::from_millis(2));
        assert_eq!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(timeout(Duration::from_secs(60), async { 7 }).await, Ok(7));
        assert!(!advance());
    }

    #[test]
    fn a_simulated_day_takes_no_time_and_wakes_in_order() {
        simulate();
        let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(|| _ = advance()).build().unwrap();
        let order = runtime.block_on(async {
            let (sender, mut woken) = tokio::sync::mpsc::unbounded_channel();
            let begun = now();
            for hours in [5, 24, 1] {
                let sender = sender.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_secs(hours * 3600)).await;
                    sender.send((hours, (now() - begun).as_secs() / 3600))
                });
            }
            let late = timeout(Duration::from_secs(3 * 3600), std::future::pending::<()>()).await;
            assert_eq!(late, Err(Elapsed));
            drop(sender);
            let mut order = Vec::new();
            while let Some(next) = woken.recv().await {
                order.push(next);
            }
            order
        });
        stop_simulating();
        assert_eq!(order, [(1, 1), (5, 5), (24, 24)]);
    }
}
