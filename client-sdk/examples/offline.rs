//! A device that writes while it has no hub: closed and opened again in between, it loses nothing and sends all later.
//!
//! ```text
//! cargo run -p lockstep-client --example offline -- FOLDER LINK LINK
//! ```
//! To be offline it is opened with an address where no hub is; with the right one it comes back.

#[path = "support/common.rs"]
mod support;

use lockstep_client::{Device, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [one, two] = support::devices(["one", "two"]).await?;
    let conversation = support::shared(&one, &two).await?;
    let hub = two.hub().clone();
    two.close().await;

    // Port 9 (discard) of this machine: nobody answers.
    let home = support::arguments().0.join("two");
    let nowhere = Options { address: Some(("127.0.0.1".to_owned(), 9)), ..Options::default() };
    let two = Device::open_with(&home, nowhere).await?;
    let mut written = Vec::new();
    for text in ["Written offline, one.", "Written offline, two."] {
        written.push(two.note(conversation, text).await?);
        println!("two wrote {text:?} offline; {} wait", two.status().outbox);
    }
    two.close().await;

    let back = Options { address: Some((hub.host, hub.port)), ..Options::default() };
    let two = Device::open_with(&home, back).await?;
    println!("two is opened again: {} wait", two.status().outbox);
    two.synced().await?;
    println!("two is synced: {} wait", two.status().outbox);
    let mut view = one.open_conversation(conversation).await?;
    let shown = view.until(|shown| written.iter().all(|id| shown.message(*id).is_some())).await?;
    for message in written.iter().filter_map(|id| shown.message(*id)) {
        println!("one sees {}", support::line(message));
    }
    one.close().await;
    two.close().await;
    Ok(())
}
