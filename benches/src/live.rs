//! One round of live messages: authors write at fixed times, everyone else must get every message, once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::{join_all, try_join};
use lockstep_protocol::frame::HubFrame;

use crate::PATIENCE;
use crate::device::{Author, Device, Reader, Thread, facts, message_number, placed};
use crate::load::Load;

/// Bytes of a body: a usual chat message.
pub(crate) const BODY_BYTES: usize = 80;

/// Authors with what they write, and those who only read.
pub(crate) struct Room {
    pub(crate) authors: Vec<Device>,
    pub(crate) readers: Vec<Reader>,
}

/// What a reader still expects: by author's salt, the author's place and how many of its messages came.
#[derive(Clone)]
struct Expected {
    authors: BTreeMap<u32, (usize, u32)>,
    begun: BTreeMap<u32, u32>,
}

impl Room {
    /// Everyone reads and forgets what comes until something else is done.
    pub(crate) async fn reading<T>(&mut self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let authors = self.authors.iter_mut().map(|device| &mut device.reader);
        let forget = authors.chain(&mut self.readers).map(async |reader: &mut Reader| -> anyhow::Result<()> {
            loop {
                reader.next().await?;
            }
        });
        let forget: Vec<_> = forget.collect();
        tokio::select! {
            done = work => done,
            ended = futures_util::future::try_join_all(forget) => {
                ended?;
                anyhow::bail!("a device was closed")
            }
        }
    }

    /// Authors write in turn, each into its own thread; answers when each message was everywhere.
    ///
    /// # Errors
    /// If a message does not come in time, comes twice, or out of its author's order.
    pub(crate) async fn round(
        &mut self,
        threads: &mut [Thread],
        load: Load,
    ) -> anyhow::Result<(Instant, Vec<Instant>)> {
        let authors = threads.len();
        let begun: BTreeMap<u32, u32> =
            self.authors.iter().zip(&*threads).map(|(device, thread)| (device.author.salt(), thread.written)).collect();
        let places = self.authors.iter().take(authors).enumerate();
        let places = places.map(|(at, device)| (device.author.salt(), (at, 0))).collect();
        let expected = Expected { authors: places, begun };
        let begin = Instant::now() + Duration::from_millis(50);
        let mut writing: Vec<&mut Author> = Vec::new();
        let mut reading = Vec::new();
        for (at, device) in self.authors.iter_mut().enumerate() {
            let Device { author, reader, .. } = device;
            let own = if at < authors { (load.messages + authors - 1 - at) / authors } else { 0 };
            writing.push(author);
            reading.push(arrivals(reader, expected.clone(), own, load.messages));
        }
        reading.extend(self.readers.iter_mut().map(|reader| arrivals(reader, expected.clone(), 0, load.messages)));
        let write = async {
            let mut ticks = load.ticks(begin);
            while let Some(number) = ticks.recv().await {
                let at = number % authors;
                writing[at].notes(&mut threads[at], vec!["x".repeat(BODY_BYTES)]).await?;
            }
            Ok(())
        };
        let read = async { join_all(reading).await.into_iter().collect::<anyhow::Result<Vec<_>>>() };
        let both = tokio::time::timeout(PATIENCE, try_join(write, read)).await;
        let ((), arrived) = both.context("a message did not arrive")??;
        let mut last = vec![begin; load.messages];
        for (number, at) in arrived.into_iter().flatten() {
            last[number] = last[number].max(at);
        }
        Ok((begin, last))
    }
}

/// Reads until all messages of others have come and all `own` ones are acknowledged; answers when each came.
async fn arrivals(
    reader: &mut Reader,
    mut expected: Expected,
    own: usize,
    messages: usize,
) -> anyhow::Result<Vec<(usize, Instant)>> {
    let (mut arrived, mut acknowledged) = (Vec::with_capacity(messages), 0);
    let authors = expected.authors.len();
    while arrived.len() + own < messages || acknowledged < own {
        let frame = reader.next().await?;
        let now = Instant::now();
        if let HubFrame::Ack { results, .. } = &frame {
            acknowledged += placed(results)?;
        }
        for fact in facts(&frame)? {
            let Some((salt, number)) = message_number(&fact) else { continue };
            let (Some((at, came)), Some(begun)) = (expected.authors.get_mut(&salt), expected.begun.get(&salt)) else {
                continue;
            };
            anyhow::ensure!(number == *begun + *came + 1, "lost, doubled or out of order");
            arrived.push((*at + *came as usize * authors, now));
            *came += 1;
        }
    }
    Ok(arrived)
}
