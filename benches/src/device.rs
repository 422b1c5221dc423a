//! A device that speaks the protocol and keeps nothing: for load, without a device's own disk in the figure.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use lockstep_e2e::raw;
use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::change::{self, ChainHead};
use lockstep_protocol::codec;
use lockstep_protocol::entry::{Entry, EntryBody, PlacedFact};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Enrol, HubFrame, Outcome, Push, PushedFact};
use lockstep_protocol::id::{
    ActorId, ChangeHash, ConversationId, DeviceId, DocumentId, DocumentKind, MemberId, MessageId, Nonce, PublicKey,
};
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// A connected, enrolled device: what writes, and what reads.
pub(crate) struct Device {
    pub(crate) author: Author,
    pub(crate) reader: Reader,
    commands: u64,
}

/// The writing half.
pub(crate) struct Author {
    sink: SplitSink<Socket, Frame>,
    key: PublicKey,
    pub(crate) member: MemberId,
}

/// The reading half.
pub(crate) struct Reader {
    stream: SplitStream<Socket>,
    /// The other half, if nobody else holds it.
    writer: Option<Author>,
    /// Bytes of frames received so far.
    pub(crate) bytes: u64,
}

/// What one device writes into one conversation: chains in its segments, one after another. Nobody else may write
/// there, or the count of messages in a segment would not be its own.
pub(crate) struct Thread {
    conversation: ConversationId,
    chain: Chain,
    /// Messages written so far.
    pub(crate) written: u32,
    /// The newest change of each segment, which is its document's only head.
    pub(crate) heads: BTreeMap<DocumentId, ChangeHash>,
}

struct Chain {
    document: DocumentId,
    actor: ActorId,
    nonce: Nonce,
    head: ChainHead,
}

impl Device {
    /// Enrols with a link, and takes everything that the hub has to say at first.
    pub(crate) async fn enrol(link: &Link) -> anyhow::Result<Self> {
        let address = format!("{}:{}", link.host, link.port);
        let tls = raw::tls(&address).await;
        let (socket, _) = client_async_with_config(format!("wss://{address}/v1/sync"), tls, None).await?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let key = DeviceKey::new(&secret);
        let (sink, stream) = socket.split();
        let author = Author { sink, key: key.public(), member: MemberId::HUB };
        let mut device = Self { author, reader: Reader { stream, writer: None, bytes: 0 }, commands: 0 };
        let HubFrame::Challenge { nonce, hub } = device.reader.next().await? else { bail!("no challenge") };
        let version = limits::PROTOCOL_VERSION;
        let id = DeviceId::of(&device.author.key);
        let transcript = Transcript { hub, pinned: link.pinned, nonce, device: id, version };
        let proof = transcript.sign_enrol(&key, &link.code);
        let enrol = Enrol { version, code: link.code, key: device.author.key, name: "load".into(), proof };
        device.author.send(&DeviceFrame::Enrol(enrol)).await?;
        loop {
            match device.reader.next().await? {
                HubFrame::Welcome(welcome) => device.author.member = welcome.member,
                HubFrame::Catalogue(page) if page.end.is_some() => return Ok(device),
                HubFrame::Refusal { refusal, .. } => bail!("refused: {}", refusal.message),
                _ => {}
            }
        }
    }

    /// Put together again.
    pub(crate) const fn of(author: Author, reader: Reader) -> Self {
        Self { author, reader, commands: 0 }
    }

    /// Only reads from now on; it stays connected.
    pub(crate) fn into_reader(self) -> Reader {
        Reader { writer: Some(self.author), ..self.reader }
    }

    /// Runs a command and answers its outcome; what else comes meanwhile is dropped.
    pub(crate) async fn command(&mut self, command: Command) -> anyhow::Result<Outcome> {
        self.commands += 1;
        // Apart from the tags of pushes.
        let tag = (1 << 62) + self.commands;
        self.author.send(&DeviceFrame::Command { tag, command }).await?;
        loop {
            if let HubFrame::Ack { tag: of, mut results, .. } = self.reader.next().await?
                && of == tag
            {
                return match results.pop() {
                    Some(Outcome::Refused(refusal)) => bail!("refused: {}", refusal.message),
                    outcome => outcome.context("an outcome"),
                };
            }
        }
    }
}

impl Thread {
    /// The actor of its chain in the segment under way.
    pub(crate) const fn actor(&self) -> ActorId {
        self.chain.actor
    }
}

