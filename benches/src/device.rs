//! A device that speaks the protocol and keeps nothing: for load, without a device's own disk in the figure.

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use lockstep_e2e::raw;
use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::change::{self, ChainHead};
use lockstep_protocol::codec;
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{DeviceFrame, Enrol, HubFrame, Outcome, Push, PushedFact};
use lockstep_protocol::id::{
    ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, MemberId, MessageId, Nonce, PublicKey,
};
use lockstep_protocol::limits;
use lockstep_protocol::link::Link;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// A connected, enrolled device.
pub(crate) struct Device {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    key: PublicKey,
    member: MemberId,
}

/// One chain of a device in a document, growing.
pub(crate) struct Chain {
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
        let mut device = Self { socket, key: key.public(), member: MemberId::HUB };
        let HubFrame::Challenge { nonce, hub } = device.next().await? else { bail!("no challenge") };
        let version = limits::PROTOCOL_VERSION;
        let transcript = Transcript { hub, pinned: link.pinned, nonce, device: DeviceId::of(&device.key), version };
        let proof = transcript.sign_enrol(&key, &link.code);
        let enrol = Enrol { version, code: link.code, key: device.key, name: "load".into(), proof };
        device.send(&DeviceFrame::Enrol(enrol)).await?;
        loop {
            match device.next().await? {
                HubFrame::Welcome(welcome) => device.member = welcome.member,
                HubFrame::Catalogue(page) if page.end.is_some() => return Ok(device),
                HubFrame::Refusal { refusal, .. } => bail!("refused: {}", refusal.message),
                _ => {}
            }
        }
    }

    /// Begins a chain in a conversation's first segment.
    pub(crate) fn chain(&self, conversation: ConversationId) -> anyhow::Result<Chain> {
        let document = DocumentId::segment(conversation, 0);
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce.0)?;
        let actor = ActorId::derive(&self.key, &nonce, document);
        Ok(Chain { document, actor, nonce, head: ChainHead::empty(DocumentKind::Segment) })
    }

    /// Pushes one note; answers its id.
    pub(crate) async fn note(&mut self, chain: &mut Chain, at_ms: u64, body: String) -> anyhow::Result<MessageId> {
        let id = MessageId::from_parts(at_ms, u128::from(chain.head.seq) + 1);
        let fact = Fact::Message(Message {
            id,
            by: self.member,
            dir: Direction::Note,
            kind: "text".into(),
            body,
            seen: None,
            re: None,
            media: None,
            src: None,
        });
        let head = change::derive(&chain.actor, &chain.head, &fact);
        let nonce = (head.seq == 1).then_some(chain.nonce);
        let facts = vec![PushedFact { hash: head.hash.prefix(), fact }];
        chain.head = head;
        let tag = u64::from(head.seq);
        let push = Push { tag, document: chain.document, actor: chain.actor, nonce, seq: head.seq, facts };
        self.send(&DeviceFrame::Push(push)).await?;
        Ok(id)
    }

    /// Waits until `count` pushes are acknowledged.
    pub(crate) async fn acknowledged(&mut self, count: usize) -> anyhow::Result<()> {
        let mut acknowledged = 0;
        while acknowledged < count {
            if let HubFrame::Ack { results, .. } = self.next().await? {
                for outcome in results {
                    match outcome {
                        Outcome::Placed { .. } => acknowledged += 1,
                        other => bail!("a push was not taken: {other:?}"),
                    }
                }
            }
        }
        Ok(())
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> anyhow::Result<HubFrame> {
        loop {
            match self.socket.next().await.context("the hub closed the connection")?? {
                Frame::Binary(bytes) => {
                    if let Some(frame) = codec::decode_hub(&bytes)? {
                        return Ok(frame);
                    }
                }
                Frame::Close(_) => bail!("the hub closed the connection"),
                _ => {}
            }
        }
    }

    async fn send(&mut self, frame: &DeviceFrame) -> anyhow::Result<()> {
        Ok(self.socket.send(Frame::binary(codec::encode(frame))).await?)
    }
}
