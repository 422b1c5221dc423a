//! One device: enrols (or opens what it enrolled before), shows its conversations and the newest messages of one.
//!
//! ```text
//! cargo run -p lockstep-client --example hello -- FOLDER [LINK]
//! ```
//! The link may also stand in `LOCKSTEP_LINKS`. Without one the folder holds an enrolled device.

#[path = "support/common.rs"]
mod support;

use lockstep_client::{Device, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (folder, links) = support::arguments();
    let device = match links.first() {
        Some(link) => match Device::enrol(&folder, link, "hello").await {
            Err(Error::AlreadyEnrolled(_)) => Device::open(&folder).await?,
            other => other?,
        },
        None => Device::open(&folder).await?,
    };
    device.synced().await?;
    let status = device.status();
    println!("device {} of member {}, role {:?}", device.id(), device.member()?, status.role);

    let conversation = support::conversation(&device).await?;
    for conversation in device.conversations().iter() {
        println!("conversation {} with {}", conversation.id, conversation.customer);
    }
    let mut view = device.open_conversation(conversation).await?;
    let id = device.note(conversation, "Hello from a device.").await?;
    println!("wrote {id}, durable here");
    view.until(|shown| shown.message(id).is_some_and(support::is_judged)).await?;
    for message in view.messages() {
        println!("{}", support::line(message));
    }
    device.close().await;
    Ok(())
}
