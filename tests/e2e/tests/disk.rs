//! Disks that are full, damaged, copied or of another version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use lockstep_client::{Device, MessageState};
use lockstep_e2e::{Hub, PATIENCE, Stopped, Team, lockstep, program, within};

const EXIT_USAGE: i32 = 64;
const EXIT_SYSTEM: i32 = 71;
const EXIT_IO: i32 = 74;
const EXIT_NOT_PERMITTED: i32 = 77;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_hub_and_loses_nothing_acknowledged() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let anna = team.device(2).await;
    within("the conversation", anna.conversation(conversation)).await.unwrap();
    let folder = team.hub.folder().to_owned();
    let port_taken = team.hub.address();
    team.hub.kill();
    // No file of this process may grow beyond a megabyte: the next one of the log fails as on a full disk.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\""]).arg(program("lockstep"));
    let hub = Hub::start_through_at(shell, &folder, &port_taken, &["store.write_buffer_mib=64"]);
    let mut hub = hub.unwrap_or_else(|stopped| panic!("{}", stopped.log));
    let mut view = within("the view", anna.open_conversation(conversation)).await.unwrap();
    let body = "x".repeat(8 * 1024);
    let mut written = Vec::new();
    anna.connect().await.unwrap();
    let writing = async {
        // Until the hub is gone; what it did not confirm waits in the outbox.
        while !hub.has_ended() {
            written.push(anna.note(conversation, &body).await.unwrap());
        }
    };
    within("the end of the hub", writing).await;
    let Stopped { status, log } = hub.wait();
    assert_eq!(status.code(), Some(EXIT_IO), "{log}");
    assert!(log.contains("cannot be written") && log.contains("Check the disk"), "{log}");
    // With room again, all of it is there, once, also for a device that knows nothing.
    team.hub = Hub::start_at(&folder, &port_taken);
    let last = *written.last().unwrap();
    let confirmed = view.until(|shown| shown.message(last).is_some_and(|message| message.state == MessageState::Sent));
    within("the confirmation of everything", confirmed).await.unwrap();
    let fresh = team.device(1).await;
    let mut fresh = team.open(&fresh, conversation).await;
    within("the last note", fresh.until(|shown| shown.message(last).is_some())).await.unwrap();
}

#[test]
fn one_process_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::create(&folder.path().join("hub"));
    let Stopped { status, log } = Hub::refuses_to_start(hub.folder(), &[]);
    assert_eq!(status.code(), Some(EXIT_SYSTEM), "{log}");
    assert!(log.contains("in use by another lockstep process"), "{log}");
    let stopped = hub.stop();
    assert!(stopped.status.success(), "{}", stopped.log);
}

#[test]
fn a_bad_configuration_names_all_problems() {
    let folder = tempfile::tempdir().unwrap();
    let Stopped { status, log } = Hub::refuses_to_start(folder.path(), &["listen.adress=x", "grace_seconds=-1"]);
    assert_eq!(status.code(), Some(EXIT_USAGE), "{log}");
    assert!(log.contains("2 problems") && log.contains("listen.address"), "{log}");
}

