//! Devices against a hub: the hub's real rules, real TLS and WebSockets, real stores.

#[path = "support/hub.rs"]
mod hub;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use hub::TestHub;
use lockstep_client::{
    ConnectTrouble, ConversationId, Device, Error, Event, Link, MemberId, MessageId, MessageState, Notice, RefusalCode,
    Resolution, Role, StoreError, ViewEvent,
};
use lockstep_protocol::document::Document;
use lockstep_protocol::id::PinnedKeyHash;
use tempfile::TempDir;

/// Far more than anything here needs; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub with an owner and two agents, each with a device, and a conversation that all see.
struct Scene {
    hub: TestHub,
    folder: TempDir,
    owner: Device,
    conversation: ConversationId,
}

impl Scene {
    async fn new() -> Result<Self> {
        let hub = TestHub::start().await?;
        hub.add_member(2, Role::Agent);
        hub.add_member(3, Role::Agent);
        let folder = tempfile::tempdir()?;
        let owner = Device::enrol(folder.path().join("owner"), &hub.link(1), "desk").await?;
        owner.synced().await?;
        let assigned = vec![MemberId(2), MemberId(3)];
        let conversation = owner.start_conversation("Nile Cotton Traders", None, assigned).await?;
        owner.conversation(conversation).await?;
        Ok(Self { hub, folder, owner, conversation })
    }

    async fn device(&self, member: u32, name: &str) -> Result<Device> {
        let device = Device::enrol(self.home(name), &self.hub.link(member), name).await?;
        device.synced().await?;
        device.conversation(self.conversation).await?;
        Ok(device)
    }

