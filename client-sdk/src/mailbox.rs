//! A bounded queue with one reader, whose writer never waits: who reads too slowly gets a fresh start instead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Events that may wait for a reader.
pub(crate) const EVENTS_MAX: usize = 1_024;

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<T>,
    reader: Option<Waker>,
    closed: bool,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Outlet<T>(Arc<Mutex<Inner<T>>>);

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Inlet<T>(Arc<Mutex<Inner<T>>>);

pub(crate) fn mailbox<T>() -> (Outlet<T>, Inlet<T>) {
    let inner = Arc::new(Mutex::new(Inner { waiting: VecDeque::new(), reader: None, closed: false }));
    (Outlet(inner.clone()), Inlet(inner))
}

fn locked<T>(inner: &Mutex<Inner<T>>) -> MutexGuard<'_, Inner<T>> {
    // Nothing in here panics half-way.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Outlet<T> {
    /// Adds an item. If the reader is too far behind, everything that waits gives way to what `restart` makes.
    /// False if the reader is gone.
    pub(crate) fn push(&self, item: T, restart: impl FnOnce() -> Vec<T>) -> bool {
        let mut inner = locked(&self.0);
        if inner.closed {
            return false;
        }
        if inner.waiting.len() < EVENTS_MAX {
            inner.waiting.push_back(item);
        } else {
            inner.waiting = restart().into();
        }
        let reader = inner.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
        true
    }

    /// Whether the reader is gone.
    pub(crate) fn is_closed(&self) -> bool {
        locked(&self.0).closed
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        let mut inner = locked(&self.0);
        inner.closed = true;
        let reader = inner.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl<T> Inlet<T> {
    /// The next item; none when the writer is gone and everything was read.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut inner = locked(&self.0);
        match inner.waiting.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if inner.closed => Poll::Ready(None),
            None => {
                inner.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Inlet<T> {
    /// Tells the writer that nobody reads any more.
    pub(crate) fn close(&self) {
        locked(&self.0).closed = true;
    }
}

impl<T> Drop for Inlet<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inlet: &Inlet<usize>) -> Poll<Option<usize>> {
        inlet.poll(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_slow_reader_starts_afresh_and_loses_nothing_after() {
        let (outlet, inlet) = mailbox();
        for item in 0..EVENTS_MAX {
            assert!(outlet.push(item, || panic!("there is room")));
        }
        assert!(outlet.push(7, || vec![1_000_000]));
        assert!(outlet.push(8, || panic!("there is room again")));
        assert_eq!(read(&inlet), Poll::Ready(Some(1_000_000)));
        assert_eq!(read(&inlet), Poll::Ready(Some(8)));
        assert_eq!(read(&inlet), Poll::Pending);
        drop(outlet);
        assert_eq!(read(&inlet), Poll::Ready(None));
    }

    #[test]
    fn a_writer_learns_that_the_reader_is_gone() {
        let (outlet, inlet) = mailbox();
        assert!(!outlet.is_closed());
        drop(inlet);
        assert!(outlet.is_closed());
        assert!(!outlet.push(1, Vec::new));
    }
}
