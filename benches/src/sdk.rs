//! A real device in a process of its own: this program with a hidden verb. It carries out one order a line, and answers
//! each with a line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Args;
use futures_util::future::try_join_all;
use lockstep_client::{ConversationId, Device, Link, View, ViewEvent};
use lockstep_protocol::id::{ChangeHash, DocumentId, DocumentKind, Lsn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::machine::{self, LOAD_CORE};

#[derive(Args)]
pub(crate) struct Sdk {
    /// The device's folder
    #[arg(long)]
    home: PathBuf,
}

/// What a device is to do. The answers' types stand beside.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Enrols it: milliseconds.
    Enrol { link: String },
    /// Opens it: milliseconds.
    Open,
    /// Waits until it holds everything: milliseconds since it was to be enrolled or opened.
    Synced,
    /// Waits until it has taken the entry with this LSN, durably: milliseconds since then.
    Reached { lsn: u64 },
    /// Waits until so many newest chats show so many newest messages each: [`Readable`].
    Readable { chats: usize, messages: usize },
    /// Opens a view: milliseconds until it was there, and messages that it shows.
    View { conversation: [u8; 16] },
    /// Waits until the open view has so many messages more: when each came, microseconds since 1970.
    Arrivals { count: usize },
    /// Closes the open view: milliseconds until everything is durable.
    Unview,
    /// Every segment with its heads.
    Heads,
    /// What the process takes.
    Usage,
    /// Ends it: milliseconds.
    Close,
}

/// When a new device could show what, milliseconds since it was to be enrolled.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Readable {
    /// The hub let it in.
    pub(crate) enrolled: f64,
    /// The list of chats.
    pub(crate) listed: f64,
    /// The newest messages of the first chat.
    pub(crate) first: f64,
    /// Those of all.
    pub(crate) all: f64,
}

/// What a device's process takes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time since it began, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Resident memory now, bytes.
    pub(crate) resident_bytes: u64,
    /// The most that it ever was.
    pub(crate) peak_bytes: u64,
}

/// Segments by conversation and number, each with its heads in hex.
pub(crate) type Heads = BTreeMap<String, Vec<String>>;

/// What a device that holds these segments has, one head each.
pub(crate) fn expected(heads: &BTreeMap<DocumentId, ChangeHash>) -> Heads {
    let named = heads
        .iter()
        .map(|(document, head)| (segment_name(document.conversation, document.number), vec![head.to_string()]));
    named.collect()
}

/// How a segment is called in [`Heads`].
pub(crate) fn segment_name(conversation: ConversationId, number: u32) -> String {
    format!("{conversation}/{number}")
}

/// The process of a device. Dropped, it is killed.
pub(crate) struct SdkDevice {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl SdkDevice {
    /// Starts the process on the core for load; the device is still to be enrolled or opened.
    pub(crate) fn start(home: &Path) -> anyhow::Result<Self> {
        let device = Self::start_anywhere(home)?;
        machine::pin(device.process.id(), LOAD_CORE)?;
        Ok(device)
    }

    /// Starts the process on whatever core is free.
    pub(crate) fn start_anywhere(home: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("sdk").arg("--home").arg(home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        machine::unpin(process.id())?;
        let orders = process.stdin.take().context("a pipe")?;
        let answers = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Self { process, orders, answers })
    }

    /// Enrols the device; milliseconds.
    pub(crate) fn enrol(&mut self, link: &Link) -> anyhow::Result<f64> {
        self.ask(&Order::Enrol { link: link.to_string() })
    }

    /// Opens the device; milliseconds.
    pub(crate) fn open(&mut self) -> anyhow::Result<f64> {
        self.ask(&Order::Open)
    }

    /// Waits until the device holds everything; milliseconds since it was to be enrolled or opened.
    pub(crate) fn synced(&mut self) -> anyhow::Result<f64> {
        self.ask(&Order::Synced)
    }

    /// Waits until it holds the message with this LSN, the newest; milliseconds since it was to be enrolled or opened.
    pub(crate) fn reached(&mut self, lsn: Lsn) -> anyhow::Result<f64> {
        self.ask(&Order::Reached { lsn: lsn.0 })
    }

    /// Waits until so many newest chats show so many newest messages each.
    pub(crate) fn readable(&mut self, chats: usize, messages: usize) -> anyhow::Result<Readable> {
        self.ask(&Order::Readable { chats, messages })
    }

    /// Opens a view: milliseconds until it was there, and messages that it shows.
    pub(crate) fn view(&mut self, conversation: ConversationId) -> anyhow::Result<(f64, usize)> {
        self.ask(&Order::View { conversation: conversation.0 })
    }

    /// Closes the view.
    pub(crate) fn unview(&mut self) -> anyhow::Result<f64> {
        self.ask(&Order::Unview)
    }

    /// Has the process wait for so many messages in the open view; [`SdkDevice::arrived`] answers.
    pub(crate) fn expect(&mut self, count: usize) -> anyhow::Result<()> {
        self.say(&Order::Arrivals { count })
    }

    /// When each message came that was expected, microseconds since 1970.
    pub(crate) fn arrived(&mut self) -> anyhow::Result<Vec<u64>> {
        self.hear()
    }

    /// Every segment that it holds, with its heads.
    pub(crate) fn heads(&mut self) -> anyhow::Result<Heads> {
        self.ask(&Order::Heads)
    }

    /// What the process takes.
    pub(crate) fn usage(&mut self) -> anyhow::Result<Usage> {
        self.ask(&Order::Usage)
    }

    /// Ends the device, and then its process; milliseconds.
    pub(crate) fn close(mut self) -> anyhow::Result<f64> {
        self.ask(&Order::Close)
    }