    fn home(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn check<F: Future<Output = Result<()>>>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.expect("a runtime").block_on(async { tokio::time::timeout(PATIENCE, test).await });
    outcome.expect("within patience").expect("no error");
}

fn bodies(view: &lockstep_client::View) -> Vec<&str> {
    view.messages().iter().map(|message| message.body.as_str()).collect()
}

#[test]
fn what_one_writes_all_see() {
    check(async {
        let scene = Scene::new().await?;
        let (agent, at) = (scene.device(2, "agent").await?, scene.conversation);
        let mut view = agent.open_conversation(at).await?;
        let mut own = scene.owner.open_conversation(at).await?;
        let reply = scene.owner.send(at, "Forty bales are on the water.").await?;
        scene.owner.note(at, "They pay late.").await?;
        let sent = |shown: &lockstep_client::Shown| {
            shown.messages.len() == 2 && shown.messages.iter().all(|message| message.state == MessageState::Sent)
        };
        view.until(sent).await?;
        own.until(sent).await?;
        assert_eq!(view.shown(), own.shown());
        assert_eq!(bodies(&view), ["Forty bales are on the water.", "They pay late."]);

        agent.react(at, reply, "👍").await?;
        agent.set_label(at, "cotton", true).await?;
        agent.set_field(at, "port", "Alexandria").await?;
        agent.mark_read(at, reply).await?;
        assert_eq!(scene.owner.edit(at, reply, "Fifty bales are on the water.").await?, None);
        let all = |shown: &lockstep_client::Shown| {
            let edited = shown.message(reply).is_some_and(|message| message.edited && !message.reactions.is_empty());
            edited && shown.labels == ["cotton"] && !shown.fields.is_empty() && !shown.markers.is_empty()
        };
        view.until(all).await?;
        own.until(all).await?;
        agent.synced().await?;
        scene.owner.synced().await?;
        assert_eq!(view.shown(), own.shown());
        assert_eq!(agent.status().outbox, 0);

        // Typing shows on the other's screen, and ends by itself.
        agent.typing(at).await?;
        own.until(|shown| shown.typing == Some(MemberId(2))).await?;
        own.until(|shown| shown.typing.is_none()).await?;
        Ok(())
    });
}

#[test]
fn the_second_of_two_replies_is_held_and_decided_by_its_author() {
    check(async {
        let scene = Scene::new().await?;
        let at = scene.conversation;
        let agent = scene.device(2, "agent").await?;
        let mut view = agent.open_conversation(at).await?;
        let mut events = agent.events();
        let first = scene.owner.send(at, "Yes.").await?;
        view.until(|shown| shown.message(first).is_some()).await?;
        let second = agent.send(at, "No.").await?;
        let held = |state| matches!(state, MessageState::Held(_));
        view.until(|shown| shown.message(second).is_some_and(|message| held(message.state))).await?;
        loop {
            match events.next().await {
                Some(Event::Notice(Notice::Collided { message, .. })) if message == second => break,
                Some(_) => {}
                None => bail!("no notice of the collision"),
            }
        }
        let foreign = scene.owner.resolve(at, second, Resolution::Send).await;
        assert!(matches!(foreign, Err(Error::Rejected(RefusalCode::TargetUnknown | RefusalCode::TargetForbidden))));
        agent.resolve(at, second, Resolution::Discard).await?;
        let discarded = |shown: &lockstep_client::Shown| {
            shown.message(second).is_some_and(|message| message.state == MessageState::Discarded)
        };
        view.until(discarded).await?;
        let again = agent.resolve(at, second, Resolution::Send).await;
        assert!(matches!(again, Err(Error::Rejected(RefusalCode::AlreadyResolved))), "{again:?}");
        Ok(())
    });
}

#[test]
fn what_is_written_offline_survives_and_is_sent_later() {
    check(async {
        let scene = Scene::new().await?;
        let at = scene.conversation;
        let agent = scene.device(2, "agent").await?;
        scene.hub.cut();
        agent.until(|status| !status.online).await?;
        for text in ["one", "two", "three"] {
            agent.note(at, text).await?;
        }
        let refused = agent.assign(at, MemberId(3)).await;
        assert!(matches!(refused, Err(Error::Offline)), "{refused:?}");
        assert_eq!(agent.status().outbox, 3);
        agent.close().await;
        assert!(matches!(agent.note(at, "four").await, Err(Error::Closed)));

        let agent = Device::open(scene.home("agent")).await?;
        assert_eq!(agent.status().outbox, 3);
        let mut view = agent.open_conversation(at).await?;
        assert_eq!(bodies(&view), ["one", "two", "three"]);
        assert!(view.messages().iter().all(|message| message.state == MessageState::Pending));
        scene.hub.mend();
        agent.synced().await?;
        scene.owner.connect().await?;
        let mut other = scene.owner.open_conversation(at).await?;
        other.until(|shown| shown.messages.len() == 3).await?;
        view.until(|shown| shown.messages.iter().all(|message| message.state == MessageState::Sent)).await?;
        assert_eq!(view.messages(), other.messages());
        Ok(())
    });
}

#[test]
fn documents_are_the_same_on_every_device() {
    check(async {
        let scene = Scene::new().await?;
        let at = scene.conversation;
        let agent = scene.device(2, "agent").await?;
        for round in 0..5 {
            agent.note(at, &format!("agent {round}")).await?;
            scene.owner.note(at, &format!("owner {round}")).await?;
            agent.set_label(at, &format!("label {round}"), true).await?;
        }
        let mut views = [agent.open_conversation(at).await?, scene.owner.open_conversation(at).await?];
        for view in &mut views {
            view.until(|shown| shown.messages.len() == 10 && shown.labels.len() == 5).await?;
        }
        agent.synced().await?;
        scene.owner.synced().await?;
        let (ours, theirs) = (agent.export(at).await?, scene.owner.export(at).await?);
        assert_eq!(ours.len(), 2);
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!((our.document, &our.heads, our.facts), (their.document, &their.heads, their.facts));
            let loaded = Document::load(our.document.kind, &our.bytes)?;
            assert_eq!(loaded.automerge_heads(), our.heads);
        }
        let unknown = agent.export(ConversationId([9; 16])).await;
        assert!(matches!(unknown, Err(Error::Rejected(RefusalCode::ConversationUnknown))));
        Ok(())
    });
}

#[test]
fn a_folder_is_used_by_one_and_enrolled_once() {
    check(async {
        let scene = Scene::new().await?;
        let agent = scene.device(2, "agent").await?;
        let home = scene.home("agent");
        let second = Device::open(&home).await;
        assert!(matches!(second, Err(Error::Store(StoreError::InUse { .. }))), "{second:?}");
        agent.close().await;
        let again = Device::enrol(&home, &scene.hub.link(2), "again").await;
        assert!(matches!(again, Err(Error::AlreadyEnrolled(_))), "{again:?}");
        let empty = Device::open(scene.home("nothing")).await;
        assert!(matches!(empty, Err(Error::Store(StoreError::Absent { .. }))), "{empty:?}");
        assert!(lockstep_client::check(&home, None).await? > 0);
        private(&home.join("device.redb"))?;
        Ok(())
    });
}

fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(path)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[test]
fn enrolment_says_what_is_wrong_and_can_be_tried_again() {
    check(async {
        let hub = TestHub::start().await?;
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("device");
        let good = hub.link(1);
        let other_key = Link { pinned: PinnedKeyHash([1; 32]), ..good.clone() };
        let wrong = Device::enrol(&home, &other_key, "desk").await;
        let Err(Error::Connect(ConnectTrouble::WrongCertificate { pinned, found, .. })) = wrong else {
            bail!("another certificate must be refused: {wrong:?}");
        };
        assert_eq!((pinned, found), (other_key.pinned, good.pinned));
        let unopened = Device::open(&home).await;
        assert!(matches!(unopened, Err(Error::Store(StoreError::Absent { .. }))), "{unopened:?}");
        let mut used = good.clone();
        used.code.0[0] ^= 1;
        let refused = Device::enrol(&home, &used, "desk").await;
        assert_eq!(refused.expect_err("a wrong code").code(), Some(RefusalCode::CodeInvalid));
        hub.cut();
        let cut = Device::enrol(&home, &good, "desk").await;
        assert!(matches!(cut, Err(Error::Connect(_))), "{cut:?}");
        hub.mend();
        let device = Device::enrol(&home, &good, "desk").await?;
        device.synced().await?;
        Ok(())
    });
}

#[test]
fn what_is_visible_no_more_closes_and_a_revoked_device_stops() {
    check(async {
        let scene = Scene::new().await?;
        let at = scene.conversation;
        let agent = scene.device(2, "agent").await?;
        let mut view = agent.open_conversation(at).await?;
        let mut list = agent.watch_conversations();
        assert_eq!(list.current().len(), 1);
        scene.owner.unassign(at, MemberId(2)).await?;
        while let Some(event) = view.next().await {
            if event == ViewEvent::Closed {
                break;
            }
        }
        assert_eq!(view.next().await, None);
        while !list.current().is_empty() {
            list.changed().await;
        }
        let gone = agent.open_conversation(at).await;
        assert!(matches!(gone, Err(Error::Rejected(RefusalCode::ConversationUnknown))), "{gone:?}");
        scene.owner.revoke(agent.id()).await?;
        let stopped = agent.until(|status| status.stopped.is_some()).await?;
        assert_eq!(stopped.stopped, Some(RefusalCode::DeviceRevoked));
        assert!(matches!(agent.synced().await, Err(Error::Stopped(RefusalCode::DeviceRevoked))));
        Ok(())
    });
}

#[test]
fn who_left_is_still_named_and_devices_are_listed() {
    check(async {
        let scene = Scene::new().await?;
        let at = scene.conversation;
        let agent = scene.device(2, "agent's phone").await?;
        let note = agent.note(at, "handled by two").await?;
        agent.synced().await?;
        let listed = scene.owner.devices().await?;
        let phone = listed.iter().find(|listed| listed.device == agent.id()).context("the phone")?;
        assert_eq!((phone.member, phone.name.as_str()), (MemberId(2), "agent's phone"));
        assert!(phone.seen_ms.is_some() && listed.len() == 2, "{listed:?}");
        assert_eq!(agent.devices().await?.len(), 1, "an agent lists their own");

        scene.owner.remove_member(MemberId(2)).await?;
        let former = |device: &Device| {
            let team = device.team().context("a team")?;
            let row = team.members.iter().find(|member| member.id == MemberId(2)).context("the row stays")?;
            Ok::<_, anyhow::Error>((row.role, row.name.clone()))
        };
        while former(&scene.owner)?.0 != Role::Former {
            // The entry comes behind the answer, and is shown once it is stored: another answer is a while later.
            scene.owner.devices().await?;
        }
        assert_eq!(former(&scene.owner)?.1, "Member 2");
        let view = scene.owner.open_conversation(at).await?;
        let message = view.shown().message(note).context("the note stays")?.clone();
        assert_eq!((message.by, message.body.as_str()), (MemberId(2), "handled by two"));
        // A device that comes later is told the same, by the catalogue.
        let late = scene.device(3, "late").await?;
        assert_eq!(former(&late)?, (Role::Former, "Member 2".to_owned()));
        assert_eq!(scene.owner.devices().await?.len(), 2);
        let again = scene.owner.add_member(MemberId(2), "Somebody else", Role::Agent).await;
        assert!(
            matches!(&again, Err(Error::Refused(why)) if why.known() == Some(RefusalCode::AlreadyExists)),
            "{again:?}"
        );
        Ok(())
    });
}

