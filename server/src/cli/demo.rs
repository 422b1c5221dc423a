//! `lockstep demo`: an empty hub, a real export, three devices side by side, a collision, an offline device, latencies.

mod columns;
mod latency;
mod link;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lockstep_client::{Device, Link, MessageState, Options as DeviceOptions, Resolution, View};
use lockstep_migrate::plan::{self, PlanOptions};
use lockstep_migrate::source::{self, MediaReading, Source};
use lockstep_migrate::whatsapp::{self, ReadOptions};
use lockstep_migrate::{SAMPLE, SAMPLE_NAME};
use lockstep_protocol::id::{ConversationId, ImportId, MemberId, MessageId};
use lockstep_protocol::limits;
use tokio::signal;

use super::exit::{Exit, Failed};
use super::{Options, output};
use crate::admin::{AdminClient, Answer, Hex, Pairing, Request, RoleName};
use crate::server::Server;
use crate::{entropy, import, private};
use columns::Columns;
use link::Cable;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Keep the hub in this folder and leave it running, with links and QR codes to pair real devices
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The team of the sample: staff numbers, names in the export, roles.
const TEAM: [(u32, &str, RoleName); 4] = [
    (1, "Nok", RoleName::Owner),
    (2, "Arjun", RoleName::Agent),
    (3, "Mei Lin", RoleName::Agent),
    (9, "WhatsApp", RoleName::Service),
];
/// The service account that plays the customer's phone.
const CHANNEL: u32 = 9;
/// Every step of the play takes less, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages measured for the latencies at the end.
const MEASURED: usize = 200;

pub(super) fn run(options: &Options, demo: &Demo) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let temporary = Temporary::new(demo.keep.clone())?;
        let mut config = options.config()?;
        config.folder = temporary.folder.join("hub");
        // Its keys are its own, whatever this machine's hub has.
        config.seal = crate::keychain::SealConfig::default();
        if demo.keep.is_none() {
            config.listen.address = ([127, 0, 0, 1], 0).into();
        }
        let server = Server::start(&config).await?;
        let played = play(&server, &temporary.folder).await;
        let kept = match (&played, &demo.keep) {
            (Ok(()), Some(_)) => keep(&server).await,
            _ => Ok(()),
        };
        server.stop().await?;
        played.and(kept)
    })
}

/// The demo's folder; removed at the end unless it is to be kept.
struct Temporary {
    folder: PathBuf,
    remove: bool,
}

impl Temporary {
    fn new(keep: Option<PathBuf>) -> Result<Self, Failed> {
        let remove = keep.is_none();
        let folder = keep.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("lockstep-demo-{}", hex::encode(entropy::fresh::<8>())))
        });
        if folder.join("hub").exists() {
            let text = format!("{} holds a hub already; give an empty folder", folder.display());
            return Err(Failed::new(Exit::Usage, "exists", text));
        }
        private::make_folder(&folder)?;
        Ok(Self { folder, remove })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.remove
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            eprintln!("lockstep: {} could not be removed: {error}", self.folder.display());
        }
    }
}

/// One member's device with its open view of the conversation.
struct Seat {
    device: Device,
    view: View,
}