/// A stopped hub with some content in table files, not only in the log of the store.
fn stopped_hub(folder: &Path) -> PathBuf {
    let hub = Hub::create(&folder.join("hub"));
    for number in 0..50 {
        hub.json(&["member", "add", &format!("Member {number}")]);
    }
    let path = hub.folder().to_owned();
    assert!(hub.stop().status.success());
    // Starting once more moves what the log of the store holds into table files.
    let hub = Hub::start(&path);
    assert!(hub.stop().status.success());
    path
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("store")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

fn flip_middle(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_table_file_is_reported_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = stopped_hub(folder.path());
    let tables = files(&path, "sst");
    assert!(!tables.is_empty(), "there are table files");
    tables.iter().for_each(|table| flip_middle(table));
    let checked = lockstep(&path, &["doctor", "--json"]);
    let text = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{text}");
    assert!(text.contains("\"check\":\"store\",\"health\":\"bad\""), "{text}");
    let Stopped { status, log } = Hub::refuses_to_start(&path, &[]);
    assert_eq!(status.code(), Some(EXIT_IO), "{log}");
}

/// What the engine's checksums do not see, as they were made anew.
#[test]
fn a_row_that_somebody_took_out_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = stopped_hub(folder.path());
    let verified = lockstep(&path, &["verify", "--json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let database = open_store(&path);
    let (log, row) = (database.cf_handle("log").unwrap(), 7u64.to_be_bytes());
    assert!(database.get_cf(log, row).unwrap().is_some());
    database.delete_cf(log, row).unwrap();
    drop(database);
    let verified = lockstep(&path, &["verify", "--json"]);
    assert_eq!(verified.status.code(), Some(EXIT_IO));
    let report: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(report["damaged"], 1, "{report}");
    assert_eq!(
        (&report["damage"][0]["family"], &report["damage"][0]["key"]),
        (&"log".into(), &"0000000000000007".into())
    );
    for (verb, code) in [("verify", EXIT_IO), ("doctor", 1)] {
        let said = lockstep(&path, &[verb]);
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(text.contains("key 0000000000000007: missing from the log"), "{text}");
        assert_eq!(said.status.code(), Some(code), "{text}");
    }
}

#[test]
fn a_damaged_log_of_the_store_is_reported_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::create(&folder.path().join("hub"));
    for number in 0..50 {
        hub.json(&["member", "add", &format!("Member {number}")]);
    }
    let path = hub.folder().to_owned();
    hub.kill();
    let logs = files(&path, "log");
    let newest = logs.iter().rfind(|log| std::fs::metadata(log).unwrap().len() > 0).expect("a log with content");
    flip_middle(newest);
    let Stopped { status, log } = Hub::refuses_to_start(&path, &[]);
    assert_eq!(status.code(), Some(EXIT_IO), "{log}");
    assert!(log.to_lowercase().contains("corrupt"), "{log}");
}

#[test]
fn a_missing_key_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = stopped_hub(folder.path());
    std::fs::remove_file(path.join("keys/hub.key")).unwrap();
    let Stopped { status, log } = Hub::refuses_to_start(&path, &[]);
    assert_eq!(status.code(), Some(EXIT_SYSTEM), "{log}");
    assert!(log.contains("Put the key back"), "{log}");
}

