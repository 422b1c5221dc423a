//! A device of Lockstep: a team's customer chats, the same on every device, online or not.
//!
//! [`Device`] keeps a conversation's messages in a folder of its own, talks to the team's hub whenever it can, and goes
//! on working when it cannot. Everything that is written is durable here before it is answered, and sent when there is
//! a connection; what others write comes by itself, as events of live [`View`]s.
//!
//! ```no_run
//! use lockstep_client::{Device, Link, MessageState};
//!
//! # async fn example() -> Result<(), lockstep_client::Error> {
//! // The link is what a QR code of `lockstep pair` holds. It names the hub's certificate key: no other is trusted.
//! let link: Link = std::env::var("LOCKSTEP_LINK").expect("a pairing link").parse().expect("a whole one");
//! let device = Device::enrol("/var/lib/my-device", &link, "desk").await?;
//! device.synced().await?;
//!
//! let conversation = device.conversations().first().expect("a conversation").id;
//! let mut view = device.open_conversation(conversation).await?;
//! let reply = device.send(conversation, "On its way.").await?;
//!
//! // Grey until the hub has judged it; then green, or held back because a colleague was first.
//! let judged = |state| state != MessageState::Pending;
//! view.until(|shown| shown.message(reply).is_some_and(|message| judged(message.state))).await?;
//! device.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! How it is made: one task owns the pure core (`lockstep-client-core`) and its timers; around it one task for the
//! connection, one thread for the store (redb; transactions that wait together are synced together) and one for
//! Automerge's code, guarded. All queues are bounded, and whatever is slow makes the one before it wait; readers of
//! views and events are never waited for. Everything ends with the handle.

mod connection;
mod device;
mod driver;
mod error;
mod event;
mod export;
mod mailbox;
mod status;
mod store;
mod tls;
mod view;
mod worker;

pub use connection::{ConnectTrouble, HubAddress};
pub use device::{ConversationsView, Device, Options, check};
pub use error::Error;
pub use event::{Event, Events};
pub use export::ExportedDocument;
pub use status::{Conversation, ConversationList, Status, TeamView};
pub use store::{FORMAT, StoreError};
pub use view::{Shown, View, ViewEvent};

pub use lockstep_client_core::device::DeviceConfig;
pub use lockstep_client_core::effect::Notice;
pub use lockstep_client_core::input::Draft;
pub use lockstep_client_core::row::NotSentRow;
pub use lockstep_client_core::view::{MessageState, MessageView};
pub use lockstep_protocol::directory::{Member, Role};
pub use lockstep_protocol::entry::{Collision, CollisionCause, Delivery, Resolution};
pub use lockstep_protocol::fact::{Direction, Media};
pub use lockstep_protocol::frame::{Command, ListedDevice, Marker, Outcome};
pub use lockstep_protocol::id::{ConversationId, DeviceId, MemberId, MessageId};
pub use lockstep_protocol::keep::Keep;
pub use lockstep_protocol::link::{Link, LinkError};
pub use lockstep_protocol::refusal::RefusalCode;