async fn play(server: &Server, folder: &Path) -> Result<(), Failed> {
    say("An empty hub, on this machine, in one folder:")?;
    output::line(&format!("  {} at {}", server.identity().folder.display(), server.identity().address))?;
    let mut admin = AdminClient::connect(&server.identity().folder).await?;
    for (id, name, role) in TEAM {
        admin.ask(&Request::MemberAdd { id: Some(id), name: name.into(), role }).await?;
    }
    let (conversation, newest) = import_sample(server).await?;

    say("Three devices are paired by link, and the history is on each of them:")?;
    let cable = Cable::lay(server.identity().address).await?;
    let mut seats = Vec::new();
    for (number, through) in [(1, None), (2, None), (3, Some(cable.address()))] {
        let link = pair(&mut admin, number).await?;
        let home = folder.join(format!("device-{number}"));
        let device = patient(Device::enrol(&home, &link, "demo")).await??;
        let device = match through {
            None => device,
            // The third device reaches the hub through a cable that can be pulled.
            Some(address) => {
                device.close().await;
                let address = Some((address.ip().to_string(), address.port()));
                Device::open_with(&home, DeviceOptions { address, ..DeviceOptions::default() }).await?
            }
        };
        patient(device.conversation(conversation)).await??;
        let mut view = device.open_conversation(conversation).await?;
        patient(view.until(|shown| shown.message(newest).is_some())).await??;
        seats.push(Seat { device, view });
    }
    let home = folder.join("device-9");
    let channel = patient(Device::enrol(&home, &pair(&mut admin, CHANNEL).await?, "channel")).await??;
    patient(channel.conversation(conversation)).await??;
    let columns =
        Columns::new(&["Nok · phone", "Arjun · PC", "Mei Lin · tablet"], &TEAM.map(|(id, name, _)| (id, name)));
    columns.show(&seats)?;

    say("The customer asks. Arjun and Mei Lin answer at the same moment:")?;
    let question = channel.receive(conversation, None, "Can we have 12 more bags of jasmine rice this week?").await?;
    everywhere(&mut seats, question, |_| true).await?;
    let (one, other) = tokio::join!(
        seats[1].device.send(conversation, "Yes, they come on Thursday."),
        seats[2].device.send(conversation, "Sorry, only from Monday.")
    );
    let (one, other) = (one?, other?);
    for id in [one, other] {
        everywhere(&mut seats, id, |state| state != MessageState::Pending).await?;
    }
    columns.show(&seats)?;
    say("One is sent. The other is yellow, kept back from the customer; its author lets it go:")?;
    let held = [one, other].into_iter().find(|id| {
        seats[0].view.shown().message(*id).is_some_and(|message| matches!(message.state, MessageState::Held(_)))
    });
    let held = held.ok_or_else(|| Failed::new(Exit::Internal, "demo", "neither answer was held back"))?;
    let loser = if held == one { 1 } else { 2 };
    seats[loser].device.resolve(conversation, held, Resolution::Discard).await?;
    everywhere(&mut seats, held, |state| state == MessageState::Discarded).await?;
    columns.show(&seats)?;

    // Within the window even an answer to the next question would be held back.
    tokio::time::sleep(Duration::from_millis(limits::REPLY_WINDOW_MS)).await;
    say("Five seconds later Mei Lin loses her connection, and answers all the same. Meanwhile Nok has answered:")?;
    cable.pull();
    patient(seats[2].device.until(|status| !status.online)).await??;
    let question = channel.receive(conversation, None, "And the tiles for the terrace?").await?;
    everywhere(&mut seats[..2], question, |_| true).await?;
    let late = seats[2].device.send(conversation, "About the terrace: they are in Bangkok.").await?;
    everywhere(&mut seats[2..], late, |_| true).await?;
    let answer = seats[0].device.send(conversation, "The tiles leave the port tomorrow.").await?;
    everywhere(&mut seats[..2], answer, |state| state != MessageState::Pending).await?;
    columns.show(&seats)?;
    say("She is back: everything is there, and her late answer does not reach the customer:")?;
    cable.plug_in();
    seats[2].device.connect().await?;
    for id in [question, answer] {
        everywhere(&mut seats, id, |_| true).await?;
    }
    everywhere(&mut seats, late, |state| state != MessageState::Pending).await?;
    columns.show(&seats)?;
    seats[2].device.resolve(conversation, late, Resolution::Discard).await?;
    everywhere(&mut seats, late, |state| state == MessageState::Discarded).await?;

    say("How fast: from the author's keystroke to the other screens, written to disk on the way:")?;
    let customer = "(nobody: for measuring)".into();
    let request = Request::ConversationNew { customer, service: None, assigned: vec![2, 3] };
    let Answer::Conversation { id } = admin.ask(&request).await? else {
        return Err(Failed::new(Exit::Internal, "unexpected", "the hub opened no conversation"));
    };
    let id: Hex<ConversationId> = id.parse().map_err(|what: String| Failed::new(Exit::Internal, "unexpected", what))?;
    for seat in &mut seats {
        patient(seat.device.conversation(id.0)).await??;
        seat.view = seat.device.open_conversation(id.0).await?;
    }
    latency::measure(&mut seats, id.0, MEASURED).await?;
    for seat in seats {
        seat.device.close().await;
    }
    channel.close().await;
    Ok(())
}