impl Author {
    /// Begins to write into a conversation that is empty.
    pub(crate) fn thread(&self, conversation: ConversationId) -> anyhow::Result<Thread> {
        let chain = self.chain(DocumentId::segment(conversation, 0))?;
        Ok(Thread { conversation, chain, written: 0, heads: BTreeMap::new() })
    }

    fn chain(&self, document: DocumentId) -> anyhow::Result<Chain> {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce.0)?;
        let actor = ActorId::derive(&self.key, &nonce, document);
        Ok(Chain { document, actor, nonce, head: ChainHead::empty(DocumentKind::Segment) })
    }

    /// Pushes notes in as many frames as segments want; answers how many frames, each with an Ack of its own.
    pub(crate) async fn notes(&mut self, thread: &mut Thread, bodies: Vec<String>) -> anyhow::Result<usize> {
        let at_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let mut bodies = bodies.into_iter();
        let mut frames = 0;
        while bodies.len() > 0 {
            let segment = thread.written / limits::SEGMENT_OPEN_MESSAGES;
            if segment != thread.chain.document.number {
                thread.chain = self.chain(DocumentId::segment(thread.conversation, segment))?;
            }
            let room = (limits::SEGMENT_OPEN_MESSAGES * (segment + 1) - thread.written) as usize;
            let chain = &mut thread.chain;
            let (first, tag) = (chain.head.seq + 1, u64::from(thread.written));
            let mut facts = Vec::new();
            for body in bodies.by_ref().take(room.min(limits::PUSH_FACTS_MAX)) {
                thread.written += 1;
                let id = MessageId::from_parts(at_ms, u128::from(thread.written));
                let (by, dir, kind) = (self.member, Direction::Note, "text".into());
                let fact =
                    Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media: None, src: None });
                chain.head = change::derive(&chain.actor, &chain.head, &fact);
                facts.push(PushedFact { hash: chain.head.hash.prefix(), fact });
            }
            thread.heads.insert(chain.document, chain.head.hash);
            let nonce = (first == 1).then_some(chain.nonce);
            let push = Push { tag, document: chain.document, actor: chain.actor, nonce, seq: first, facts };
            self.send(&DeviceFrame::Push(push)).await?;
            frames += 1;
        }
        Ok(frames)
    }

    /// Says goodbye.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        Ok(self.sink.close().await?)
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &DeviceFrame) -> anyhow::Result<()> {
        Ok(self.sink.send(Frame::binary(codec::encode(frame))).await?)
    }
}

impl Reader {
    /// The next frame.
    pub(crate) async fn next(&mut self) -> anyhow::Result<HubFrame> {
        loop {
            match self.stream.next().await.context("the hub closed the connection")?? {
                Frame::Binary(bytes) => {
                    self.bytes += bytes.len() as u64;
                    if let Some(frame) = codec::decode_hub(&bytes)? {
                        return Ok(frame);
                    }
                }
                Frame::Close(_) => bail!("the hub closed the connection"),
                _ => {}
            }
        }
    }

    /// Waits until `count` facts are acknowledged as placed.
    pub(crate) async fn acknowledged(&mut self, count: usize) -> anyhow::Result<()> {
        let mut acknowledged = 0;
        while acknowledged < count {
            if let HubFrame::Ack { results, .. } = self.next().await? {
                acknowledged += placed(&results)?;
            }
        }
        Ok(())
    }
}

/// How many facts an Ack placed.
///
/// # Errors
/// If one was refused: then the load is wrong.
pub(crate) fn placed(results: &[Outcome]) -> anyhow::Result<usize> {
    let wrong = results.iter().find(|outcome| !matches!(outcome, Outcome::Placed { .. }));
    match wrong {
        Some(Outcome::Refused(refusal)) => bail!("a push was refused: {}", refusal.message),
        Some(other) => bail!("a push was not placed: {other:?}"),
        None => Ok(results.len()),
    }
}

/// The facts of a frame of the hub, in order.
pub(crate) fn facts(frame: &HubFrame) -> anyhow::Result<Vec<PlacedFact>> {
    let HubFrame::Entries(entries) = frame else { return Ok(Vec::new()) };
    let mut facts = Vec::with_capacity(entries.entries.len());
    for bytes in &entries.entries {
        if let EntryBody::Fact(placed) = Entry::from_bytes(&bytes.0).context("an entry")?.body {
            facts.push(placed);
        }
    }
    Ok(facts)
}
