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
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::entry::{Entry, EntryBody, PlacedFact};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Enrol, Hello, HubFrame, Outcome, Push, PushedFact};
use lockstep_protocol::id::{
    ActorId, ChangeHash, ConversationId, DeviceId, DocumentId, DocumentKind, MemberId, MessageId, Nonce, PinnedKeyHash,
    PublicKey,
};
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

type Socket = WebSocketStream<Box<dyn Stream>>;

/// What a WebSocket runs over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How a device reaches the hub.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Tls,
    /// As a proxy of the hub's machine does.
    Plain,
}

/// A connected, enrolled device: what writes, and what reads.
pub(crate) struct Device {
    pub(crate) author: Author,
    pub(crate) reader: Reader,
    pub(crate) identity: Identity,
    commands: u64,
}

/// Who a device is, and up to where it holds everything.
pub(crate) struct Identity {
    secret: [u8; 32],
    pinned: PinnedKeyHash,
    cursor: Option<Cursor>,
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
    /// The other half, if nobody else holds it: without it the socket would close.
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
    /// Ids are as an app makes them, so that what stores them cannot gain by their order. Else they tell author and
    /// number, see [`message_number`].
    pub(crate) random_ids: bool,
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
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let address = format!("{}:{}", link.host, link.port);
        let (mut device, transcript) = Self::connect(&address, Way::Tls, secret, link.pinned).await?;
        let proof = transcript.sign_enrol(&DeviceKey::new(&secret), &link.code);
        let (version, key) = (limits::PROTOCOL_VERSION, device.author.key);
        let enrol = Enrol { version, code: link.code, key, name: "load".into(), proof };
        device.author.send(&DeviceFrame::Enrol(enrol)).await?;
        device.catalogue().await?;
        Ok(device)
    }

    /// Connects again and takes what the hub has to say at first.
    pub(crate) async fn open(address: &str, way: Way, identity: &Identity) -> anyhow::Result<Self> {
        let mut device = Self::hello(address, way, identity, None).await?;
        device.catalogue().await?;
        Ok(device)
    }

    /// Reads the catalogue to its end.
    async fn catalogue(&mut self) -> anyhow::Result<()> {
        loop {
            match self.reader.next().await? {
                HubFrame::Welcome(welcome) => self.author.member = welcome.member,
                HubFrame::Catalogue(page) => {
                    if let Some(end) = page.end {
                        self.identity.cursor = Some(end);
                        return Ok(());
                    }
                }
                HubFrame::Refusal { refusal, .. } => bail!("refused: {}", refusal.message),
                _ => {}
            }
        }
    }

    async fn connect(
        address: &str,
        way: Way,
        secret: [u8; 32],
        pinned: PinnedKeyHash,
    ) -> anyhow::Result<(Self, Transcript)> {
        let (scheme, stream): (_, Box<dyn Stream>) = match way {
            Way::Tls => ("wss", Box::new(raw::tls(address).await)),
            Way::Plain => ("ws", Box::new(TcpStream::connect(address).await?)),
        };
        let (socket, _) = client_async_with_config(format!("{scheme}://{address}/v1/sync"), stream, None).await?;
        let (sink, stream) = socket.split();
        let author = Author { sink, key: DeviceKey::new(&secret).public(), member: MemberId::HUB };
        let identity = Identity { secret, pinned, cursor: None };
        let mut device = Self { author, reader: Reader { stream, writer: None, bytes: 0 }, identity, commands: 0 };
        let HubFrame::Challenge { nonce, hub } = device.reader.next().await? else { bail!("no challenge") };
        let (version, id) = (limits::PROTOCOL_VERSION, DeviceId::of(&device.author.key));
        Ok((device, Transcript { hub, pinned, nonce, device: id, version }))
    }

    /// Connects again and waits until the first facts that it has missed are there.
    pub(crate) async fn sync(address: &str, identity: &Identity) -> anyhow::Result<()> {
        let mut device = Self::hello(address, Way::Tls, identity, identity.cursor).await?;
        loop {
            let frame = device.reader.next().await?;
            match &frame {
                HubFrame::Refusal { refusal, .. } => bail!("refused: {}", refusal.message),
                frame if !facts(frame)?.is_empty() => return Ok(()),
                _ => {}
            }
        }
    }

    async fn hello(address: &str, way: Way, identity: &Identity, cursor: Option<Cursor>) -> anyhow::Result<Self> {
        let (mut device, transcript) = Self::connect(address, way, identity.secret, identity.pinned).await?;
        let proof = transcript.sign_hello(&DeviceKey::new(&identity.secret));
        let (version, id) = (limits::PROTOCOL_VERSION, DeviceId::of(&device.author.key));
        let hello = Hello { version, device: id, proof, cursor, witness: None, capabilities: 0 };
        device.author.send(&DeviceFrame::Hello(hello)).await?;
        Ok(device)
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

impl Author {
    /// Tells its messages from those of others.
    pub(crate) fn salt(&self) -> u32 {
        let mut salt = [0; 4];
        salt.copy_from_slice(&self.key.0[..4]);
        u32::from_be_bytes(salt)
    }

    /// Begins to write into a conversation that is empty.
    pub(crate) fn thread(&self, conversation: ConversationId) -> anyhow::Result<Thread> {
        let chain = self.chain(DocumentId::segment(conversation, 0))?;
        Ok(Thread { conversation, chain, written: 0, random_ids: false, heads: BTreeMap::new() })
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
                let random = match thread.random_ids {
                    true => fastrand::u128(..) >> 48,
                    false => (u128::from(self.salt()) << 32) | u128::from(thread.written),
                };
                let id = MessageId::from_parts(at_ms, random);
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

    /// Asks the hub for a sign of life.
    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        self.send(&DeviceFrame::Ping {}).await
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &DeviceFrame) -> anyhow::Result<()> {
        Ok(self.sink.send(Frame::binary(codec::encode(frame))).await?)
    }
}

impl Reader {
    /// Says that it is still there, if it has the writing half: the hub ends what is silent for too long.
    pub(crate) async fn stay(&mut self) -> anyhow::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.ping().await,
            None => Ok(()),
        }
    }

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

    /// Waits until so many facts are placed.
    pub(crate) async fn all_acknowledged(&mut self, count: usize) -> anyhow::Result<()> {
        let mut acknowledged = 0;
        while acknowledged < count {
            acknowledged += self.acknowledged().await?;
        }
        Ok(())
    }

    /// Waits for the hub's sign of life; what else comes meanwhile is dropped.
    pub(crate) async fn pong(&mut self) -> anyhow::Result<()> {
        while self.next().await? != (HubFrame::Pong {}) {}
        Ok(())
    }

    /// Waits for one Ack and answers how many facts it placed; what else comes meanwhile is dropped.
    pub(crate) async fn acknowledged(&mut self) -> anyhow::Result<usize> {
        loop {
            if let HubFrame::Ack { results, .. } = self.next().await? {
                return placed(&results);
            }
        }
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

/// The salt of a message's author and its number in its thread, from one; none for what is no message.
pub(crate) fn message_number(fact: &PlacedFact) -> Option<(u32, u32)> {
    let Fact::Message(message) = &fact.fact else { return None };
    let (salt, number) = message.id.0[8..].split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*salt), u32::from_be_bytes(number.try_into().ok()?)))
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
