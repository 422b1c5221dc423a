//! Two devices of one team: what one writes shows on the other; measured by this machine's own clock.
//!
//! ```text
//! cargo run -p lockstep-client --example two_devices -- FOLDER LINK LINK
//! ```
//! The first link's member must be allowed to open conversations, or see one already.

#[path = "support/common.rs"]
mod support;

use std::time::Instant;

use lockstep_client::ViewEvent;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [one, two] = support::devices(["one", "two"]).await?;
    let conversation = support::shared(&one, &two).await?;
    let mut here = one.open_conversation(conversation).await?;
    let mut there = two.open_conversation(conversation).await?;
    let mut written = Vec::new();
    for text in ["First of three.", "Second of three.", "Third of three."] {
        let begun = Instant::now();
        let id = one.note(conversation, text).await?;
        written.push(id);
        loop {
            match there.next().await {
                Some(ViewEvent::Inserted { at, message }) if message.id == id => {
                    println!("two sees {text:?} at {at} after {:?}", begun.elapsed());
                    break;
                }
                Some(event) => println!("two: {}", support::short(&event)),
                None => return Err("the view was closed".into()),
            }
        }
    }
    one.synced().await?;
    two.synced().await?;
    let judged =
        |shown: &lockstep_client::Shown| written.iter().all(|id| shown.message(*id).is_some_and(support::is_judged));
    here.until(judged).await?;
    there.until(judged).await?;
    let same = here.messages() == there.messages();
    println!("both show {} messages, the same: {same}", here.messages().len());
    let (ours, theirs) = (one.export(conversation).await?, two.export(conversation).await?);
    let equal = ours.iter().zip(&theirs).all(|(our, their)| our.heads == their.heads);
    println!("{} documents with equal heads: {equal}", ours.len());
    one.close().await;
    two.close().await;
    if same && equal { Ok(()) } else { Err("the devices differ".into()) }
}