fn say(text: &str) -> Result<(), Failed> {
    output::line("")?;
    output::line(text)
}

async fn patient<T>(step: impl Future<Output = T>) -> Result<T, Failed> {
    let text = "a step of the demo took too long; the machine may be overloaded, run it again";
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| Failed::new(Exit::Failed, "timeout", text))
}

/// Waits until a message stands as wanted on all devices.
async fn everywhere(seats: &mut [Seat], id: MessageId, wanted: impl Fn(MessageState) -> bool) -> Result<(), Failed> {
    for seat in seats {
        patient(seat.view.until(|shown| shown.message(id).is_some_and(|message| wanted(message.state)))).await??;
    }
    Ok(())
}

async fn pair(admin: &mut AdminClient, member: u32) -> Result<Link, Failed> {
    match admin.ask(&Request::Pair { id: member }).await? {
        Answer::Pairing(Pairing { link, .. }) => {
            link.parse().map_err(|error| Failed::new(Exit::Internal, "link", format!("{error}")))
        }
        other => Err(Failed::new(Exit::Internal, "unexpected", format!("{other:?}"))),
    }
}

/// Imports the bundled export, as `lockstep migrate import` would.
async fn import_sample(server: &Server) -> Result<(ConversationId, MessageId), Failed> {
    let source = Source::from_bytes(SAMPLE_NAME, SAMPLE.as_bytes(), MediaReading::List)?;
    let reading = whatsapp::read(&source.text, &source.files, &ReadOptions::default());
    let zone = source::time_zone(Some("Asia/Bangkok"))
        .map_err(|error| Failed::new(Exit::Internal, "time_zone", error.to_string()))?;
    let key = super::migrate::import_key(&server.identity().folder).await?;
    let mut choices = PlanOptions::new(key, zone, MemberId(1));
    choices.members = TEAM[..3].iter().map(|(id, name, _)| ((*name).to_owned(), MemberId(*id))).collect();
    let plan = plan::plan(&reading, &source.names, &choices)?;
    say("A customer's WhatsApp export is imported:")?;
    output::line(&format!("  {SAMPLE_NAME}"))?;
    plan.ledger.to_string().lines().try_for_each(|line| output::line(&format!("  {line}")))?;
    let conversation = lockstep_protocol::directory::Conversation {
        id: plan.conversation,
        customer: plan.customer.clone(),
        service: Some(MemberId(CHANNEL)),
        assigned: vec![MemberId(2), MemberId(3)],
        keep: None,
    };
    let opened = server.hub().administer(lockstep_protocol::frame::Command::ConversationOpen(conversation)).await;
    opened.map_err(|error| Failed::new(Exit::Unavailable, "stopping", error.to_string()))?;
    let run = ImportId(entropy::fresh());
    let imported = import::run(server.hub(), server.identity().hub, plan.conversation, run, plan.facts.clone()).await;
    let imported = imported.map_err(|error| Failed::new(Exit::Failed, "import", error.to_string()))?;
    output::line(&format!("  {} facts in {} segment(s)", imported.kept, imported.segments))?;
    let newest = plan.message_ids().max();
    let newest = newest.ok_or_else(|| Failed::new(Exit::Internal, "demo", "the sample has no messages"))?;
    Ok((plan.conversation, newest))
}

/// Leaves the hub running, with links to pair real devices, until it is interrupted.
async fn keep(server: &Server) -> Result<(), Failed> {
    let mut admin = AdminClient::connect(&server.identity().folder).await?;
    say("The hub goes on. Pair a device of your own (each link is good once, for ten minutes):")?;
    for (id, name, _) in &TEAM[..3] {
        let link = pair(&mut admin, *id).await?;
        let page = link.page();
        output::line(&format!("\n{name}, member {id}:\n{}\n{page}\n{link}", output::qr(&page)?))?;
    }
    let folder = server.identity().folder.display();
    say(&format!(
        "In other terminals, for example:\n  lockstep client --home phone enrol 'LINK'\n  lockstep client --home phone \
         conversations\n  lockstep --folder {folder} pair 2\nCtrl-C stops the hub; lockstep --folder {folder} serve \
         starts it again."
    ))?;
    signal::ctrl_c().await?;
    Ok(())
}