#[test]
fn many_readers_share_a_view_and_slow_ones_miss_nothing() {
    check(async {
        let scene = Scene::new().await?;
        let (device, at) = (&scene.owner, scene.conversation);
        let mut events = device.events();
        let mut slow = device.open_conversation(at).await?;
        let mut quick = device.open_conversation(at).await?;
        drop(device.open_conversation(at).await?);
        const MESSAGES: usize = 600;
        let texts: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
        // All at once: those that wait together become durable together.
        try_join_all(texts.iter().map(|text| device.note(at, text))).await?;
        device.synced().await?;
        // Every message appears and then turns green: more events than a reader may leave waiting.
        let green = |shown: &lockstep_client::Shown| {
            shown.messages.len() == MESSAGES && shown.messages.iter().all(|one| one.state == MessageState::Sent)
        };
        quick.until(green).await?;
        slow.until(green).await?;
        assert_eq!(slow.shown(), quick.shown());
        // Calls that run side by side may overtake each other on their way to the device's task.
        let mut shown: Vec<usize> = bodies(&slow).iter().map(|body| body.parse()).collect::<Result<_, _>>()?;
        shown.sort_unstable();
        assert!(shown.into_iter().eq(0..MESSAGES));
        drop((slow, quick));
        // Opened anew after the last reader went.
        assert!(!device.open_conversation(at).await?.messages().is_empty());
        device.close().await;
        while events.next().await.is_some() {}
        Ok(())
    });
}

/// Names the folder and conversation of a device that a child of this process writes with until it is killed.
const CHILD: &str = "LOCKSTEP_TEST_CHILD";

/// Not a test by itself: what the child of the next one does.
#[test]
fn child_writes_until_it_is_killed() {
    let Ok(work) = std::env::var(CHILD) else { return };
    check(async {
        let (conversation, home) = work.split_once(' ').context("conversation and folder")?;
        let device = Device::open(home).await?;
        let all = device.conversations();
        let at = all.iter().find(|one| one.id.to_string() == conversation).context("a conversation")?.id;
        loop {
            println!("\nwritten {}", device.note(at, "Before the power failed.").await?);
        }
    });
}

#[test]
fn what_was_answered_survives_kill_9_and_is_sent_once() {
    check(async {
        let scene = Scene::new().await?;
        let at = scene.conversation;
        scene.device(2, "agent").await?.close().await;
        let home = scene.home("agent");
        let mut written = Vec::new();
        for round in 0..3 {
            // Now and then the hub is there, so that it dies with pushes under way too.
            if round == 1 {
                scene.hub.mend()
            } else {
                scene.hub.cut()
            }
            let work = format!("{at} {}", home.display());
            let killed = tokio::task::spawn_blocking(move || -> Result<Vec<MessageId>> {
                let mut child = Command::new(std::env::current_exe()?)
                    .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
                    .env(CHILD, work)
                    .stdout(Stdio::piped())
                    .spawn()?;
                let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
                let ids =
                    lines.map_while(Result::ok).filter_map(|line| MessageId::parse(line.strip_prefix("written ")?));
                let ids = ids.take(7 + round).collect();
                child.kill()?;
                child.wait()?;
                Ok(ids)
            });
            let ids = killed.await??;
            assert_eq!(ids.len(), 7 + round);
            written.extend(ids);
        }
        scene.hub.mend();
        let device = Device::open(&home).await?;
        device.synced().await?;
        let mut own = device.open_conversation(at).await?;
        own.until(|shown| shown.messages.iter().all(|one| one.state == MessageState::Sent)).await?;
        assert_eq!(device.not_sent().len(), 0);
        scene.owner.connect().await?;
        let mut other = scene.owner.open_conversation(at).await?;
        let count = own.messages().len();
        other.until(|shown| shown.messages.len() >= count).await?;
        assert_eq!(other.messages(), own.messages());
        for id in written {
            assert!(own.shown().message(id).is_some(), "{id} was answered and is lost");
        }
        Ok(())
    });
}

#[test]
fn examples_run() {
    const EXAMPLES: &[(&str, &[u32], &str)] = &[
        ("hello", &[1], "Hello from a device."),
        ("two_devices", &[1, 2], "documents with equal heads: true"),
        ("offline", &[1, 2], "one sees [green, sent] note of member 2: Written offline, two."),
        ("lease", &[1, 2], "[discarded] out of member 2: We can ship on Monday."),
    ];
    check(async {
        let hub = TestHub::start().await?;
        hub.add_member(2, Role::Agent);
        let folder = tempfile::tempdir()?;
        for (example, members, expected) in EXAMPLES {
            let path = std::env::current_exe()?;
            let path = path.parent().and_then(Path::parent).context("a target folder")?.join("examples").join(example);
            let links: Vec<_> = members.iter().map(|member| hub.link(*member).to_string()).collect();
            let mut command = Command::new(&path);
            command.arg(folder.path().join(example)).env("LOCKSTEP_LINKS", links.join(" "));
            let ran = tokio::task::spawn_blocking(move || command.output()).await?;
            let ran = ran.with_context(|| format!("{}: build the examples first", path.display()))?;
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success(), "{example}: {said}{}", String::from_utf8_lossy(&ran.stderr));
            assert!(said.contains(expected), "{example}: {said}");
        }
        Ok(())
    });
}