#[test]
fn without_the_root_key_nothing_starts_and_keys_are_rotated_while_serving() {
    let folder = tempfile::tempdir().unwrap();
    let path = stopped_hub(folder.path());
    let root = folder.path().join("hub.root.key");
    let kept = std::fs::read(&root).unwrap();
    for (content, said) in [(None, "root key is missing"), (Some("0f".repeat(32)), "is not the root key of this hub")] {
        std::fs::remove_file(&root).unwrap();
        if let Some(content) = &content {
            std::fs::write(&root, content).unwrap();
        }
        let Stopped { status, log } = Hub::refuses_to_start(&path, &[]);
        assert_eq!(status.code(), Some(EXIT_NOT_PERMITTED), "{log}");
        assert!(log.contains(said) && log.contains("hub.root.key"), "{log}");
        std::fs::write(&root, &kept).unwrap();
    }
    let hub = Hub::start(&path);
    assert_eq!(hub.json(&["key", "status"])["generation"], 1);
    assert_eq!(hub.json(&["key", "rotate"])["generation"], 2);
    assert!(hub.stop().status.success());
    std::fs::remove_file(path.join("keys/data.keys")).unwrap();
    let Stopped { status, log } = Hub::refuses_to_start(&path, &[]);
    assert_eq!(status.code(), Some(EXIT_SYSTEM), "{log}");
    assert!(log.contains("data.keys is missing"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_disk_begins_a_new_epoch_and_devices_bring_back_what_it_lost() {
    let mut team = Team::new();
    let conversation = team.conversation();
    let anna = team.device(2).await;
    let mut view = team.open(&anna, conversation).await;
    let folder = team.hub.folder().to_owned();
    let port = team.hub.address();
    team.hub.kill();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder, &copy.path().join("hub"));
    team.hub = Hub::start_at(&folder, &port);
    let before = team.hub.json(&["status"])["epoch"].clone();
    let note = anna.note(conversation, "after the copy was made").await.unwrap();
    let sent = view.until(|shown| shown.message(note).is_some_and(|message| message.state == MessageState::Sent));
    within("the confirmation", sent).await.unwrap();
    team.hub.kill();
    std::fs::remove_dir_all(&folder).unwrap();
    copy_folder(&copy.path().join("hub"), &folder);
    team.hub = Hub::start_at(&folder, &port);
    assert!(team.hub.wait_for_line("a new epoch"), "the hub notices");
    within("what the device brings back", anna.synced()).await.unwrap();
    assert_ne!(team.hub.json(&["status"])["epoch"], before);
    let fresh = team.device(1).await;
    let mut fresh = team.open(&fresh, conversation).await;
    within("the note elsewhere", fresh.until(|shown| shown.message(note).is_some())).await.unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The stored hub of the first format version. Kept for every version to come: it must open, and hold what it held.
const FIRST_FORMAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/store-1");

#[tokio::test(flavor = "multi_thread")]
async fn the_first_format_still_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub");
    copy_folder(Path::new(FIRST_FORMAT), &path);
    let hub = Hub::start(&path);
    // What it holds is sealed meanwhile.
    let end = Instant::now() + PATIENCE;
    while hub.json(&["status"])["keys"]["complete"] != true {
        assert!(Instant::now() < end, "the rows from before are not sealed");
    }
    let members = hub.json(&["member", "list"]);
    assert_eq!(members["members"].as_array().unwrap().len(), 3, "{members}");
    let conversations = hub.json(&["conversation", "list"]);
    assert_eq!(conversations["conversations"][0]["customer"], "Stored Customer");
    let link = hub.json(&["pair", "1"])["link"].as_str().unwrap().parse().unwrap();
    let device = within("enrolment", Device::enrol(folder.path().join("device"), &link, "test")).await.unwrap();
    within("catch-up", device.synced()).await.unwrap();
    let id = device.conversations()[0].id;
    let mut view = within("the view", device.open_conversation(id)).await.unwrap();
    let bodies = |view: &lockstep_client::Shown| -> Vec<String> {
        view.messages.iter().map(|message| message.body.clone()).collect()
    };
    let complete = view.until(|shown| shown.messages.len() == 3);
    within("its messages", complete).await.unwrap();
    assert_eq!(bodies(view.shown()), ["first stored note", "second stored note", "third stored note"]);
    assert!(hub.stop().status.success());
    // From now on an older program must refuse it.
    let database = open_store(&path);
    let format = database.get_cf(database.cf_handle("meta").unwrap(), b"format").unwrap().unwrap();
    assert!(*format.last().unwrap() > 1, "{format:?}");
}

/// Writes the fixture of the present format: `UPDATE_FIXTURE=DIR cargo nextest run -p lockstep-e2e fixture`.
#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_can_be_made_anew() {
    let mut team = Team::new();
    let opened = team.hub.json(&["conversation", "new", "Stored Customer", "--assign", "2"]);
    assert!(opened["id"].is_string());
    team.hub.json(&["member", "remove", "9"]);
    let anna = team.device(2).await;
    let conversation = anna.conversations()[0].id;
    for body in ["first stored note", "second stored note", "third stored note"] {
        anna.note(conversation, body).await.unwrap();
    }
    within("the confirmation", anna.synced()).await.unwrap();
    let folder = team.hub.folder().to_owned();
    team.hub.kill();
    if let Some(target) = std::env::var_os("UPDATE_FIXTURE") {
        copy_folder(&folder, Path::new(&target));
        // What is made anew at each start, and names the machine that made it.
        std::fs::remove_dir_all(Path::new(&target).join("tls")).unwrap();
        for entry in std::fs::read_dir(Path::new(&target).join("store")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if ["LOG", "OPTIONS", "LOCK"].iter().any(|beginning| name.starts_with(beginning)) {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

/// The store of a stopped hub, as RocksDB alone sees it.
fn open_store(hub: &Path) -> rocksdb::DB {
    let (options, store) = (rocksdb::Options::default(), hub.join("store"));
    let families = rocksdb::DB::list_cf(&options, &store).unwrap();
    rocksdb::DB::open_cf(&options, &store, families).unwrap()
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = stopped_hub(folder.path());
    let database = open_store(&path);
    let meta = database.cf_handle("meta").unwrap();
    let mut value = database.get_cf(meta, b"format").unwrap().unwrap();
    *value.last_mut().unwrap() += 1;
    database.put_cf(meta, b"format", value).unwrap();
    drop(database);
    let Stopped { status, log } = Hub::refuses_to_start(&path, &[]);
    assert_eq!(status.code(), Some(EXIT_IO), "{log}");
    assert!(log.contains("newer than this program knows") && log.contains("run a newer lockstep"), "{log}");
}
