//! Every verb of the command line, as a script uses it.

use std::collections::BTreeSet;
use std::process::Command;

use lockstep_e2e::{Team, lockstep, program};
use serde_json::Value;

/// Runs verbs on one hub and remembers which were run.
struct Shell {
    team: Team,
    home: String,
    verbs: BTreeSet<String>,
}

impl Shell {
    fn ask(&mut self, arguments: &[&str]) -> Value {
        let values = self.lines(arguments);
        assert_eq!(values.len(), 1, "{arguments:?}: {values:?}");
        values.into_iter().next().unwrap()
    }

    fn lines(&mut self, arguments: &[&str]) -> Vec<Value> {
        let words = if ["client", "member", "device", "conversation", "certificate", "migrate", "words", "policy"]
            .contains(&arguments[0])
        {
            2
        } else {
            1
        };
        self.verbs.insert(arguments[..words].join(" "));
        let mut all = vec!["--json"];
        all.extend(arguments);
        if arguments[0] == "client" {
            all.extend(["--home", &self.home]);
        }
        let output = lockstep(self.team.hub.folder(), &all);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    fn fails(&self, arguments: &[&str], exit: i32, code: &str) {
        let output = lockstep(self.team.hub.folder(), &[&["--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], code, "{error}");
        assert!(error["error"]["message"].as_str().unwrap().len() > 10, "{error}");
    }
}

#[test]
fn every_verb_answers_in_json() {
    let mut team = Team::new();
    let home = team.home().to_str().unwrap().to_owned();
    let link = team.link(2).to_string();
    let mut shell = Shell { team, home, verbs: BTreeSet::new() };

    let added = shell.ask(&["member", "add", "Mia Manager", "--role", "manager"]);
    assert_eq!(added["id"], 10);
    shell.ask(&["member", "role", "10", "auditor"]);
    let members = shell.ask(&["member", "list"]);
    let mia = members["members"].as_array().unwrap().iter().find(|member| member["id"] == 10).unwrap().clone();
    assert_eq!((mia["name"].as_str(), mia["role"].as_str()), (Some("Mia Manager"), Some("auditor")));
    shell.ask(&["member", "remove", "10"]);
    // Name and number stay; the number is not given again.
    let members = shell.ask(&["member", "list"]);
    let mia = members["members"].as_array().unwrap().iter().find(|member| member["id"] == 10).unwrap().clone();
    assert_eq!((mia["name"].as_str(), mia["role"].as_str()), (Some("Mia Manager"), Some("former")));
    shell.fails(&["member", "add", "Other", "--id", "10"], 1, "already_exists");

    assert_eq!(shell.ask(&["policy", "show"])["devices_max"], 0);
    shell.ask(&["policy", "set", "--devices-max", "3"]);
    assert_eq!(shell.ask(&["policy", "show"])["devices_max"], 3);

    let opened = shell.ask(&["conversation", "new", "Acme", "--service", "9", "--assign", "2"]);
    let conversation = opened["id"].as_str().unwrap().to_owned();
    shell.ask(&["conversation", "assign", &conversation, "3"]);
    shell.ask(&["conversation", "unassign", &conversation, "3"]);
    let listed = shell.ask(&["conversation", "list"]);
    assert_eq!(listed["conversations"][0]["assigned"], serde_json::json!([2]));

    assert!(shell.ask(&["pair", "3"])["link"].as_str().unwrap().starts_with("lockstep://"));
    assert_eq!(shell.ask(&["client", "enrol", &link])["member"], 2);
    let devices = shell.ask(&["device", "list"]);
    let device = devices["devices"][0]["id"].as_str().unwrap().to_owned();
    assert!(devices["devices"][0]["last_seen"].as_str().unwrap().ends_with('Z'), "{devices}");
    assert_eq!(shell.ask(&["client", "devices"])["devices"], devices["devices"]);

    assert_eq!(shell.ask(&["client", "conversations"])["conversations"][0]["customer"], "Acme");
    let sent = shell.ask(&["client", "send", &conversation, "Good morning"]);
    assert_eq!((sent["state"].as_str(), sent["direction"].as_str()), (Some("sent"), Some("out")));
    let id = sent["id"].as_str().unwrap().to_owned();
    let reply = shell.ask(&["client", "reply", &conversation, &id, "and a good day"]);
    assert_eq!(reply["re"], id);
    let note = shell.ask(&["client", "note", &conversation[..8], "a note"]);
    assert_eq!(note["direction"], "note");
    let note = note["id"].as_str().unwrap().to_owned();
    assert_eq!(shell.ask(&["client", "edit", &conversation, &note, "a better note"])["body"], "a better note");
    assert_eq!(shell.ask(&["client", "react", &conversation, &note, "👍"])["reactions"][0][1], "👍");
    assert_eq!(shell.ask(&["client", "retract", &conversation, &note, "wrong"])["retracted"], "wrong");
    shell.ask(&["client", "typing", &conversation, "--for", "1"]);
    let history = shell.lines(&["client", "history", &conversation]);
    assert_eq!(history.len(), 3);
    let watched = shell.lines(&["client", "watch", &conversation, "--count", "0"]);
    assert!(watched.is_empty());
    assert_eq!(shell.ask(&["client", "sync"])["synced"], true);
    assert_eq!(shell.ask(&["client", "status"])["online"], true);
    let export = tempfile::tempdir().unwrap();
    let exported =
        shell.ask(&["client", "export", &conversation, "--automerge", "--to", export.path().to_str().unwrap()]);
    assert!(exported["files"][0]["facts"].as_u64().unwrap() >= 3, "{exported}");

    shell.ask(&["words", "add", "--category", "bank", "golden goose"]);
    assert_eq!(shell.ask(&["words", "test", "a Golden  Goose"])["hits"][0]["category"], "bank");
    assert_eq!(shell.ask(&["words", "list", "--added"])["words"][0]["text"], "golden goose");
    shell.ask(&["words", "remove", "golden goose"]);
    shell.fails(&["words", "remove", "golden goose"], 1, "not_listed");
    shell.fails(&["words", "add", "--category", "poultry", "goose"], 1, "malformed");

    assert_eq!(shell.ask(&["status"])["ready"], true);
    assert!(shell.ask(&["doctor"])["findings"].as_array().unwrap().len() >= 4);
    shell.ask(&["certificate", "reload"]);
    let key = shell.ask(&["certificate", "key"]);
    assert!(key["key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    let verified = shell.ask(&["verify"]);
    assert_eq!((&verified["kind"], &verified["damaged"]), (&"verified".into(), &0.into()), "{verified}");
    shell.ask(&["device", "revoke", &device]);
    let kinds = |rows: Vec<Value>| rows.iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let rows = kinds(shell.lines(&["audit"]));
    for kind in [
        "epoch-began",
        "member-added",
        "role-changed",
        "policy-changed",
        "assigned",
        "invited",
        "enrolment",
        "sign-in",
        "exported",
        "device-revoked",
    ] {
        assert!(rows.iter().any(|row| row == kind), "{kind} is missing: {rows:?}");
    }
    let about_mia = kinds(shell.lines(&["audit", "--who", "10"]));
    assert_eq!(about_mia, ["member-added", "role-changed", "member-removed"]);
    assert_eq!(kinds(shell.lines(&["audit", "--what", "policy", "--since", "1h"])), ["policy-changed"]);
    assert!(shell.lines(&["audit", "--since", "2200-01-01"]).is_empty());
    let verdict = shell.ask(&["audit", "verify"]);
    assert_eq!((verdict["rows"].as_u64(), &verdict["bad"]), (Some(rows.len() as u64), &Value::Null));

    // What has no JSON: it prints files for other programs.
    for shown in [&["completions", "bash"][..], &["--help"], &["--version"]] {
        let output = lockstep(shell.team.hub.folder(), shown);
        assert!(output.status.success() && !output.stdout.is_empty(), "{shown:?}");
    }
    let man = tempfile::tempdir().unwrap();
    assert!(lockstep(shell.team.hub.folder(), &["man", man.path().to_str().unwrap()]).status.success());
    assert!(man.path().join("lockstep.1").exists());

    shell.fails(&["member", "role", "77", "agent"], 1, "member_unknown");
    shell.fails(&["member", "remove", "1"], 1, "last_owner");
    shell.fails(&["device", "revoke", "zz"], 64, "usage");
    shell.fails(&["conversation", "assign", &"0".repeat(32), "2"], 1, "conversation_unknown");
    shell.fails(&["client", "--home", "/nonexistent/device", "status"], 74, "store");
    shell.fails(&["init", "--owner", "Someone"], 64, "exists");
    shell.team.hub.kill();
    shell.fails(&["status"], 69, "not_running");
    // A stopped hub's audit log can be read too, and the refused commands of its own machine are none of it.
    assert_eq!(shell.lines(&["audit"]).len(), rows.len());
    assert_eq!(shell.ask(&["audit", "verify"])["bad"], Value::Null);
}

/// As the first lines of the README have it: the root key then lies beside the folder, in the present one.
#[test]
fn a_folder_may_be_named_from_where_one_is() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["init", "--folder", "hub", "--owner", "Olga"][..], &["--folder", "hub", "verify"]] {
        let done = Command::new(program("lockstep")).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(folder.path().join("hub.root.key").exists());
}
