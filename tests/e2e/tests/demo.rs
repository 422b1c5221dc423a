//! The demo, as a newcomer runs it; and an import, as someone migrating does.

use lockstep_e2e::{Team, lockstep};

#[test]
fn the_demo_shows_a_winner_a_held_reply_and_latencies() {
    let folder = tempfile::tempdir().unwrap();
    let output = lockstep(&folder.path().join("unused"), &["demo"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["is imported", "✓", "! HELD BACK", "(offline)", "… waiting", "✗ dropped", "median"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!folder.path().join("unused").exists(), "the demo uses a folder of its own");
}

/// The export that is bundled with the program.
const SAMPLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../client-sdk/migrate/samples/WhatsApp Chat with Hotel Baan Suan.txt");

#[test]
fn an_import_balances_and_a_rerun_adds_nothing() {
    let team = Team::new();
    let inspected = team.hub.json(&["migrate", "inspect", SAMPLE]);
    assert_eq!(inspected["summary"]["customer"], "Hotel Baan Suan");
    let import = ["migrate", "import", SAMPLE, "--time-zone", "Asia/Bangkok", "--member", "Nok=1", "--assign", "2"];
    let first = team.hub.json(&import);
    let ledger = &first["ledger"];
    let sum: u64 = ["message", "system", "continuation", "duplicate", "rejected"]
        .iter()
        .map(|heading| ledger[heading].as_u64().unwrap())
        .sum();
    assert_eq!(sum, ledger["lines"].as_u64().unwrap());
    assert!(first["report"]["kept"].as_u64().unwrap() > 300, "{first}");
    let again = team.hub.json(&import);
    assert_eq!(again["report"]["kept"], 0, "{again}");
    assert_eq!(again["report"]["known"], first["report"]["kept"]);

    let conversation = first["conversation"].as_str().unwrap();
    let undone = ["migrate", "undo", conversation, first["import"].as_str().unwrap()];
    team.hub.json(&undone);
    let anew = team.hub.json(&import);
    assert_eq!(anew["report"]["kept"], first["report"]["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_history_comes_to_every_device_in_the_order_of_the_file() {
    let mut team = Team::new();
    let device = team.device(2).await;
    let imported = team.hub.json(&["migrate", "import", SAMPLE, "--time-zone", "Asia/Bangkok", "--assign", "2"]);
    let kept = imported["report"]["kept"].as_u64().unwrap() as usize;
    let mut list = device.watch_conversations();
    let conversation = lockstep_e2e::within("the conversation", async {
        loop {
            if let Some(row) = list.current().first() {
                return row.id;
            }
            list.changed().await.unwrap();
        }
    });
    let conversation = conversation.await;
    let mut view = team.open(&device, conversation).await;
    let last = view.until(|shown| shown.messages.len() > 250);
    let shown = lockstep_e2e::within("the history", last).await.unwrap();
    assert!(shown.messages.len() <= kept);
    assert!(shown.messages.is_sorted_by_key(|message| message.id));
    // A member can go on from there.
    let note = device.note(conversation, "taken over").await.unwrap();
    lockstep_e2e::within("a new note", view.until(|shown| shown.message(note).is_some())).await.unwrap();
}

#[test]
fn a_file_that_is_no_export_is_refused_with_a_hint() {
    let team = Team::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "milk\nbread\n").unwrap();
    let output = lockstep(team.hub.folder(), &["--json", "migrate", "import", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(65), "{}", String::from_utf8_lossy(&output.stderr));
}