    fn ask<T: DeserializeOwned>(&mut self, order: &Order) -> anyhow::Result<T> {
        self.say(order)?;
        self.hear()
    }

    fn say(&mut self, order: &Order) -> anyhow::Result<()> {
        Ok(writeln!(self.orders, "{}", serde_json::to_string(order)?)?)
    }

    fn hear<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("a device's process ended: its words stand above");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for SdkDevice {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The process: carries out orders until there are no more.
pub(crate) fn run(sdk: &Sdk) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut running = Running { home: sdk.home.clone(), device: None, view: None, begin: Instant::now() };
    for line in std::io::stdin().lock().lines() {
        let answer = runtime.block_on(running.carry_out(serde_json::from_str(&line?)?))?;
        println!("{answer}");
    }
    Ok(())
}

struct Running {
    home: PathBuf,
    device: Option<Device>,
    view: Option<View>,
    /// When it was to be enrolled or opened.
    begin: Instant,
}

impl Running {
    async fn carry_out(&mut self, order: Order) -> anyhow::Result<String> {
        let asked = Instant::now();
        let answer = match order {
            Order::Enrol { link } => {
                self.begin = asked;
                self.device = Some(Device::enrol(&self.home, &link.parse()?, "bench").await?);
                serde_json::to_string(&millis(asked.elapsed()))
            }
            Order::Open => {
                self.begin = asked;
                self.device = Some(Device::open(&self.home).await?);
                serde_json::to_string(&millis(asked.elapsed()))
            }
            Order::Synced => {
                self.device()?.synced().await?;
                serde_json::to_string(&millis(self.begin.elapsed()))
            }
            Order::Reached { lsn } => {
                let mut list = self.device()?.watch_conversations();
                let mut known = list.current();
                while known.first().is_none_or(|newest| newest.newest < Lsn(lsn)) {
                    known = list.changed().await.context("the device was closed")?;
                }
                self.device()?.synced().await?;
                serde_json::to_string(&millis(self.begin.elapsed()))
            }
            Order::Readable { chats, messages } => {
                let enrolled = millis(asked.duration_since(self.begin));
                let readable = readable(self.device()?, self.begin, chats, messages).await?;
                serde_json::to_string(&Readable { enrolled, ..readable })
            }
            Order::View { conversation } => {
                let view = self.device()?.open_conversation(ConversationId(conversation)).await?;
                let took = millis(asked.elapsed());
                let shown = view.messages().len();
                self.view = Some(view);
                serde_json::to_string(&(took, shown))
            }
            Order::Arrivals { count } => {
                let view = self.view.as_mut().context("no view")?;
                serde_json::to_string(&arrivals(view, count).await?)
            }
            Order::Unview => {
                self.view = None;
                self.device()?.synced().await?;
                serde_json::to_string(&millis(asked.elapsed()))
            }
            Order::Heads => serde_json::to_string(&heads(self.device()?).await?),
            Order::Usage => serde_json::to_string(&usage()?),
            Order::Close => {
                self.view = None;
                self.device()?.close().await;
                serde_json::to_string(&millis(asked.elapsed()))
            }
        };
        Ok(answer?)
    }

    fn device(&self) -> anyhow::Result<&Device> {
        self.device.as_ref().context("neither enrolled nor opened")
    }
}

/// Opens the newest chats at once, as a list of chats with previews does, and waits until each shows enough.
async fn readable(device: &Device, begin: Instant, chats: usize, messages: usize) -> anyhow::Result<Readable> {
    let mut list = device.watch_conversations();
    let mut newest = list.current();
    while newest.len() < chats {
        newest = list.changed().await.context("the device was closed")?;
    }
    let listed = millis(begin.elapsed());
    let each = newest[..chats].iter().map(async |chat| {
        newest_messages(device, chat.id, messages).await?;
        anyhow::Ok(millis(begin.elapsed()))
    });
    let readable = try_join_all(each).await?;
    let over = |fold: fn(f64, f64) -> f64| readable.iter().copied().reduce(fold).context("a chat");
    Ok(Readable { enrolled: 0.0, listed, first: over(f64::min)?, all: over(f64::max)? })
}

async fn newest_messages(device: &Device, chat: ConversationId, messages: usize) -> anyhow::Result<()> {
    let mut view = device.open_conversation(chat).await?;
    let mut older = false;
    while view.messages().len() < messages {
        if !older && !view.messages().is_empty() {
            device.show_older(chat).await?;
            older = true;
        }
        view.next().await.context("a view was closed")?;
    }
    Ok(())
}

async fn arrivals(view: &mut View, count: usize) -> anyhow::Result<Vec<u64>> {
    let mut arrived = Vec::with_capacity(count);
    while arrived.len() < count {
        match view.next().await.context("the view was closed")? {
            ViewEvent::Inserted { at, .. } => {
                anyhow::ensure!(at + 1 == view.messages().len(), "a message came out of order");
                arrived.push(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?);
            }
            ViewEvent::Reset(_) => bail!("the view was too slow"),
            _ => {}
        }
    }
    Ok(arrived)
}

async fn heads(device: &Device) -> anyhow::Result<Heads> {
    let mut heads = Heads::new();
    for conversation in device.conversations().iter() {
        for exported in device.export(conversation.id).await? {
            if exported.document.kind == DocumentKind::Segment {
                let name = segment_name(conversation.id, exported.document.number);
                heads.insert(name, exported.heads.iter().map(ToString::to_string).collect());
            }
        }
    }
    Ok(heads)
}

fn usage() -> anyhow::Result<Usage> {
    let mut cpu_ns = 0;
    for task in fs::read_dir("/proc/self/task")? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        cpu_ns += text.split(' ').next().context("a schedstat line")?.parse::<u64>()?;
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let bytes = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a status line")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    };
    Ok(Usage { cpu_ns, resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
